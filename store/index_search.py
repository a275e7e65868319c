"""SEARCH: a tree of keys becomes sets of UIDs.

Apart because it is the one path whose cost a client chooses. Each leaf is one bound SQL
statement over the columns it needs, and the sets are combined here: no client text becomes
SQL, no nesting becomes a deep SQL expression, and what is dear (text) is only asked of what
is left after the cheap. Text is found with instr(): LIKE would treat "%" and "_" as wildcards.

RFC 9051 section 6.4.4. Strings compare case-insensitively, in decoded text. Runs on a thread
with a connection of its own: SQLite lets go of the GIL while it scans.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from itertools import islice
from typing import Any

from mail.errors import Reason, Refusal
from mail.headers import collapsed
from mail.mailbox import Folder
from mail.search import (
    Aged,
    All,
    And,
    Dated,
    EmailId,
    Field,
    Flagged,
    Header,
    Key,
    ModSeq,
    Moment,
    Not,
    Or,
    Sized,
    Text,
    Uids,
    alternatives,
)
from store.index import listed
from store.sealed_db import Connection
from store.summaries import fold

MAX_DEPTH = 200
MAX_KEYS = 2000
_DAY = 86_400
_FEW = 400  # below this many candidates they are named in the statement

Reader = Callable[[int], bytes]
"""UID to the whole folded text of a message whose stored text was cut."""

_WORDS = {
    Field.SUBJECT: "subject",
    Field.FROM: "from_",
    Field.TO: "to_",
    Field.CC: "cc",
    Field.BCC: "bcc",
}
_MOMENTS = {Moment.INTERNAL: "e.internal_date", Moment.SAVED: "e.saved"}
_MESSAGE = " JOIN message m ON m.message_no = e.message_no"
_COST: dict[type, int] = {
    All: 0,
    Uids: 0,
    Flagged: 1,
    ModSeq: 1,
    Sized: 1,
    Dated: 1,
    EmailId: 1,
    Aged: 1,
    Not: 3,
    Or: 3,
    And: 3,
}


def search(db: Connection, folder: Folder, key: Key, now: int, whole_text: Reader) -> list[int]:
    """UIDs that match, ascending; Refusal(LIMIT) for a key beyond the bounds."""
    _bound(key)
    rows = db.execute(
        "SELECT uid FROM entry WHERE folder_id = ? AND expires > ? ORDER BY uid", (folder.folder_id, now)
    )
    everything = [row[0] for row in rows]
    return sorted(_Search(db, folder.folder_id, everything, now, whole_text).matching(key, set(everything)))


class _Search:
    """One run: what `matching` needs to know at every level."""

    def __init__(
        self, db: Connection, folder_id: int, everything: list[int], now: int, whole_text: Reader
    ) -> None:
        self._db = db
        self._folder_id = folder_id
        self._everything = everything
        self._now = now
        self._whole_text = whole_text
        self._cut: set[int] | None = None
        self._read: dict[int, bytes] = {}

    def matching(self, key: Key, among: set[int]) -> set[int]:  # noqa: PLR0911, PLR0912 - an arm a key
        """Those of `among` that match."""
        if not among:
            return set()
        match key:
            case All():
                return among
            case Uids(uids):
                return among.intersection(uids.among(self._everything))
            case And(keys):
                for part in sorted(keys, key=_cost):
                    among = self.matching(part, among)
                return among
            case Or():
                found: set[int] = set()
                for part in sorted(alternatives(key), key=_cost):
                    found |= self.matching(part, among - found)
                return found
            case Not(inner):
                return among - self.matching(inner, among)
            case Flagged(flag, present):
                has = self._where(
                    "instr(' ' || lower(e.flags) || ' ', ?) > 0", (f" {flag.lower()} ",), among
                )
                return has if present else among - has
            case ModSeq(least):
                return self._where("e.mod_seq >= ?", (least,), among)
            case EmailId(email_id):  # between the dot and the comma of the file's name
                return self._where("instr(m.file, ?) > 0", (f".{email_id},",), among, _MESSAGE)
            case Sized(above, below):
                return self._range("e.size", None if above is None else above + 1, below, among, "")
            case Dated(Moment.SENT, first, end):  # NULL, no readable Date, is in no range
                return self._range("m.sent_day", first, end, among, _MESSAGE)
            case Dated(moment, first, end):
                first, end = (None if day is None else day * _DAY for day in (first, end))
                return self._range(_MOMENTS[moment], first, end, among, "")
            case Aged(seconds, older):  # RFC 5032 section 3: both hold at the very second
                side = "<=" if older else ">="
                return self._where(f"e.internal_date {side} ?", (self._now - seconds,), among)
            case Header(name, needle):
                return self._header(fold(name), fold(collapsed(needle)), among)
            case Text(field, needle):
                return self._text(field, fold(collapsed(needle)), fold(needle), among)

    def _text(self, field: Field, in_header: bytes, needle: bytes, among: set[int]) -> set[int]:
        """Header fields are kept with their white space collapsed, bodies as they are."""
        if not needle:
            return among
        if field in _WORDS:
            return self._holding("words", _WORDS[field], in_header, among)
        found = self._holding("header_text", "text", in_header, among) if field is Field.TEXT else set()
        found |= self._holding("body_text", "text", needle, among - found)
        if self._cut is None:
            self._cut = self._where("m.complete = 0", (), set(self._everything), _MESSAGE)
        return found | {uid for uid in (among - found) & self._cut if needle in self._whole(uid)}

    def _header(self, name: bytes, needle: bytes, among: set[int]) -> set[int]:
        if name.startswith(b" "):
            return set()  # no field's name, but it would match the indented ones of parts
        prefix = name + b":"
        candidates = self._holding("header_text", "text", needle or prefix, among)
        rows = self._rows(
            "t.text", " JOIN header_text t ON t.message_no = e.message_no", "1", (), candidates
        )
        return {
            uid
            for uid, text in rows
            if any(line.startswith(prefix) and needle in line[len(prefix) :] for line in text.split(b"\n"))
        }

    def _whole(self, uid: int) -> bytes:
        if uid not in self._read:
            self._read = {uid: self._whole_text(uid)}  # one at a time: each may be large
        return self._read[uid]

    def _holding(self, table: str, column: str, needle: bytes, among: set[int]) -> set[int]:
        join = f" JOIN {table} t ON t.message_no = e.message_no"
        return self._where(f"instr(t.{column}, ?) > 0", (needle,), among, join)

    def _range(
        self, column: str, first: int | None, end: int | None, among: set[int], join: str
    ) -> set[int]:
        bounds = ((f"{column} >= ?", first), (f"{column} < ?", end))
        given = [(condition, value) for condition, value in bounds if value is not None]
        condition = " AND ".join(text for text, _ in given) or "1"
        return self._where(condition, [value for _, value in given], among, join)

    def _where(self, condition: str, values: Collection[Any], among: set[int], join: str = "") -> set[int]:
        return among.intersection(row[0] for row in self._rows("0", join, condition, values, among))

    def _rows(
        self, column: str, join: str, condition: str, values: Collection[Any], among: set[int]
    ) -> list[tuple[Any, ...]]:
        """`condition` and `join` are texts of this module; every value is bound."""
        statement = f"SELECT e.uid, {column} FROM entry e{join} WHERE e.folder_id = ? AND ({condition})"  # noqa: S608
        bound: list[Any] = [self._folder_id, *values]
        if len(among) <= _FEW:
            statement += " AND e.uid IN (SELECT value FROM json_each(?))"
            bound.append(listed(among))
        return self._db.execute(statement, bound)


def _cost(key: Key) -> int:
    """Cheap first; text of bodies last."""
    if isinstance(key, Text):
        return 5 if key.field in (Field.BODY, Field.TEXT) else 2
    return _COST.get(type(key), 4)


def _bound(key: Key) -> None:
    """Refuse what nests or repeats beyond reason, without recursing into it (CVE-2026-27857)."""
    waiting, count = [(key, 1)], 0
    while waiting:
        inner, depth = waiting.pop()
        count += 1
        if depth > MAX_DEPTH or count > MAX_KEYS:
            raise Refusal(Reason.LIMIT, "That search is too complex.")
        match inner:
            case And(keys):
                waiting.extend((part, depth + 1) for part in keys)
            case Or():
                waiting.extend((part, depth + 1) for part in islice(alternatives(inner), MAX_KEYS))
            case Not(inside):
                waiting.append((inside, depth + 1))
