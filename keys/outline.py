"""The outer shape of a sealed message, checked before the library looks at it.

Apart because Sequoia, given a message that was cut short at the wrong place, panics and
leaves its decryptor unusable, and because what has no integrity protection must never get
that far. The bytes are our own files, which whoever can write to the disk may have changed.

RFC 9580 section 10.3: a message is one or more PKESK packets and one SEIPD packet, and here
it is nothing else: nothing before, between or behind, and every length as it says.
"""

from __future__ import annotations

from collections.abc import Callable

from mail.errors import Damaged

Read = Callable[[int, int], bytes]
"""`read(offset, length)`; less than `length` octets at the end only."""

_PKESK, _SEIPD = 0xC0 | 1, 0xC0 | 18  # new format, RFC 9580 section 4.2
_MIN_SEIPD = 1 + 18 + 22  # version, prefix, modification detection code: section 5.13.1
_MIN_PARTIAL = 512  # section 4.2.1.4; also bounds how many pieces there can be


def recipient(read: Read, size: int) -> str:
    """The key id that the first PKESK names, 16 hex digits; Damaged for any other shape.

    EFAIL: tag 9 (Symmetrically Encrypted Data, no integrity protection, section 5.7) is
    refused, and so is anything in clear beside the sealed part.
    """
    key_id, position = "", 0
    while read(position, 1) == bytes([_PKESK]):
        start, length, partial = _length(read, position + 1)
        body = read(start, length)
        if partial or len(body) != length:
            raise damaged()
        if not key_id:
            if body[:1] != b"\x03" or length < 10:  # version 3: section 5.1.1
                raise damaged()
            key_id = body[1:9].hex()
        position = start + length
    if not key_id or read(position, 1) != bytes([_SEIPD]):
        raise damaged()
    if _end(read, position + 1, size) != size:
        raise damaged()
    return key_id


def damaged() -> Damaged:
    """The one thing that is ever said of a message that does not open."""
    return Damaged("a sealed message does not open")


def _end(read: Read, position: int, size: int) -> int:
    """Where the packet ends whose first length is at `position`."""
    total, partial = 0, True
    while partial:
        start, length, partial = _length(read, position)
        if partial and length < _MIN_PARTIAL:
            raise damaged()
        total += length
        position = start + length
        if position > size:
            raise damaged()
    if total < _MIN_SEIPD:
        raise damaged()
    return position


def _length(read: Read, position: int) -> tuple[int, int, bool]:
    """Start of the body, its length, whether more pieces follow (section 4.2.1)."""
    octets = read(position, 5)
    first = octets[0] if octets else 0
    if octets and first < 192:
        return position + 1, first, False
    if 192 <= first < 224 and len(octets) >= 2:
        return position + 2, ((first - 192) << 8) + octets[1] + 192, False
    if first == 255 and len(octets) == 5:
        return position + 5, int.from_bytes(octets[1:], "big"), False
    if 224 <= first < 255:
        return position + 1, 1 << (first & 0x1F), True
    raise damaged()
