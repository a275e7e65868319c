"""One process's share of the house, put together: store, keys, queue, bus.

Apart because workers and timers need the same parts, wired alike. No stranger's bytes are
parsed here.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from conf.settings import Settings
from gateway import terms
from gateway.change_bus import change_bus
from gateway.journal import Journal
from gateway.ledger import Ledger, now
from imap_out.rendering import summarise
from keys.bulk import Bulk
from keys.wrapping import Label, derive
from mail.address import Address
from mail.mailbox import Folder
from policy.retention import Rules
from store.accounts import Account
from store.changes import Bus
from store.delivery import Delivery, Destination
from store.open_accounts import OpenAccounts, Surroundings
from store.spool import Spool

COURIER = "0" * 32
"""Told on the bus, like an account's id, when something was put into the queue."""

_KINDS = {
    "\\Sent": "sent",
    "\\Drafts": "drafts",
    "\\Trash": "trash",
    "\\Junk": "junk",
    "\\Archive": "archive",
}


@dataclass(frozen=True, slots=True)
class House:
    """Everything open; close it on the loop that opened it."""

    settings: Settings
    ledger: Ledger
    bus: Bus
    bulk: Bulk
    spool: Spool
    delivery: Delivery
    open_accounts: OpenAccounts
    retention: Rules

    @classmethod
    def open(cls, settings: Settings, loop: asyncio.AbstractEventLoop) -> House:
        """Unavailable, Damaged."""
        ledger = Ledger.open(settings)
        bus = change_bus(ledger.root)
        bus.start(loop)
        bulk = Bulk()
        rules = terms.retention_rules(settings)
        addresses: dict[str, Address] = {}

        def expiry(account_id: str, folder: Folder | None, at: int) -> int:
            if account_id not in addresses:  # an account never changes its address
                addresses[account_id] = ledger.accounts.get(account_id).address
            return rules.expires(addresses[account_id], kind(folder), at)

        delivery = Delivery(
            ledger.root,
            derive(ledger.key, Label.DELIVERY),
            bulk,
            summarise=summarise,
            tell=bus.tell,
            clock=now,
        )
        around = Surroundings(
            root=ledger.root,
            bulk=bulk,
            summarise=summarise,
            bus=bus,
            journal=Journal(ledger.audit, "store"),
            clock=now,
            expiry=expiry,
            held=ledger.accounts.held,
            admits=ledger.accounts.admits,
        )
        spool = Spool(ledger.root, ledger.key, now)
        return cls(settings, ledger, bus, bulk, spool, delivery, OpenAccounts(around), rules)

    def destination(self, account: Account) -> Destination:
        """Where a message for this member goes, and until when."""
        expires = self.retention.expires(account.address, "inbox", now())
        return Destination(account.id, account.certificate, expires)

    async def close(self) -> None:
        """What is being written is finished first."""
        await self.open_accounts.close()
        await asyncio.to_thread(self.delivery.close)
        await asyncio.to_thread(self.bulk.close)
        self.spool.close()
        self.bus.close()
        self.ledger.close()


def kind(folder: Folder | None) -> str:
    """A folder's kind as retention names it; a delivery comes into the inbox."""
    if folder is None or folder.name == "INBOX":
        return "inbox"
    return _KINDS.get(folder.special_use, "other")
