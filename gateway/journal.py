"""The doors' events in the audit log's vocabulary.

Apart because each door has its own words and the log has one table. What is not in either table
is a bug that a test finds, not a fault of the moment.
"""

from __future__ import annotations

from collections.abc import Iterable

from store.audit import AuditLog

RENAMED: dict[str, str] = {
    "relay.refused": "refused",
    "submission.refused": "refused",
    "submission.accepted": "submitted",
}

UNTOLD = frozenset({"relay.accepted"})  # the desk writes a "delivered" for each member


class Journal:
    """The `Journal` of every door's ports."""

    def __init__(self, audit: AuditLog, door: str) -> None:
        self._audit = audit
        self._door = door

    def note(self, event: str, account_id: str, **facts: str | int | Iterable[int]) -> None:
        """One line, at once; Unavailable when it cannot be written."""
        if event in UNTOLD:
            return
        # The log takes tokens, so that no sentence, and no content, finds room in it.
        tokens = {
            name: value.replace(" ", "-") if isinstance(value, str) else value
            for name, value in facts.items()
        }
        self._audit.note(RENAMED.get(event, event), account_id, door=self._door, **tokens)
