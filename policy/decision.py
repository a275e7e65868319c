"""What a rule said, in a form that explains itself: who, which rule, by how much, whom to ask.

Apart because every rule answers in it and every door turns it into its own words and codes.
No bytes from outside are parsed here; `who` holds addresses that `mail.address` has read.
"""

from __future__ import annotations

from dataclasses import dataclass

from mail.errors import Reason, Refusal


@dataclass(frozen=True, slots=True)
class Decision:
    """One rule's answer. `limit` and `actual` are octets or counts, as `rule` says."""

    rule: str  # the promise in PRODUCT.md that decided: "P7", "P8", "P10 size" ...
    reason: Reason | None = None  # None: permitted
    who: tuple[str, ...] = ()  # the addresses that it concerns
    explanation: str = ""  # one plain sentence; no contact in it
    limit: int = 0
    actual: int = 0
    contact: str = ""  # whom to ask

    @property
    def permitted(self) -> bool:
        """Whether the rule lets it pass."""
        return self.reason is None

    @property
    def words(self) -> str:
        """The whole refusal for a person; "" when there is none."""
        if self.permitted or not self.contact:
            return self.explanation
        return f"{self.explanation} Questions: {self.contact}"

    def enforce(self) -> None:
        """Refusal when not permitted."""
        if self.reason is not None:
            raise Refusal(self.reason, self.words)


def named(addresses: tuple[str, ...], most: int = 5) -> str:
    """A list for a sentence, bounded so that a reply stays one line of SMTP."""
    shown = ", ".join(addresses[:most])
    rest = len(addresses) - most
    return shown if rest <= 0 else f"{shown} and {rest} more"
