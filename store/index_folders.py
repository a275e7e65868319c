"""Folders and subscriptions as rows.

Apart because names are the one thing here that a client makes up. They are rows and never
paths (CVE-2021-40525 and its family: no name of a client's reaches a file system); they are
bounded in length, depth and number, NFC, and free of controls, so that two folders that
look the same are the same and no listing can be broken by a name.

RFC 9051 sections 5.1 (names), 6.3.4 to 6.3.9 (the commands); RFC 6154 (special use).
"""

from __future__ import annotations

import unicodedata

from mail.errors import Reason, Refusal
from mail.mailbox import Folder, Status
from store.index import doom, listed, next_value, remove_entries, touch, writing
from store.sealed_db import Connection, Row

INBOX = "INBOX"
DEFAULTS = (
    (INBOX, ""),
    ("Drafts", "\\Drafts"),
    ("Sent", "\\Sent"),
    ("Trash", "\\Trash"),
    ("Archive", "\\Archive"),
    ("Junk", "\\Junk"),
)
SPECIAL_USES = frozenset(use for _, use in DEFAULTS if use) | {"\\Flagged"}
MAX_FOLDERS = 1000
MAX_NAME_OCTETS = 1000
MAX_LEVEL_OCTETS = 255
MAX_LEVELS = 32

_COLUMNS = (
    "folder_id, name, uid_validity, special_use,"
    " EXISTS (SELECT 1 FROM subscription s WHERE s.name = folder.name)"
)
_REFUSED_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})  # controls, surrogates, line separators


def canonical(name: str) -> str:
    """The one spelling of a name; Refusal(FOLDER_NOT_PERMITTED | LIMIT)."""
    name = unicodedata.normalize("NFC", name)
    levels = name.split("/")
    if levels[0].upper() == INBOX:  # RFC 9051 section 5.1: INBOX in any case
        levels[0] = INBOX
    if len(name.encode("utf-8", "replace")) > MAX_NAME_OCTETS or len(levels) > MAX_LEVELS:
        raise Refusal(Reason.LIMIT, "That folder name is too long or too deep.")
    for level in levels:
        if len(level.encode("utf-8", "replace")) > MAX_LEVEL_OCTETS:
            raise Refusal(Reason.LIMIT, "That folder name is too long.")
        # "." and ".." mean nothing here, but an exported folder must not climb (zip slip).
        bad = any(unicodedata.category(character) in _REFUSED_CATEGORIES for character in level)
        if bad or level in ("", ".", ".."):
            raise Refusal(Reason.FOLDER_NOT_PERMITTED, "That folder name is not permitted.")
    return "/".join(levels)


def provide_defaults(db: Connection, now: int) -> None:
    """A new account's folders, all subscribed; once."""
    if db.execute("SELECT 1 FROM folder LIMIT 1"):
        return
    with writing(db) as mod_seq:
        if not db.execute("SELECT 1 FROM folder LIMIT 1"):
            for name, special_use in DEFAULTS:
                _insert(db, mod_seq, name, special_use, now)
                db.change("INSERT OR IGNORE INTO subscription VALUES (?)", (name,))


def folders(db: Connection) -> list[Folder]:
    """All, INBOX first, then by name."""
    rows = db.execute(f"SELECT {_COLUMNS} FROM folder ORDER BY name <> 'INBOX', name")  # noqa: S608
    return [_folder(row) for row in rows]


def folder(db: Connection, name: str) -> Folder:
    """By name; Refusal(NO_SUCH_FOLDER), also for a name that could not exist."""
    try:
        wanted = canonical(name)
    except Refusal:
        raise _missing() from None
    rows = db.execute(f"SELECT {_COLUMNS} FROM folder WHERE name = ?", (wanted,))  # noqa: S608
    if not rows:
        raise _missing()
    return _folder(rows[0])


def special(db: Connection, use: str, now: int) -> Folder:
    """The folder of a special use, made anew when the member removed it."""
    rows = db.execute(f"SELECT {_COLUMNS} FROM folder WHERE special_use = ?", (use,))  # noqa: S608
    if rows:
        return _folder(rows[0])
    name = next(default for default, default_use in DEFAULTS if default_use == use)
    with writing(db) as mod_seq:
        if not db.change("UPDATE folder SET special_use = ? WHERE name = ?", (use, name)):
            _insert(db, mod_seq, name, use, now)
    return folder(db, name)


def create(db: Connection, name: str, special_use: str, now: int) -> Folder:
    """With missing parents; Refusal(FOLDER_EXISTS | FOLDER_NOT_PERMITTED | USE_NOT_PERMITTED | LIMIT)."""
    # RFC 9051 section 6.3.4: a trailing separator only says that children will follow.
    wanted = canonical(name[:-1] if name.endswith("/") and len(name) > 1 else name)
    if special_use and special_use not in SPECIAL_USES:
        raise Refusal(Reason.USE_NOT_PERMITTED, "That special use is not supported.")
    with writing(db) as mod_seq:
        if _exists(db, wanted):
            raise Refusal(Reason.FOLDER_EXISTS, "There is a folder of that name already.")
        if special_use and db.execute("SELECT 1 FROM folder WHERE special_use = ?", (special_use,)):
            raise Refusal(Reason.USE_NOT_PERMITTED, "Another folder has that special use.")
        _provide_parents(db, mod_seq, wanted, now)
        _insert(db, mod_seq, wanted, special_use, now)
    return folder(db, wanted)


def delete(db: Connection, given: Folder) -> None:
    """Its messages go too, children stay (RFC 9051 section 6.3.5)."""
    if given.name == INBOX:
        raise Refusal(Reason.FOLDER_NOT_PERMITTED, "INBOX cannot be deleted.")
    with writing(db):
        current = require(db, given)
        where = (given.folder_id,)
        gone = db.execute("DELETE FROM entry WHERE folder_id = ? RETURNING message_no", where)
        doom(db, [row[0] for row in gone])
        db.change("DELETE FROM vanished WHERE folder_id = ?", where)
        db.change("DELETE FROM folder WHERE folder_id = ?", where)
        _retire(db, current.name, current.uid_validity)


def rename(db: Connection, given: Folder, name: str, now: int) -> None:
    """Children move along; INBOX gives its messages and stays (RFC 9051 section 6.3.6)."""
    wanted = canonical(name)
    with writing(db) as mod_seq:
        current = require(db, given)
        if _exists(db, wanted):
            raise Refusal(Reason.FOLDER_EXISTS, "There is a folder of that name already.")
        if wanted.startswith(current.name + "/") and current.name != INBOX:
            raise Refusal(Reason.FOLDER_NOT_PERMITTED, "A folder cannot move into itself.")
        _provide_parents(db, mod_seq, wanted, now)
        if current.name == INBOX:
            _empty_into(db, mod_seq, current, _insert(db, mod_seq, wanted, "", now))
            return
        prefix = current.name + "/"
        moving = db.execute(
            "SELECT folder_id, name, uid_validity FROM folder"
            " WHERE folder_id = ? OR substr(name, 1, ?) = ?",
            (current.folder_id, len(prefix), prefix),
        )
        moves = [
            (folder_id, old, canonical(wanted + old[len(current.name) :]), validity)
            for folder_id, old, validity in moving
        ]
        if any(_exists(db, new) for _, _, new, _ in moves):
            raise Refusal(Reason.FOLDER_EXISTS, "A folder below it has that name already.")
        for folder_id, old, new, validity in moves:
            # RFC 9051 section 2.3.1.1: a client may know the new name from an earlier folder. Only
            # then, so that who follows renames keeps what it has.
            kept = validity if validity > _former(db, new) else _fresh_validity(db, now)
            _retire(db, old, validity)
            db.change(
                "UPDATE folder SET name = ?, uid_validity = ? WHERE folder_id = ?", (new, kept, folder_id)
            )


def subscriptions(db: Connection) -> list[str]:
    """Names, ascending."""
    return [row[0] for row in db.execute("SELECT name FROM subscription ORDER BY name")]


def subscribe(db: Connection, name: str, subscribed: bool) -> None:
    """RFC 9051 section 6.3.7: the folder need not exist. Bounded like folders."""
    if not subscribed:
        db.change("DELETE FROM subscription WHERE name = ?", (unicodedata.normalize("NFC", name),))
        return
    wanted = canonical(name)
    with db.transaction():
        if db.execute("SELECT count(*) FROM subscription")[0][0] >= 2 * MAX_FOLDERS:
            raise Refusal(Reason.LIMIT, "There are too many subscriptions.")
        db.change("INSERT OR IGNORE INTO subscription VALUES (?)", (wanted,))


def status(db: Connection, given: Folder, now: int) -> Status:
    """The figures of a folder, expired messages left out."""
    current = require(db, given)
    uid_next, recent_from, mod_seq = db.execute(
        "SELECT uid_next, recent_from, mod_seq FROM folder WHERE folder_id = ?", (current.folder_id,)
    )[0]
    messages, recent, unseen, deleted, size = db.execute(
        "SELECT count(*), coalesce(sum(uid >= ?), 0), coalesce(sum(instr(flags, '\\Seen') = 0), 0),"
        " coalesce(sum(instr(flags, '\\Deleted') > 0), 0), coalesce(sum(size), 0)"
        " FROM entry WHERE folder_id = ? AND expires > ?",
        (recent_from, current.folder_id, now),
    )[0]
    return Status(messages, recent, unseen, deleted, size, uid_next, current.uid_validity, mod_seq)


def claim_recent(db: Connection, given: Folder, *, read_only: bool) -> int:
    """The first UID that no earlier session has seen (\\Recent, RFC 3501 section 2.3.2)."""
    where = (given.folder_id,)
    if read_only:
        rows = db.execute("SELECT recent_from FROM folder WHERE folder_id = ?", where)
    else:
        with db.transaction():
            rows = db.execute("SELECT recent_from, uid_next FROM folder WHERE folder_id = ?", where)
            if rows and rows[0][0] != rows[0][1]:
                db.change("UPDATE folder SET recent_from = uid_next WHERE folder_id = ?", where)
    if not rows:
        raise _missing()
    return int(rows[0][0])


def require(db: Connection, given: Folder) -> Folder:
    """The folder as it is now; Refusal(NO_SUCH_FOLDER) when it was removed or made anew."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM folder WHERE folder_id = ? AND uid_validity = ?",  # noqa: S608
        (given.folder_id, given.uid_validity),
    )
    if not rows:
        raise _missing()
    return _folder(rows[0])


def take_uids(db: Connection, folder_id: int, count: int) -> int:
    """The first of `count` fresh UIDs, within the caller's transaction."""
    rows = db.execute(
        "UPDATE folder SET uid_next = uid_next + ? WHERE folder_id = ? RETURNING uid_next",
        (count, folder_id),
    )
    if not rows:
        raise _missing()
    return int(rows[0][0]) - count


def _insert(db: Connection, mod_seq: int, name: str, special_use: str, now: int) -> int:
    if db.execute("SELECT count(*) FROM folder")[0][0] >= MAX_FOLDERS:
        raise Refusal(Reason.LIMIT, "There are too many folders.")
    validity = _fresh_validity(db, now)
    rows = db.execute(
        "INSERT INTO folder (folder_id, name, uid_validity, special_use, mod_seq) VALUES (?, ?, ?, ?, ?)"
        " RETURNING folder_id",
        (next_value(db, "folder"), name, validity, special_use, mod_seq),
    )
    return int(rows[0][0])


def _fresh_validity(db: Connection, now: int) -> int:
    """RFC 9051 section 2.3.1.1: a folder made anew has a greater UIDVALIDITY. The clock alone
    would give two in one second the same."""
    db.change("UPDATE counter SET value = max(value, ?) WHERE name = 'uid_validity'", (now,))
    return next_value(db, "uid_validity")


def _former(db: Connection, name: str) -> int:
    """The highest UIDVALIDITY that a folder of this name may have had before; 0 for none."""
    rows = db.execute(
        "SELECT max(value, coalesce((SELECT uid_validity FROM former WHERE former.name = ?), 0))"
        " FROM counter WHERE name = 'former'",
        (name,),
    )
    return int(rows[0][0])


def _retire(db: Connection, name: str, validity: int) -> None:
    """A folder of this name is no more. Names are a client's to make up, so only so many are
    remembered; of those that made room, how high they were at most."""
    db.change(
        "INSERT INTO former VALUES (?, ?)"
        " ON CONFLICT (name) DO UPDATE SET uid_validity = max(uid_validity, excluded.uid_validity)",
        (name, validity),
    )
    oldest = "(SELECT name FROM former ORDER BY uid_validity DESC LIMIT -1 OFFSET ?)"
    gone = db.execute(
        f"DELETE FROM former WHERE name IN {oldest} RETURNING uid_validity",  # noqa: S608
        (2 * MAX_FOLDERS,),
    )
    for (highest,) in gone:
        db.change("UPDATE counter SET value = max(value, ?) WHERE name = 'former'", (highest,))


def _provide_parents(db: Connection, mod_seq: int, name: str, now: int) -> None:
    levels = name.split("/")
    for depth in range(1, len(levels)):
        parent = "/".join(levels[:depth])
        if not _exists(db, parent):
            _insert(db, mod_seq, parent, "", now)


def _empty_into(db: Connection, mod_seq: int, source: Folder, target_id: int) -> None:
    """UIDs of a new folder are free to choose, so the messages keep theirs."""
    uids = [row[0] for row in db.execute("SELECT uid FROM entry WHERE folder_id = ?", (source.folder_id,))]
    db.change(
        "INSERT INTO entry SELECT ?, uid, message_no, flags, ?, size, internal_date, saved, expires"
        " FROM entry WHERE folder_id = ? AND uid IN (SELECT value FROM json_each(?))",
        (target_id, mod_seq, source.folder_id, listed(uids)),
    )
    uid_next = "(SELECT uid_next FROM folder WHERE folder_id = ?)"
    db.change(
        f"UPDATE folder SET uid_next = {uid_next} WHERE folder_id = ?",  # noqa: S608
        (source.folder_id, target_id),
    )
    remove_entries(db, mod_seq, source.folder_id, uids)
    touch(db, target_id, mod_seq)


def _exists(db: Connection, name: str) -> bool:
    return bool(db.execute("SELECT 1 FROM folder WHERE name = ?", (name,)))


def _folder(row: Row) -> Folder:
    return Folder(row[0], row[1], row[2], row[3], bool(row[4]))


def _missing() -> Refusal:
    return Refusal(Reason.NO_SUCH_FOLDER, "There is no such folder.")
