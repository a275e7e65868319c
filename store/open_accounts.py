"""The accounts that are open in this process, each once, however many sessions it has.

Apart because the account secret may live only while a session does: the count of sessions
is kept here, and with the last one the index is closed and the keys and every opened
message are dropped. Who may open is decided before (the caller has unwrapped the secret).
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from weakref import WeakValueDictionary

from keys.bulk import Bulk
from keys.sealing import Certificate, Opener
from mail.errors import MailError, Unavailable
from mail.mailbox import Folder
from mail.secret import Secret
from mail.summary import Summarise
from store import index, sealed_db
from store.accounts import Account
from store.blobs import AccountDirectory, BlobName
from store.changes import Bus
from store.index_folders import provide_defaults
from store.intake import Intake
from store.marks import NONE, MarksFile
from store.plaintext import Contents, Plaintext

_log = logging.getLogger("secure_inbox.store")

LOOK = 1000
"""Delivered messages taken in at one look by a session: about 0.2 s of the loop's time."""

_COLLECT = 100  # messages removed in one transaction, so that a session waits for no more


class Journal(Protocol):
    """The audit log's ear; never any content."""

    def note(self, event: str, account_id: str, **facts: str | int) -> None:
        """One line, at once."""
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every open account of a process shares. Times are seconds since the epoch."""

    root: Path
    bulk: Bulk
    summarise: Summarise
    bus: Bus
    journal: Journal
    clock: Callable[[], int]
    expiry: Callable[[str, Folder | None, int], int]
    """(account id, folder, now): when a message filed now expires; None is a delivery."""
    held: Callable[[str], bool]
    """Whether the account is under a legal hold; called from any thread."""
    admits: Callable[[Account], bool] = lambda _: True
    """Whether who logged in to this account, as it was then, may go on (`Accounts.admits`)."""
    contents: Contents = field(default_factory=Contents)


@dataclass(frozen=True, slots=True)
class Keys:
    """What opens one account."""

    index: Secret
    opener: Opener
    certificate: Certificate


class OpenAccount:
    """One account while it is open. Made on a thread: opening takes in what is waiting."""

    def __init__(self, account_id: str, keys: Keys, around: Surroundings) -> None:
        self.account_id = account_id
        self.keys = keys
        self.around = around
        self.directory = AccountDirectory(around.root, account_id)
        self.directory.make()
        self.db = sealed_db.open(self.directory.index, keys.index, index.SCHEMA)
        self.plaintext = Plaintext(self.directory, keys.opener, around.bulk, around.contents)
        self.sessions = 0
        self.marks = MarksFile(around.root)
        self._heeded = NONE
        self._scanner: sealed_db.Connection | None = None
        self._opening_scanner = threading.Lock()
        self._collecting = threading.Lock()
        self._intake = Intake(self.directory, self.db, keys.opener, around.summarise, self._damaged)
        try:
            provide_defaults(self.db, around.clock())
            self._heed()
            while any(self._catch_up(around.clock(), recover=True)):
                continue
            self.collect()
        except BaseException:
            self.db.close()
            raise

    def now(self) -> int:
        """The time, after what a sweep ahead of it has declared gone is gone from the index. On the
        loop, before anything is read. Unavailable when the index takes no change: better no answer
        than one from what is gone (P13)."""
        if self._heed():
            self.collect_soon()
            self.tell()
        return self.around.clock()

    def look(self) -> int:
        """Take in what was delivered and let go of what expired; the time of this look. On the
        loop, at every look at a folder; without news it costs a directory listing and a probe."""
        now = self.now()
        taken, purged = self._catch_up(now)
        # Again: what another sweep has just removed may have been taken in meanwhile.
        purged = self._heed() or purged
        if purged:
            self.collect_soon()
        if taken or purged:
            self.tell()
        return now

    def tell(self) -> None:
        """Other sessions, here and elsewhere, should look."""
        self.around.bus.tell(self.account_id)

    def collect_soon(self) -> None:
        """Remove the files of what lies in no folder any more, on a thread."""
        asyncio.get_running_loop().run_in_executor(None, self.collect)

    def collect(self) -> None:
        """Files first, rows second (see `index.doomed`). Under a hold nothing is destroyed (P14):
        it stays doomed, and lifting the hold lets the next session finish."""
        with self._collecting:
            if self.around.held(self.account_id):
                return
            try:
                while due := index.doomed(self.db, _COLLECT):
                    for _, name in due:
                        self.directory.remove(name)
                    index.forget(self.db, [number for number, _ in due])
            except MailError:
                return  # the rows still say what is to be done; the next session does it

    def scanner(self) -> sealed_db.Connection:
        """A second connection, for long reads on a thread; opened when first needed."""
        with self._opening_scanner:
            if self._scanner is None:
                self._scanner = sealed_db.open(self.directory.index, self.keys.index, index.SCHEMA)
            return self._scanner

    def close(self) -> None:
        """On a thread; finishes what is being removed."""
        self.collect()
        with self._collecting:
            if self._scanner is not None:
                self._scanner.close()
            self.db.close()

    def _catch_up(self, now: int, *, recover: bool = False) -> tuple[bool, bool]:
        """Whether anything came, and whether anything went. On a full disk a member still
        reads what is there: what could not be taken in waits in new/, and every read checks
        the expiry by itself."""
        try:
            if recover:
                self._intake.recover()
            taken = self._intake.take_in(now, LOOK, self.marks.current())
            return taken > 0, index.purge(self.db, now)
        except Unavailable as error:
            _log.warning("cannot take in mail: %s", type(error.__cause__).__name__)
            return False, False

    def _heed(self) -> bool:
        marks = self.marks.current()
        if marks == self._heeded:
            return False
        gone = index.heed(self.db, marks)
        self._heeded = marks
        return gone

    def _damaged(self, name: BlobName) -> None:
        self.around.journal.note("damaged", self.account_id, message=name.unique)


class OpenAccounts:
    """By account id. One per process, used on its loop."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._open: dict[str, OpenAccount] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._closing: set[asyncio.Future[None]] = set()
        # Searches wait for messages that other threads open: on the loop's own pool, as many
        # searches as it has threads would wait for ever. Two also keep them from taking all cores.
        self.searching = ThreadPoolExecutor(2, "search")

    async def share(self, account_id: str, keys: Keys) -> OpenAccount:
        """Open, or join the sessions that have it open. Damaged, Unavailable."""
        lock = self._locks.get(account_id)
        if lock is None:
            lock = self._locks[account_id] = asyncio.Lock()
        async with lock:
            shared = self._open.get(account_id)
            if shared is None:
                shared = await asyncio.to_thread(OpenAccount, account_id, keys, self._around)
                self._open[account_id] = shared
            shared.sessions += 1
        return shared

    def leave(self, shared: OpenAccount) -> None:
        """One session less; with the last the keys are dropped."""
        shared.sessions -= 1
        if shared.sessions == 0:
            del self._open[shared.account_id]
            shared.plaintext.clear()
            closing = asyncio.get_running_loop().run_in_executor(None, shared.close)
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def emptied(self) -> None:
        """Wait until every account that was left is closed, its files removed."""
        while self._closing:
            await asyncio.gather(*self._closing)

    async def close(self) -> None:
        """`emptied`, and nothing opens again."""
        await self.emptied()
        self.searching.shutdown(wait=False, cancel_futures=True)
