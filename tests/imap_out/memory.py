"""A whole Mailstore in a few dictionaries: what the contract suite says, and nothing more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from imap_out.rendering import summarise
from mail import dates, headers
from mail.errors import Reason, Refusal, Unavailable
from mail.mailbox import (
    DELETED,
    SEEN,
    Changes,
    Column,
    Copied,
    Entry,
    FlagChange,
    Flags,
    Folder,
    Status,
    Upload,
)
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
from mail.secret import Secret
from mail.summary import Summary

DEFAULTS = {
    "INBOX": "",
    "Drafts": "\\Drafts",
    "Sent": "\\Sent",
    "Trash": "\\Trash",
    "Archive": "\\Archive",
    "Junk": "\\Junk",
}


@dataclass
class Mail:
    content: bytes
    summary: Summary
    flags: Flags
    date: int
    saved: int
    mod_seq: int
    email_id: str
    expires: int


@dataclass
class Box:
    folder_id: int
    name: str
    special_use: str
    uid_next: int = 1
    recent_from: int = 1
    mails: dict[int, Mail] = field(default_factory=dict)
    vanished: list[tuple[int, int]] = field(default_factory=list)


class Account:
    """One member's mail, shared by their sessions."""

    def __init__(self, clock: Callable[[], int] = lambda: 1_795_000_000) -> None:
        self.clock = clock
        self.mod_seq = 1
        self.next_id = 1
        self.boxes: dict[str, Box] = {}
        self.subscribed: list[str] = []
        self.watchers: list[Callable[[], None]] = []
        self.bars: list[Callable[[], None]] = []
        self.reads: list[int] = []
        self.broken: set[int] = set()
        self.open_sessions = 0
        for name, use in DEFAULTS.items():
            self.add(name, use)
            self.subscribed.append(name)

    def add(self, name: str, use: str = "") -> Box:
        box = self.boxes[name] = Box(self.next_id, name, use)
        self.next_id += 1
        return box

    def changed(self) -> int:
        self.mod_seq += 1
        for told in list(self.watchers):
            asyncio.get_running_loop().call_soon(told)
        return self.mod_seq

    def deliver(self, content: bytes, name: str = "INBOX", **facts: Any) -> int:
        box = self.boxes[name]
        uid = box.uid_next
        box.uid_next += 1
        now = self.clock()
        box.mails[uid] = Mail(
            content,
            facts.get("summary") or summarise(content),
            facts.get("flags", frozenset()),
            facts.get("date", now),
            now,
            self.changed(),
            f"M{self.mod_seq}",
            facts.get("expires", now + 60 * 86_400),
        )
        return uid


class MemoryStore:
    """A session's hold on an account."""

    def __init__(self, account: Account, account_id: str = "a" * 32) -> None:
        self.account = account
        self._id = account_id
        self.closed = False
        account.open_sessions += 1

    @property
    def account_id(self) -> str:
        return self._id

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.account.open_sessions -= 1

    def folders(self) -> Sequence[Folder]:
        boxes = sorted(self.account.boxes.values(), key=lambda b: (b.name != "INBOX", b.name))
        return [self._folder(box) for box in boxes]

    def subscriptions(self) -> Sequence[str]:
        return list(self.account.subscribed)

    def folder(self, name: str) -> Folder:
        if name.upper() == "INBOX":
            name = "INBOX"
        if name not in self.account.boxes:
            raise Refusal(Reason.NO_SUCH_FOLDER, "There is no such folder.")
        return self._folder(self.account.boxes[name])

    def create(self, name: str, special_use: str = "") -> Folder:
        if name.upper() == "INBOX" or name in self.account.boxes:
            raise Refusal(Reason.FOLDER_EXISTS, "There is such a folder already.")
        levels = name.split("/")
        if any(level in ("", ".", "..") for level in levels):
            raise Refusal(Reason.FOLDER_NOT_PERMITTED, "That folder name is not permitted.")
        uses = {box.special_use for box in self.account.boxes.values()}
        if special_use and (special_use in uses or special_use not in {*DEFAULTS.values(), "\\Flagged"}):
            raise Refusal(Reason.USE_NOT_PERMITTED, "That special use is taken or unknown.")
        for depth in range(1, len(levels)):
            parent = "/".join(levels[:depth])
            if parent not in self.account.boxes:
                self.account.add(parent)
        box = self.account.add(name, special_use)
        self.account.changed()
        return self._folder(box)

    def delete(self, folder: Folder) -> None:
        box = self._box(folder)
        if box.name == "INBOX":
            raise Refusal(Reason.FOLDER_NOT_PERMITTED, "INBOX stays.")
        del self.account.boxes[box.name]
        self.account.changed()

    def rename(self, folder: Folder, name: str) -> None:
        box = self._box(folder)
        if name in self.account.boxes:
            raise Refusal(Reason.FOLDER_EXISTS, "There is such a folder already.")
        if box.name == "INBOX":
            target = self.create(name)
            self.move(folder, list(box.mails), target)
            return
        for other in [b for b in self.account.boxes if b == box.name or b.startswith(box.name + "/")]:
            moved = self.account.boxes.pop(other)
            moved.name = name + other[len(folder.name) :]
            self.account.boxes[moved.name] = moved
        self.account.changed()

    def subscribe(self, name: str, subscribed: bool) -> None:
        if subscribed and name not in self.account.subscribed:
            self.account.subscribed.append(name)
        elif not subscribed and name in self.account.subscribed:
            self.account.subscribed.remove(name)

    def status(self, folder: Folder) -> Status:
        box = self._box(folder)
        self._purge(box)
        mails = box.mails
        return Status(
            len(mails),
            sum(uid >= box.recent_from for uid in mails),
            sum(SEEN not in mail.flags for mail in mails.values()),
            sum(DELETED in mail.flags for mail in mails.values()),
            sum(len(mail.content) for mail in mails.values()),
            box.uid_next,
            self._folder(box).uid_validity,
            self.account.mod_seq,
        )

    def entries(self, folder: Folder) -> Sequence[Entry]:
        box = self._box(folder)
        self._purge(box)
        return [Entry(uid, mail.flags, mail.mod_seq) for uid, mail in sorted(box.mails.items())]

    def claim_recent(self, folder: Folder, *, read_only: bool) -> int:
        box = self._box(folder)
        first = box.recent_from
        if not read_only:
            box.recent_from = box.uid_next
        return first

    def changes(self, folder: Folder, since: int) -> Changes:
        box = self._box(folder)
        self._purge(box)
        return Changes(
            [entry for entry in self.entries(folder) if entry.mod_seq > since],
            sorted(uid for mod_seq, uid in box.vanished if mod_seq > since),
            self.account.mod_seq,
            box.uid_next,
        )

    def rows(
        self, folder: Folder, uids: Sequence[int], columns: Sequence[Column]
    ) -> Iterator[tuple[Any, ...]]:
        box = self._box(folder)
        self._purge(box)
        for uid in sorted(uids):
            if uid in box.mails:
                yield tuple(self._value(uid, box.mails[uid], column) for column in columns)

    async def content(self, folder: Folder, uid: int) -> bytes:
        box = self._box(folder)
        self._purge(box)
        if uid not in box.mails:
            raise Refusal(Reason.NO_SUCH_MESSAGE, "The message is gone.")
        if uid in self.account.broken:
            raise Unavailable
        self.account.reads.append(uid)
        await asyncio.sleep(0)
        return box.mails[uid].content

    def change_flags(
        self,
        folder: Folder,
        uids: Sequence[int],
        how: FlagChange,
        flags: Flags,
        unchanged_since: int | None = None,
    ) -> tuple[Sequence[Entry], Sequence[int]]:
        box = self._box(folder)
        entries, left = [], []
        mod_seq = self.account.changed()
        for uid in uids:
            mail = box.mails.get(uid)
            if mail is None:
                continue
            if unchanged_since is not None and mail.mod_seq > unchanged_since:
                left.append(uid)
                continue
            new = how.applied(mail.flags, flags)
            if new != mail.flags:
                mail.flags, mail.mod_seq = new, mod_seq
            entries.append(Entry(uid, mail.flags, mail.mod_seq))
        return entries, left

    async def append(
        self, folder: Folder, content: bytes, flags: Flags, internal_date: int | None
    ) -> Copied:
        box = self._box(folder)
        await asyncio.sleep(0)
        summary = summarise(content)
        facts: dict[str, Any] = {} if internal_date is None else {"date": internal_date}
        uid = self.account.deliver(content, box.name, flags=flags, summary=summary, **facts)
        return Copied(folder.uid_validity, (), (uid,))

    async def append_all(self, folder: Folder, uploads: Sequence[Upload]) -> Copied:
        self._box(folder)
        summaries = [summarise(upload.content) for upload in uploads]  # whatever fails, fails first
        assert len(summaries) == len(uploads)
        done = [await self.append(folder, *upload) for upload in uploads]
        return Copied(folder.uid_validity, (), [one.target_uids[0] for one in done])

    def copy(self, source: Folder, uids: Sequence[int], target: Folder) -> Copied:
        origin, goal = self._box(source), self._box(target)
        present = [uid for uid in uids if uid in origin.mails]
        made = []
        for uid in present:
            mail = origin.mails[uid]
            new = goal.uid_next
            goal.uid_next += 1
            goal.mails[new] = Mail(
                mail.content,
                mail.summary,
                mail.flags,
                mail.date,
                self.account.clock(),
                self.account.changed(),
                mail.email_id,
                mail.expires,
            )
            made.append(new)
        return Copied(self._folder(goal).uid_validity, present, made)

    def move(self, source: Folder, uids: Sequence[int], target: Folder) -> Copied:
        copied = self.copy(source, uids, target)
        self._remove(self._box(source), copied.source_uids)
        return copied

    def expunge(self, folder: Folder, uids: Sequence[int]) -> None:
        box = self._box(folder)
        self._remove(box, [u for u in uids if u in box.mails and DELETED in box.mails[u].flags])

    async def search(self, folder: Folder, key: Key) -> Sequence[int]:
        box = self._box(folder)
        self._purge(box)
        await asyncio.sleep(0)
        now = self.account.clock()
        return [uid for uid, mail in sorted(box.mails.items()) if _matches(key, uid, mail, now)]

    def watch(self, told: Callable[[], None]) -> Callable[[], None]:
        self.account.watchers.append(told)

        def stop() -> None:
            if told in self.account.watchers:
                self.account.watchers.remove(told)

        return stop

    def when_barred(self, told: Callable[[], None]) -> None:
        self.account.bars.append(told)

    def _folder(self, box: Box) -> Folder:
        return Folder(
            box.folder_id,
            box.name,
            1000 + box.folder_id,
            box.special_use,
            box.name in self.account.subscribed,
        )

    def _box(self, folder: Folder) -> Box:
        for box in self.account.boxes.values():
            if box.folder_id == folder.folder_id:
                return box
        raise Refusal(Reason.NO_SUCH_FOLDER, "There is no such folder.")

    def _purge(self, box: Box) -> None:
        now = self.account.clock()
        self._remove(box, [uid for uid, mail in box.mails.items() if mail.expires <= now])

    def _remove(self, box: Box, uids: Sequence[int]) -> None:
        if uids:
            mod_seq = self.account.changed()
            for uid in uids:
                del box.mails[uid]
                box.vanished.append((mod_seq, uid))

    @staticmethod
    def _value(uid: int, mail: Mail, column: Column) -> Any:
        return {
            Column.UID: uid,
            Column.FLAGS: mail.flags,
            Column.MOD_SEQ: mail.mod_seq,
            Column.INTERNAL_DATE: mail.date,
            Column.SENT: mail.date if mail.summary.sent_day is None else mail.summary.sent,
            Column.SIZE: mail.summary.size,
            Column.EXPIRES: mail.expires,
            Column.SAVE_DATE: mail.saved,
            Column.EMAIL_ID: mail.email_id,
            Column.ENVELOPE: mail.summary.envelope,
            Column.BODY: mail.summary.body,
            Column.BODY_STRUCTURE: mail.summary.body_structure,
            Column.HEADER: mail.summary.header,
            Column.PARTS: mail.summary.parts,
            Column.MESSAGE_ID: mail.summary.message_id,
        }[column]


def _matches(key: Key, uid: int, mail: Mail, now: int) -> bool:
    match key:
        case All():
            return True
        case Uids(uids):
            return uid in uids
        case Flagged(flag, present):
            return (flag.lower() in {f.lower() for f in mail.flags}) is present
        case Text(place, needle):
            if place is not Field.BODY and headers.collapsed(needle).casefold() in _headers(
                place, mail.summary
            ):
                return True
            return place in (Field.BODY, Field.TEXT) and needle.casefold() in mail.summary.text.casefold()
        case Header(name, needle):
            values = [
                headers.collapsed(headers.decode(f.value)) for f in headers.fields(mail.summary.header)
                if f.name.decode("latin-1").lower() == name.lower()
            ]  # fmt: skip
            needle = headers.collapsed(needle)
            return any(needle.casefold() in value.casefold() for value in values)
        case Dated(moment, first, end):
            day = _day(moment, mail)
            return day is not None and (first is None or first <= day) and (end is None or day < end)
        case Aged(seconds, older):
            return mail.date <= now - seconds if older else mail.date >= now - seconds
        case Sized(above, below):
            return (above is None or mail.summary.size > above) and (
                below is None or mail.summary.size < below
            )
        case EmailId(email_id):
            return mail.email_id == email_id
        case ModSeq(least):
            return mail.mod_seq >= least
        case Not(inner):
            return not _matches(inner, uid, mail, now)
        case And(keys):
            return all(_matches(k, uid, mail, now) for k in keys)
        case Or():
            return any(_matches(k, uid, mail, now) for k in alternatives(key))


def _headers(place: Field, summary: Summary) -> str:
    fields = {
        Field.SUBJECT: summary.subject,
        Field.FROM: summary.from_,
        Field.TO: summary.to,
        Field.CC: summary.cc,
        Field.BCC: summary.bcc,
        Field.TEXT: headers.lines(summary.header) + summary.part_headers,
    }
    return fields[place].casefold()


def _day(moment: Moment, mail: Mail) -> int | None:
    if moment is Moment.INTERNAL:
        return mail.date // 86_400
    if moment is Moment.SAVED:
        return mail.saved // 86_400
    for f in headers.fields(mail.summary.header):
        if f.name.lower() == b"date":
            return dates.sent_day(f.value)
    return None


class MemoryDirectory:
    """Who may come in: name -> (password, account)."""

    def __init__(self, **members: Account) -> None:
        self.members = members
        self.opened: list[MemoryStore] = []
        self.asked: list[tuple[str, str]] = []
        self.error: Exception | None = None

    async def log_in(self, name: str, password: Secret, peer: str) -> MemoryStore:
        self.asked.append((name, peer))
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        account = self.members.get(name)
        if account is None or password != Secret(b"sesame"):
            raise Refusal(Reason.LOGIN_FAILED, "The name or the password is wrong.")
        store = MemoryStore(account)
        self.opened.append(store)
        return store


class Notes:
    """A journal that remembers."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def note(self, event: str, account_id: str, **facts: Any) -> None:
        self.lines.append((event, account_id, facts))
