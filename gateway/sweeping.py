"""The retention sweep with everything around it: holds, audit log, and telling open sessions.

Apart because the timers and the command do the same. Needs no member's key.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from gateway.change_bus import change_bus
from gateway.ledger import Ledger, now
from store.blobs import BlobName
from store.retention import Report
from store.retention import sweep as sweep_store


def sweep(ledger: Ledger, moment: int, *, dry_run: bool = False) -> Report:
    """Once, as of `moment`; a line in the audit log for each account that lost messages, and one for the
    sweep. Unavailable when the store cannot be read."""
    bus = change_bus(ledger.root)
    real = now()
    if moment > real and not dry_run:
        # What comes later in this second must not pass for what was there before the sweep.
        while now() <= real:
            time.sleep(0.02)

    def told(account_id: str, removed: int) -> None:
        if not dry_run:
            if removed:
                ledger.audit.note("expired", account_id, messages=removed)
            bus.tell(account_id)

    (ledger.root / "accounts").mkdir(mode=0o700, exist_ok=True)
    report = sweep_store(ledger.root, moment, ledger.accounts.held, real=real, dry_run=dry_run, told=told)
    if not dry_run and (report.removed or report.stale or report.failed):
        ledger.audit.note(
            "retention run", "", removed=report.removed, stale=report.stale, failed=report.failed
        )
    return report


def names(root: Path) -> Iterator[BlobName]:
    """Every message file's name, of every account."""
    for pattern in ("accounts/*/new/*", "accounts/*/cur/*/*"):
        for path in root.glob(pattern):
            name = BlobName.parse(path.name)
            if name is not None:
                yield name
