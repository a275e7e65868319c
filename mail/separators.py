"""P9: addresses may be separated by `;`. The stored and relayed header says `,`.

Apart because it is the only place where a header is changed for being badly written. A
member's client writes these bytes. Only address fields are touched, only a `;` that lies
outside quotes, comments, angle brackets and groups, and every other byte stays.
"""

from __future__ import annotations

import re

from mail.tokens import Kind, tokens

# RFC 5322 sections 3.6.2, 3.6.3 and 3.6.6: the fields that hold address lists.
_ADDRESS_FIELD = re.compile(
    rb"^(?:resent-)?(?:to|cc|bcc|from|reply-to)[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)",
    re.MULTILINE | re.IGNORECASE,
)


def mend(header_block: bytes) -> bytes:
    """The header block with `;` between addresses made `,`; the same length always.

    A `;` with no address behind it becomes a space: `a@x; b@y;` is two addresses.
    """
    if b";" not in header_block:
        return header_block
    mended = bytearray(header_block)
    for match in _ADDRESS_FIELD.finditer(header_block):
        if b";" in match[1]:
            start, end = match.span(1)
            mended[start:end] = _mended(match[1])
    return bytes(mended)


def _mended(value: bytes) -> bytes:
    mended = bytearray(value)
    in_group = in_angle = False
    waiting = -1  # a `;` that becomes a comma once an address follows it
    wanted = False  # an address came since the last separator
    for kind, text, start, _ in tokens(value):
        if kind is Kind.COMMENT:
            continue
        special = text if kind is Kind.SPECIAL else b""
        if special == b";" and not in_angle:
            if in_group:
                in_group = False
                continue
            mended[start] = 0x20
            if wanted:
                waiting, wanted = start, False
            continue
        if special == b"," and not in_angle:
            waiting, wanted = -1, False
            continue
        if waiting >= 0:
            mended[waiting], waiting = 0x2C, -1
        wanted = True
        if special in (b"<", b">"):
            in_angle = special == b"<"
        elif special == b":" and not in_angle and not in_group:
            in_group = True
    return bytes(mended)
