"""What waits to be sent: a queued message and what is known of each of its recipients.

Apart because `smtp_out` works the queue and `store` keeps it, and neither may import the
other. No bytes are parsed here; `diagnostic` is what a remote server said, so it is
hostile text that goes into a DSN only. Times are seconds since the epoch, UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from mail.address import Address


class Outcome(Enum):
    """What became of one recipient."""

    WAITING = auto()
    DELIVERED = auto()
    FAILED = auto()


@dataclass(frozen=True, slots=True)
class Recipient:
    """One recipient of a queued message and what is known of it."""

    address: Address
    outcome: Outcome = Outcome.WAITING
    attempts: int = 0
    next_attempt: int = 0  # seconds since the epoch
    status: str = ""  # RFC 3463 code of the last answer, "5.1.1"
    diagnostic: str = ""  # the last answer, one line, for the DSN
    remote: str = ""  # the host that gave it


@dataclass(frozen=True, slots=True)
class Item:
    """One queued message. `sender` is "" for the null reverse-path."""

    item_id: str
    sender: str
    account_id: str  # the member to whom a failure is told; "" when there is none
    queued_at: int
    recipients: Sequence[Recipient]
