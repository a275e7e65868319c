"""What a message says, for searching: every text part, decoded.

Apart because the store keeps an extract at delivery and searches whole messages later,
and both must see the same text. Strangers write every byte here. HTML is not rendered:
as in Dovecot, its decoded source is searched, so a tag can be found and cannot hide a word.
"""

from __future__ import annotations

from collections.abc import Iterator

from mail import charsets, headers, transfer
from mail.structure import Part


def decoded(content: bytes, part: Part) -> bytes:
    """The octets of a part's body, transfer encoding undone; never raises."""
    return transfer.decoded(content[slice(*part.body)], part.encoding)


def text_of(content: bytes, root: Part, bound: int) -> tuple[str, bool]:
    """The text of all text/* parts and the headers of embedded messages, a line end between.

    At most `bound` characters; the second value is False when that cut something off.
    """
    pieces: list[str] = []
    room = bound
    for part, is_header in _texts(root):
        if room <= 0:
            return "\n".join(pieces), False
        start, end = part.header if is_header else part.body
        # No charset and no encoding needs more than twelve bytes for a character (a
        # four-byte one in quoted-printable), so this is all that can be of use.
        cut = min(end, start + 12 * room)
        raw = content[start:cut]
        if is_header:
            piece = headers.decode(raw)
        else:
            piece = charsets.decode(transfer.decoded(raw, part.encoding), _charset(part))
        pieces.append(piece[:room])
        if cut < end or len(piece) > room:
            return "\n".join(pieces), False
        room -= len(piece) + 1
    return "\n".join(pieces), True


def _charset(part: Part) -> str:
    return headers.decoded_parameters(part.parameters).get("charset", "") if part.parameters else ""


def _texts(part: Part) -> Iterator[tuple[Part, bool]]:
    """Depth is bounded by structure.Limits."""
    if part.message is not None:
        yield part.message, True
        yield from _texts(part.message)
    elif part.children:
        for child in part.children:
            yield from _texts(child)
    elif part.type.lower() == b"text":
        yield part, False
