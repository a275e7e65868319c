"""When to try an outbound delivery again (RFC 5321 section 4.5.4.1).

Apart because the queue asks it after each failed attempt and must not invent its own clock or
dice: `now` and `chance` come in. Quick at first, since most failures last minutes (greylisting, a
restart), then rarer; the jitter keeps a whole queue from returning in one second.
"""

from __future__ import annotations

from dataclasses import dataclass

MINUTE, HOUR, DAY = 60, 3600, 86_400


@dataclass(frozen=True, slots=True)
class Schedule:
    """Seconds to wait after the 1st, 2nd ... failed attempt; the last repeats until `give_up_after`."""

    waits: tuple[int, ...] = (
        MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, HOUR, 2 * HOUR, 2 * HOUR, 4 * HOUR,
    )  # fmt: skip
    give_up_after: int = 5 * DAY
    jitter: float = 0.2  # a wait is stretched by up to this share


def next_attempt(
    attempts: int, queued_at: int, now: int, chance: float, schedule: Schedule = Schedule()
) -> int | None:
    """The moment of the next attempt, epoch seconds; None when it is time to give up.

    `attempts` counts those made (1 or more); `chance` is a random number in [0, 1). The last
    attempt falls on the very end rather than short of it, so that the time promised is used.
    """
    end = queued_at + schedule.give_up_after
    if now >= end:
        return None
    wait = schedule.waits[min(attempts, len(schedule.waits)) - 1]
    return min(now + round(wait * (1 + schedule.jitter * chance)), end)
