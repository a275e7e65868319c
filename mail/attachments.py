"""What counts as an attachment, and how large it is (P10).

Apart because submission counts what the portal later lists, and a sender who can make the
two differ has found a way round the limit. Strangers write every byte here: names are
joined (RFC 2231) and decoded (RFC 2047) before anybody looks at them, and sizes are
decoded octets, counted without decoding.

Everything counts but the text that a client shows as the message. So a part that says
nothing of itself, neither name nor disposition, counts too: clients list it all the same.
MIME-Version is not asked for: whoever insists on it (RFC 2045 section 4) sees fewer parts.
Files written into the text (uuencode, yEnc), or packed into one (Zip, winmail.dat), are no
parts: of such text only the octets beyond a megabyte count.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from mail import headers, transfer
from mail.structure import Part

TEXT_OCTETS = 1_048_576
"""What a message may say without its text counting in octets."""


class Role(Enum):
    """What a leaf is to the message."""

    TEXT = auto()  # shown as the message
    ATTACHMENT = auto()
    PICTURE = auto()  # shown within the text; counts in octets but not in number
    APPARATUS = auto()  # a signature, a delivery status; counts in octets but not in number


@dataclass(frozen=True, slots=True)
class Attachment:
    """`size` in decoded octets. `filename` as the sender gave it: "" when it has none, and
    never safe as a path."""

    filename: str
    size: int
    type: str
    role: Role
    part: Part


def attachments(content: bytes, root: Part) -> tuple[Attachment, ...]:
    """All leaves but the text, in the order of the message.

    An embedded message is one, whatever it holds. When `root.truncated`, parts are missing
    from the tree and the caller must refuse.
    """
    return tuple(leaf for leaf in _leaves(content, root) if leaf.role is not Role.TEXT)


def counts(content: bytes, root: Part) -> tuple[int, int]:
    """(number, octets) for the limits."""
    number = octets = text = 0
    for leaf in _leaves(content, root):
        number += leaf.role is Role.ATTACHMENT
        if leaf.role is Role.TEXT:
            text += leaf.size
        else:
            octets += leaf.size
    return number, octets + max(0, text - TEXT_OCTETS)


# What a standard puts beside the real content: (kind of multipart, place in it, type).
_APPARATUS: frozenset[tuple[bytes, int, bytes]] = frozenset(
    (multipart, place, kind)
    for multipart, place, kinds in (
        # RFC 3156 section 5, RFC 8551 section 3.5.3
        (b"signed", 1, (b"application/pgp-signature", b"application/pkcs7-signature")),
        (b"signed", 1, (b"application/x-pkcs7-signature",)),
        (b"encrypted", 0, (b"application/pgp-encrypted",)),  # RFC 3156 section 4
        (b"report", 1, (b"message/delivery-status", b"message/global-delivery-status")),  # RFC 3464, 6533
        (b"report", 1, (b"message/disposition-notification",)),  # RFC 8098
        (b"report", 1, (b"message/global-disposition-notification",)),
        (b"appledouble", 0, (b"application/applefile",)),  # RFC 1740
    )
    for kind in kinds
)

# RFC 2045 section 6.4: what has another encoding is application/octet-stream, whatever it says.
_ENCODINGS = (None, b"7bit", b"8bit", b"binary", b"base64", b"quoted-printable")

_DESCRIPTION = re.compile(
    rb"^content-(type|disposition)[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)", re.MULTILINE | re.IGNORECASE
)
# A name that only some readers find: behind a missing semicolon, or in a comment.
_NAMED = re.compile(rb"name[*0-9]*[ \t]*=(?![ \t]*\"\"[ \t]*(?:;|$))", re.IGNORECASE)


def _leaves(content: bytes, root: Part) -> Iterator[Attachment]:
    """Depth-first; the depth is bounded by structure.Limits."""
    return _walk(content, root, b"", 0, related=False)


def _walk(content: bytes, part: Part, parent: bytes, place: int, related: bool) -> Iterator[Attachment]:
    subtype = part.subtype.lower()
    if part.children:
        for number, child in enumerate(part.children):
            yield from _walk(content, child, subtype, number, related or subtype == b"related")
        return
    kind = part.type.lower() + b"/" + subtype
    if (parent, place, kind) in _APPARATUS:
        role = Role.APPARATUS
    elif related and _is_picture(part):
        role = Role.PICTURE
    else:
        role = Role.TEXT if _is_text(content, part) else Role.ATTACHMENT
    # An embedded message is not to be encoded (RFC 2046 section 5.2.1). If it is, the octets
    # as they stand are the more.
    encoding = None if part.message is not None else part.encoding
    size = transfer.size(content, *part.body, encoding)
    yield Attachment(_filename(part), size, kind.decode("latin-1"), role, part)


def _is_picture(part: Part) -> bool:
    """RFC 2387, RFC 2392: the text refers to it by Content-ID or Content-Location."""
    disposition = (part.disposition or b"").lower()
    if part.type.lower() != b"image" or disposition == b"attachment":
        return False
    return part.content_id is not None or part.location is not None or disposition == b"inline"


def _is_text(content: bytes, part: Part) -> bool:
    """Whether clients show it as the message. RFC 2183 section 2.8: a disposition that nobody
    knows is an attachment; so is one that cannot be read."""
    encoding = part.encoding.lower() if part.encoding is not None else None
    if part.type.lower() != b"text" or encoding not in _ENCODINGS or _filename(part):
        return False
    for field in _DESCRIPTION.finditer(content[slice(*part.header)]):
        if field[1].lower() == b"disposition" and (part.disposition or b"").lower() != b"inline":
            return False
        if _NAMED.search(headers.unfolded(field[2])):
            return False
    return True


def _filename(part: Part) -> str:
    """RFC 2183 `filename`, or the older `name` of the Content-Type."""
    if part.disposition_parameters:
        name = headers.decoded_parameters(part.disposition_parameters).get("filename", "")
        if name:
            return name
    if part.parameters:
        return headers.decoded_parameters(part.parameters).get("name", "")
    return ""
