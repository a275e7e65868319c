"""The MIME parts of a message, by byte offset: one linear pass, nothing copied or decoded.

Apart because IMAP must answer BODY[2.1]<0.65536> byte for byte, policy must count
attachments, and neither wants an object tree of a 25 MB message. Strangers write every
byte here. Standards: RFC 2045, 2046, RFC 3501 section 7.4.2 for what is kept.

How it stays linear: bodies are never looked at line by line. For each open multipart the
position of its next boundary line is kept (`hits`), found by `bytes.find`, and a search
never goes beyond the hit of an enclosing multipart. So a byte is searched at most once per
open multipart, and `Limits.max_depth` bounds those. Past a bound the rest of the message
becomes one leaf, and the root says `truncated`.

CRLF and bare LF both end a line (a client may APPEND either). Where the standards leave a
choice the reading is Dovecot's, so that a move from it changes nothing for a client:
a boundary line in a header ends that header; a line matches the longest boundary it begins
with, the innermost of equals; without Content-Type a part is text/plain, in a
multipart/digest message/rfc822.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mail.errors import Damaged
from mail.headers import raw_parameters, unfolded
from mail.tokens import mime_token, skip

MAX_BOUNDARY = 80
"""RFC 2046 section 5.1.1 allows 70; a longer one is compared by its first 80 bytes."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what a stranger can make us build."""

    max_parts: int = 1000  # parts, embedded messages included
    max_depth: int = 100  # multiparts and embedded messages inside each other
    max_header_bytes: int = 1 << 20  # of one header block read for Content-* fields


@dataclass(frozen=True, slots=True)
class Part:
    """One part. Offsets count from the message's first byte; ends are exclusive.

    Strings are bytes as given, unfolded; None where the header has no such field. A leaf
    has neither `children` nor `message`. Parameters are (name, value) pairs, RFC 2231
    continuations joined, values still encoded.
    """

    header: tuple[int, int]  # with its closing empty line
    body: tuple[int, int]  # without the line end that belongs to the boundary
    lines: int = 0  # line ends in the body
    type: bytes = b"text"
    subtype: bytes = b"plain"
    parameters: tuple[tuple[bytes, bytes], ...] = ()
    encoding: bytes | None = None
    content_id: bytes | None = None
    description: bytes | None = None
    md5: bytes | None = None
    disposition: bytes | None = None
    disposition_parameters: tuple[tuple[bytes, bytes], ...] = ()
    languages: tuple[bytes, ...] = ()
    location: bytes | None = None
    children: tuple[Part, ...] = ()  # of a multipart
    message: Part | None = None  # of message/rfc822 and message/global
    truncated: bool = False  # only on the root: a bound cut the tree short

    def parameter(self, name: bytes) -> bytes | None:
        """The first parameter of that (lower-case) name, as it came."""
        return next((value for key, value in self.parameters if key.lower() == name), None)

    @property
    def is_multipart(self) -> bool:
        """Its parts are numbered below it."""
        return self.type.lower() == b"multipart"

    @property
    def numbered(self) -> tuple[Part, ...]:
        """The parts of a multipart as IMAP shows them. The grammar of BODYSTRUCTURE wants at least
        one: without any (no boundary, or an empty body) it is an empty text, as in Dovecot."""
        return self.children or (_EMPTY,)


_EMPTY = Part((0, 0), (0, 0))


def parse(content: bytes, limits: Limits | None = None) -> Part:
    """The part tree of a whole RFC 5322 message. Never raises on any bytes."""
    reading = _Reading(content, limits or Limits())
    root = reading.entity(0, 0, digest=False)
    return replace(root, truncated=True) if reading.truncated else root


def find(root: Part, path: Sequence[int]) -> Part | None:
    """The part of IMAP number `path` (RFC 3501 section 6.4.5): (2, 1) is part 2.1.

    The only part of a message that is no multipart is number 1; numbers below an embedded
    message are those of its own parts. An empty path is the message itself.
    """
    part: Part = root
    whole_message = True  # `part` is a message, whose single part still needs its number
    for number in path:
        if not whole_message:
            if part.message is not None:
                part, whole_message = part.message, True
            elif not part.is_multipart:
                return None
        if part.is_multipart:
            if not 1 <= number <= len(part.numbered):
                return None
            part = part.numbered[number - 1]
        elif number != 1:
            return None
        whole_message = False
    return part


_CONTENT_FIELD = re.compile(
    rb"^content-(type|transfer-encoding|id|description|md5|disposition|language|location)"
    rb"[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)",
    re.MULTILINE | re.IGNORECASE,
)
_EMPTY_LINE = re.compile(rb"\n\r?\n")
_LANGUAGE = re.compile(rb"[^\x00-\x20,()<>@;:\\\"\[\]\x7f-\xff]++")


class _Reading:
    """One pass. `needles` and `hits` are parallel: the open multiparts, outermost first."""

    def __init__(self, content: bytes, limits: Limits) -> None:
        self.content = content
        self.limits = limits
        self.truncated = False
        self._size = len(content)
        self._parts = 0
        self._needles: list[bytes] = []
        self._hits: list[int] = []
        self._counted = (0, 0)  # a position, and the line ends before it

    # -- boundaries -------------------------------------------------------------------

    def _next_boundary(self) -> int:
        """Where the line end before the next boundary line is; the size when there is none."""
        return self._hits[-1] if self._hits else self._size

    def _search(self, index: int, start: int) -> int:
        """The next hit of one boundary, or that of the multiparts around it, if earlier."""
        limit = self._hits[index - 1] if index else self._size
        needle = self._needles[index]
        hit = self.content.find(needle, start, limit + len(needle))
        return limit if hit < 0 else hit

    def _open(self, boundary: bytes, body_start: int) -> None:
        self._needles.append(b"\n--" + boundary[:MAX_BOUNDARY])
        self._hits.append(0)
        self._hits[-1] = self._search(len(self._hits) - 1, max(body_start - 1, 0))

    def _owner(self, hit: int) -> int:
        """Which open multipart the boundary line behind `hit` belongs to."""
        line = self.content[hit + 3 : hit + 3 + MAX_BOUNDARY + 4].split(b"\n", 1)[0].rstrip(b"\r")
        best, length = -1, 0
        for index in range(len(self._needles) - 1, -1, -1):
            boundary = self._needles[index][3:]
            if len(boundary) > length and line.startswith(boundary):
                best, length = index, len(boundary)
                if line[length:] in (b"", b"--"):
                    break  # named exactly: a longer outer one that ends in "--" is not meant
        return best

    def _cross(self, hit: int, owner: int) -> tuple[int, bool]:
        """Go past a boundary line; multiparts inside its owner end. (next line, was the last)"""
        del self._needles[owner + 1 :], self._hits[owner + 1 :]
        closing = self.content.startswith(b"--", hit + len(self._needles[owner]))
        if closing:
            del self._needles[owner:], self._hits[owner:]
        for index, old in enumerate(self._hits):
            if old <= hit:
                self._hits[index] = self._search(index, hit + 1)
        line_end = self.content.find(b"\n", hit + 1)
        return (self._size if line_end < 0 else line_end + 1), closing

    def _body_end(self, start: int) -> int:
        """RFC 2046 section 5.1.1: the line end before a boundary belongs to the boundary."""
        hit = self._next_boundary()
        if hit < self._size and hit > start and self.content[hit - 1] == 0x0D:
            hit -= 1
        return max(hit, start)

    def _lines_before(self, position: int) -> int:
        """Line ends before `position`; calls come in ascending order, so all cost one pass."""
        known, lines = self._counted
        if position > known:
            lines += self.content.count(b"\n", known, position)
            self._counted = (position, lines)
        return lines

    # -- parts ------------------------------------------------------------------------

    def entity(self, start: int, depth: int, *, digest: bool) -> Part:
        """The part or message whose header begins at `start`; recursion ends at max_depth."""
        self._parts += 1
        if self._parts >= self.limits.max_parts:  # the rest is this leaf's
            self.truncated = True
            self._needles.clear()
            self._hits.clear()
        header_end, complete = self._header_end(start)
        part = self._described(start, header_end, digest)
        kind = part.type.lower()
        embeds = kind == b"message" and part.subtype.lower() in (b"rfc822", b"global")
        boundary = part.parameter(b"boundary") if kind == b"multipart" else None
        if (embeds or boundary) and (
            depth >= self.limits.max_depth or self._parts >= self.limits.max_parts
        ):
            self.truncated = True
            embeds, boundary = False, None
            part = replace(part, type=b"application", subtype=b"octet-stream", parameters=())
        body_start = header_end
        first_line = self._lines_before(body_start)
        children: tuple[Part, ...] = ()
        message = None
        if boundary and complete:
            digests = part.subtype.lower() == b"digest"
            children = tuple(self._children(boundary, body_start, depth, digests))
        elif embeds:
            message = self.entity(body_start, depth + 1, digest=False)
        # The empty line that ends the header of a last, empty part is that part's, even if a
        # boundary follows at once; so whatever holds the part holds that line too.
        inner = message.body[1] if message else children[-1].body[1] if children else 0
        end = max(self._body_end(body_start), inner)
        lines = self._lines_before(end) - first_line
        return replace(part, body=(body_start, end), lines=lines, children=children, message=message)

    def _children(self, boundary: bytes, start: int, depth: int, digest: bool) -> list[Part]:
        own = len(self._needles)
        self._open(boundary, start)
        found: list[Part] = []
        while (hit := self._next_boundary()) < self._size:
            owner = self._owner(hit)
            if owner != own:
                break  # a multipart around this one goes on: this one was never closed
            position, closed = self._cross(hit, owner)
            if closed:
                return found
            found.append(self.entity(position, depth + 1, digest=digest))
        del self._needles[own:], self._hits[own:]
        return found

    def _header_end(self, start: int) -> tuple[int, bool]:
        """The end of a header block and whether an empty line closes it."""
        content = self.content
        if content.startswith(b"\n", start):
            return start + 1, True
        if content.startswith(b"\r\n", start):
            return start + 2, True
        match = _EMPTY_LINE.search(content, start, min(self._next_boundary() + 1, self._size))
        if match is not None:
            return match.end(), True
        return self._body_end(start), False

    def _described(self, start: int, end: int, digest: bool) -> Part:
        """The Content-* fields; of two with one name the first counts."""
        block_end = min(end, start + self.limits.max_header_bytes)
        raw: dict[bytes, bytes] = {}
        for match in _CONTENT_FIELD.finditer(self.content[start:block_end]):
            name = match[1].lower()
            # A second Content-Disposition counts when the first has no parameters: mailers
            # add a bare one in front, and a file name must not hide behind it.
            if name not in raw or (name == b"disposition" and b";" not in raw[name]):
                raw[name] = match[2]
        if not raw:
            header = (start, end)
            return (
                Part(header, (end, end), 0, b"message", b"rfc822") if digest else Part(header, (end, end))
            )
        value = {name: unfolded(text) for name, text in raw.items()}
        kind, subtype, parameters = _content_type(value.get(b"type"), digest)
        disposition, disposition_parameters = raw_parameters(value.get(b"disposition", b""))
        encoding_field = value.get(b"transfer-encoding", b"")
        encoding, _ = mime_token(encoding_field, skip(encoding_field, 0))
        return Part(
            header=(start, end),
            body=(end, end),
            type=kind,
            subtype=subtype,
            parameters=parameters,
            encoding=encoding or None,
            content_id=value.get(b"id"),
            description=value.get(b"description"),
            md5=value.get(b"md5"),
            disposition=disposition or None,
            disposition_parameters=disposition_parameters,
            languages=tuple(_LANGUAGE.findall(value.get(b"language", b"")))[:100],
            location=value.get(b"location"),
        )


def _content_type(
    value: bytes | None, digest: bool
) -> tuple[bytes, bytes, tuple[tuple[bytes, bytes], ...]]:
    """RFC 2045 section 5.2: what is missing or unreadable is text/plain."""
    if value is None:
        return (b"message", b"rfc822", ()) if digest else (b"text", b"plain", ())
    main, parameters = raw_parameters(value)
    kind, _, subtype = main.partition(b"/")
    if not kind:
        return b"text", b"plain", ()
    if not subtype:
        subtype = b"plain" if kind.lower() == b"text" else b"unknown"
    return kind, subtype, parameters


# -- packing: the tree as JSON, which reads and writes in C and outlives Python versions -----


def pack(part: Part) -> bytes:
    """For the index; `unpack(pack(part)) == part`."""
    return json.dumps(_packed(part), separators=(",", ":")).encode("ascii")


def unpack(data: bytes) -> Part:
    """What `pack` made; Damaged for anything else."""
    try:
        return _unpacked(json.loads(data))
    except (ValueError, TypeError, IndexError, AttributeError, RecursionError) as cause:
        raise Damaged("A stored part tree cannot be read.") from cause


def _packed(part: Part) -> list[Any]:
    rest: list[Any] = [
        [name.decode("latin-1") for pair in part.parameters for name in pair],
        _text(part.encoding),
        _text(part.content_id),
        _text(part.description),
        _text(part.md5),
        _text(part.disposition),
        [name.decode("latin-1") for pair in part.disposition_parameters for name in pair],
        [language.decode("latin-1") for language in part.languages],
        _text(part.location),
        [_packed(child) for child in part.children],
        None if part.message is None else _packed(part.message),
        int(part.truncated),
    ]
    while rest and not rest[-1]:  # most parts have few of these
        rest.pop()
    kind, subtype = part.type.decode("latin-1"), part.subtype.decode("latin-1")
    return [*part.header, *part.body, part.lines, kind, subtype, *rest]


_ABSENT: tuple[Any, ...] = ([], None, None, None, None, None, [], [], None, [], None, 0)


def _unpacked(row: list[Any]) -> Part:
    start, end, body_start, body_end, lines, kind, subtype, *rest = row
    rest += _ABSENT[len(rest) :]
    return Part(
        (start, end),
        (body_start, body_end),
        lines,
        kind.encode("latin-1"),
        subtype.encode("latin-1"),
        _pairs(rest[0] or []),
        _bytes(rest[1]),
        _bytes(rest[2]),
        _bytes(rest[3]),
        _bytes(rest[4]),
        _bytes(rest[5]),
        _pairs(rest[6] or []),
        tuple(language.encode("latin-1") for language in rest[7] or ()),
        _bytes(rest[8]),
        tuple(_unpacked(child) for child in rest[9] or ()),
        None if rest[10] is None else _unpacked(rest[10]),
        bool(rest[11]),
    )


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")


def _bytes(value: str | None) -> bytes | None:
    return None if value is None else value.encode("latin-1")


def _pairs(flat: list[str]) -> tuple[tuple[bytes, bytes], ...]:
    raw = [text.encode("latin-1") for text in flat]
    return tuple(zip(raw[::2], raw[1::2], strict=True))
