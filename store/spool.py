"""The outbound queue: messages that wait to be sent, sealed and durable, for all processes.

Apart because what a member sends must outlive any process between the 250 and the next hop.
The content is a member's; the rows hold addresses and what remote servers answered, all of
it in SQLCipher. Both open with keys of the server's, as a queue must run without its sender.

    ROOT/spool/<item id>       the message in chunks of 1 MiB, each AES-256-GCM
    ROOT/spool/spool.sqlite    items, recipients, claims

A message is added in two steps: the file is made durable (`prepare`), then the row is
(`commit`); a file without a row was never promised to anyone and is removed in time. A claim
ends with its process or its lease. Times are seconds since the epoch.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from keys.wrapping import SEAL_OVERHEAD, Label, derive, open_bytes, seal_bytes
from mail.address import Address
from mail.errors import Damaged, Reason, Refusal, Unavailable
from mail.outbound import Item, Outcome, Recipient
from mail.secret import Secret
from store import sealed_db

LEASE = 3600
"""Seconds after which a claim that was not renewed (by `content` or `record`) is anybody's: for a
process that hangs. The claim of one that died ends at once."""

BATCH = 100
"""Items that one `due` claims at most."""

ORPHAN_AGE = 3600
"""Seconds after which a file without a row is removed; far longer than any `prepare` to `commit`."""

_CHUNK = 1 << 20
_ITEM_ID = re.compile(r"[0-9a-f]{32}")
_SCHEMA = (
    """
CREATE TABLE items (
    item_id TEXT PRIMARY KEY,
    sender TEXT NOT NULL,
    account_id TEXT NOT NULL,
    queued_at INTEGER NOT NULL,
    claimed_by TEXT NOT NULL DEFAULT '',
    claimed_until INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE recipients (
    item_id TEXT NOT NULL REFERENCES items (item_id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    local TEXT NOT NULL,
    domain TEXT NOT NULL,
    outcome TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    next_attempt INTEGER NOT NULL,
    status TEXT NOT NULL,
    diagnostic TEXT NOT NULL,
    remote TEXT NOT NULL,
    PRIMARY KEY (item_id, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX recipients_due ON recipients (next_attempt) WHERE outcome = 'WAITING';
""",
)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A message whose file is durable and which nobody has been promised yet."""

    spool: Spool
    item: Item

    def commit(self) -> Item:
        """Durable on return: from now on it will be sent or bounced."""
        self.spool.insert(self.item)
        return self.item

    def abandon(self) -> None:
        """It is not to be sent after all."""
        self.spool.remove_file(self.item.item_id)


class Spool:
    """This process's hold on the queue; `smtp_out.ports.Spool` and the way into it."""

    def __init__(self, root: Path, server_key: Secret, clock: Callable[[], float]) -> None:
        """Opens or creates ROOT/spool. Damaged for another server key; Unavailable."""
        self._directory = root / "spool"
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
        except OSError:
            raise Unavailable from None
        self._file_key = derive(server_key, Label.SPOOL_FILES)
        self._db = sealed_db.open(
            self._directory / "spool.sqlite", derive(server_key, Label.SPOOL), _SCHEMA
        )
        self._me = f"{os.getpid()} {_started(os.getpid())} {secrets.token_hex(4)}"
        self._clock = clock
        self._cleaned = 0

    def close(self) -> None:
        """Idempotent."""
        self._db.close()

    async def add(
        self, sender: str, account_id: str, recipients: Sequence[Address], content: bytes, now: int
    ) -> Item:
        """`prepare` and `commit` in one; Unavailable, with nothing left."""
        prepared = await self.prepare(sender, account_id, recipients, content, now)
        try:
            return prepared.commit()
        except BaseException:
            prepared.abandon()
            raise

    async def prepare(
        self, sender: str, account_id: str, recipients: Sequence[Address], content: bytes, now: int
    ) -> Prepared:
        """Write and fsync the file, on a thread. `sender` is "" for the null reverse-path."""
        waiting = tuple(Recipient(address, next_attempt=now) for address in recipients)
        item = Item(secrets.token_hex(16), sender, account_id, now, waiting)
        await asyncio.to_thread(self._write, item.item_id, content)
        return Prepared(self, item)

    def insert(self, item: Item) -> None:
        """The second step of `prepare`."""
        with self._db.transaction():
            self._db.change(
                "INSERT INTO items (item_id, sender, account_id, queued_at) VALUES (?,?,?,?)",
                (item.item_id, item.sender, item.account_id, item.queued_at),
            )
            self._db.executemany(
                "INSERT INTO recipients VALUES (?,?,?,?,?,?,?,?,?,?)",
                [
                    (item.item_id, position, r.address.local, r.address.domain, *_state(r))
                    for position, r in enumerate(item.recipients)
                ],
            )

    def due(self, now: int) -> Sequence[Item]:
        """Items with a recipient whose next attempt is due, oldest first, claimed for us."""
        self._clean(now)
        with self._db.transaction():
            rows = self._db.execute(
                "SELECT item_id, claimed_by, claimed_until FROM items WHERE item_id IN"
                " (SELECT item_id FROM recipients WHERE outcome = 'WAITING' AND next_attempt <= ?)"
                " ORDER BY queued_at, item_id",
                (now,),
            )
            free = [row[0] for row in rows if row[2] <= now or not _alive(row[1])][:BATCH]
            self._db.executemany(
                "UPDATE items SET claimed_by = ?, claimed_until = ? WHERE item_id = ?",
                [(self._me, now + LEASE, item_id) for item_id in free],
            )
            return self._items(free)

    async def content(self, item: Item) -> bytes:
        """The message to send; Damaged when its file is changed or gone."""
        self._renew(item)
        return await asyncio.to_thread(self._read, item.item_id)

    def record(self, item: Item) -> None:
        """Write the recipients' new state and renew the claim, durable on return.

        What is no longer waiting is never set back: a process that lost its claim and comes
        late cannot make a delivered mail go out twice. An item with none waiting is removed.
        """
        with self._db.transaction():
            self._db.executemany(
                "UPDATE recipients SET outcome = ?, attempts = ?, next_attempt = ?, status = ?,"
                " diagnostic = ?, remote = ? WHERE item_id = ? AND position = ? AND outcome = 'WAITING'",
                [(*_state(r), item.item_id, position) for position, r in enumerate(item.recipients)],
            )
            self._renew(item)
            gone = self._db.change(
                "DELETE FROM items WHERE item_id = ? AND NOT EXISTS (SELECT 1 FROM recipients r"
                " WHERE r.item_id = items.item_id AND r.outcome = 'WAITING')",
                (item.item_id,),
            )
        if gone:
            self.remove_file(item.item_id)

    def release(self, item: Item) -> None:
        """Give up the claim without a change."""
        self._db.change(
            "UPDATE items SET claimed_by = '', claimed_until = 0 WHERE item_id = ? AND claimed_by = ?",
            (item.item_id, self._me),
        )

    def list(self) -> Sequence[Item]:
        """Everything queued, oldest first, claimed or not."""
        return self._items([row[0] for row in self._db.execute("SELECT item_id FROM items")])

    def drop(self, item_id: str) -> None:
        """Destroy a queued message unsent, whoever works on it; Refusal(NO_SUCH_MESSAGE)."""
        if not self._db.change("DELETE FROM items WHERE item_id = ?", (item_id,)):
            raise Refusal(Reason.NO_SUCH_MESSAGE, "There is no such message in the queue.")
        self.remove_file(item_id)

    def flush(self, now: int) -> int:
        """Make every waiting recipient due now; how many there are."""
        return self._db.change("UPDATE recipients SET next_attempt = ? WHERE outcome = 'WAITING'", (now,))

    def remove_file(self, item_id: str) -> None:
        """After its row: a kill in between leaves an orphan, which `due` removes in time."""
        with suppress(OSError):
            (self._directory / item_id).unlink()

    def _renew(self, item: Item) -> None:
        self._db.change(
            "UPDATE items SET claimed_until = ? WHERE item_id = ? AND claimed_by = ?",
            (int(self._clock()) + LEASE, item.item_id, self._me),
        )

    def _items(self, item_ids: Sequence[str]) -> Sequence[Item]:
        found: dict[str, Item] = {}
        recipients: dict[str, list[Recipient]] = {}
        rows = self._db.execute(
            "SELECT item_id, sender, account_id, queued_at, local, domain, outcome, attempts, next_attempt,"
            " status, diagnostic, remote FROM items JOIN recipients USING (item_id)"
            " WHERE item_id IN (SELECT value FROM json_each(?)) ORDER BY queued_at, item_id, position",
            (json.dumps(item_ids),),
        )
        for item_id, sender, account_id, queued_at, local, domain, outcome, *rest in rows:
            found.setdefault(item_id, Item(item_id, sender, account_id, queued_at, ()))
            recipients.setdefault(item_id, []).append(
                Recipient(Address(local, domain), Outcome[outcome], *rest)
            )
        return [replace(item, recipients=tuple(recipients[item.item_id])) for item in found.values()]

    def _write(self, item_id: str, content: bytes) -> None:
        path = self._directory / item_id
        try:
            with open(path, "xb", opener=_private) as file:
                for chunk in self._sealed(item_id, memoryview(content)):
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            _sync(self._directory)
        except OSError:
            path.unlink(missing_ok=True)
            raise Unavailable from None

    def _sealed(self, item_id: str, content: memoryview) -> Iterator[bytes]:
        for start in range(0, max(len(content), 1), _CHUNK):
            piece = bytes(content[start : start + _CHUNK])
            last = start + _CHUNK >= len(content)
            yield seal_bytes(self._file_key, piece, _context(item_id, start, last))

    def _read(self, item_id: str) -> bytes:
        try:
            with (self._directory / item_id).open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                pieces = []
                for start in range(0, max(size, 1), _CHUNK + SEAL_OVERHEAD):
                    sealed = file.read(_CHUNK + SEAL_OVERHEAD)
                    last = file.tell() >= size
                    position = start // (_CHUNK + SEAL_OVERHEAD) * _CHUNK
                    pieces.append(open_bytes(self._file_key, sealed, _context(item_id, position, last)))
        except FileNotFoundError:
            raise Damaged("a queued message's file is gone") from None
        except OSError:
            raise Unavailable from None
        return b"".join(pieces)

    def _clean(self, now: int) -> None:
        """Remove files that no row speaks of, every now and then."""
        if now - self._cleaned < ORPHAN_AGE:
            return
        self._cleaned = now
        known = {row[0] for row in self._db.execute("SELECT item_id FROM items")}
        with suppress(OSError):  # another process may be cleaning too; what is left waits for the next time
            for path in self._directory.iterdir():
                orphan = _ITEM_ID.fullmatch(path.name) and path.name not in known
                if orphan and path.stat().st_mtime < now - ORPHAN_AGE:
                    path.unlink()


def _state(recipient: Recipient) -> tuple[str, int, int, str, str, str]:
    return (
        recipient.outcome.name,
        recipient.attempts,
        recipient.next_attempt,
        recipient.status,
        recipient.diagnostic,
        recipient.remote,
    )


def _context(item_id: str, position: int, last: bool) -> bytes:
    """Binds a chunk to its message, place and end: no reordering, no cutting short."""
    return b"secure-inbox spool 1\0%s\0%d\0%d" % (item_id.encode(), position, last)


def _alive(claimed_by: str) -> bool:
    """Whether the process that made the claim still runs; its start time tells a reused pid."""
    pid, _, rest = claimed_by.partition(" ")
    return bool(pid) and _started(int(pid)) == rest.partition(" ")[0]


def _started(pid: int) -> str:
    """Field 22 of /proc/PID/stat (proc(5)), counted after the name, which may hold anything."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return ""
    return stat.rpartition(b")")[2].split()[19].decode("ascii")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
