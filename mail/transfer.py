"""Content-Transfer-Encoding: the octets that a part stands for, and how many they are.

Apart because reading, searching and counting must agree on the same tolerant decoding:
if the count were stricter than the decoder, padding tricks would carry 60 MB through a
50 MB limit. Strangers write every byte here. RFC 2045 section 6; nothing raises.
uuencoded bodies (an encoding RFC 2045 does not know) count as the text they are.
"""

from __future__ import annotations

import binascii
import re
import string

_CHUNK = 1 << 20
_ALPHABET = (string.ascii_letters + string.digits + "+/").encode()
_OTHERS = bytes(set(range(256)) - set(_ALPHABET))
_PADDING = re.compile(rb"=+")
_WHITE = b"= \t\r\n"


def decoded(raw: bytes, encoding: bytes | None) -> bytes:
    """The octets of a body; an unknown encoding is taken as none (RFC 2045 section 6.4)."""
    name = (encoding or b"").lower()
    if name == b"base64":
        return base64(raw)
    if name == b"quoted-printable":
        return binascii.a2b_qp(raw)
    return raw


def base64(raw: bytes) -> bytes:
    """Bytes outside the alphabet are ignored, broken padding is mended, and what follows
    padding (concatenated base64) is read too."""
    padding = raw.find(b"=")
    if padding >= 0 and raw[padding:].strip(_WHITE):
        return b"".join(_run(run) for run in _PADDING.split(raw))
    return _run(raw if padding < 0 else raw[:padding])


def _run(raw: bytes) -> bytes:
    clean = raw.translate(None, _OTHERS)
    if len(clean) % 4 == 1:  # six bits are no octet
        clean = clean[:-1]
    return binascii.a2b_base64(clean + b"=" * (-len(clean) % 4))


def size(content: bytes, start: int, end: int, encoding: bytes | None) -> int:
    """How many octets `decoded` makes of that range, or a few more for broken base64;
    never a decoded copy of more than a megabyte."""
    name = (encoding or b"").lower()
    if name == b"base64":
        letters = 0
        for at in range(start, end, _CHUNK):
            piece = content[at : min(at + _CHUNK, end)]
            letters += len(piece) - len(piece.translate(None, _ALPHABET))
        return letters * 3 // 4
    if name == b"quoted-printable":
        return _quoted_printable_size(content, start, end)
    return end - start


def _quoted_printable_size(content: bytes, start: int, end: int) -> int:
    total = 0
    while start < end:
        stop = end
        if end - start > _CHUNK:
            # Cut behind a line end, so that no "=3D" and no soft break is cut in two.
            stop = content.rfind(b"\n", start, start + _CHUNK) + 1
            if stop <= start:
                stop = content.find(b"\n", start, end) + 1 or end
        total += len(binascii.a2b_qp(content[start:stop]))
        start = stop
    return total
