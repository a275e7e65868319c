"""Invariant: returns a key id or raises Damaged, nothing else, whatever the bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.outline import recipient
from mail.errors import Damaged

PKESK = b"\xc1\x0b\x03" + b"ABCDEFGH" + b"\x12\0"
BODY = b"\x01" + bytes(60)


def outline(message: bytes) -> str:
    return recipient(lambda start, length: message[start : start + length], len(message))


def packet(body: bytes) -> bytes:
    return b"\xd2" + bytes([len(body)]) + body


@pytest.mark.parametrize(
    "sealed",
    [
        packet(BODY),
        b"\xd2\xc0\x00" + bytes(192),
        b"\xd2\xdf\xff" + bytes(8383),
        b"\xd2\xff\0\0\0\x29" + bytes(41),
        b"\xd2\xe9" + bytes(512) + b"\0",
        b"\xd2\xe9" + bytes(512) + b"\xea" + bytes(1024) + b"\x05" + bytes(5),
    ],
    ids=["one octet", "two octets", "two at most", "five octets", "partial", "two partials"],
)
def test_each_way_to_write_a_length(sealed: bytes) -> None:
    assert outline(PKESK + sealed) == b"ABCDEFGH".hex()
    assert outline(PKESK + PKESK.replace(b"A", b"Z") + sealed) == b"ABCDEFGH".hex()
    with pytest.raises(Damaged):
        outline(PKESK + sealed[:-1])
    with pytest.raises(Damaged):
        outline(PKESK + sealed + b"\0")


@pytest.mark.parametrize(
    "message",
    [
        b"",
        PKESK,
        packet(BODY),
        PKESK + b"\xc9" + packet(BODY)[1:],
        PKESK + b"\xd4" + packet(BODY)[1:],
        PKESK + packet(bytes(40)),
        b"\xc1\x0b\x02" + PKESK[3:] + packet(BODY),
        b"\xc1\x09" + PKESK[2:11] + packet(BODY),
        b"\x85\x00\x0b" + PKESK[2:] + packet(BODY),
        PKESK + b"\xd2\xe8" + bytes(256) + b"\0",
        PKESK + b"\xd2\xfe" + bytes(1000),
        PKESK + b"\xd2\xff\xff\xff\xff\xff" + bytes(100),
        PKESK + b"\xd2",
        b"\xc1\xe9" + bytes(512) + packet(BODY),
    ],
    ids=[
        "empty", "no seipd", "no pkesk", "sed", "aed", "too short", "pkesk version 2", "short pkesk",
        "old format", "tiny partial", "endless partial", "four gigabytes", "cut in a length",
        "partial pkesk",
    ],
)  # fmt: skip
def test_any_other_shape_is_damaged(message: bytes) -> None:
    with pytest.raises(Damaged):
        outline(message)


@given(st.binary(max_size=200), st.sampled_from([b"", PKESK, PKESK + b"\xd2", b"\xc1"]))
def test_any_bytes(tail: bytes, head: bytes) -> None:
    try:
        assert len(outline(head + tail)) == 16
    except Damaged as error:
        assert error.words == "a sealed message does not open"


def test_fifty_megabytes_of_the_smallest_pieces_are_walked_quickly() -> None:
    """100,000 pieces at most: bounded by the smallest piece that is allowed."""
    reads = 0
    piece, size = 513, 50 << 20
    pieces = (size - len(PKESK) - 2) // piece

    def read(start: int, length: int) -> bytes:
        nonlocal reads
        reads += 1
        message = PKESK + b"\xd2"
        if start < len(message):
            return (message + b"\xe9\xe9\xe9\xe9\xe9")[start : start + length]
        return b"\xe9" * length if start < len(message) + pieces * piece else b"\0" * length

    assert recipient(read, len(PKESK) + 1 + pieces * piece + 1)
    assert reads < 110_000
