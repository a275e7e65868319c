"""Number sets: every boundary of the grammar, and no range is ever expanded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail.numbers import STAR, NumberSet

LARGEST = 4294967295


@pytest.mark.parametrize(
    ("text", "ranges"),
    [
        (b"1", ((1, 1),)),
        (b"4294967295", ((LARGEST, LARGEST),)),
        (b"*", ((STAR, STAR),)),
        (b"1:*", ((1, STAR),)),
        (b"*:1", ((STAR, 1),)),
        (b"*:*", ((STAR, STAR),)),
        (b"4:2", ((4, 2),)),
        (b"2,4:7,9,12:*", ((2, 2), (4, 7), (9, 9), (12, STAR))),
        (b"1:4294967295", ((1, LARGEST),)),
    ],
)
def test_reads(text: bytes, ranges: tuple[tuple[int, int], ...]) -> None:
    assert NumberSet.parse(text).ranges == ranges
    assert NumberSet.parse(NumberSet.parse(text).render()).ranges == ranges


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"0",
        b"00",
        b"01",
        b"-1",
        b"+1",
        b" 1",
        b"1 ",
        b"1\n",
        b",",
        b"1,",
        b",1",
        b"1,,2",
        b":",
        b"1:",
        b":1",
        b"1:2:3",
        b"1:0",
        b"4294967296",
        b"99999999999",
        b"**",
        b"1*",
        b"*1",
        b"a",
        b"$",
        b"1.2",
        b"1;2",
        b"\xd9\xa1",
        b"1_0",
        b"0x1",
        b"1:4294967296",
        b"1\0",
        b"()",
        b"1-2",
    ],
)
def test_refuses(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"sequence|number"):
        NumberSet.parse(text)


@pytest.mark.parametrize(
    ("text", "largest", "ranges"),
    [
        (b"*", 5, ((5, 5),)),
        (b"7:*", 5, ((5, 7),)),  # RFC 9051: always includes the last message
        (b"*:2", 5, ((2, 5),)),
        (b"4:2", 5, ((2, 4),)),
        (b"3,1,2", 5, ((1, 3),)),
        (b"1:3,2:6,9", 9, ((1, 6), (9, 9))),
        (b"*", 0, ()),
        (b"1:*", 0, ()),
        (b"*:*", 0, ()),
        (b"1:4294967295", 3, ((1, LARGEST),)),
    ],
)
def test_resolves(text: bytes, largest: int, ranges: tuple[tuple[int, int], ...]) -> None:
    assert NumberSet.parse(text).resolve(largest).ranges == ranges
    assert bool(NumberSet.parse(text).resolve(largest)) == bool(ranges)


def test_four_billion_numbers_cost_what_the_answer_costs() -> None:
    everything = NumberSet.parse(b"1:4294967295").resolve(LARGEST)
    assert list(everything.among([3, 8, LARGEST])) == [3, 8, LARGEST]
    assert LARGEST in everything
    assert 0 not in everything


@given(st.lists(st.integers(1, 60)), st.lists(st.integers(1, 60), unique=True).map(sorted))
def test_among_is_the_intersection(wanted: list[int], there: list[int]) -> None:
    chosen = NumberSet.of(wanted)
    assert list(chosen.among(there)) == [number for number in there if number in set(wanted)]
    assert all(number in chosen for number in wanted)


@given(st.sets(st.integers(1, LARGEST)))
def test_of_renders_and_reads_back(numbers: set[int]) -> None:
    chosen = NumberSet.of(numbers)
    assert chosen.resolve(LARGEST) == chosen
    if numbers:
        assert NumberSet.parse(chosen.render()) == chosen
    assert all(low <= high for low, high in chosen.ranges)
    assert all(a[1] + 1 < b[0] for a, b in zip(chosen.ranges, chosen.ranges[1:], strict=False))


@given(st.binary(max_size=30))
def test_any_bytes_give_a_set_or_a_value_error(text: bytes) -> None:
    try:
        NumberSet.parse(text).resolve(10)
    except ValueError:
        return
    assert set(text) <= set(b"0123456789:,*")
