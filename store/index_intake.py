"""How a message becomes rows, and what is remembered of it afterwards.

Apart because delivery's files (ingest), a client's APPEND and the gateway's Sent copy all
end here, in one transaction each. The columns hold strangers' bytes; nothing here reads
them. A file name is unique in the table, so of two processes that take in the same file one
finds it there already.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from store.blobs import BlobName
from store.index import next_value, touch
from store.index_folders import take_uids
from store.sealed_db import Connection
from store.summaries import Material


class Arrival(NamedTuple):
    """A message on its way into a folder. Times are seconds since the epoch."""

    name: BlobName
    material: Material
    internal_date: int
    flags: str


def known_files(db: Connection, names: Sequence[BlobName]) -> set[str]:
    """Those that have a row already."""
    wanted = "[" + ",".join(f'"{name}"' for name in names) + "]"
    found = db.execute("SELECT file FROM message WHERE file IN (SELECT value FROM json_each(?))", (wanted,))
    return {row[0] for row in found}


def add(db: Connection, mod_seq: int, folder_id: int, arrivals: Sequence[Arrival], now: int) -> list[int]:
    """Insert; the UIDs given, in order. Within the caller's transaction (`writing`)."""
    first_uid = take_uids(db, folder_id, len(arrivals))
    first_no = next_value(db, "message", len(arrivals))
    numbered = list(enumerate(arrivals, first_no))
    db.executemany(
        "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (folder_id, uid, number, a.flags, mod_seq, a.name.size, a.internal_date, now, a.name.expires)
            for uid, (number, a) in enumerate(numbered, first_uid)
        ],
    )
    tables: dict[str, Callable[[Arrival, Material], tuple[object, ...]]] = {
        "message": lambda a, m: (str(a.name), m.message_id, m.sent, m.sent_day, m.complete),
        "listing": lambda _a, m: (m.envelope, m.body, m.body_structure),
        "parts": lambda _a, m: (m.parts,),
        "header": lambda _a, m: (m.header,),
        "words": lambda _a, m: (m.subject, m.from_, m.to, m.cc, m.bcc),
        "header_text": lambda _a, m: (m.header_text,),
        "body_text": lambda _a, m: (m.text,),
    }
    for table, columns in tables.items():
        values = [(number, *columns(a, a.material)) for number, a in numbered]
        holes = ", ".join("?" * len(values[0])) if values else "?"
        db.executemany(f"INSERT INTO {table} VALUES ({holes})", values)  # noqa: S608
    _remember(db, arrivals, now)
    touch(db, folder_id, mod_seq)
    return list(range(first_uid, first_uid + len(arrivals)))


def holds(db: Connection, message_ids: Collection[str], now: int) -> bool:
    """Whether one of these Message-IDs is, or within its retention was, in this account (P8)."""
    keys = [_key(message_id.encode("utf-8", "replace")) for message_id in message_ids if message_id]
    return any(
        db.execute("SELECT 1 FROM lineage WHERE kind = 'id' AND value = ? AND expires > ?", (key, now))
        for key in keys
    )


def earlier_expiry(db: Connection, digest: bytes, now: int) -> int | None:
    """When the same content was here before: the expiry it has to keep (P13: a download and
    an upload do not make a message young again)."""
    found = db.execute(
        "SELECT expires FROM lineage WHERE kind = 'content' AND value = ? AND expires > ?", (digest, now)
    )
    return int(found[0][0]) if found else None


def withdraw(db: Connection, file: str) -> list[tuple[int, int]]:
    """Where a message lies whose file turned out to be gone: (folder, uid) of its entries."""
    return [
        (row[0], row[1])
        for row in db.execute(
            "SELECT folder_id, uid FROM entry JOIN message USING (message_no) WHERE file = ?", (file,)
        )
    ]


def _remember(db: Connection, arrivals: Sequence[Arrival], now: int) -> None:
    ids = [
        ("id", _key(a.material.message_id), a.name.expires, a.name.delivered)
        for a in arrivals
        if a.material.message_id
    ]
    contents = [("content", a.material.digest, a.name.expires, a.name.delivered, now) for a in arrivals]
    remember = (
        "INSERT INTO lineage (kind, value, expires, delivered) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (kind, value) DO UPDATE SET delivered = max(delivered, excluded.delivered),"
        " expires = "
    )
    db.executemany(remember + "max(expires, excluded.expires)", ids)
    db.executemany(
        remember + "iif(expires > ?, min(expires, excluded.expires), excluded.expires)", contents
    )


def _key(message_id: bytes) -> bytes:
    """An id may be as long as a header line; what is compared need not be."""
    return hashlib.sha256(message_id).digest()[:16]
