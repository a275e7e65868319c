"""What Dovecot says about messages: append them all, fetch all that describes them.

The responses are parsed into trees (bytes, None for NIL, lists), so that a quoted string
and a literal with one value compare equal.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Sequence
from typing import Any

from mail.structure import Part

Tree = Any
_ITEM = re.compile(
    rb'\s*(?:(\()|(\))|"((?:[^"\\]|\\.)*)"|\{(\d+)\}\r\n|((?:BODY|BINARY)\[[^\]]*\](?:<\d+>)?|[^\s()"{]+))'
)


def tree(data: bytes) -> list[Tree]:
    """All values of a response line with its literals."""
    stack: list[list[Tree]] = [[]]
    position = 0
    while position < len(data.rstrip()):
        match = _ITEM.match(data, position)
        assert match is not None, data[position : position + 80]
        position = match.end()
        if match[1]:
            stack.append([])
        elif match[2]:
            done = stack.pop()
            stack[-1].append(done)
        elif match[3] is not None:
            stack[-1].append(re.sub(rb"\\(.)", rb"\1", match[3]))
        elif match[4]:
            size = int(match[4])
            stack[-1].append(data[position : position + size])
            position += size
        else:
            stack[-1].append(None if match[5].upper() == b"NIL" else match[5])
    assert len(stack) == 1, "unbalanced"
    return stack[0]


def numbers(part: Part, prefix: str = "") -> Iterator[tuple[str, Part]]:
    """Every part of a message with its IMAP number (RFC 3501 section 6.4.5)."""
    if part.is_multipart:
        for index, child in enumerate(part.numbered, 1):
            yield from _numbered(child, f"{prefix}{index}")
    else:
        yield from _numbered(part, f"{prefix}1")


def _numbered(part: Part, number: str) -> Iterator[tuple[str, Part]]:
    yield number, part
    if part.is_multipart:
        yield from numbers(part, number + ".")
    elif part.message is not None:
        yield from numbers(part.message, number + ".")


class Reading:
    """A plain socket that speaks just enough IMAP."""

    def __init__(self, host: str, port: int, user: str, password: str) -> None:
        self._socket = socket.create_connection((host, port), timeout=30)
        self._file = self._socket.makefile("rb")
        self._file.readline()
        self.command(b"LOGIN %b %b" % (user.encode(), password.encode()))

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def command(self, line: bytes) -> list[bytes]:
        """Untagged responses, literals included."""
        self._socket.sendall(b"t " + line + b"\r\n")
        found = []
        while True:
            response = self._response()
            if response.startswith(b"t "):
                assert response.startswith(b"t OK"), response
                return found
            found.append(response)

    def _response(self) -> bytes:
        response = self._file.readline()
        assert response, "the server went away"
        while (match := re.search(rb"\{(\d+)\}\r\n\Z", response)) is not None:
            response += self._file.read(int(match[1])) + self._file.readline()
        return response

    def append(self, contents: Sequence[bytes]) -> None:
        for content in contents:
            self.command(b"APPEND INBOX {%d+}\r\n%b" % (len(content), content))
        self.command(b"SELECT INBOX")

    def fetch(self, number: int, items: bytes) -> dict[bytes, Tree]:
        """The items of one message by name, as trees."""
        for response in self.command(b"FETCH %d (%b)" % (number, items)):
            if b" FETCH (" in response[:30]:
                values = tree(response)[3]
                return dict(zip(map(bytes.upper, values[::2]), values[1::2], strict=True))
        raise AssertionError("no FETCH response")
