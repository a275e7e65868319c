"""One member's mail, as a session sees it (`imap_out.ports.Mailstore`, by shape).

Apart because it is the store's face: every call here looks at the clock, takes in what was
delivered, lets the index answer, and tells the other sessions. UIDs, flags and names come
from clients; nothing here trusts one. Expired messages are never in it (P13), whether or not
the retention daemon ran.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from keys.sealing import Certificate, Opener
from keys.wrapping import Label, derive, openpgp_passphrase
from mail import structure, text
from mail.errors import Damaged, MailError, Unavailable
from mail.mailbox import SEEN, Changes, Column, Copied, Entry, FlagChange, Flags, Folder, Status, Upload
from mail.search import Key
from mail.secret import Secret
from store import filing, index_entries, index_folders, index_intake, index_search, index_sent
from store.accounts import Account
from store.filing import Filed
from store.index import writing
from store.index_sent import By
from store.open_accounts import Keys, OpenAccount, OpenAccounts
from store.summaries import fold


def unlock(account: Account, account_secret: Secret) -> Keys:
    """What the account secret opens."""
    return Keys(
        derive(account_secret, Label.INDEX),
        Opener(account.secret_key, openpgp_passphrase(account_secret)),
        Certificate.parse(account.certificate),
    )


class Mailbox:
    """A session's hold on an open account. Used on the loop; calls that may take long are
    coroutines."""

    def __init__(self, accounts: OpenAccounts, shared: OpenAccount, account: Account) -> None:
        self._accounts = accounts
        self._shared = shared
        self._account = account
        self._barred = False
        self._db = shared.db
        self._closed = False
        self._watches: list[Callable[[], None]] = []
        self._read: set[str] = set()

    @classmethod
    async def open(cls, accounts: OpenAccounts, account: Account, account_secret: Secret) -> Mailbox:
        """For a member who has logged in. Takes in what was delivered; Damaged, Unavailable."""
        return cls(accounts, await accounts.share(account.id, unlock(account, account_secret)), account)

    @property
    def account_id(self) -> str:
        """32 hex digits."""
        return self._shared.account_id

    def close(self) -> None:
        """Idempotent; the account's last session drops its keys."""
        if not self._closed:
            self._closed = True
            for stop in self._watches:
                stop()
            self._accounts.leave(self._shared)

    # Folders

    def folders(self) -> Sequence[Folder]:
        """INBOX first, then by name."""
        return index_folders.folders(self._db)

    def subscriptions(self) -> Sequence[str]:
        """Names, whether or not such a folder exists."""
        return index_folders.subscriptions(self._db)

    def folder(self, name: str) -> Folder:
        """Refusal(NO_SUCH_FOLDER)."""
        return index_folders.folder(self._db, name)

    def special(self, use: str) -> Folder:
        """The folder of a special use ("\\Sent"), made anew when it is gone."""
        return index_folders.special(self._db, use, self._now())

    def create(self, name: str, special_use: str = "") -> Folder:
        """Refusal(FOLDER_EXISTS | FOLDER_NOT_PERMITTED | USE_NOT_PERMITTED | LIMIT)."""
        made = index_folders.create(self._db, name, special_use, self._now())
        self._shared.tell()
        return made

    def delete(self, folder: Folder) -> None:
        """Refusal(FOLDER_NOT_PERMITTED | NO_SUCH_FOLDER)."""
        index_folders.delete(self._db, folder)
        self._removed()

    def rename(self, folder: Folder, name: str) -> None:
        """Refusal(FOLDER_EXISTS | FOLDER_NOT_PERMITTED | LIMIT | NO_SUCH_FOLDER)."""
        index_folders.rename(self._db, folder, name, self._now())
        self._shared.tell()

    def subscribe(self, name: str, subscribed: bool) -> None:
        """Refusal(LIMIT | FOLDER_NOT_PERMITTED)."""
        index_folders.subscribe(self._db, name, subscribed)
        self._shared.tell()

    def status(self, folder: Folder) -> Status:
        """Refusal(NO_SUCH_FOLDER)."""
        return index_folders.status(self._db, folder, self._shared.look())

    # What is in a folder

    def entries(self, folder: Folder) -> Sequence[Entry]:
        """Ascending by UID."""
        return index_entries.entries(self._db, folder, self._shared.look())

    def claim_recent(self, folder: Folder, *, read_only: bool) -> int:
        """The first UID that no session has claimed."""
        return index_folders.claim_recent(self._db, folder, read_only=read_only)

    def changes(self, folder: Folder, since: int) -> Changes:
        """Refusal(NO_SUCH_FOLDER)."""
        return index_entries.changes(self._db, folder, since, self._shared.look())

    def rows(
        self, folder: Folder, uids: Sequence[int], columns: Sequence[Column]
    ) -> Iterator[tuple[Any, ...]]:
        """Lazily; `uids` ascending."""
        return index_entries.rows(self._db, folder, uids, columns, self._now())

    async def content(self, folder: Folder, uid: int) -> bytes:
        """Refusal(NO_SUCH_MESSAGE | EXPIRED), Unavailable. The first read of a message by a
        session is one audit line, however many slices the client fetches it in."""
        name = index_entries.locate(self._db, folder, uid, self._now()).name
        journal = self._shared.around.journal
        try:
            content = await self._shared.plaintext.content(name)
        except Damaged as error:
            journal.note("damaged", self.account_id, message=name.unique)
            raise Unavailable from error
        if name.unique not in self._read:
            self._read.add(name.unique)
            journal.note("read", self.account_id, message=name.unique)
        return content

    async def search(self, folder: Folder, key: Key) -> Sequence[int]:
        """Ascending UIDs; Refusal(LIMIT | NO_SUCH_FOLDER)."""
        now = self._shared.look()
        index_folders.require(self._db, folder)
        loop = asyncio.get_running_loop()

        def whole_text(uid: int) -> bytes:
            name = index_entries.locate(self._shared.scanner(), folder, uid, now).name
            opening = asyncio.run_coroutine_threadsafe(self._shared.plaintext.content(name), loop)
            content = opening.result()
            return fold(text.text_of(content, structure.parse(content), len(content) + 1)[0])

        def run() -> list[int]:
            return index_search.search(self._shared.scanner(), folder, key, now, whole_text)

        return await loop.run_in_executor(self._accounts.searching, run)

    # Changing it

    def change_flags(
        self,
        folder: Folder,
        uids: Sequence[int],
        how: FlagChange,
        flags: Flags,
        unchanged_since: int | None = None,
    ) -> tuple[Sequence[Entry], Sequence[int]]:
        """Refusal(NO_SUCH_FOLDER | LIMIT)."""
        done = index_entries.change_flags(
            self._db, folder, uids, how, flags, unchanged_since=unchanged_since, now=self._now()
        )
        self._shared.tell()
        return done

    async def append(
        self, folder: Folder, content: bytes, flags: Flags, internal_date: int | None
    ) -> Copied:
        """Durable on return; Refusal(NO_SUCH_FOLDER | LIMIT), Unavailable."""
        filed = await filing.file(self._shared, folder, content, flags, internal_date)
        self._shared.tell()
        return filed.copied

    async def append_all(self, folder: Folder, uploads: Sequence[Upload]) -> Copied:
        """All or none; Refusal(NO_SUCH_FOLDER | LIMIT), Unavailable."""
        copied = await filing.file_all(self._shared, folder, uploads)
        self._shared.tell()
        return copied

    async def file_sent(self, content: bytes) -> Filed:
        """The sender's own copy, read already; not when the client has just filed it, nor when
        the client submits it again because our 250 was lost (`index_sent`)."""
        sent = self.special(filing.SENT)
        filed = await filing.file(self._shared, sent, content, frozenset({SEEN}), None, by=By.GATEWAY)
        self._shared.tell()
        return filed

    def unfile(self, filed: Filed) -> None:
        """Take a new Sent copy back, unless a client took it for its own meanwhile. Refusal."""
        sent = self.special(filing.SENT)
        if filed.new and sent.uid_validity == filed.copied.uid_validity:
            with writing(self._db) as mod_seq:
                index_sent.unfile(self._db, mod_seq, sent, tuple(filed.copied.target_uids))
            self._removed()

    def copy(self, source: Folder, uids: Sequence[int], target: Folder) -> Copied:
        """Refusal(NO_SUCH_FOLDER)."""
        done = index_entries.copy(self._db, source, uids, target, self._now(), moving=False)
        self._shared.tell()
        return done

    def move(self, source: Folder, uids: Sequence[int], target: Folder) -> Copied:
        """Refusal(NO_SUCH_FOLDER)."""
        done = index_entries.copy(self._db, source, uids, target, self._now(), moving=True)
        self._shared.tell()
        return done

    def expunge(self, folder: Folder, uids: Sequence[int]) -> None:
        """Refusal(NO_SUCH_FOLDER)."""
        index_entries.expunge(self._db, folder, uids)
        self._removed()

    async def holds(self, message_ids: Collection[str]) -> bool:
        """Whether any of these is, or within its retention was, in this mailbox (P8)."""
        return index_intake.holds(self._db, message_ids, self._shared.look())

    def watch(self, told: Callable[[], None]) -> Callable[[], None]:
        """Until the returned function is called, or the session is closed."""
        stop = self._shared.around.bus.listen(self.account_id, told)
        self._watches.append(stop)
        return stop

    def when_barred(self, told: Callable[[], None]) -> None:
        """Call `told` on the loop, once, when the account as it was at the login is admitted no
        more; what is being read then comes to no end."""

        def look() -> None:
            if not self._barred and not self._admitted():
                self._barred = True
                told()

        self.watch(look)
        look()  # it may have happened since the password was checked

    def _admitted(self) -> bool:
        try:
            return self._shared.around.admits(self._account)
        except MailError:
            return False  # who cannot be asked about may log in again

    def _removed(self) -> None:
        self._shared.collect_soon()
        self._shared.tell()

    def _now(self) -> int:
        if self._barred:
            raise Unavailable
        return self._shared.now()
