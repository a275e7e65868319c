"""The two copies of a sent message, of which one is enough.

Apart because what a client appends may be left out in this one case only, and wrongly would be
a loss. The gateway files what a member submits, and most clients then APPEND a copy of their
own, or have done so before they submitted. A client's copy is known by all of these: the same
Message-ID, within an hour, as many leaf parts, and no other copy was taken for it before.
Everything else that a client appends is stored (RFC 3501 section 6.3.11).

All of it within the caller's transaction, so that two processes agree. Message-IDs and
contents are a member's or their client's.
"""

from __future__ import annotations

from enum import StrEnum

from mail import structure
from mail.mailbox import Flags, Folder
from store.index import listed, remove_entries, touch
from store.index_entries import flags_text
from store.sealed_db import Connection
from store.summaries import Material

TOGETHER = 3600
"""Seconds between the two copies: a slow upload of 50 MB, a client that was offline for a while."""


class By(StrEnum):
    """Who put a message into Sent."""

    GATEWAY = "gateway"
    CLIENT = "client"
    BOTH = "both"  # the gateway, and a client's copy was taken for it


_CANDIDATES = (
    "SELECT min(uid) FROM filing JOIN message USING (message_no) JOIN entry USING (message_no)"
    " WHERE rfc_id = ? AND folder_id = ? AND expires > ? AND at > ?"
)


def twin(db: Connection, folder: Folder, material: Material, now: int, by: By) -> int | None:
    """The UID of the copy that makes this one needless. For the gateway: any that a client or an
    earlier attempt at the same submission has filed. For a client: one of the gateway's that no
    copy was taken for. None without a Message-ID."""
    if not material.message_id:
        return None
    values = [material.message_id, folder.folder_id, now, now - TOGETHER]
    if by is By.GATEWAY:
        return _one(db, _CANDIDATES, values)
    values += [By.GATEWAY, leaves(material.parts)]
    return _one(db, _CANDIDATES + " AND by = ? AND leaves = ?", values)


def claim(db: Connection, mod_seq: int, folder: Folder, uid: int, flags: Flags) -> None:
    """This one has its client's copy; the flags that the client gave are added to it."""
    where = "folder_id = ? AND uid = ?"
    ((number, text),) = db.execute(
        f"SELECT message_no, flags FROM entry WHERE {where}",  # noqa: S608
        (folder.folder_id, uid),
    )
    db.change("UPDATE filing SET by = ? WHERE message_no = ?", (By.BOTH, number))
    both = flags_text(flags.union(text.split()))
    if both != text:
        db.change(
            f"UPDATE entry SET flags = ?, mod_seq = ? WHERE {where}",  # noqa: S608
            (both, mod_seq, folder.folder_id, uid),
        )
        touch(db, folder.folder_id, mod_seq)


def note(db: Connection, file: str, material: Material, now: int, by: By) -> None:
    """Remember who filed it, for as long as it matters."""
    db.change("DELETE FROM filing WHERE at <= ?", (now - TOGETHER,))
    db.change(
        "INSERT INTO filing SELECT message_no, ?, ?, ? FROM message WHERE file = ?",
        (now, by, leaves(material.parts), file),
    )


def unfile(db: Connection, mod_seq: int, folder: Folder, uids: tuple[int, ...]) -> None:
    """Take back what the gateway filed, unless a client was told that this is its copy."""
    own = db.execute(
        "SELECT uid FROM filing JOIN entry USING (message_no)"
        " WHERE folder_id = ? AND by = ? AND uid IN (SELECT value FROM json_each(?))",
        (folder.folder_id, By.GATEWAY, listed(uids)),
    )
    remove_entries(db, mod_seq, folder.folder_id, [row[0] for row in own])


def leaves(parts: bytes) -> int:
    """How many parts of a packed part tree have none within."""
    waiting, count = [structure.unpack(parts)], 0
    while waiting:
        part = waiting.pop()
        inner = [*part.children, *([part.message] if part.message else [])]
        waiting += inner
        count += not inner
    return count


def _one(db: Connection, query: str, values: list[object]) -> int | None:
    ((uid,),) = db.execute(query, values)
    return None if uid is None else int(uid)
