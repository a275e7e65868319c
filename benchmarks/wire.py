"""A raw-socket IMAP client: the least work on the client's side that still checks answers.

Apart because the client must not be what is measured: no parsing but for the tagged line
and literal lengths. It runs against ours and against Dovecot alike.
"""

from __future__ import annotations

import re
import socket
import ssl

_LITERAL_AT_END = re.compile(rb"\{(\d+)\}$")


class Wire:
    """One connection. `command` returns everything up to and with the tagged line."""

    def __init__(self, address: tuple[str, int], context: ssl.SSLContext | None = None) -> None:
        raw = socket.create_connection(address, timeout=120)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = context.wrap_socket(raw, server_hostname="localhost") if context else raw
        self._buffer = bytearray()
        self._count = 0
        self.greeting = self._line()

    def command(self, text: bytes) -> bytes:
        """Send one command without literals; AssertionError when the answer is not OK."""
        self._count += 1
        tag = b"a%d" % self._count
        self._socket.sendall(tag + b" " + text + b"\r\n")
        return self.answer(tag)

    def append(self, folder: bytes, message: bytes) -> bytes:
        """APPEND with a non-synchronising literal (RFC 7888)."""
        self._count += 1
        tag = b"a%d" % self._count
        self._socket.sendall(tag + b" APPEND " + folder + b" {%d+}\r\n" % len(message))
        self._socket.sendall(message)
        self._socket.sendall(b"\r\n")
        return self.answer(tag)

    def answer(self, tag: bytes) -> bytes:
        """Read up to the tagged line. Looks at line ends only where a chunk ends: cheap."""
        mark = tag + b" "
        needle = b"\r\n" + mark
        searched = 0
        while True:
            if self._buffer.startswith(mark):
                start = 0
            else:
                found = self._buffer.find(needle, max(0, searched - len(needle)))
                start = found + 2 if found >= 0 else -1
            if start >= 0:
                end = self._buffer.find(b"\r\n", start)
                if end >= 0:
                    answer = bytes(self._buffer[: end + 2])
                    del self._buffer[: end + 2]
                    assert answer[start + len(mark) :].startswith(b"OK"), answer[start:]
                    return answer
            else:
                searched = len(self._buffer)
            self._more()

    def wait_for(self, text: bytes) -> None:
        """Read until `text` has come (for IDLE); drops what was read."""
        while text not in self._buffer:
            self._more()
        self._buffer.clear()

    def send(self, data: bytes) -> None:
        """Bytes as they are."""
        self._socket.sendall(data)

    def close(self) -> None:
        """Without LOGOUT."""
        self._socket.close()

    def _line(self) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0:
            self._more()
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _more(self) -> None:
        chunk = self._socket.recv(1 << 20)
        if not chunk:
            raise EOFError("the server closed the connection")
        self._buffer += chunk


def literal_of(answer: bytes) -> bytes:
    """The first literal of an answer."""
    end = answer.index(b"\r\n")
    match = _LITERAL_AT_END.search(answer[:end])
    assert match, answer[:200]
    return answer[end + 2 : end + 2 + int(match[1])]
