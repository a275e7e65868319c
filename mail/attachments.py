"""What counts as an attachment, and how large it is (P10).

Apart because submission counts what the portal later lists, and a sender who can make the
two differ has found a way round the limit. Strangers write every byte here: names are
joined (RFC 2231) and decoded (RFC 2047) before anybody looks at them, and sizes are
decoded octets, counted without decoding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mail import headers, transfer
from mail.structure import Part


@dataclass(frozen=True, slots=True)
class Attachment:
    """`size` in decoded octets. `filename` as the sender gave it: "" when it has none, and
    never safe as a path. An inline picture counts in octets but not in number."""

    filename: str
    size: int
    type: str
    inline: bool
    part: Part


def attachments(content: bytes, root: Part) -> tuple[Attachment, ...]:
    """In the order of the message.

    An attachment is a leaf with disposition `attachment` or with any file name, or an
    embedded message (as one, whatever it holds). A picture inside multipart/related that
    has a Content-ID or disposition `inline` is inline. When `root.truncated`, parts are
    missing from the tree and the caller must refuse.
    """
    return tuple(_walk(content, root, related=False))


def counts(found: Iterable[Attachment]) -> tuple[int, int]:
    """(number, octets) for the limits."""
    number = octets = 0
    for attachment in found:
        number += not attachment.inline
        octets += attachment.size
    return number, octets


def _walk(content: bytes, part: Part, related: bool) -> Iterator[Attachment]:
    if part.children:
        inside = related or part.subtype.lower() == b"related"
        for child in part.children:
            yield from _walk(content, child, inside)
        return
    disposition = (part.disposition or b"").lower()
    name = _filename(part)
    picture = related and _is_inline_picture(part, disposition)
    if not (name or picture or disposition == b"attachment" or part.message is not None):
        return
    kind = f"{part.type.decode('latin-1')}/{part.subtype.decode('latin-1')}".lower()
    encoding = None if part.message is not None else part.encoding
    yield Attachment(name, transfer.size(content, *part.body, encoding), kind, picture, part)


def _is_inline_picture(part: Part, disposition: bytes) -> bool:
    if part.type.lower() != b"image" or disposition == b"attachment":
        return False
    return part.content_id is not None or disposition == b"inline"


def _filename(part: Part) -> str:
    """RFC 2183 `filename`, or the older `name` of the Content-Type."""
    if part.disposition_parameters:
        name = headers.decoded_parameters(part.disposition_parameters).get("filename", "")
        if name:
            return name
    if part.parameters:
        return headers.decoded_parameters(part.parameters).get("name", "")
    return ""
