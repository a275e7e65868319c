"""P9: addresses may be separated by `;`. The stored and relayed header says `,`.

Apart because it is the only place where a header is changed for being badly written. A
member's client writes these bytes. Only address fields are touched, only a `;` that lies
outside quotes, comments, angle brackets and groups, and every other byte stays. Where the `;`
ends a group and an address follows, it stays and the comma that is missing comes behind it:
`Team: a@x; b@y` is a group and an address (RFC 5322 section 3.4).
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
    """The header block with `;` between addresses made `,`; longer by a comma for each group
    that an address follows without one.

    A `;` with no address behind it becomes a space: `a@x; b@y;` is two addresses.
    """
    if b";" not in header_block:
        return header_block
    pieces: list[bytes] = []
    position = 0
    for match in _ADDRESS_FIELD.finditer(header_block):
        if b";" in match[1]:
            pieces += (header_block[position : match.start(1)], _mended(match[1]))
            position = match.end(1)
    return b"".join((*pieces, header_block[position:]))


def _mended(value: bytes) -> bytes:
    mended = bytearray(value)
    missing: list[int] = []  # behind which bytes a comma comes
    in_group = in_angle = False
    waiting = -1  # a `;` that becomes a comma once an address follows it
    closed = -1  # the `;` that ended a group, until a separator follows
    wanted = False  # an address came since the last separator
    for kind, text, start, _ in tokens(value):
        if kind is Kind.COMMENT:
            continue
        special = text if kind is Kind.SPECIAL else b""
        if special == b";" and not in_angle:
            if in_group:
                in_group, closed = False, start
                continue
            mended[start] = 0x20
            if wanted:
                waiting, wanted, closed = start, False, -1
            continue
        if special == b"," and not in_angle:
            waiting = closed = -1
            wanted = False
            continue
        if waiting >= 0:
            mended[waiting], waiting = 0x2C, -1
        if closed >= 0:
            missing.append(closed)
            closed = -1
        wanted = True
        if special in (b"<", b">"):
            in_angle = special == b"<"
        elif special == b":" and not in_angle and not in_group:
            in_group = True
    return _with_commas(bytes(mended), missing)


def _with_commas(value: bytes, behind: list[int]) -> bytes:
    """In one pass: a hostile header has a hundred thousand groups."""
    ends = [at + 1 for at in behind]
    return b",".join(value[a:b] for a, b in zip([0, *ends], [*ends, len(value)], strict=True))
