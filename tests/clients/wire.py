"""A connection that says exactly what it is told to, well-formed or not.

For what no decent client can be made to send. Apart from the clients, because it knows
neither protocol beyond where an answer ends.
"""

from __future__ import annotations

import socket
import ssl
from types import TracebackType
from typing import Self

from tests.clients.site import Place


class Closed(Exception):
    """The server ended the connection; holds what it said last."""


class Wire:
    """TCP, TLS from the start when a context is given, or later by `encrypt`."""

    def __init__(self, place: Place, context: ssl.SSLContext | None = None, timeout: float = 30) -> None:
        self._socket = socket.create_connection((place.host, place.port), timeout=timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        if context:
            self.encrypt(context)

    def encrypt(self, context: ssl.SSLContext) -> None:
        self._socket = context.wrap_socket(self._socket, server_hostname="localhost")

    def send(self, data: bytes) -> None:
        """Whole; Closed when the server hung up meanwhile."""
        try:
            self._socket.sendall(data)
        except (ConnectionError, ssl.SSLError) as error:
            raise Closed from error

    def line(self) -> bytes:
        """The next line without its end; Closed at the end of the stream."""
        while b"\n" not in self._buffer:
            try:
                more = self._socket.recv(65536)
            except (ConnectionError, ssl.SSLError) as error:
                raise Closed(self._buffer) from error
            if not more:
                raise Closed(self._buffer)
            self._buffer += more
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.rstrip(b"\r")

    def waiting(self, seconds: float) -> bytes:
        """What comes within the time, unasked; "" when nothing does or the stream ends."""
        said, self._buffer = self._buffer, b""
        self._socket.settimeout(seconds)
        try:
            said += self._socket.recv(65536)
        except (TimeoutError, ConnectionError, ssl.SSLError):
            pass
        finally:
            self._socket.settimeout(30)
        return said

    def reply(self) -> bytes:
        """A whole SMTP reply, its lines joined by LF (RFC 5321 section 4.2.1)."""
        lines = [self.line()]
        while lines[-1][3:4] == b"-":
            lines.append(self.line())
        return b"\n".join(lines)

    def smtp(self, *commands: bytes) -> bytes:
        """Say each in turn and hear each reply; returns the last."""
        said = b""
        for command in commands:
            self.send(command + b"\r\n")
            said = self.reply()
        return said

    def tagged(self, tag: bytes) -> list[bytes]:
        """All lines up to the one with the tag; literals stay in as lines."""
        lines = [self.line()]
        while not lines[-1].startswith(tag + b" "):
            lines.append(self.line())
        return lines

    def imap(self, command: bytes, tag: bytes = b"t") -> bytes:
        """The tagged answer to a command."""
        self.send(tag + b" " + command + b"\r\n")
        return self.tagged(tag)[-1]

    def ports(self) -> tuple[int, int]:
        """Our own and the server's."""
        return self._socket.getsockname()[1], self._socket.getpeername()[1]

    def vanish(self) -> None:
        """Reset the connection, as a machine that lost its power (RST, no TLS goodbye)."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self._socket.close()

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
