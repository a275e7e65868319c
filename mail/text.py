"""What a message says, for searching: every text part, and the header of every part, decoded.

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
    """The text of all text/* parts, a line end between; no header, not even of embedded messages
    (SEARCH BODY, RFC 9051 section 6.4.4, and what Dovecot finds).

    At most `bound` characters; the second value is False when that cut something off.
    """
    pieces: list[str] = []
    room = bound
    for part in _all(root):
        if part.type.lower() != b"text":
            continue
        if room <= 0:
            return "\n".join(pieces), False
        start, end = part.body
        # No charset and no encoding needs more than twelve bytes for a character (a
        # four-byte one in quoted-printable), so this is all that can be of use.
        cut = min(end, start + 12 * room)
        raw = content[start:cut]
        piece = charsets.decode(transfer.decoded(raw, part.encoding), _charset(part))
        pieces.append(piece[:room])
        if cut < end or len(piece) > room:
            return "\n".join(pieces), False
        room -= len(piece) + 1
    return "\n".join(pieces), True


def part_headers(content: bytes, root: Part) -> str:
    """The fields of every header but the message's own, as `headers.lines`; and the file names of
    all parts where their encoding (RFC 2231) hides them. SEARCH TEXT looks there: "header
    (including MIME header fields) or body" (RFC 9051 section 6.4.4)."""
    pieces: list[str] = []
    for part in _all(root):
        lines = "" if part is root else headers.lines(content[slice(*part.header)])
        pieces.append(lines)
        pieces += [name + "\n" for name in sorted(_names(part)) if name not in lines]
    return "".join(pieces)


def _names(part: Part) -> set[str]:
    pairs = (*part.parameters, *part.disposition_parameters)
    if not any(name.lower().startswith((b"name", b"filename")) for name, _ in pairs):
        return set()
    found = (headers.decoded_parameters(p) for p in (part.parameters, part.disposition_parameters))
    names = (given.get(key, "") for given in found for key in ("name", "filename"))
    return {headers.collapsed(name) for name in names if name}


def _charset(part: Part) -> str:
    return headers.decoded_parameters(part.parameters).get("charset", "") if part.parameters else ""


def _all(part: Part) -> Iterator[Part]:
    """The part and those inside it, in order. Depth is bounded by structure.Limits."""
    yield part
    for inner in (part.message,) if part.message is not None else part.children:
        yield from _all(inner)
