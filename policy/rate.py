"""How fast somebody may go on guessing: a leaky bucket, and what each level of it costs.

Apart because it is a rule and not IO: the bucket is a value, `now` comes in, the caller waits.
Whoever probes RCPT TO for existing accounts pours a unit per unknown address; time lets it leak.
It never fills far above the last step: the prober may be an honest server with a thousand old
addresses, and must not stay shut out for hours.
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
    """Delays by level, and when it is enough for now."""

    leak_per_second: float = 1 / 30
    steps: tuple[tuple[float, float], ...] = ((5, 0.0), (10, 0.5), (20, 2.0), (30, 5.0))
    """(up to this level, seconds to wait before the answer); above the last: "later" is the answer."""
    later_seconds: float = 1.0
    """To wait before "later" too: said at once, it would tell the prober as fast as no wait at all."""

    @property
    def brim(self) -> float:
        """The highest level: one unit above the last step, so a single unit's leak ends the refusal."""
        return self.steps[-1][0] + 1


def poured(bucket: Bucket, now: float, pace: Pace) -> Bucket:
    """The bucket after one more unit at `now`."""
    leaked = max(0.0, now - bucket.at) * pace.leak_per_second
    return Bucket(min(max(0.0, bucket.level - leaked) + 1, pace.brim), now)


def delay(bucket: Bucket, pace: Pace) -> float | None:
    """Seconds to wait before the answer; None when it is "later", after `later_seconds`."""
    return next((seconds for level, seconds in pace.steps if bucket.level <= level), None)
