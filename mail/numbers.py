"""Sets of message numbers and UIDs as ranges: `1:4,7,9:*`.

Apart because both the reading door and the store speak in UID sets, and a client may
name four billion of them in eleven bytes ("1:4294967295"): nothing here ever expands a
range that was not first cut down to numbers that exist.

    sequence-set    = (seq-number / seq-range) ["," sequence-set]
    seq-range       = seq-number ":" seq-number      ; either order, RFC 9051 section 9
    seq-number      = nz-number / "*"
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

STAR = 0
"""Stands for `*`, the largest number in use, until `resolve` is told which that is."""

_MAX = 0xFFFFFFFF
_ITEM = re.compile(rb"(\*|[1-9][0-9]{0,9})(?::(\*|[1-9][0-9]{0,9}))?")


@dataclass(frozen=True, slots=True)
class NumberSet:
    """Ranges `(low, high)`, inclusive, in the order given; `STAR` may stand on either side."""

    ranges: tuple[tuple[int, int], ...]

    @classmethod
    def parse(cls, text: bytes) -> NumberSet:
        """Read the RFC 9051 `sequence-set`; ValueError for anything else."""
        ranges = []
        for item in text.split(b","):
            match = _ITEM.fullmatch(item)
            if match is None:
                raise ValueError("not a sequence set")
            low = _number(match[1])
            ranges.append((low, low if match[2] is None else _number(match[2])))
        return cls(tuple(ranges))

    @classmethod
    def of(cls, numbers: Iterable[int]) -> NumberSet:
        """The shortest set that holds exactly these numbers, ascending."""
        ranges: list[tuple[int, int]] = []
        for number in sorted(numbers):
            if ranges and number <= ranges[-1][1] + 1:
                ranges[-1] = (ranges[-1][0], max(number, ranges[-1][1]))
            else:
                ranges.append((number, number))
        return cls(tuple(ranges))

    def resolve(self, largest: int) -> NumberSet:
        """Replace `*` by `largest`, put each range low first, sort and merge.

        RFC 9051 section 9: `*` of an empty mailbox matches nothing, and a set that names
        only `*` or `n:*` always includes the last message.
        """
        pairs = []
        for low, high in self.ranges:
            first, last = low or largest, high or largest
            if first and last:
                pairs.append((min(first, last), max(first, last)))
        merged: list[tuple[int, int]] = []
        for first, last in sorted(pairs):
            if merged and first <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
            else:
                merged.append((first, last))
        return NumberSet(tuple(merged))

    def among(self, ascending: Sequence[int]) -> Iterator[int]:
        """Those of the ascending numbers that lie in this (resolved) set; cost is the answer's."""
        for low, high in self.ranges:
            yield from ascending[bisect_left(ascending, low) : bisect_right(ascending, high)]

    def __contains__(self, number: int) -> bool:
        return any(low <= number <= high for low, high in self.ranges)

    def __bool__(self) -> bool:
        return bool(self.ranges)

    def render(self) -> bytes:
        """As the wire has it; `parse(render())` gives the set back."""
        return b",".join(
            _name(low) if low == high else _name(low) + b":" + _name(high) for low, high in self.ranges
        )


def _number(text: bytes) -> int:
    if text == b"*":
        return STAR
    number = int(text)
    if number > _MAX:
        raise ValueError("a number above 2^32-1")
    return number


def _name(number: int) -> bytes:
    return b"*" if number == STAR else b"%d" % number
