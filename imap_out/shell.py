"""The socket: Twisted's transport and TLS around the sans-IO session. The only file with either.

Sessions run as asyncio tasks, not as Deferreds: the store's coroutines wait for threads and
child processes through asyncio futures, and Twisted runs on the asyncio loop (asyncioreactor)
anyway, so a task needs no bridge in either direction. Twisted lends what asyncio lacks:
STARTTLS that keeps its buffers apart, and producers.

Anybody can connect. Bounds here: connections in all and from one address, and a peer that
does not read what it asked for; time before login and idle time are the session's.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections import Counter
from typing import Any

from OpenSSL import crypto
from twisted.internet import protocol, ssl
from twisted.internet.interfaces import IAddress, IListeningPort
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure

from imap_out.limits import Budget, Limits
from imap_out.ports import Directory, Journal
from imap_out.session import Session
from imap_out.states import State

_FULL = b"* BYE There are too many connections, please try again later.\r\n"
_LINGER = 10.0  # seconds for a peer to take our BYE
_PEM_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def tls_options(certificates: bytes, private_key: bytes) -> ssl.CertificateOptions:
    """PEM in: our certificate, then its chain, and the key. TLS 1.2 and up (P3, RFC 8314)."""
    chain = [
        crypto.load_certificate(crypto.FILETYPE_PEM, found[0] + b"\n")
        for found in _PEM_CERTIFICATE.finditer(certificates)
    ]
    return ssl.CertificateOptions(
        privateKey=crypto.load_privatekey(crypto.FILETYPE_PEM, private_key),
        certificate=chain[0],
        extraCertChain=chain[1:],
        raiseMinimumTo=ssl.TLSVersion.TLSv1_2,
    )


class Connections:
    """How many there are, in all and from each address, and what their literals may hold together;

    shared by the doors of a process.
    """

    def __init__(self, limits: Limits) -> None:
        self.budget = Budget(limits.in_flight)
        self._limits = limits
        self._by_peer: Counter[str] = Counter()

    @property
    def count(self) -> int:
        """How many are open."""
        return self._by_peer.total()

    def enter(self, peer: str) -> bool:
        """Whether one more is allowed; counts it when it is."""
        full = self.count >= self._limits.connections
        if full or self._by_peer[peer] >= self._limits.connections_per_peer:
            return False
        self._by_peer[peer] += 1
        return True

    def leave(self, peer: str) -> None:
        """One that had entered is gone."""
        self._by_peer[peer] -= 1
        if not self._by_peer[peer]:
            del self._by_peer[peer]


class Door(protocol.Factory):
    """One listening port: STARTTLS or implicit TLS, never neither.

    `await door.stop()` ends its sessions, each after the command under way.
    """

    noisy = False

    def __init__(
        self,
        directory: Directory,
        journal: Journal,
        limits: Limits,
        connections: Connections,
        tls: ssl.CertificateOptions,
        *,
        implicit_tls: bool,
    ) -> None:
        self.directory = directory
        self.journal = journal
        self.limits = limits
        self.connections = connections
        self.tls = tls
        self.implicit_tls = implicit_tls
        self._open: set[Connection] = set()

    def listen(self, reactor: Any, listening: socket.socket) -> IListeningPort:
        """Accept on a bound, listening socket (which is duplicated and may be closed)."""
        factory: Any = self
        if self.implicit_tls:
            factory = TLSMemoryBIOFactory(self.tls, False, self)  # type: ignore[arg-type]
            factory.noisy = False
        port: IListeningPort = reactor.adoptStreamPort(listening.fileno(), listening.family, factory)
        return port

    def buildProtocol(self, addr: IAddress | None) -> Connection:  # noqa: N802
        """Twisted's name for accepting."""
        return Connection(self)

    def opened(self, connection: Connection) -> None:
        """It has a session."""
        self._open.add(connection)

    def closed(self, connection: Connection) -> None:
        """It has none any more."""
        self._open.discard(connection)

    async def stop(self, seconds: float = _LINGER) -> None:
        """BYE to all; who has not gone after `seconds` is cut off."""
        for connection in self._open:
            connection.stop()
        tasks = [connection.task for connection in self._open if connection.task]
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        for connection in list(self._open):
            connection.abort()


class Connection(protocol.Protocol):
    """One socket: the session's `Wire`, and the producer that the transport throttles."""

    transport: Any  # ITCPTransport; its TLS twin on the TLS port and after STARTTLS

    def __init__(self, door: Door) -> None:
        self.task: asyncio.Task[None] | None = None
        self.peer = ""
        self.secure = door.implicit_tls
        self.can_start_tls = not door.implicit_tls
        self._door = door
        self._session: Session | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._gone = False
        self._cut: asyncio.TimerHandle | None = None

    # -- from the transport -----------------------------------------------------------------

    def connectionMade(self) -> None:  # noqa: N802
        """Count it, and start its session."""
        self.peer = getattr(self.transport.getPeer(), "host", "")
        if not self._door.connections.enter(self.peer):
            self._gone = True
            self.transport.write(_FULL)
            self.transport.loseConnection()
            return
        self.transport.setTcpNoDelay(True)
        self.transport.registerProducer(self, True)
        door = self._door
        self._session = Session(self, door.directory, door.journal, door.limits, door.connections.budget)
        door.opened(self)
        self.task = asyncio.get_running_loop().create_task(self._converse(self._session))

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        """Bytes of the peer."""
        if self._session is not None:
            self._session.feed(data)

    def connectionLost(self, reason: Failure | None = None) -> None:  # noqa: N802
        """The peer, the network or we have ended it; close_notify or not makes no difference,

        because a command counts only when its line end has come.
        """
        if self._session is None:
            return
        self._gone = True
        self._door.connections.leave(self.peer)
        self._writable.set()
        self._cancel_cut()
        self._session.lost()

    def pauseProducing(self) -> None:  # noqa: N802
        """The transport holds enough, or TLS has not begun. Who takes none of it for long is cut off."""
        self._writable.clear()
        limits = self._door.limits
        stranger = self._session is None or self._session.state is State.NOT_AUTHENTICATED
        self._cut_in(limits.login_seconds if stranger else limits.stalled_seconds)

    def resumeProducing(self) -> None:  # noqa: N802
        """It has room again."""
        self._cancel_cut()
        self._writable.set()

    def stopProducing(self) -> None:  # noqa: N802
        """It is closing; `connectionLost` follows."""
        self._writable.set()

    # -- from the session: its Wire ---------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send."""
        if not self._gone:
            self.transport.write(data)

    async def drained(self) -> None:
        """Wait while the transport holds enough."""
        if not self._writable.is_set():
            await self._writable.wait()
        if self._gone:
            raise ConnectionResetError

    def start_tls(self) -> None:
        """TLS from here on, in both directions."""
        if not self._gone:
            self.transport.startTLS(self._door.tls)
        self.secure = True
        self.can_start_tls = False

    def pause(self) -> None:
        """Stop reading."""
        if not self._gone:
            self.transport.pauseProducing()

    def resume(self) -> None:
        """Read again."""
        if not self._gone:
            self.transport.resumeProducing()

    # -- from the door ----------------------------------------------------------------------

    def stop(self) -> None:
        """End the session when its command is done."""
        if self._session is not None:
            self._session.stop()

    def abort(self) -> None:
        """Now."""
        if not self._gone:
            self.transport.abortConnection()

    async def _converse(self, session: Session) -> None:
        try:
            await session.run()
        finally:
            self._door.closed(self)
            self._session_over()

    def _session_over(self) -> None:
        if self._gone:
            return
        self.transport.unregisterProducer()
        self.transport.loseConnection()
        self._cut_in(_LINGER)

    def _cut_in(self, seconds: float) -> None:
        self._cancel_cut()
        self._cut = asyncio.get_running_loop().call_later(seconds, self.abort)

    def _cancel_cut(self) -> None:
        if self._cut is not None:
            self._cut.cancel()
            self._cut = None
