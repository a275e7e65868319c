"""A whole store for one test: real keys, real index, real child process, a clock to turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

from imap_out.rendering import summarise
from keys import keyring
from keys.bulk import Bulk
from keys.wrapping import Label, derive, new_key, openpgp_passphrase
from mail.address import Address
from mail.mailbox import Folder
from mail.secret import Secret
from store import index, sealed_db
from store.accounts import Account, Status
from store.changes import Bus
from store.delivery import Delivery, Destination
from store.mailbox import Mailbox
from store.open_accounts import OpenAccounts, Surroundings
from store.plaintext import Contents

NOW = 1_795_000_000
DAY = 86_400
KEEP = 60 * DAY
ANN, BOB = "a" * 32, "b" * 32
SERVER_KEY = Secret(b"k" * 32)


@cache
def member(account_id: str) -> tuple[Account, Secret]:
    """Made once for the whole run: key generation is the dear part. The secret is fixed for
    an id within a process, and the account travels to child processes as a file."""
    secret = new_key()
    pair = keyring.generate("somebody", openpgp_passphrase(secret))
    address = Address("ann" if account_id == ANN else "bob", "acme.test")
    account = Account(
        account_id, address, "x@y.test", pair.certificate, pair.secret_key, Status.ACTIVE, False, NOW
    )
    return account, secret


class Clock:
    def __init__(self, now: int = NOW) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


class Notes:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, str | int]]] = []

    def note(self, event: str, account_id: str, **facts: str | int) -> None:
        self.lines.append((event, account_id, facts))


class House:
    """One process of the gateway, as far as the store goes."""

    def __init__(self, root: Path, clock: Clock | None = None) -> None:
        self.root = root
        self.clock = clock or Clock()
        self.notes = Notes()
        self.bulk = Bulk()
        self.bus = Bus(root / "run")
        self.held: set[str] = set()
        self.keep = KEEP
        self.contents = Contents()
        around = Surroundings(
            root,
            self.bulk,
            summarise,
            self.bus,
            self.notes,
            self.clock,
            self.expiry,
            self.held.__contains__,
            contents=self.contents,
        )
        self.accounts = OpenAccounts(around)
        self.delivery = Delivery(
            root,
            derive(SERVER_KEY, Label.DELIVERY),
            self.bulk,
            summarise=summarise,
            tell=self.bus.tell,
            clock=self.clock,
        )

    def expiry(self, _account_id: str, _folder: Folder | None, now: int) -> int:
        return now + self.keep

    def to(self, *account_ids: str) -> list[Destination]:
        return [
            Destination(account_id, member(account_id)[0].certificate, self.clock() + self.keep)
            for account_id in account_ids
        ]

    async def deliver(
        self, content: bytes, *account_ids: str, return_path: str = "claims@org.test"
    ) -> None:
        receipt = await self.delivery.deliver(self.to(*(account_ids or (ANN,))), return_path, content)
        receipt.acknowledged()

    async def open(self, account_id: str = ANN) -> Mailbox:
        return await Mailbox.open(self.accounts, *member(account_id))

    def directory(self, account_id: str = ANN) -> Path:
        return self.root / "accounts" / account_id

    def files(self, account_id: str = ANN) -> dict[str, list[str]]:
        """Names by directory, markers and summaries included."""
        base = self.directory(account_id)
        return {
            part: sorted(path.name for path in (base / part).rglob("*") if path.is_file())
            for part in ("tmp", "new", "cur")
        }

    def rows(self, table: str, account_id: str = ANN) -> int:
        """How many rows a table of the index has."""
        key = derive(member(account_id)[1], Label.INDEX)
        db = sealed_db.open(self.directory(account_id) / "index.sqlite", key, index.SCHEMA)
        ((count,),) = db.execute(f"SELECT count(*) FROM {table}")
        db.close()
        return int(count)

    async def close(self) -> None:
        await self.accounts.close()
        self.delivery.close()
        self.bus.close()
        await asyncio.to_thread(self.bulk.close)


@asynccontextmanager
async def house(root: Path, clock: Clock | None = None) -> AsyncIterator[House]:
    made = House(root, clock)
    made.bus.start(asyncio.get_running_loop())
    try:
        yield made
    finally:
        await made.close()


def message(number: int = 1, body: str = "Hello.\r\n", **fields: str) -> bytes:
    """A small message; Message-ID from the number."""
    header = {
        "From": "Claims <claims@org.test>",
        "To": "ann@acme.test",
        "Subject": f"Message {number}",
        "Date": "Mon, 23 Nov 2026 08:00:00 +0000",
        "Message-ID": f"<m{number}@org.test>",
    } | {name.replace("_", "-"): value for name, value in fields.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in header.items() if value)
    return (lines + "\r\n" + body).encode()
