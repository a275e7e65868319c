"""Retention, retry and rate: everything with a clock, which is a number here."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail.address import Address
from policy import rate, retention, retry

ANN = Address.parse("Ann@Acme.test")
DAY = 86_400


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        ({}, 60),
        ({("", "junk"): 30}, 30),
        ({("", "inbox"): 30}, 60),
        ({("", ""): 50}, 50),
        ({("acme.test", ""): 40, ("", "junk"): 30}, 40),
        ({("acme.test", "junk"): 20, ("acme.test", ""): 40}, 20),
        ({("ann@acme.test", ""): 10, ("acme.test", "junk"): 20}, 10),
        ({("ann@acme.test", "junk"): 5, ("ann@acme.test", ""): 10}, 5),
        ({("x.acme.test", ""): 1, ("bob@acme.test", ""): 2}, 60),
    ],
)
def test_the_narrowest_rule_counts(days: dict[tuple[str, str], int], expected: int) -> None:
    rules = retention.Rules(days=days)
    assert rules.days_for(ANN, "junk") == expected
    assert rules.expires(ANN, "junk", 1000) == 1000 + expected * DAY


def test_a_move_never_lengthens_a_life() -> None:
    rules = retention.Rules(days={("", "junk"): 30, ("", "archive"): 90})
    expires = rules.expires(ANN, "inbox", 0)
    assert rules.after_move(ANN, "archive", 0, expires) == expires == 60 * DAY
    assert rules.after_move(ANN, "junk", 0, expires) == 30 * DAY


def test_retry_is_quick_at_first() -> None:
    assert retry.next_attempt(1, 0, 0, 0.0) == 60
    assert retry.next_attempt(1, 0, 0, 0.999) == 72
    assert retry.next_attempt(100, 0, DAY, 0.0) == DAY + 4 * 3600


@given(st.lists(st.floats(0, 0.999), min_size=60, max_size=60), st.integers(3600, 10 * DAY))
def test_retry_ends_exactly_when_it_was_promised(chances: list[float], give_up_after: int) -> None:
    schedule = retry.Schedule(give_up_after=give_up_after)
    now, attempts = 1000, 0
    for chance in chances:
        attempts += 1
        after = retry.next_attempt(attempts, 1000, now, chance, schedule)
        if after is None:
            break
        assert now < after <= 1000 + give_up_after
        now = after
    assert now == 1000 + give_up_after or attempts == 60


def test_the_default_is_five_days() -> None:
    assert retry.Schedule().give_up_after == 5 * DAY
    assert retry.next_attempt(1, 0, 5 * DAY, 0.5) is None
    assert retry.next_attempt(9, 0, 5 * DAY - 1, 0.5) == 5 * DAY


def test_rate() -> None:
    pace = rate.Pace(leak_per_second=1, steps=((2, 0.0), (3, 1.0)))
    bucket, delays = rate.Bucket(), []
    for now in (10.0, 10.0, 10.0, 10.0, 12.0, 100.0):
        bucket = rate.poured(bucket, now, pace)
        delays.append(rate.delay(bucket, pace))
    assert delays == [0.0, 0.0, 1.0, None, 1.0, 0.0]
    assert rate.poured(rate.Bucket(2, 100), 50, pace).level == 3  # a clock set back leaks nothing


def test_the_bucket_does_not_overflow() -> None:
    """However much was poured, one unit's leak later there are answers again."""
    pace, bucket = rate.Pace(), rate.Bucket()
    for _ in range(1000):
        bucket = rate.poured(bucket, 0.0, pace)
    assert rate.delay(bucket, pace) is None
    assert rate.delay(rate.poured(bucket, 29.0, pace), pace) is None
    assert rate.delay(rate.poured(bucket, 60.0, pace), pace) == 5.0
