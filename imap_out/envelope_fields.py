"""ENVELOPE read back: what SORT and THREAD compare, from the rows that are there for listings.

Apart because it is the inverse of `rendering`, and a property test holds the two to each other.
What is read was rendered here from a stranger's header; it is well formed, however long.

    envelope = "(" date SP subject SP from SP sender SP reply-to SP to SP cc SP bcc SP
               in-reply-to SP message-id ")"              ; RFC 3501 section 9
"""

from __future__ import annotations

import re
from typing import NamedTuple

SUBJECT, FROM, TO, CC, IN_REPLY_TO = 1, 2, 5, 6, 8
"""Places in the envelope."""

_TOKEN = re.compile(rb' *(?:(\()|(\))|(NIL)|"((?:[^"\\]|\\.)*+)"|\{([0-9]+)\}\r\n)')
_ESCAPED = re.compile(rb"\\(.)")


class Address(NamedTuple):
    """RFC 3501 section 7.4.2; None is NIL."""

    name: bytes | None
    mailbox: bytes | None
    host: bytes | None


def text(envelope: bytes, place: int) -> bytes:
    """The string at a place; b"" for NIL."""
    cursor = _Cursor(envelope)
    cursor.skip(place)
    return cursor.string() or b""


def first_address(envelope: bytes, place: int) -> Address | None:
    """The first of the addresses at a place. A group's start has a mailbox and no host."""
    cursor = _Cursor(envelope)
    cursor.skip(place)
    if not (cursor.opens() and cursor.opens()):
        return None
    name, _route, mailbox, host = (cursor.string() for _ in range(4))
    return Address(name, mailbox, host)


class _Cursor:
    def __init__(self, envelope: bytes) -> None:
        self._envelope = envelope
        self._at = 1  # behind the first parenthesis

    def opens(self) -> bool:
        """Whether a list starts here; if so its parenthesis is taken."""
        return bool(self._token()[1])

    def string(self) -> bytes | None:
        """An nstring."""
        token = self._token()
        if token[3]:
            return None
        if token[5] is None:
            return _ESCAPED.sub(rb"\1", token[4]) if b"\\" in token[4] else bytes(token[4])
        start = self._at
        self._at = start + int(token[5])
        return self._envelope[start : self._at]

    def skip(self, items: int) -> None:
        """Over strings and whole lists."""
        depth = 0
        while items:
            token = self._token()
            if token[5]:
                self._at += int(token[5])
            depth += bool(token[1]) - bool(token[2])
            items -= not depth

    def _token(self) -> re.Match[bytes]:
        token = _TOKEN.match(self._envelope, self._at)
        assert token is not None
        self._at = token.end()
        return token
