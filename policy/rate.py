"""How fast somebody may go on guessing: a leaky bucket, and what each level of it costs.

Apart because it is a rule and not IO: the bucket is a value, `now` comes in, the caller waits.
Whoever probes RCPT TO for existing accounts pours a unit per unknown address; time lets it leak.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bucket:
    """How much somebody has poured and not yet outlived. `at` in seconds of any one clock."""

    level: float = 0.0
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Pace:
    """Delays by level, and when it is enough."""

    leak_per_second: float = 1 / 30
    steps: tuple[tuple[float, float], ...] = ((5, 0.0), (10, 0.5), (20, 2.0), (30, 5.0))
    """(up to this level, seconds to wait before the answer); above the last: no more answers."""


def poured(bucket: Bucket, now: float, pace: Pace) -> Bucket:
    """The bucket after one more unit at `now`."""
    leaked = max(0.0, now - bucket.at) * pace.leak_per_second
    return Bucket(max(0.0, bucket.level - leaked) + 1, now)


def delay(bucket: Bucket, pace: Pace) -> float | None:
    """Seconds to wait before answering; None when this peer gets no more answers."""
    return next((seconds for level, seconds in pace.steps if bucket.level <= level), None)
