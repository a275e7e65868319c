"""The audit log: who did what and when, sealed line by line, so that a change shows.

Apart because it must outlive every other part: it is written at once, by one write(2) per
line, and needs nothing but a directory. Facts come from the doors, so their values may have
been chosen by a stranger: a fact is a short token or numbers, with no room for content.

    ROOT/audit/<YYYY-MM-DD>/<process>.log        one writer per file, a new file each UTC day
    line = number SP base64( nonce, AES-256-GCM( JSON ), tag ) LF

Associated data: the file's day and name, the line's number and the tag of the line before.
A line that was changed, moved or taken out of the middle does not open. Not seen yet: the
removal of a whole tail or file. A last line without LF is a kill in mid-write, no fault.
"""

from __future__ import annotations

import base64
import heapq
import json
import os
import re
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from keys.wrapping import WrongKey, open_bytes, seal_bytes
from mail.errors import Unavailable
from mail.numbers import NumberSet
from mail.secret import Secret

EVENTS = {
    # getting in
    "login": "a member came in",
    "login refused": "a wrong name or password",
    "login throttled": "too many wrong passwords",
    "logout": "a session of a member ended",
    # mail
    "delivered": "a message from the organisation was stored for a member",
    "submitted": "a member sent a message",
    "appended": "a client filed a message",
    "read": "the body of a message was opened",
    "copied": "messages were copied",
    "moved": "messages were moved",
    "expunged": "messages were destroyed by the member",
    "expired": "messages reached their end and were destroyed",
    "refused": "a message or a recipient was refused",
    # outbound
    "queued": "a message was put into the spool",
    "relayed": "a recipient's server took a message",
    "deferred": "a recipient's server will be tried again",
    "undeliverable": "a recipient's server refused for good",
    "bounced": "a notification of failure was put into the sender's inbox",
    "bounce put off": "the notification could not be stored yet",
    "delivery failed": "an attempt broke off for a fault of ours",
    "not released": "a claim on a queued message could not be given back",
    "queue dropped": "a sysadmin removed a queued message",
    "queue flushed": "a sysadmin made queued messages due",
    "spool unavailable": "the queue could not be read",
    # accounts
    "account added": "",
    "account locked": "",
    "account unlocked": "",
    "account deleted": "",
    "hold set": "mail of the account is not destroyed",
    "hold released": "time catches up with the mail of the account",
    "password changed": "",
    "key exported": "",
    # the house
    "retention run": "what is due was destroyed",
    "damaged": "something stored fails its integrity check",
    "started": "a process began",
    "stopped": "a process ended",
}
"""Every event there is; `note` refuses others, so that the log has one vocabulary."""

Fact = str | int | Iterable[int]

_TOKEN = re.compile(r"[A-Za-z0-9._:+/\[\]-]{0,128}")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_FIRST = bytes(16)


@dataclass(frozen=True, slots=True)
class Line:
    """One event. `place` is "day/file:number"."""

    place: str
    at: int
    event: str
    account_id: str
    facts: dict[str, str | int]


@dataclass(frozen=True, slots=True)
class Finding:
    """What `verify` met. `fault` is False for a last line torn by a kill."""

    place: str
    words: str
    fault: bool = True


class AuditLog:
    """This process's pen. Used from any thread; nothing is buffered."""

    def __init__(self, root: Path, key: Secret, clock: Callable[[], float]) -> None:
        """`key` is the derived AUDIT key; `root` is the data root; nothing is opened yet."""
        self._directory = root / "audit"
        self._key = key
        self._clock = clock
        self._lock = threading.Lock()
        self._fd = -1
        self._path = ""
        self._number = 0
        self._size = 0
        self._tag = _FIRST

    def note(self, event: str, account_id: str, **facts: Fact) -> None:
        """One line, in the kernel's hands on return. ValueError for an event not in the table;
        Unavailable when it cannot be written: then the caller's act must not go on unseen."""
        if event not in EVENTS:
            raise ValueError("an event that is not in the table")
        now = self._clock()
        body = {"at": int(now), "event": event, "account": _plain(account_id)}
        if facts:
            body["facts"] = {name: _plain(value) for name, value in facts.items()}
        content = json.dumps(body, separators=(",", ":")).encode()
        with self._lock:
            try:
                self._turn_to(datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d"))
                self._append(content)
            except OSError:
                raise Unavailable from None

    def close(self) -> None:
        """Idempotent; a later `note` begins a new file."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
            self._fd, self._path = -1, ""

    def _turn_to(self, day: str) -> None:
        """A file of this process for that day; whoever forks gets a new file by its new pid."""
        name = f"{os.getpid()}."
        if self._path.startswith(f"{day}/{name}"):
            return
        folder = self._directory / day
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = f"{day}/{name}{secrets.token_hex(4)}.log"
        fd = os.open(
            self._directory / path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600
        )
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._path, self._number, self._size, self._tag = fd, path, 0, 0, _FIRST

    def _append(self, content: bytes) -> None:
        sealed = seal_bytes(self._key, content, _context(self._path, self._number, self._tag))
        line = _spell(self._number, sealed)
        try:
            written = os.write(self._fd, line)
        except OSError:
            written = 0
        if written != len(line):  # a full disk: take the piece back, or it would look like tampering
            os.ftruncate(self._fd, self._size)
            raise Unavailable
        self._number += 1
        self._size += len(line)
        self._tag = sealed[-16:]


def read(root: Path, key: Secret) -> Iterator[Line]:
    """All lines that open, by time; what does not open is for `verify` to tell."""
    days = [_in_order(paths, key) for paths in _days(root)]
    for lines in days:
        yield from lines


def verify(root: Path, key: Secret) -> list[Finding]:
    """Every line of every file, in order. Empty when all is well."""
    found: list[Finding] = []
    for paths in _days(root):
        for path in paths:
            found.extend(item for item in _walk(path, key) if isinstance(item, Finding))
    return found


def _in_order(paths: Sequence[Path], key: Secret) -> Iterator[Line]:
    files = [(item for item in _walk(path, key) if isinstance(item, Line)) for path in paths]
    return heapq.merge(*files, key=lambda line: line.at)


def _days(root: Path) -> Iterator[list[Path]]:
    try:
        days = sorted(p for p in (root / "audit").iterdir() if _DAY.fullmatch(p.name))
    except FileNotFoundError:
        return
    for day in days:
        yield sorted(day.glob("*.log"))


def _walk(path: Path, key: Secret) -> Iterator[Line | Finding]:
    """Each line opened, or what is wrong with it; after a fault the chain goes on from the
    next line's own words, so that one fault is reported once or twice, not for every line."""
    name = f"{path.parent.name}/{path.name}"
    expected, tag = 0, _FIRST
    with path.open("rb") as file:
        for raw in file:
            place = f"{name}:{expected}"
            if not raw.endswith(b"\n"):
                yield Finding(
                    place, "the last line is torn: its process was killed in mid-write", fault=False
                )
                return
            number, sealed = _split(raw)
            if number is None or len(sealed) < 16:
                yield Finding(place, "is not a line of this log")
                expected += 1
                continue
            if number != expected:
                yield Finding(place, f"the next line has number {number}: lines were removed or moved")
            try:
                content = open_bytes(key, sealed, _context(name, number, tag))
            except WrongKey:
                yield Finding(f"{name}:{number}", "was changed, or does not follow the line before it")
            else:
                yield _line(f"{name}:{number}", content)
            expected, tag = number + 1, sealed[-16:]


def _split(raw: bytes) -> tuple[int | None, bytes]:
    """Only the one spelling that `_spell` writes: else a byte could change unseen."""
    digits, _, encoded = raw.partition(b" ")
    try:
        number, sealed = int(digits[:18]), base64.b64decode(encoded)
    except ValueError:
        return None, b""
    return (number, sealed) if _spell(number, sealed) == raw else (None, b"")


def _spell(number: int, sealed: bytes) -> bytes:
    return b"%d %s\n" % (number, base64.b64encode(sealed))


def _line(place: str, content: bytes) -> Line:
    body = json.loads(content)
    return Line(place, body["at"], body["event"], body["account"], body.get("facts", {}))


def _context(path: str, number: int, tag: bytes) -> bytes:
    return b"secure-inbox audit 1\0%s\0%d\0%s" % (path.encode(), number, tag)


def _plain(value: Fact) -> str | int:
    """A token, a number, or numbers as a set; anything else becomes "?": it might be content."""
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str):
        return value if _TOKEN.fullmatch(value) else "?"
    return NumberSet.of(value).render().decode("ascii")
