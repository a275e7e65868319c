"""The sealed index of one account: its tables, and how they are changed.

Apart because every other index module reads these tables. Strangers' bytes lie in the
columns, never in SQL. The narrow table (`entry`) holds what every listing needs and nothing
else, so that 10,000 flags are 150 pages; what is wide lies in tables of its own, by what is
asked for together.

One mod-sequence counter per account (RFC 7162 section 3.1: strictly increasing), given out
once per transaction. UIDs and UIDVALIDITY are never given out twice (RFC 9051 section 2.3.1.1).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from store.blobs import BlobName
from store.marks import Marks
from store.sealed_db import Connection, Row

SCHEMA = (
    """
    CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    INSERT INTO counter VALUES ('mod_seq', 1), ('uid_validity', 0), ('folder', 0), ('message', 0);

    CREATE TABLE folder (
        folder_id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        uid_validity INTEGER NOT NULL UNIQUE,
        special_use TEXT NOT NULL,
        uid_next INTEGER NOT NULL DEFAULT 1,
        recent_from INTEGER NOT NULL DEFAULT 1,  -- first UID that no session has claimed
        mod_seq INTEGER NOT NULL
    );
    CREATE TABLE subscription (name TEXT PRIMARY KEY) WITHOUT ROWID;
    CREATE TABLE keyword (name TEXT PRIMARY KEY COLLATE NOCASE) WITHOUT ROWID;

    CREATE TABLE entry (
        folder_id INTEGER NOT NULL,
        uid INTEGER NOT NULL,
        message_no INTEGER NOT NULL,
        flags TEXT NOT NULL,  -- sorted, separated by one space
        mod_seq INTEGER NOT NULL,
        size INTEGER NOT NULL,
        internal_date INTEGER NOT NULL,
        saved INTEGER NOT NULL,
        expires INTEGER NOT NULL,
        PRIMARY KEY (folder_id, uid)
    ) WITHOUT ROWID;
    CREATE INDEX entry_message ON entry (message_no);
    CREATE INDEX entry_change ON entry (folder_id, mod_seq);
    CREATE INDEX entry_expiry ON entry (expires);

    CREATE TABLE vanished (
        folder_id INTEGER NOT NULL,
        mod_seq INTEGER NOT NULL,
        uid INTEGER NOT NULL,
        PRIMARY KEY (folder_id, mod_seq, uid)
    ) WITHOUT ROWID;

    CREATE TABLE message (
        message_no INTEGER PRIMARY KEY,
        file TEXT NOT NULL UNIQUE,
        rfc_id BLOB NOT NULL,  -- Message-ID without angle brackets
        sent INTEGER NOT NULL,
        sent_day INTEGER,
        complete INTEGER NOT NULL
    );
    CREATE INDEX message_rfc_id ON message (rfc_id);
    CREATE TABLE listing (
        message_no INTEGER PRIMARY KEY,
        envelope BLOB NOT NULL,
        body BLOB NOT NULL,
        body_structure BLOB NOT NULL
    );
    CREATE TABLE parts (message_no INTEGER PRIMARY KEY, parts BLOB NOT NULL);
    CREATE TABLE header (message_no INTEGER PRIMARY KEY, block BLOB NOT NULL);
    CREATE TABLE words (
        message_no INTEGER PRIMARY KEY,
        subject BLOB NOT NULL,
        from_ BLOB NOT NULL,
        to_ BLOB NOT NULL,
        cc BLOB NOT NULL,
        bcc BLOB NOT NULL
    );
    CREATE TABLE header_text (message_no INTEGER PRIMARY KEY, text BLOB NOT NULL);
    CREATE TABLE body_text (message_no INTEGER PRIMARY KEY, text BLOB NOT NULL);

    -- Messages without an entry, whose file is still to be removed.
    CREATE TABLE doomed (message_no INTEGER PRIMARY KEY);

    -- What was here, until the retention of it ends, even when the member removed it:
    -- 'id' + Message-ID makes a reply a reply; 'content' + digest stops an old message
    -- from being young again by a download and an upload.
    CREATE TABLE lineage (
        kind TEXT NOT NULL,
        value BLOB NOT NULL,
        expires INTEGER NOT NULL,
        PRIMARY KEY (kind, value)
    ) WITHOUT ROWID;
    CREATE INDEX lineage_expiry ON lineage (expires);
    """,
    """
    ALTER TABLE lineage ADD COLUMN delivered INTEGER NOT NULL DEFAULT 0;

    -- Who put a message into Sent, for an hour: the gateway and the client file a copy each,
    -- and one is enough (store.index_sent).
    CREATE TABLE filing (
        message_no INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        by TEXT NOT NULL,  -- 'gateway', 'client', or 'both': a copy of the gateway's, claimed
        leaves INTEGER NOT NULL
    );

    -- The highest UIDVALIDITY that a name has had before (RFC 9051 section 2.3.1.1). The
    -- oldest make room; the counter 'former' is as high as any of those.
    CREATE TABLE former (name TEXT PRIMARY KEY, uid_validity INTEGER NOT NULL) WITHOUT ROWID;
    CREATE INDEX former_age ON former (uid_validity);
    INSERT INTO counter VALUES ('former', 0);
    """,
)

_PER_MESSAGE = (
    "message",
    "listing",
    "parts",
    "header",
    "words",
    "header_text",
    "body_text",
    "filing",
    "doomed",
)


@contextmanager
def writing(db: Connection) -> Iterator[int]:
    """A transaction, durable at its end; yields the mod-sequence that its changes carry."""
    with db.transaction():
        yield next_value(db, "mod_seq")


def next_value(db: Connection, counter: str, count: int = 1) -> int:
    """The first of `count` numbers never given out before, within the caller's transaction.

    Not max + 1 of a table: a number used again could be taken for the row that it named.
    """
    rows = db.execute(
        "UPDATE counter SET value = value + ? WHERE name = ? RETURNING value", (count, counter)
    )
    return int(rows[0][0]) - count + 1


def listed(numbers: Iterable[int]) -> str:
    """Numbers as the one bound value that `IN (SELECT value FROM json_each(?))` takes."""
    return json.dumps(list(numbers))


def touch(db: Connection, folder_id: int, mod_seq: int) -> None:
    """Something in this folder changed."""
    db.change("UPDATE folder SET mod_seq = ? WHERE folder_id = ?", (mod_seq, folder_id))


def remove_entries(db: Connection, mod_seq: int, folder_id: int, uids: Sequence[int]) -> None:
    """Take entries out of a folder: they become vanished, and messages that lie nowhere else
    are doomed. Within the caller's transaction; UIDs that are gone do no harm."""
    chosen = listed(uids)
    where = "folder_id = ? AND uid IN (SELECT value FROM json_each(?))"
    gone = db.execute(f"DELETE FROM entry WHERE {where} RETURNING uid, message_no", (folder_id, chosen))  # noqa: S608
    if not gone:
        return
    db.executemany("INSERT INTO vanished VALUES (?, ?, ?)", [(folder_id, mod_seq, row[0]) for row in gone])
    doom(db, [row[1] for row in gone])
    touch(db, folder_id, mod_seq)


def doom(db: Connection, message_nos: Iterable[int]) -> None:
    """Mark those that no entry refers to any more."""
    db.change(
        "INSERT OR IGNORE INTO doomed SELECT value FROM json_each(?)"
        " WHERE NOT EXISTS (SELECT 1 FROM entry WHERE message_no = value)",
        (listed(message_nos),),
    )


def purge(db: Connection, now: int) -> bool:
    """Turn expired entries into vanished ones; whether there were any. P13: no path may
    answer from them, so this runs at every look at a folder and costs one index probe."""
    if not db.execute("SELECT 1 FROM entry WHERE expires <= ? LIMIT 1", (now,)):
        return False
    with writing(db) as mod_seq:
        due = db.execute("SELECT folder_id, uid FROM entry WHERE expires <= ?", (now,))
        _let_go(db, mod_seq, due)
        db.change("DELETE FROM lineage WHERE expires <= ?", (now,))
    return True


def heed(db: Connection, marks: Marks) -> bool:
    """The same for what sweeps ahead of the clock have declared gone (`Marks.gone`); whether
    there was any. From here on `expires > now` is all that a reader has to ask of what is left."""
    # A file's name begins with the second of its delivery; the cast takes just that.
    due = (
        "SELECT folder_id, uid FROM entry JOIN message USING (message_no)"
        " WHERE expires <= ? AND CAST(file AS INTEGER) <= ?"
    )
    remembered = "SELECT 1 FROM lineage WHERE expires <= ? AND delivered <= ?"
    probes = [f"{query} LIMIT 1" for query in (due, remembered)]
    if not any(db.execute(probe, (mark.until, mark.at)) for mark in marks.each for probe in probes):
        return False
    with writing(db) as mod_seq:
        for mark in marks.each:
            _let_go(db, mod_seq, db.execute(due, (mark.until, mark.at)))
            db.change("DELETE FROM lineage WHERE expires <= ? AND delivered <= ?", (mark.until, mark.at))
    return True


def _let_go(db: Connection, mod_seq: int, due: Iterable[Row]) -> None:
    by_folder: dict[int, list[int]] = {}
    for folder_id, uid in due:
        by_folder.setdefault(folder_id, []).append(uid)
    for folder_id, uids in by_folder.items():
        remove_entries(db, mod_seq, folder_id, uids)


def doomed(db: Connection, at_most: int) -> list[tuple[int, BlobName]]:
    """Messages whose file has to go. The rows go last (`forget`): a kill between leaves a row
    without a file, which the next session finishes, never a file without a row."""
    rows = db.execute(
        "SELECT message_no, file FROM doomed JOIN message USING (message_no) LIMIT ?", (at_most,)
    )
    named = [(number, BlobName.parse(file)) for number, file in rows]
    return [(number, name) for number, name in named if name is not None]


def forget(db: Connection, message_nos: Sequence[int]) -> None:
    """Remove every row of these messages, once their files are gone."""
    chosen = listed(message_nos)
    with db.transaction():
        for table in _PER_MESSAGE:
            db.change(
                f"DELETE FROM {table} WHERE message_no IN (SELECT value FROM json_each(?))",  # noqa: S608
                (chosen,),
            )
