"""What lies in a folder: entries, flags, copying, moving, expunging, and the listings.

Apart because these are the paths that a client with 10,000 messages walks all day. Callers
pass UIDs that a client chose; those that are gone are left out, never an error. Each read
leaves expired messages out by itself (P13), also when nobody purged them.

RFC 9051 sections 6.4.5 to 6.4.9, RFC 7162 (mod-sequences), RFC 6851 (MOVE), RFC 4315.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from mail.errors import Reason, Refusal
from mail.mailbox import (
    SYSTEM_FLAGS,
    Changes,
    Column,
    Copied,
    Entry,
    FlagChange,
    Flags,
    Folder,
)
from store.blobs import BlobName
from store.index import listed, remove_entries, touch, writing
from store.index_folders import require, take_uids
from store.sealed_db import Connection

MAX_KEYWORDS = 1000
MAX_KEYWORD_OCTETS = 255
SLICE = 500
"""Rows read at a time: between slices no statement is open, so that writers are not refused
for holding an old snapshot, and the caller may let other sessions run."""

_EXPRESSIONS = {
    Column.UID: "e.uid",
    Column.FLAGS: "e.flags",
    Column.MOD_SEQ: "e.mod_seq",
    Column.INTERNAL_DATE: "e.internal_date",
    Column.SENT: "m.sent + (m.sent_day IS NULL) * e.internal_date",  # sent is 0 where there is none
    Column.SIZE: "e.size",
    Column.EXPIRES: "e.expires",
    Column.SAVE_DATE: "e.saved",
    Column.EMAIL_ID: "m.file",
    Column.MESSAGE_ID: "m.rfc_id",
    Column.ENVELOPE: "l.envelope",
    Column.BODY: "l.body",
    Column.BODY_STRUCTURE: "l.body_structure",
    Column.HEADER: "h.block",
    Column.PARTS: "p.parts",
}
_TABLES = {"m": "message", "l": "listing", "h": "header", "p": "parts"}
_SYSTEM = {flag.lower(): flag for flag in SYSTEM_FLAGS}


class _FlagSets(dict[str, Flags]):
    """Stored text to flags, each combination made once. One for each call: nothing of a
    member's may outlive their session or meet another's."""

    def __missing__(self, text: str) -> Flags:
        made = self[text] = frozenset(text.split())
        return made


class Located(NamedTuple):
    """Where a message's bytes are."""

    name: BlobName
    complete: bool


def entries(db: Connection, folder: Folder, now: int) -> list[Entry]:
    """All, ascending by UID; Refusal(NO_SUCH_FOLDER)."""
    require(db, folder)
    rows = db.execute(
        "SELECT uid, flags, mod_seq FROM entry WHERE folder_id = ? AND expires > ? ORDER BY uid",
        (folder.folder_id, now),
    )
    return _entries(rows)


def changes(db: Connection, folder: Folder, since: int, now: int) -> Changes:
    """After mod-sequence `since`; Refusal(NO_SUCH_FOLDER)."""
    rows = db.execute(
        "SELECT mod_seq, uid_next FROM folder WHERE folder_id = ? AND uid_validity = ?",
        (folder.folder_id, folder.uid_validity),
    )
    if not rows:
        raise Refusal(Reason.NO_SUCH_FOLDER, "The folder was removed.")
    highest, uid_next = rows[0]
    if highest <= since:
        return Changes((), (), highest, uid_next)
    after = (folder.folder_id, since)
    changed = db.execute(
        "SELECT uid, flags, mod_seq FROM entry WHERE folder_id = ? AND mod_seq > ? AND expires > ?"
        " ORDER BY uid",
        (*after, now),
    )
    vanished = db.execute(
        "SELECT uid FROM vanished WHERE folder_id = ? AND mod_seq > ? ORDER BY uid", after
    )
    return Changes(_entries(changed), [row[0] for row in vanished], highest, uid_next)


def rows(
    db: Connection, folder: Folder, uids: Sequence[int], columns: Sequence[Column], now: int
) -> Iterator[tuple[Any, ...]]:
    """`imap_out.ports.Mailstore.rows`, read in slices."""
    expressions = [_EXPRESSIONS[column] for column in columns]
    joins = "".join(
        f" JOIN {table} {alias} ON {alias}.message_no = e.message_no"
        for alias, table in _TABLES.items()
        if any(expression.startswith(alias + ".") for expression in expressions)
    )
    select = f"SELECT {', '.join(['e.uid', *expressions])} FROM entry e{joins}"  # noqa: S608
    mend = _Mend(columns)
    for start in range(0, len(uids), SLICE):
        wanted = uids[start : start + SLICE]
        found = _slice(db, select, folder.folder_id, wanted, now)
        yield from mend(row[1:] for row in found)


def locate(db: Connection, folder: Folder, uid: int, now: int) -> Located:
    """The message's file; Refusal(NO_SUCH_MESSAGE | EXPIRED)."""
    found = db.execute(
        "SELECT file, complete, expires FROM entry JOIN message USING (message_no)"
        " WHERE folder_id = ? AND uid = ?",
        (folder.folder_id, uid),
    )
    name = BlobName.parse(found[0][0]) if found else None
    if name is None:
        raise Refusal(Reason.NO_SUCH_MESSAGE, "The message is not there any more.")
    if found[0][2] <= now:
        raise Refusal(Reason.EXPIRED, "The message has expired.")
    return Located(name, bool(found[0][1]))


def change_flags(
    db: Connection,
    folder: Folder,
    uids: Sequence[int],
    how: FlagChange,
    flags: Flags,
    *,
    unchanged_since: int | None,
    now: int,
) -> tuple[list[Entry], list[int]]:
    """`imap_out.ports.Mailstore.change_flags`; Refusal(LIMIT) for too many keywords."""
    select = "SELECT e.uid, e.flags, e.mod_seq FROM entry e"
    changed: list[tuple[str, int, int, int]] = []
    now_there: list[Entry] = []
    left_alone: list[int] = []
    flags_of = _FlagSets()
    with writing(db) as mod_seq:
        require(db, folder)
        given = canonical_flags(db, flags)
        for start in range(0, len(uids), SLICE):
            for uid, text, old in _slice(db, select, folder.folder_id, uids[start : start + SLICE], now):
                if unchanged_since is not None and old > unchanged_since:
                    left_alone.append(uid)
                    continue
                before = flags_of[text]
                after = how.applied(before, given)
                if after == before:  # RFC 7162 section 3.1: no change, no new mod-sequence
                    now_there.append(Entry(uid, before, old))
                else:
                    changed.append((flags_text(after), mod_seq, folder.folder_id, uid))
                    now_there.append(Entry(uid, after, mod_seq))
        if changed:
            db.executemany(
                "UPDATE entry SET flags = ?, mod_seq = ? WHERE folder_id = ? AND uid = ?", changed
            )
            touch(db, folder.folder_id, mod_seq)
    return now_there, left_alone


def copy(
    db: Connection, source: Folder, uids: Sequence[int], target: Folder, now: int, *, moving: bool
) -> Copied:
    """COPY, and MOVE in the same transaction. The expiry goes along: moving a message about
    never makes it younger (P13)."""
    with writing(db) as mod_seq:
        require(db, source)
        current = require(db, target)
        chosen: list[tuple[Any, ...]] = []
        select = "SELECT e.uid, e.message_no, e.flags, e.size, e.internal_date, e.expires FROM entry e"
        for start in range(0, len(uids), SLICE):
            chosen.extend(_slice(db, select, source.folder_id, uids[start : start + SLICE], now))
        first = take_uids(db, target.folder_id, len(chosen))
        db.executemany(
            "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (target.folder_id, uid, number, flags, mod_seq, size, date, now, expires)
                for uid, (_, number, flags, size, date, expires) in enumerate(chosen, first)
            ],
        )
        sources = [row[0] for row in chosen]
        if moving:
            remove_entries(db, mod_seq, source.folder_id, sources)
        if chosen:
            touch(db, target.folder_id, mod_seq)
    return Copied(current.uid_validity, sources, range(first, first + len(sources)))


def expunge(db: Connection, folder: Folder, uids: Sequence[int]) -> None:
    """Those of the UIDs that carry \\Deleted now, whatever a session last saw."""
    with writing(db) as mod_seq:
        require(db, folder)
        due = db.execute(
            "SELECT uid FROM entry WHERE folder_id = ? AND instr(flags, '\\Deleted') > 0"
            " AND uid IN (SELECT value FROM json_each(?))",
            (folder.folder_id, listed(uids)),
        )
        remove_entries(db, mod_seq, folder.folder_id, [row[0] for row in due])


def canonical_flags(db: Connection, flags: Iterable[str]) -> Flags:
    """One spelling of each: system flags as RFC 9051 has them, keywords as first seen here
    (both compare case-insensitively). Refusal(LIMIT); within a transaction."""
    known = set()
    for flag in flags:
        if flag.startswith("\\"):
            system = _SYSTEM.get(flag.lower())
            if system is None:  # RFC 9051 section 2.3.2: no other "\" flag may be made up
                raise Refusal(Reason.LIMIT, "That flag cannot be set.")
            known.add(system)
            continue
        if len(flag.encode("utf-8", "replace")) > MAX_KEYWORD_OCTETS or not flag or len(flag.split()) != 1:
            raise Refusal(Reason.LIMIT, "That keyword is too long.")
        seen = db.execute("SELECT name FROM keyword WHERE name = ?", (flag,))
        if not seen:
            if not _room_for_keyword(db, known):
                raise Refusal(Reason.LIMIT, "There are too many different keywords.")
            db.change("INSERT INTO keyword VALUES (?)", (flag,))
        known.add(seen[0][0] if seen else flag)
    return frozenset(known)


def _room_for_keyword(db: Connection, wanted: Iterable[str]) -> bool:
    """When it is full, those that no message carries go (but not `wanted`, which one soon will):
    else a client that makes up a keyword a day would one day be refused for ever."""
    if db.execute("SELECT count(*) FROM keyword")[0][0] < MAX_KEYWORDS:
        return True
    carried = set(wanted).union(*(row[0].split() for row in db.execute("SELECT DISTINCT flags FROM entry")))
    db.change(
        "DELETE FROM keyword WHERE name NOT IN (SELECT value FROM json_each(?))",
        (json.dumps(sorted(carried)),),
    )
    return bool(db.execute("SELECT count(*) FROM keyword")[0][0] < MAX_KEYWORDS)


def flags_text(flags: Flags) -> str:
    """As stored."""
    return " ".join(sorted(flags))


class _Mend:
    """Turns what SQL gives for FLAGS, EMAIL_ID and MESSAGE_ID into what the port promises."""

    def __init__(self, columns: Sequence[Column]) -> None:
        makers: dict[Column, Callable[[Any], Any]] = {
            Column.FLAGS: _FlagSets().__getitem__,
            Column.EMAIL_ID: lambda file: file.partition(".")[2].partition(",")[0],
            Column.MESSAGE_ID: lambda octets: octets.decode("utf-8", "replace"),
        }
        self._at = [(place, makers[column]) for place, column in enumerate(columns) if column in makers]

    def __call__(self, found: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
        if not self._at:
            yield from found
            return
        for row in found:
            mended = list(row)
            for place, make in self._at:
                mended[place] = make(mended[place])
            yield tuple(mended)


def _slice(
    db: Connection, select: str, folder_id: int, wanted: Sequence[int], now: int
) -> list[tuple[Any, ...]]:
    """Rows of these ascending UIDs. A run is read as a range; a scattered set by name."""
    if not wanted:
        return []
    low, high = wanted[0], wanted[-1]
    if high - low < 4 * len(wanted):
        found = db.execute(
            f"{select} WHERE e.folder_id = ? AND e.uid BETWEEN ? AND ? AND e.expires > ? ORDER BY e.uid",
            (folder_id, low, high, now),
        )
        if high - low + 1 == len(wanted):
            return found
        among = frozenset(wanted)
        return [row for row in found if row[0] in among]
    named = "e.uid IN (SELECT value FROM json_each(?))"
    return db.execute(
        f"{select} WHERE e.folder_id = ? AND {named} AND e.expires > ? ORDER BY e.uid",
        (folder_id, listed(wanted), now),
    )


def _entries(found: Iterable[tuple[Any, ...]]) -> list[Entry]:
    flags_of = _FlagSets()
    return [Entry(uid, flags_of[text], mod_seq) for uid, text, mod_seq in found]
