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
    "imap-login": "login",
    "imap-logout": "logout",
    "imap-refused": "login refused",
    "imap-abuse": "refused",
}

UNTOLD = frozenset({"relay.accepted"})  # the desk writes a "delivered" for each member


class Journal:
    """The `Journal` of every door's ports."""

    def __init__(self, audit: AuditLog, door: str) -> None:
        self._audit = audit
        self._door = door

    def note(self, event: str, account_id: str, **facts: str | int | Iterable[int]) -> None:
        """One line, at once; Unavailable when it cannot be written."""
        if event not in UNTOLD:
            self._audit.note(RENAMED.get(event, event), account_id, door=self._door, **facts)
