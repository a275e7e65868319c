"""The collection is large and varied enough to mean something, and is the same each time."""

from __future__ import annotations

from collections import Counter

from tests.corpus.collect import KINDS, samples


def test_at_least_sixty_real_messages() -> None:
    assert len(samples()) >= 60


def test_every_kind_is_there() -> None:
    counted = Counter(kind for sample in samples() for kind in sample.kinds)
    assert set(counted) == {*KINDS, "broken charset"}


def test_names_are_unique_and_ordered() -> None:
    keys = [sample.key for sample in samples()]
    assert keys == sorted(keys)
    assert len({sample.short for sample in samples()}) == len(keys)


def test_line_ends_are_crlf_only() -> None:
    for sample in samples():
        assert sample.content.count(b"\n") == sample.content.count(b"\r\n") == sample.content.count(b"\r")
