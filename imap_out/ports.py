"""What the reading door needs from the house, as it wishes to have it.

`imap_out` imports neither store nor keys: gateway hands in things of these shapes. Calls
that may wait (passwords, opening a message file, scanning text) are coroutines; the rest
reads or writes rows of a local index in well under a millisecond and is plain. All of them
raise `mail.errors`; anything else is a bug and becomes `NO [SERVERBUG]`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

from mail.mailbox import Changes, Column, Copied, Entry, FlagChange, Flags, Folder, Status, Upload
from mail.search import Key
from mail.secret import Secret


class Directory(Protocol):
    """Who may come in."""

    async def log_in(self, name: str, password: Secret, peer: str) -> Mailstore:
        """Open the member's mail. `peer` is the client's IP address.

        Refusal(LOGIN_FAILED) after the same work whether or not the account exists;
        Refusal(THROTTLED) when the account or the address has guessed too often;
        Unavailable when the key store cannot be reached.
        """
        ...


class Mailstore(Protocol):
    """One member's mail while their session is open. Expired messages are never in it."""

    @property
    def account_id(self) -> str:
        """The random id; the only name of the account that a log may hold."""
        ...

    def close(self) -> None:
        """Drop the keys with the last session of the account; idempotent."""
        ...

    def folders(self) -> Sequence[Folder]:
        """All folders, INBOX first, then by name."""
        ...

    def subscriptions(self) -> Sequence[str]:
        """Subscribed names, whether or not a folder of that name exists (RFC 3501 6.3.6)."""
        ...

    def folder(self, name: str) -> Folder:
        """By name ("/" separates levels, "inbox" in any case is INBOX); Refusal(NO_SUCH_FOLDER)."""
        ...

    def create(self, name: str, special_use: str = "") -> Folder:
        """Also makes missing parents; a special use is one folder's alone.

        Refusal(FOLDER_EXISTS | FOLDER_NOT_PERMITTED | USE_NOT_PERMITTED | LIMIT).
        """
        ...

    def delete(self, folder: Folder) -> None:
        """Its messages go too; children stay (RFC 9051 6.3.5). INBOX: FOLDER_NOT_PERMITTED."""
        ...

    def rename(self, folder: Folder, name: str) -> None:
        """Children move along; renaming INBOX moves its messages (RFC 9051 6.3.6)."""
        ...

    def subscribe(self, name: str, subscribed: bool) -> None:
        """SUBSCRIBE and UNSUBSCRIBE."""
        ...

    def status(self, folder: Folder) -> Status:
        """STATUS without selecting."""
        ...

    def entries(self, folder: Folder) -> Sequence[Entry]:
        """All that is in the folder now, ascending by UID."""
        ...

    def claim_recent(self, folder: Folder, *, read_only: bool) -> int:
        """The first UID that no earlier session has seen; claims the rest unless read-only."""
        ...

    def changes(self, folder: Folder, since: int) -> Changes:
        """What happened after mod-sequence `since`; Refusal(NO_SUCH_FOLDER) when it is gone."""
        ...

    def rows(
        self, folder: Folder, uids: Sequence[int], columns: Sequence[Column]
    ) -> Iterator[tuple[Any, ...]]:
        """The columns in the order asked, ascending by UID; UIDs that are gone are left out.

        Lazy: the caller may stop between rows and let other sessions run.
        """
        ...

    async def content(self, folder: Folder, uid: int) -> bytes:
        """The whole RFC 5322 message, decrypted; audited as a read of the body.

        Refusal(NO_SUCH_MESSAGE | EXPIRED); Unavailable when its file fails to open.
        """
        ...

    def change_flags(
        self,
        folder: Folder,
        uids: Sequence[int],
        how: FlagChange,
        flags: Flags,
        unchanged_since: int | None = None,
    ) -> tuple[Sequence[Entry], Sequence[int]]:
        """One transaction. Returns the entries as they are now, and the UIDs left alone
        because their mod-sequence is above `unchanged_since` (RFC 7162 3.1.3)."""
        ...

    async def append(
        self, folder: Folder, content: bytes, flags: Flags, internal_date: int | None
    ) -> Copied:
        """Durable on return. `internal_date` never moves the expiry.

        Everything is stored, with one exception: into the \\Sent folder, the copy of a message
        that the house itself filed there when the member submitted it. It is known by the same
        Message-ID, within an hour, with as many leaf parts, and no copy was taken for it before. Then
        the answer names the existing UID, and the flags are added to it. `source_uids` is empty.
        """
        ...

    async def append_all(self, folder: Folder, uploads: Sequence[Upload]) -> Copied:
        """The same of several, in their order: all are durable on return, or none is there (RFC 3502)."""
        ...

    def copy(self, source: Folder, uids: Sequence[int], target: Folder) -> Copied:
        """COPY: all or nothing; flags, internal date and expiry go along."""
        ...

    def move(self, source: Folder, uids: Sequence[int], target: Folder) -> Copied:
        """MOVE (RFC 6851): one transaction."""
        ...

    def expunge(self, folder: Folder, uids: Sequence[int]) -> None:
        """Remove those of the UIDs that are still there and carry \\Deleted."""
        ...

    async def search(self, folder: Folder, key: Key) -> Sequence[int]:
        """UIDs that match, ascending."""
        ...

    def watch(self, told: Callable[[], None]) -> Callable[[], None]:
        """Call `told` on the loop soon after anything of this account changed, in any process.

        Returns what stops it. Several changes may be told as one.
        """
        ...

    def when_barred(self, told: Callable[[], None]) -> None:
        """Call `told` on the loop, once, when the member must not read on: the account was locked or
        deleted, or has another password. At once if that has happened already. Until `close`."""
        ...


class Journal(Protocol):
    """The audit log's ear for what happens in this door; never any content."""

    def note(self, event: str, account_id: str, **facts: str | int | Iterable[int]) -> None:
        """One line, at once."""
        ...
