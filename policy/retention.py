"""When a message expires (P13): days by account, domain and kind of folder, the narrowest rule first.

Apart because the store writes the answer into file names and every door shows it. Age counts
from the moment we first received a message; nothing that a client says moves it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mail.address import Address

DAY = 86_400
EVERY = ""
"""Stands in a rule's key for "any account or domain", or "any kind of folder"."""


@dataclass(frozen=True, slots=True)
class Rules:
    """`days[(who, kind)]`: `who` an `Address.key`, a domain in A-label form, or EVERY; `kind`
    one of inbox, sent, drafts, trash, junk, archive, other, or EVERY."""

    default_days: int = 60
    days: Mapping[tuple[str, str], int] = field(default_factory=dict)

    def days_for(self, owner: Address, kind: str) -> int:
        """Days of the narrowest rule: account before domain before everyone, and within each
        the kind of folder before any kind."""
        for who in (owner.key, owner.domain, EVERY):
            for folder in (kind, EVERY):
                days = self.days.get((who, folder))
                if days is not None:
                    return days
        return self.default_days

    def expires(self, owner: Address, kind: str, received: int) -> int:
        """Epoch seconds from which a message received at `received` no longer exists."""
        return received + self.days_for(owner, kind) * DAY

    def after_move(self, owner: Address, kind: str, received: int, expires: int) -> int:
        """A move or copy may shorten a life, never lengthen it."""
        return min(expires, self.expires(owner, kind, received))
