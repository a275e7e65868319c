"""Modified UTF-7: how IMAP4rev1 writes folder names (RFC 3501 section 5.1.3).

Apart because it is a codec with its own traps. Strict: a name has exactly one spelling.
`&AC8-` for "/" or `&AGE-` for "a" would be a second name for the same folder, and a way
past every check made on the first.

    &-            "&"
    &<base64>-    UTF-16BE in base64 with "," for "/", without padding
"""

from __future__ import annotations

import binascii
import re

_PRINTABLE_RUN = re.compile("([ -%'-~]+|&)|[^ -~]+")
_SHIFTED = re.compile(rb"&([A-Za-z0-9+,]*)-|([ -%'-~]+)")


def encode(name: str) -> bytes:
    """The wire's spelling; ASCII only."""
    pieces: list[bytes] = []
    for match in _PRINTABLE_RUN.finditer(name):
        text = match[0]
        if match[1]:
            pieces.append(b"&-" if text == "&" else text.encode("ascii"))
        else:
            coded = binascii.b2a_base64(text.encode("utf-16-be"), newline=False)
            pieces.append(b"&" + coded.rstrip(b"=").replace(b"/", b",") + b"-")
    return b"".join(pieces)


def decode(spelling: bytes) -> str:
    """The name; ValueError for what `encode` would not have written."""
    pieces: list[str] = []
    position = 0
    while position < len(spelling):
        match = _SHIFTED.match(spelling, position)
        if match is None:
            raise ValueError("not modified UTF-7")
        position = match.end()
        if match[2]:
            pieces.append(match[2].decode("ascii"))
        elif not match[1]:
            pieces.append("&")
        else:
            coded = match[1].replace(b",", b"/")
            pieces.append(binascii.a2b_base64(coded + b"=" * (-len(coded) % 4)).decode("utf-16-be"))
    name = "".join(pieces)
    if encode(name) != spelling:
        raise ValueError("a second spelling of a name")
    return name
