"""Where one command ends and the next begins: lines and literals, before anything is parsed.

Apart so that one bad command can never desynchronise the rest: what a grammar thinks of a
command has no say in where it ends. Anybody can send bytes here, without a login. No socket,
no clock: `feed` takes bytes, `next` gives an event, and None is "need more".

    command-line = text *(literal text) CRLF
    literal      = "{" number ["+"] "}" CRLF *CHAR8      ; RFC 3501 section 9, RFC 7888

A lone LF also ends a line, as in other servers. A CR elsewhere and NUL are refused: a peer or
a proxy that reads them differently must not make two commands out of our one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from imap_out.limits import Budget, FramingLimits

_ANNOUNCED = re.compile(rb"\{([0-9]+)(\+?)\}\Z")
_TAG = re.compile(rb'([^\x00-\x20\x7f-\xff(){%*"\\+]+) ')  # ASTRING-CHAR without "+"
_NAME = re.compile(rb"[^ ]+ (?i:APPEND) ")
_LONGEST_ANNOUNCEMENT = 32
_SMALL = 64 * 1024


@dataclass(frozen=True, slots=True)
class Frame:
    """A whole command: text, literal, text, ..., text; announcements and line ends removed."""

    parts: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """A line that is no command (SASL response, DONE), without its line end."""

    text: bytes


@dataclass(frozen=True, slots=True)
class Continue:
    """The peer waits to be told that it may send its literal (`+`)."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A command that was read to its end and thrown away. `answer` follows the tag."""

    tag: bytes  # b"*" when the line had none
    answer: bytes


@dataclass(frozen=True, slots=True)
class Abuse:
    """No sense in reading on: BYE with these words."""

    words: bytes


Event = Frame | Line | Continue | Refused | Abuse

_LINE_ABUSE = b"The line is too long."
_TOO_LONG = b"BAD [TOOBIG] The command line is too long."
_TOO_BIG = b"NO [TOOBIG] The literal is larger than this server takes."
_TOO_MUCH = b"NO [LIMIT] The messages are too large together, please send them one by one."
_TOO_MANY = b"BAD [TOOBIG] The command has too many literals."
_NO_ROOM = b"NO [UNAVAILABLE] The server is busy with other messages, please try again later."
_BAD_OCTET = b"BAD A command line must not hold NUL or a bare CR."


class Framer:
    """Feed it bytes, take events. `limits` may be replaced between two commands."""

    def __init__(self, limits: FramingLimits, budget: Budget) -> None:
        self.limits = limits
        self._budget = budget
        self._held = 0  # octets taken from the budget
        self._buffer = bytearray()
        self._searched = 0  # octets of the buffer known to hold no LF
        self._plain_line = False
        self._begin()

    @property
    def buffered(self) -> int:
        """Octets that wait to be framed."""
        return len(self._buffer)

    @property
    def midway(self) -> bool:
        """Whether part of a command has come and the rest has not."""
        return bool(self._parts or self._buffer or self._refusal)

    def feed(self, data: bytes) -> None:
        """More bytes from the peer."""
        self._buffer += data

    def clear(self) -> None:
        """Forget all that was received: what came in clear must not speak after STARTTLS."""
        self._buffer.clear()
        self._searched = 0
        self._plain_line = False
        self._begin()
        self.release()

    def release(self) -> None:
        """The last frame's literals are needed no more."""
        self._budget.give(self._held)
        self._held = 0

    def expect_line(self) -> None:
        """The next event is a `Line` (or `Abuse`): the peer answers a `+` of ours."""
        self._plain_line = True

    def next(self) -> Event | None:
        """The next event, or None when more bytes are needed."""
        while True:
            if self._wanted and not self._take_literal():
                return None
            if self._skipping and not self._skip():
                return None
            end = self._buffer.find(b"\n", self._searched)
            if end < 0:
                self._searched = len(self._buffer)
                return self._overlong()
            text = bytes(self._buffer[: end - 1 if end and self._buffer[end - 1] == 0x0D else end])
            del self._buffer[: end + 1]
            self._searched = 0
            event = self._sole_line(text) if self._plain_line else self._line(text)
            if event is not None:
                return event

    def _begin(self) -> None:
        self._parts: list[bytes] = []
        self._length = 0
        self._literal = bytearray()
        self._literal_sum = 0
        self._wanted = 0  # octets of a literal still to come
        self._skipping = 0  # the same of a literal that is thrown away
        self._swallowed = 0
        self._refusal = b""
        self._append = False

    def _take_literal(self) -> bool:
        """Collect once: a memoryview in, one copy to bytes at the end. No quadratic joining."""
        taken = min(self._wanted, len(self._buffer))
        with memoryview(self._buffer) as view:
            self._literal += view[:taken]
        del self._buffer[:taken]
        self._wanted -= taken
        if self._wanted:
            return False
        self._parts.append(bytes(self._literal))
        self._literal = bytearray()
        return True

    def _skip(self) -> bool:
        taken = min(self._skipping, len(self._buffer))
        del self._buffer[:taken]
        self._skipping -= taken
        return not self._skipping

    def _sole_line(self, text: bytes) -> Event:
        self._plain_line = False
        return Abuse(_LINE_ABUSE) if len(text) > self.limits.line else Line(text)

    def _line(self, text: bytes) -> Event | None:
        """One line of a command; None when the command goes on without waiting for us."""
        self._length += len(text)
        if not self._parts and not self._refusal:
            self._append = _NAME.match(text) is not None
        if self._length > self.limits.line:
            self._refuse(_TOO_LONG, text)
        elif b"\0" in text or b"\r" in text:
            self._refuse(_BAD_OCTET, text)
        announced = _ANNOUNCED.match(text, max(0, text.rfind(b"{")))
        if announced is None:
            return self._finish(text)
        digits, waits = announced[1], not announced[2]
        # int() of thousands of digits is slow, and refused by Python itself
        size = int(digits) if len(digits) <= 19 else 1 << 64
        self._literal_sum += size
        most = self.limits.append if self._append else self.limits.literals
        if self._literal_sum > most:
            # RFC 7889 section 5: TOOBIG is of one message; several of MULTIAPPEND can come one by one.
            self._refuse(_TOO_MUCH if self._append and size <= most else _TOO_BIG, text)
        elif len(self._parts) >= 2 * self.limits.literal_count:
            self._refuse(_TOO_MANY, text)
        elif not self._refusal and not self._take(size):
            self._refuse(_NO_ROOM, text)
        if not self._refusal:
            self._parts.append(text[: announced.start()])
            if size:
                self._wanted = size
            else:
                self._parts.append(b"")
            return Continue() if waits else None
        if waits:  # the peer asked first, and the answer is no
            return self._finish(text)
        self._swallowed += size + len(text)
        if self._swallowed > self.limits.swallow:
            return Abuse(b"That is more than this server reads.")
        self._skipping = size
        return None

    def _take(self, size: int) -> bool:
        """Small literals are free: their sum is bounded already."""
        if size <= _SMALL:
            return True
        taken = self._budget.take(size)
        self._held += size * taken
        return taken

    def _refuse(self, answer: bytes, text: bytes) -> None:
        if self._refusal:
            return
        first = self._parts[0] if self._parts else text
        tag = _TAG.match(first)
        self._refusal = (tag[1] if tag else b"*") + b" " + answer
        self._parts.clear()
        self.release()

    def _finish(self, text: bytes) -> Event:
        parts, refusal = (*self._parts, text), self._refusal
        self._begin()
        if refusal:
            tag, _, answer = refusal.partition(b" ")
            return Refused(tag, answer)
        return Frame(parts)

    def _overlong(self) -> Event | None:
        """No line end yet: throw away what is beyond the bound, but keep the tail.

        The tail may announce a literal; were it forgotten, the literal's octets (a message)
        would be read as commands.
        """
        waiting = len(self._buffer)
        if self._length + waiting <= self.limits.line:
            return None
        if self._plain_line:
            return Abuse(_LINE_ABUSE)
        self._refuse(_TOO_LONG, bytes(self._buffer[: self.limits.line]))
        surplus = waiting - _LONGEST_ANNOUNCEMENT
        if surplus > 0:
            self._swallowed += surplus
            self._length += surplus
            del self._buffer[:surplus]
            self._searched = len(self._buffer)
        return Abuse(_LINE_ABUSE) if self._swallowed > self.limits.swallow else None
