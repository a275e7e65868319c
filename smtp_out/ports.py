"""What outbound delivery needs from the house: a durable, sealed spool and a way back.

`smtp_out` imports neither store nor keys: gateway hands in things of these shapes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from mail.outbound import Item, Outcome, Recipient

__all__ = ["Item", "Journal", "Outcome", "Recipient", "Returns", "Spool"]


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
