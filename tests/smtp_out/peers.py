"""The other side: a next hop that says what a script tells it, certificates, a spool in memory."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mail.address import Address
from mail.errors import Unavailable
from mail.outbound import Item, Outcome, Recipient

HANG, DROP = "hang", "drop"


@dataclass
class Script:
    """Replies by verb, or by "RCPT <address>"; HANG and DROP are no replies but deeds.

    "END" is the answer to the final dot; "BODY" is done in the middle of DATA.
    """

    replies: dict[str, str] = field(default_factory=dict)
    extensions: Sequence[str] = ("8BITMIME", "SMTPUTF8", "SIZE 104857600")
    tls: ssl.SSLContext | None = None
    transcript: list[str] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)
    connections: int = 0
    ehlos: list[str] = field(default_factory=list)
    port: int = 0


async def _converse(script: Script, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    script.connections += 1
    secure = False

    async def say(key: str, default: str) -> bool:
        text = script.replies.get(key, default)
        if text == HANG:
            await asyncio.sleep(60)
        if text == DROP:
            return False
        writer.write(text.replace("\n", "\r\n").encode() + b"\r\n")
        await writer.drain()
        return text[0] in "23"

    if not await say("GREETING", "220 target.test ESMTP") and script.replies.get("GREETING") == DROP:
        return
    while line := await reader.readline():
        command = line.decode().rstrip("\r\n")
        script.transcript.append(command)
        verb = command.split(" ")[0].upper()
        if verb == "EHLO":
            offered = [*script.extensions, *(["STARTTLS"] if script.tls and not secure else [])]
            lines = ["target.test", *offered]
            await say("EHLO", "\n".join(f"250{'-' if x is not lines[-1] else ' '}{x}" for x in lines))
        elif verb == "STARTTLS" and script.tls:
            await say("STARTTLS", "220 go ahead")
            if "HANDSHAKE" in script.replies:
                await asyncio.sleep(0.05)  # so that it is no part of the answer's segment
                writer.write(script.replies["HANDSHAKE"].encode() * 10)
                await writer.drain()
                await asyncio.sleep(0.05)
                return
            await writer.start_tls(script.tls)
            secure = True
        elif verb == "RCPT":
            address = command.partition("<")[2].partition(">")[0]
            key = f"RCPT {address}" if f"RCPT {address}" in script.replies else "RCPT"
            if not await say(key, "250 2.1.5 ok") and script.replies.get(key) == DROP:
                return
        elif verb == "DATA":
            if not await say("DATA", "354 go on"):
                if script.replies["DATA"] == DROP:
                    return
                continue
            if "BODY" in script.replies:
                await reader.read(10)
                return
            content = b""
            while (part := await reader.readline()) not in (b".\r\n", b""):
                content += part
            script.messages.append(content)
            if not await say("END", "250 2.0.0 queued") and script.replies.get("END") == DROP:
                return
        elif verb == "QUIT":
            await say("QUIT", "221 bye")
            return
        elif not await say(verb, "250 ok") and script.replies.get(verb) == DROP:
            return


Dialogue = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


@contextlib.asynccontextmanager
async def serving(dialogue: Dialogue, port: int = 0) -> AsyncIterator[int]:
    """A server on 127.0.0.1 that leaves nothing open behind; the port it has."""
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await dialogue(reader, writer)
        except (ConnectionError, ssl.SSLError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)
            writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", port, limit=1 << 24)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.sleep(0.001)


@contextlib.asynccontextmanager
async def target(script: Script) -> AsyncIterator[Script]:
    """The scripted next hop, listening on `script.port` of 127.0.0.1."""
    async with serving(
        lambda reader, writer: _converse(script, reader, writer), script.port
    ) as script.port:
        yield script


@dataclass(frozen=True)
class Certificates:
    ca: str
    certificate: str
    key: str

    def server(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate, self.key)
        return context


def certificates(directory: Path, address: str = "127.0.0.1") -> Certificates:
    """A throw-away CA and a certificate of it for one IP address."""
    directory.mkdir(parents=True, exist_ok=True)
    now = datetime.datetime.now(datetime.UTC)

    def build(
        subject: str, key: ec.EllipticCurvePrivateKey, issuer: str, *, authority: bool
    ) -> x509.CertificateBuilder:
        def name(text: str) -> x509.Name:
            return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

        return (
            x509.CertificateBuilder()
            .subject_name(name(subject))
            .issuer_name(name(issuer))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )

    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca = build("Test CA", ca_key, "Test CA", authority=True).sign(ca_key, hashes.SHA256())
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
    leaf = build("target", key, "Test CA", authority=False).add_extension(names, critical=False)
    pem = serialization.Encoding.PEM
    paths = Certificates(*(str(directory / name) for name in ("ca.pem", "leaf.pem", "leaf.key")))
    Path(paths.ca).write_bytes(ca.public_bytes(pem))
    Path(paths.certificate).write_bytes(leaf.sign(ca_key, hashes.SHA256()).public_bytes(pem))
    Path(paths.key).write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


def item(*addresses: str, item_id: str = "i1", sender: str = "ann@acme.test", queued_at: int = 0) -> Item:
    recipients = [Recipient(Address.parse(text)) for text in addresses]
    return Item(item_id, sender, "a" * 32, queued_at, recipients)


class MemorySpool:
    """The spool's contract without a disk; `failures` makes that many records fail."""

    def __init__(self) -> None:
        self.items: dict[str, Item] = {}
        self.contents: dict[str, bytes] = {}
        self.claimed: set[str] = set()
        self.released: list[str] = []
        self.records: list[Item] = []
        self.failures = 0
        self.unreadable: Exception | None = None

    def put(self, item: Item, content: bytes) -> None:
        self.items[item.item_id] = item
        self.contents[item.item_id] = content

    def due(self, now: int) -> Sequence[Item]:
        due = [
            item
            for item in self.items.values()
            if item.item_id not in self.claimed
            and any(r.outcome is Outcome.WAITING and r.next_attempt <= now for r in item.recipients)
        ]
        self.claimed |= {item.item_id for item in due}
        return due

    async def content(self, item: Item) -> bytes:
        if self.unreadable:
            raise self.unreadable
        return self.contents[item.item_id]

    def record(self, item: Item) -> None:
        if self.failures:
            self.failures -= 1
            raise Unavailable
        self.records.append(item)
        if any(r.outcome is Outcome.WAITING for r in item.recipients):
            self.items[item.item_id] = replace(item)
        else:
            self.items.pop(item.item_id, None)

    def release(self, item: Item) -> None:
        self.claimed.discard(item.item_id)
        self.released.append(item.item_id)


class Inbox:
    """Where bounces go; `failure` is raised instead as long as it is set."""

    def __init__(self) -> None:
        self.bounces: list[tuple[str, bytes]] = []
        self.failure: Exception | None = None
        self.before: Callable[[], None] = lambda: None

    async def bounce(self, account_id: str, content: bytes) -> None:
        if self.failure:
            raise self.failure
        self.before()
        self.bounces.append((account_id, content))


class Notes:
    """The journal, kept."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, str | int]]] = []

    def note(self, event: str, account_id: str, **facts: str | int) -> None:
        self.lines.append((event, account_id, facts))

    def events(self) -> list[str]:
        return [event for event, _, _ in self.lines]
