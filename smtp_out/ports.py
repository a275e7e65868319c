"""What outbound delivery needs from the house: a durable, sealed spool and a way back.

`smtp_out` imports neither store nor keys: gateway hands in things of these shapes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

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


class Spool(Protocol):
    """Durable and sealed, recipients included; shared by all processes."""

    def due(self, now: int) -> Sequence[Item]:
        """Items with a recipient whose next attempt is due, oldest first; claims them for
        this process, so that no two processes work on one item."""
        ...

    async def content(self, item: Item) -> bytes:
        """The message to send."""
        ...

    def record(self, item: Item) -> None:
        """Write the recipients' new state, durable on return. An item without a waiting
        recipient is removed, its file too."""
        ...

    def release(self, item: Item) -> None:
        """Give up the claim without a change."""
        ...


class Returns(Protocol):
    """The way back to a member."""

    async def bounce(self, account_id: str, content: bytes) -> None:
        """Put a delivery status notification into the member's secure inbox, durable on return."""
        ...


class Journal(Protocol):
    """The audit log's ear for what happens in this door; never any content."""

    def note(self, event: str, account_id: str, **facts: str | int) -> None:
        """One line, at once."""
        ...
