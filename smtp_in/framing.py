"""Command lines out of a stream of octets, sans-IO.

Apart so that it can be fed whole, byte by byte and with trailing data. Anyone who can connect
sends bytes here. A command ends with CRLF and nothing else (RFC 5321 section 2.3.8): a server that
also takes a bare LF sees commands where another server saw content (CVE-2023-51764 and family).
"""

from __future__ import annotations

from enum import Enum, auto


class Fault(Enum):
    """Why a line cannot be a command; the stream stays in step in each case."""

    TOO_LONG = auto()
    BAD_ENDING = auto()  # a bare CR, a bare LF or a NUL


class Lines:
    """`feed` octets, take lines; what lies behind a line stays until asked for."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._scanned = 0
        self.skipped = 0
        """Octets thrown away of a line that is too long and still goes on."""

    def feed(self, data: bytes) -> None:
        """Append what came from the peer."""
        self._buffer += data

    def next_line(self, limit: int) -> bytes | Fault | None:
        """The next line without its CRLF, a fault, or None for "need more". `limit` in octets
        counts the CRLF."""
        end = self._buffer.find(b"\n", self._scanned)
        if end < 0:
            self._scanned = len(self._buffer)
            if self.skipped or len(self._buffer) > limit:
                self.skipped += len(self._buffer)
                self.clear()
            return None
        line = bytes(self._buffer[: end + 1])
        del self._buffer[: end + 1]
        self._scanned = 0
        if self.skipped or len(line) > limit:
            self.skipped = 0
            return Fault.TOO_LONG
        if not line.endswith(b"\r\n") or b"\r" in line[:-2] or b"\0" in line:
            return Fault.BAD_ENDING
        return line[:-2]

    def take(self) -> bytes:
        """Everything that lies behind the last line."""
        rest = bytes(self._buffer)
        self.clear()
        return rest

    def clear(self) -> None:
        """Forget what lies behind the last line."""
        self._buffer.clear()
        self._scanned = 0
