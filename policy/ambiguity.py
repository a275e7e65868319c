"""Whether a member's message has one reading only, so that what we count is what others see (P10).

Apart because it is the other half of counting: a tree of parts is only worth what its readers agree
on. A member with a hostile client writes these bytes so that we see one text and the recipient's
program eleven files. Each check below names what some reader would take otherwise. Mail clients
write none of this, so it is refused; mail from outside is never judged by it, since nothing of it
may be lost, and neither is an embedded message, which counts as one whatever it holds.

RFC 2045 sections 5.1, 6.1 and 6.4; RFC 2046 sections 5.1.1 and 5.2.2; RFC 2231 section 4.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mail.errors import Reason
from mail.structure import Limits, Part
from policy.decision import Decision

MOST_MULTIPARTS = 32
"""Each costs a search through its own octets; clients need about five."""

_LONGEST_HEADER = Limits().max_header_bytes  # beyond it `mail.structure` reads no fields

# A line that is no field ends the header for some readers.
_NO_FIELD = re.compile(rb"\A[ \t]|^(?![!-9;-~]++:|[ \t]|\r?$)", re.MULTILINE)
_CONTENT_FIELD = re.compile(
    rb"^content-(type|disposition|transfer-encoding):([^\n]*+(?:\n[ \t][^\n]*+)*+)",
    re.MULTILINE | re.IGNORECASE,
)

_TOKEN = rb"[^\x00-\x20\x7f-\xff()<>@,;:\\\"/\[\]?=]++"  # RFC 2045 section 5.1
_ENDS = rb"(?=[ \t;(]|\Z)"
_READABLE = {
    b"type": re.compile(_TOKEN + rb"/" + _TOKEN + _ENDS),
    b"disposition": re.compile(_TOKEN + _ENDS),
    b"transfer-encoding": re.compile(_TOKEN + rb"[ \t]*+;?\Z"),
}
_QUOTED = rb'"(?:[^"\\]|\\.)*+"'
_PARAMETER = rb"[ \t]*+;[ \t]*+(" + _TOKEN + rb")[ \t]*+=[ \t]*+(" + _TOKEN + rb"|" + _QUOTED + rb")"
_MULTIPART = re.compile(
    rb"multipart/" + _TOKEN + rb"((?:" + _PARAMETER + rb")++)[ \t]*+;?\Z", re.IGNORECASE
)
_EACH_PARAMETER = re.compile(_PARAMETER)
# No blank at its ends, which some cut off; at most 70 (RFC 2046 section 5.1.1), which some cut at.
_BOUNDARY = re.compile(rb"[!#-\[\]-~](?:[ !#-\[\]-~]{0,68}[!#-\[\]-~])?")
_IDENTITY = (None, b"7bit", b"8bit", b"binary")


def decide(content: bytes, root: Part, contact: str = "") -> Decision:
    """`root` is the whole tree of `content`, not `truncated`."""
    fault = next(_faults(content, root), None)
    if fault is None:
        return Decision("P10 structure")
    words = f"{fault} Other programs may read such a message in another way, so it was not sent."
    return Decision("P10 structure", Reason.BAD_MESSAGE, (), words, contact=contact)


def _faults(content: bytes, root: Part) -> Iterator[str]:
    """Lazily: the first is enough."""
    multiparts = 0
    waiting = [root]
    while waiting:
        part = waiting.pop()
        block = content[slice(*part.header)]
        yield from _header_faults(block)
        if part.type.lower() == b"message" and part.subtype.lower() == b"partial":
            yield "The message is a piece of a larger one."  # joined, it is another message
        if part.is_multipart:
            multiparts += 1
            if multiparts > MOST_MULTIPARTS:
                yield "The message has too many groups of parts."
            yield from _multipart_faults(content, part, block)
        waiting += reversed(part.children)


def _header_faults(block: bytes) -> Iterator[str]:
    if len(block) > _LONGEST_HEADER:
        yield "The header of a part of the message is too long."
    if _NO_FIELD.search(block):
        yield "The header of a part of the message has a line that is no header field."
    seen: set[bytes] = set()
    for name, value in _content_fields(block):
        if name in seen:
            yield f"A part of the message has more than one Content-{name.decode().title()} line."
        if not _READABLE[name].match(value):
            yield f"A part of the message has a Content-{name.decode().title()} line that cannot be read."
        seen.add(name)


def _content_fields(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    for match in _CONTENT_FIELD.finditer(block):
        yield match[1].lower(), match[2].replace(b"\r", b"").replace(b"\n", b"").strip(b" \t")


def _multipart_faults(content: bytes, part: Part, block: bytes) -> Iterator[str]:
    if (part.encoding.lower() if part.encoding is not None else None) not in _IDENTITY:
        yield "A group of parts is encoded as a whole."  # RFC 2045 section 6.4 forbids it
    boundary = _boundary(dict(_content_fields(block)).get(b"type", b""))
    if boundary is None:
        yield "A group of parts has a boundary that is missing or cannot be read in one way only."
    elif not _delimited(content, part, boundary):
        yield "A group of parts has lines between its parts that can be read in more than one way."


def _boundary(value: bytes) -> bytes | None:
    """The boundary if every reader finds it: named once, plainly. In `boundary*` or `boundary*0`
    (RFC 2231) some decode it, some do not see it, and nobody needs them, since it is ASCII."""
    match = _MULTIPART.match(value)
    if match is None:
        return None
    found = [(p[1].lower(), p[2]) for p in _EACH_PARAMETER.finditer(match[1])]
    named = [text for name, text in found if name.partition(b"*")[0] == b"boundary"]
    if len(named) != 1 or (b"boundary", named[0]) not in found:
        return None
    boundary = named[0][1:-1] if named[0].startswith(b'"') else named[0]
    return boundary if _BOUNDARY.fullmatch(boundary) else None


def _delimited(content: bytes, part: Part, boundary: bytes) -> bool:
    """Whether each line that begins with the boundary is one of those that cut this tree, whole.

    RFC 2046 section 5.1.1 has readers compare the beginning of a line; many compare all of it, and
    then `--boundary-x` or `--boundary--x` is text to them and a cut to others. One line more than
    the tree has cuts lies behind the end, or belongs to an inner part with the same boundary.
    """
    start, end = part.body
    delimiter = b"\n--" + boundary
    whole = re.compile(rb"(--)?[ \t]*+\r?(?:\n|\Z)")
    opened = closed = 0
    at = content.find(delimiter, max(start - 1, 0), end)
    while at >= 0:
        match = whole.match(content, at + len(delimiter))
        if match is None:
            return False
        if match[1]:
            closed += 1
        else:
            opened += 1
        if opened > len(part.children) or closed > 1:
            return False
        at = content.find(delimiter, at + 1, end)
    return opened == len(part.children) > 0
