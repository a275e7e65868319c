"""A small honest house for the doors' tests: it really keeps what it is given, in memory.

Who logs in must have the password, `holds` looks into the mailbox, `submit` and `deliver` put
messages where the store would, and a repetition is known until it was acknowledged.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
import subprocess
import threading
from collections import Counter as Count
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from ipaddress import ip_network
from itertools import count
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from mail.address import Address
from mail.errors import Reason, Refusal
from mail.headers import message_ids, values
from mail.secret import Secret
from policy import admission
from policy import attachments as attachment_policy
from policy.rate import Pace
from smtp_in.door import Door
from smtp_in.limits import Identity, Limits
from smtp_in.ports import Receipt, Submission
from smtp_in.relay_in import Counter, RelayDoor
from smtp_in.submission import Desk, SubmissionDoor

ANN, BOB, EVE = "ann@acme.test", "bob@acme.test", "eve@other.test"
CLAIMS = "claims@example-health.test"
PASSWORD = "correct horse battery"
NOW = 1_800_000_000
IDENTITY = Identity("inbox.example-health.test", "Example Health", "support@example-health.test")


@dataclass
class Note:
    acknowledge: list[str]
    name: str

    def acknowledged(self) -> None:
        self.acknowledge.append(self.name)


@dataclass
class House:
    members: dict[str, str] = field(default_factory=lambda: dict.fromkeys((ANN, BOB, EVE), PASSWORD))
    mailboxes: dict[str, list[bytes]] = field(default_factory=dict)
    outside: list[tuple[str, bytes]] = field(default_factory=list)
    sent: dict[str, list[bytes]] = field(default_factory=dict)
    traces: list[bytes] = field(default_factory=list)
    return_paths: list[str] = field(default_factory=list)
    fingerprints: list[bytes] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    notes: list[tuple[str, str, dict[str, str | int]]] = field(default_factory=list)
    open_logins: Count[str] = field(default_factory=Count)
    postmaster: list[tuple[str, bytes, bytes]] = field(default_factory=list)
    locked: set[str] = field(default_factory=set)
    slept: list[float] = field(default_factory=list)
    fault: Exception | None = None
    gate: asyncio.Event | None = None  # a delivery waits for it
    waiting: threading.Event = field(default_factory=threading.Event)  # a delivery has begun to
    peers: list[str] = field(default_factory=list)

    @property
    def stored(self) -> int:
        return sum(map(len, self.mailboxes.values()))

    def note(self, event: str, account_id: str, **facts: str | int) -> None:
        self.notes.append((event, account_id, facts))

    async def log_in(self, name: str, password: Secret, peer: str) -> Login:
        self.peers.append(peer)
        if self.fault is not None:
            raise self.fault
        try:
            address = Address.parse(name)
        except Refusal:
            address = None
        expected = self.members.get(address.key) if address else None
        if address is None or expected is None or password != Secret(expected.encode()):
            raise Refusal(Reason.LOGIN_FAILED, "The name or the password is wrong.")
        self.open_logins[address.key] += 1
        return Login(self, address)

    async def is_member(self, address: Address) -> bool:
        return address.key in self.members

    async def keep(self, name: str) -> Note:
        if self.gate is not None:
            self.waiting.set()
            await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        return Note(self.acknowledged, name)

    async def deliver(
        self, return_path: str, recipients: Sequence[Address], content: bytes, trace: bytes
    ) -> Receipt:
        receipt = await self.keep(hashlib.sha256(content).hexdigest())
        self.return_paths.append(return_path)
        self.traces.append(trace)
        for recipient in recipients:
            self.mailboxes.setdefault(recipient.key, []).append(content)
        return receipt

    async def to_postmaster(self, return_path: str, content: bytes, trace: bytes) -> Receipt:
        receipt = await self.keep("postmaster")
        self.postmaster.append((return_path, content, trace))
        return receipt

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@dataclass
class Login:
    house: House
    address: Address

    @property
    def account_id(self) -> str:
        return hashlib.sha256(self.address.key.encode()).hexdigest()[:32]

    def check(self) -> None:
        if self.address.key in self.house.locked:
            raise Refusal(Reason.LOGIN_FAILED, "This account is locked.")

    async def holds(self, message_ids_: Collection[str]) -> bool:
        self.check()
        own = self.house.mailboxes.get(self.address.key, []) + self.house.sent.get(self.address.key, [])
        kept = {
            i
            for m in own
            for v in values(m.partition(b"\r\n\r\n")[0], b"message-id")
            for i in message_ids(v)
        }
        return bool(kept & set(message_ids_))

    async def submit(self, submission: Submission) -> Receipt:
        self.check()
        receipt = await self.house.keep(submission.fingerprint.hex())
        self.house.fingerprints.append(submission.fingerprint)
        for member in submission.members:
            self.house.mailboxes.setdefault(member.key, []).append(submission.content)
        for address in submission.outside:
            self.house.outside.append((str(address), submission.content))
        self.house.sent.setdefault(self.address.key, []).append(submission.sent_copy)
        return receipt

    def close(self) -> None:
        self.house.open_logins[self.address.key] -= 1


@cache
def certificate() -> tuple[ssl.SSLContext, ssl.SSLContext, str]:
    """(server's context, client's context, path of the certificate), made once per test run."""
    folder = Path(mkdtemp(prefix="smtp-in-tls-"))
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", folder / "key.pem", "-out", folder / "cert.pem", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    client = ssl.create_default_context(cafile=str(folder / "cert.pem"))
    return server, client, str(folder / "cert.pem")


RULES = admission.Rules(
    organisation=frozenset({"example-health.test"}),
    shared_domains=frozenset({"gmail.com"}),
    contact=IDENTITY.contact,
)


def submission_door(house: House, limits: Limits, starttls: bool, rules: Any = RULES) -> SubmissionDoor:
    tokens = count(1)
    desk = Desk(
        IDENTITY, house, house, lambda: rules,
        lambda: attachment_policy.Rules(contact=IDENTITY.contact),
        lambda: NOW, lambda: f"t{next(tokens)}",
    )  # fmt: skip
    return SubmissionDoor(desk, limits, certificate()[0] if starttls else None)


def relay_door(
    house: House, limits: Limits, networks: Sequence[str] = ("127.0.0.0/8",), tls_required: bool = False,
    pace: Pace | None = None,
) -> RelayDoor:  # fmt: skip
    tokens = count(1)
    counter = Counter(
        IDENTITY, house, house, house, [ip_network(n) for n in networks], lambda: NOW,
        lambda: f"r{next(tokens)}", pace or Pace(), house.sleep,
    )  # fmt: skip
    return RelayDoor(counter, limits, certificate()[0], tls_required)


class Serving:
    """A door on a loop of its own in a thread, so that blocking clients can talk to it."""

    def __init__(self, door: Door, implicit_tls: bool, loop: asyncio.AbstractEventLoop) -> None:
        self.door = door
        self.loop = loop
        self.port = 0
        self.problems: list[dict[str, Any]] = []
        self._tls = certificate()[0] if implicit_tls else None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._ready.wait(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.set_exception_handler(lambda _, context: self.problems.append(context))
        self.server = self.loop.run_until_complete(
            self.loop.create_server(self.door.protocol, "127.0.0.1", 0, ssl=self._tls)
        )
        self.port = self.server.sockets[0].getsockname()[1]
        self._ready.set()
        self.loop.run_forever()
        self.loop.close()

    def call(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    async def _close(self) -> None:
        self.server.close()
        await self.door.drain(5)
        await asyncio.sleep(0.01)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0.01)

    def close(self) -> None:
        self.call(self._close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)


@contextmanager
def serving(
    door: Door, implicit_tls: bool = False, loop: asyncio.AbstractEventLoop | None = None
) -> Iterator[Serving]:
    """Afterwards nothing is left open, reserved or unhandled: that is part of every test."""
    running = Serving(door, implicit_tls, loop or asyncio.new_event_loop())
    try:
        yield running
    finally:
        running.close()
    assert running.problems == []
    assert door.house.occupancy.connections == 0
    assert door.house.occupancy.octets == 0


class Wire:
    """A raw client."""

    def __init__(self, port: int, tls: bool = False) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        if tls:
            self.start_tls()
        self._buffer = b""

    def start_tls(self) -> None:
        self.socket = certificate()[1].wrap_socket(self.socket, server_hostname="localhost")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def line(self) -> bytes:
        """The next line, b"" at the end of the stream."""
        while b"\n" not in self._buffer:
            try:
                data = self.socket.recv(65536)
            except (ConnectionResetError, ssl.SSLError):
                data = b""
            if not data:
                rest, self._buffer = self._buffer, b""
                return rest
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        assert line.endswith(b"\r")
        return line[:-1]

    def reply(self) -> bytes:
        """The next reply, all of its lines."""
        lines = [self.line()]
        while lines[-1][3:4] == b"-":
            lines.append(self.line())
        return b"\n".join(lines)

    def ask(self, command: bytes) -> bytes:
        self.send(command + b"\r\n")
        return self.reply()

    def rest(self) -> list[bytes]:
        """All replies until the stream ends."""
        replies = []
        while reply := self.reply():
            replies.append(reply)
        return replies

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
