"""The lexical level of RFC 5322 and RFC 2045: white space, comments, quoted strings, tokens.

Apart because addresses, parameters and separators all read these and must agree on where a
quoted string or a comment ends: two readings of one header are how a policy check and a
mailer come to see different recipients. Strangers write every byte that is read here.
Nothing raises, and each function moves forward only, so a header costs its length once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum, auto
from typing import NamedTuple

WHITE = b" \t\r\n"
_WHITE = re.compile(rb"[ \t\r\n]*+")
_IN_COMMENT = re.compile(rb"[^()\\]++")
_QUOTED = re.compile(rb'"((?:[^"\\]++|\\.)*+)"?', re.DOTALL)
_ESCAPE = re.compile(rb"\\(.?)|\r?\n", re.DOTALL)
_LITERAL = re.compile(rb"\[(?:[^\]\\]++|\\.)*+\]?", re.DOTALL)
_ATOM = re.compile(rb"[^\x00-\x20\x7f()<>@,;:\\\"\[\]]++")
_TOKEN = re.compile(rb"[^\x00-\x20\x7f()<>@,;:\\\"/\[\]?=]++")


class Kind(Enum):
    """What a token of a structured header is."""

    ATOM = auto()  # atext and dots; bytes above 127 count as atext (RFC 6532)
    QUOTED = auto()
    LITERAL = auto()  # "[192.0.2.1]"
    COMMENT = auto()
    SPECIAL = auto()  # one byte, of those with a meaning: < > @ , ; :
    OTHER = auto()  # one byte that has no place in a header


class Token(NamedTuple):
    """`text` is what is meant: quotes, backslashes and the comment's parentheses removed."""

    kind: Kind
    text: bytes
    start: int
    end: int


def tokens(value: bytes) -> Iterator[Token]:
    """Cut a structured header's value; what is left open at its end is closed there.

    Closing at the end, instead of trying again one byte later, keeps an unclosed quote or
    ten thousand opening parentheses linear.
    """
    position, end = _WHITE.match(value).end(), len(value)  # type: ignore[union-attr]
    while position < end:
        byte = value[position : position + 1]
        if byte == b'"':
            text, after = quoted(value, position)
            yield Token(Kind.QUOTED, text, position, after)
        elif byte == b"(":
            text, after, _ = comment(value, position)
            yield Token(Kind.COMMENT, text, position, after)
        elif match := _ATOM.match(value, position):
            after = match.end()
            yield Token(Kind.ATOM, match[0], position, after)
        elif byte == b"[" and (match := _LITERAL.match(value, position)):
            after = match.end()
            yield Token(Kind.LITERAL, match[0], position, after)
        else:
            after = position + 1
            yield Token(Kind.SPECIAL if byte in b"<>@,;:" else Kind.OTHER, byte, position, after)
        position = _WHITE.match(value, after).end()  # type: ignore[union-attr]


def quoted(value: bytes, position: int) -> tuple[bytes, int]:
    """The content of the quoted-string that opens at `position`, and where it ends."""
    match = _QUOTED.match(value, position)
    if match is None:
        return b"", position
    text = match[1]
    if b"\\" in text or b"\n" in text:
        text = _ESCAPE.sub(lambda m: m[1] or b"", text)
    return text, match.end()


def comment(value: bytes, position: int) -> tuple[bytes, int, bool]:
    """The text of the comment that opens at `position`, its end, and whether it is closed.

    Counted, not recursed into: nesting depth is the sender's choice (CVE-2026-27857's class).
    """
    depth, pieces, end = 0, bytearray(), len(value)
    while position < end:
        match = _IN_COMMENT.match(value, position)
        if match is not None:
            pieces += match[0]
            position = match.end()
            continue
        byte = value[position : position + 1]
        position += 1
        if byte == b"\\":
            pieces += value[position : position + 1]
            position += 1
            continue
        if byte == b")":
            depth -= 1
            if depth == 0:
                return bytes(pieces), position, True
        elif depth == 0:
            depth = 1
            continue
        else:
            depth += 1
        pieces += byte
    return bytes(pieces), end, False


def skip(value: bytes, position: int) -> int:
    """Past white space and comments; the end of the value when a comment is left open."""
    while True:
        position = _WHITE.match(value, position).end()  # type: ignore[union-attr]
        if value[position : position + 1] != b"(":
            return position
        _, position, _ = comment(value, position)


def mime_token(value: bytes, position: int) -> tuple[bytes, int]:
    """RFC 2045 section 5.1 token, b"" when there is none; position after it and its CFWS."""
    match = _TOKEN.match(value, position)
    if match is None:
        return b"", position
    return match[0], skip(value, match.end())
