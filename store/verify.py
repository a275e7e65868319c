"""The store's checker: every file is a message, every message has its row, every row its file.

Apart because it ships to the operator and must not trust what the rest of the room believes.
Whoever can write to the disk may have changed any byte here. Without a key it checks names,
places, sizes and the OpenPGP framing; with the member's keys also that each message opens,
has the size that its name says, and stands in the index.

RFC 9580 section 4.2.1 (packet framing), 11.3 (an encrypted message is PKESKs, then a SEIPD).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from keys.outline import recipient
from mail.errors import Damaged
from store import index, sealed_db
from store.blobs import ACCOUNT_ID, SUMMARY, UNIQUE, AccountDirectory, BlobName, read_file
from store.marks import MarksFile
from store.open_accounts import Keys

_SPARE = 16_384
"""Sealing adds less: a PKESK for the one epoch, the packets' framing, the integrity tag."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is not as it should be. `path` is relative to ROOT; no content in it."""

    path: str
    what: str


def accounts(root: Path) -> list[str]:
    """Ids of all accounts that have a directory."""
    base = root / "accounts"
    return (
        sorted(path.name for path in base.iterdir() if ACCOUNT_ID.fullmatch(path.name))
        if base.is_dir()
        else []
    )


def verify(root: Path, account_id: str, now: int, keys: Keys | None = None) -> Iterator[Fault]:
    """Every fault of one account, lazily; one message in memory at a time. Changes nothing.
    Files that come and go meanwhile are no faults, nor is a row without its file that has
    expired or that a sweep has declared gone."""
    marks = MarksFile(root).current()
    directory = AccountDirectory(root, account_id)
    base = str(root)
    seen: set[str] = set()
    for path, name in _messages(directory):
        if name is None:
            yield Fault(os.path.relpath(path, base), "not the name of a message")
            continue
        what = _misplaced(directory, path, name)
        if what is None:
            seen.add(str(name))
            what = _unlike_a_message(path, name)
        if what is None and keys is not None:
            what = _does_not_open(path, name, keys)
        if what is not None and os.path.exists(path):
            yield Fault(os.path.relpath(path, base), what)
    if keys is not None and directory.index.exists():
        for what in _against_the_index(directory, keys, seen, partial(marks.gone, now=now)):
            yield Fault(os.path.relpath(directory.index, base), what)


def _messages(directory: AccountDirectory) -> Iterator[tuple[str, BlobName | None]]:
    """All files of new/ and cur/; tmp/ holds only what is not a message yet."""
    for top in (directory.new, directory.cur):
        for parent, _, files in os.walk(top):
            for file in files:
                if top == directory.cur or not file.endswith(SUMMARY):
                    yield os.path.join(parent, file), BlobName.parse(file)
    for file in os.listdir(directory.tmp) if os.path.isdir(directory.tmp) else ():
        if not UNIQUE.fullmatch(file) and BlobName.parse(file) is None:
            yield os.path.join(directory.tmp, file), None


def _misplaced(directory: AccountDirectory, path: str, name: BlobName) -> str | None:
    if os.path.dirname(path) != directory.new and path != directory.place(name):
        return "in the directory of another day"
    return None


def _unlike_a_message(path: str, name: BlobName) -> str | None:
    try:
        with open(path, "rb") as file:
            descriptor = file.fileno()
            octets = os.fstat(descriptor).st_size
            recipient(lambda start, length: os.pread(descriptor, length, start), octets)
    except OSError:
        return "cannot be read"
    except Damaged:
        return "not a sealed message"
    if not name.size <= octets <= name.size + name.size // 256 + _SPARE:
        return "not of the size that its name says"
    return None


def _does_not_open(path: str, name: BlobName, keys: Keys) -> str | None:
    try:
        content = keys.opener.open(read_file(path))
    except OSError:
        return "cannot be read"
    except Damaged:
        return "does not open"
    return None if len(content) == name.size else "not of the size that its name says"


def _against_the_index(
    directory: AccountDirectory, keys: Keys, seen: set[str], gone: Callable[[BlobName], bool]
) -> Iterator[str]:
    try:
        db = sealed_db.open(directory.index, keys.index, index.SCHEMA)
    except Damaged:
        yield "the index does not open"
        return
    try:
        if db.execute("PRAGMA cipher_integrity_check") or db.execute("PRAGMA integrity_check") != [("ok",)]:
            yield "the index fails its integrity check"
            return  # a query may run into the bad page, and says nothing worth having
        for file, entries in db.execute(
            "SELECT file, (SELECT count(*) FROM entry e WHERE e.message_no = m.message_no)"
            " + (SELECT count(*) FROM doomed d WHERE d.message_no = m.message_no) FROM message m"
        ):
            name = BlobName.parse(file)
            if name is None or not entries:
                yield f"a row without a place: {file}"
            elif not gone(name) and file not in seen and not _there(directory, name, db):
                yield f"a row without a file: {file}"
            seen.discard(file)
    finally:
        db.close()
    for file in sorted(seen):
        known = BlobName.parse(file)
        if known is not None and os.path.exists(directory.place(known)):
            yield f"a file without a row: {file}"


def _there(directory: AccountDirectory, name: BlobName, db: sealed_db.Connection) -> bool:
    """Moved since we walked, or left in tmp/ by a kill, or being removed."""
    places = (directory.place(name), f"{directory.new}/{name}", f"{directory.tmp}/{name}")
    doomed = "SELECT 1 FROM doomed JOIN message USING (message_no) WHERE file = ?"
    return any(os.path.exists(place) for place in places) or bool(db.execute(doomed, (str(name),)))
