"""What every process and every command needs of the house: server key, accounts, audit log.

Apart because commands want no more than this, and want it while the gateway runs. Opening a
reader's mail needs their password and is `gateway.house`'s business.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from conf.settings import Settings
from gateway import terms
from gateway.server_key import server_key
from keys.wrapping import Label, derive
from mail.address import Address
from mail.errors import Reason, Refusal
from mail.secret import Secret
from store.accounts import Account, Accounts
from store.audit import AuditLog


@dataclass(frozen=True, slots=True)
class Ledger:
    """Opened; close it."""

    root: Path
    key: Secret
    accounts: Accounts
    audit: AuditLog

    @classmethod
    def open(cls, settings: Settings) -> Ledger:
        """Makes what is missing; Unavailable, Damaged."""
        root = settings.storage.data_root
        key = server_key(settings.storage.server_key)
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        accounts = Accounts(root, key, limits=terms.throttle(settings))
        return cls(root, key, accounts, AuditLog(root, derive(key, Label.AUDIT), now))

    def close(self) -> None:
        """Idempotent."""
        self.accounts.close()
        self.audit.close()

    def account(self, text: str) -> Account:
        """By address; Refusal(NO_SUCH_ACCOUNT | BAD_ADDRESS)."""
        found = self.accounts.find(Address.parse(text))
        if found is None:
            raise Refusal(Reason.NO_SUCH_ACCOUNT, f"There is no account {text}.")
        return found


@contextmanager
def opened(settings: Settings) -> Iterator[Ledger]:
    """For one command."""
    ledger = Ledger.open(settings)
    try:
        yield ledger
    finally:
        ledger.close()


def now() -> int:
    """Epoch seconds: the one place where the house looks at a clock."""
    return int(time.time())
