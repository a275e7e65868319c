"""A worker: serves members and the organisation's server on the sockets that it inherited.

Apart because it is the process in which strangers' bytes are parsed; the supervisor replaces it when
it dies. One loop (uvloop) carries everything: aiosmtpd's doors natively, Twisted's (IMAP, portal)
through its asyncio reactor, which therefore is installed before anything else of Twisted.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import ssl
from collections.abc import Mapping
from typing import Any

import uvloop
from twisted.internet import asyncioreactor

_LOOP = uvloop.new_event_loop()
asyncio.set_event_loop(_LOOP)
asyncioreactor.install(_LOOP)  # type: ignore[no-untyped-call]

from twisted.internet import reactor  # noqa: E402 (after the installation, as everything below)
from twisted.logger import globalLogBeginner  # noqa: E402
from twisted.protocols.tls import TLSMemoryBIOFactory  # noqa: E402

from gateway import logs, terms  # noqa: E402
from gateway.child import Child  # noqa: E402
from gateway.desk import Counter  # noqa: E402
from gateway.directory import Gate, ReadingDirectory, SendingDirectory  # noqa: E402
from gateway.house import House  # noqa: E402
from gateway.journal import Journal  # noqa: E402
from gateway.ledger import now  # noqa: E402
from gateway.tls import server_context  # noqa: E402
from imap_out import shell  # noqa: E402
from portal.site import site  # noqa: E402
from smtp_in.door import Door  # noqa: E402
from smtp_in.occupancy import Occupancy  # noqa: E402
from smtp_in.relay_in import Counter as RelayCounter  # noqa: E402
from smtp_in.relay_in import RelayDoor  # noqa: E402
from smtp_in.submission import Desk, SubmissionDoor  # noqa: E402


class Worker:
    """The doors of this process."""

    def __init__(self, child: Child, house: House) -> None:
        self._child = child
        self._house = house
        self._settings = house.settings
        self._gate = Gate(house)
        self._servers: list[asyncio.AbstractServer] = []
        self._ports: list[Any] = []
        self._smtp_doors: list[Door] = []
        self._imap_doors: list[shell.Door] = []
        self._readers = shell.Connections(terms.imap_limits(house.settings))
        self._occupancy = Occupancy(terms.smtp_limits(house.settings))

    async def open(self) -> None:
        """Accept on every inherited socket."""
        tls = server_context(self._settings.tls.certificate, self._settings.tls.key)
        relay = self._relay_in(tls)
        starttls, implicit = self._submission(tls), self._submission(None)
        for name, door, context in (
            ("relay_in", relay, None),
            ("submission", starttls, None),
            ("submissions", implicit, tls),
        ):
            self._smtp_doors.append(door)
            for listening in self._inherited(name):
                server = await _LOOP.create_server(door.protocol, sock=listening, ssl=context)
                self._servers.append(server)
        self._open_imap()
        self._open_portal()

    def _inherited(self, name: str) -> list[socket.socket]:
        return [socket.socket(fileno=number) for number in self._child.sockets[name]]

    def _relay_in(self, tls: ssl.SSLContext) -> RelayDoor:
        journal = Journal(self._house.ledger.audit, "relay-in")
        counter = RelayCounter(
            identity=terms.identity(self._settings),
            directory=SendingDirectory(self._gate, self._house, journal),
            deliveries=Counter(self._house),
            journal=journal,
            networks=[each.network for each in self._settings.relay_in.networks],
            clock=now,
            token=_token,
        )
        limits = terms.smtp_limits(self._settings)
        return RelayDoor(counter, limits, tls, self._settings.relay_in.require_starttls, self._occupancy)

    def _submission(self, tls: ssl.SSLContext | None) -> SubmissionDoor:
        journal = Journal(self._house.ledger.audit, "submission")
        who_to_whom = terms.admission_rules(self._settings)
        how_much = terms.attachment_rules(self._settings)
        desk = Desk(
            identity=terms.identity(self._settings),
            directory=SendingDirectory(self._gate, self._house, journal),
            journal=journal,
            admission=lambda: who_to_whom,
            attachments=lambda: how_much,
            clock=now,
            token=_token,
        )
        return SubmissionDoor(desk, terms.smtp_limits(self._settings), tls, self._occupancy)

    def _open_imap(self) -> None:
        journal = Journal(self._house.ledger.audit, "imap")
        directory = ReadingDirectory(self._gate, journal)
        for name, implicit in (("imap", False), ("imaps", True)):
            door = shell.Door(
                directory,
                journal,
                terms.imap_limits(self._settings),
                self._readers,
                self._tls_options(),
                implicit_tls=implicit,
            )
            self._imap_doors.append(door)
            self._ports += [door.listen(reactor, listening) for listening in self._inherited(name)]

    def _open_portal(self) -> None:
        pages: Any = site(terms.portal(self._settings))
        factory: Any = TLSMemoryBIOFactory(self._tls_options(), False, pages)
        factory.noisy = False
        for listening in self._inherited("portal"):
            streams: Any = reactor
            self._ports.append(streams.adoptStreamPort(listening.fileno(), listening.family, factory))

    def _tls_options(self) -> Any:
        return shell.tls_options(
            self._settings.tls.certificate.read_bytes(), self._settings.tls.key.read_bytes()
        )

    async def refuse_new(self) -> None:
        """Accept nothing any more; what is open goes on."""
        for server in self._servers:
            server.close()
        for port in self._ports:
            await port.stopListening().asFuture(_LOOP)

    async def empty(self) -> None:
        """Returns when the last connection has gone by itself."""
        while self._occupancy.connections or self._readers.count:  # noqa: ASYNC110 (neither tells)
            await asyncio.sleep(0.2)

    async def close(self) -> None:
        """End every session between two commands, or cut it off when the time is over."""
        seconds = self._settings.processes.drain_seconds
        doors = [
            *(door.drain(seconds) for door in self._smtp_doors),
            *(door.stop(seconds) for door in self._imap_doors),
        ]
        await asyncio.gather(*doors)
        await asyncio.to_thread(self._gate.close)


def _token() -> str:
    return secrets.token_hex(12)


async def _serve(child: Child) -> None:
    ended, replaced = asyncio.Event(), asyncio.Event()
    child.attend(_LOOP, ended.set, replaced.set)
    house = House.open(child.settings(), _LOOP)
    worker = Worker(child, house)
    await worker.open()
    house.ledger.audit.note("started", "", process="worker")
    child.ready()
    ending = _LOOP.create_task(ended.wait())
    await asyncio.wait((ending, _LOOP.create_task(replaced.wait())), return_when=asyncio.FIRST_COMPLETED)
    logs.note("closing")
    await worker.refuse_new()
    if not ended.is_set():
        await asyncio.wait((ending, _LOOP.create_task(worker.empty())), return_when=asyncio.FIRST_COMPLETED)
    await worker.close()
    house.ledger.audit.note("stopped", "", process="worker")
    await house.close()


def _main() -> None:
    child = Child.begin()
    observers: Any = [_twisted]
    globalLogBeginner.beginLoggingTo(observers, redirectStandardIO=False, discardBuffer=True)
    # Twisted's own run() would take the signals and the end of the loop out of our hands.
    reactor.startRunning(installSignalHandlers=False)
    try:
        _LOOP.run_until_complete(_serve(child))
    finally:
        _LOOP.close()


def _twisted(event: Mapping[str, Any]) -> None:
    """Twisted's log, without its words: only that something failed, and where."""
    failure = event.get("log_failure")
    if failure is not None:
        logs.failure("twisted", failure.value)


if __name__ == "__main__":
    _main()
