"""The retention sweep: what is due goes, by directory and name alone.

Apart because it must work when nothing else does: it needs no key, no index and no session,
and its memory does not grow with the store. Names were written by us, but whoever can write
to the disk can put anything there: what does not parse is left alone and counted.

P13: the due are removed; P14: an account under hold keeps its files; and what died half way
(markers, summaries without a message) goes once it is old enough to be nobody's.

A sweep as of a moment that has not come yet leaves a mark first (`store.marks`), by which every
index knows what has gone, and by which a later sweep finishes what a kill interrupted.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mail.errors import Unavailable
from store import marks as marking
from store.blobs import ACCOUNT_ID, SUMMARY, UNIQUE, AccountDirectory, BlobName, day_of, discard
from store.marks import Mark, Marks, MarksFile

STALE_SECONDS = 5 * 86_400
"""How long a marker waits for its peer's repetition: RFC 5321 section 4.5.4.1 has senders
try for 4 to 5 days."""


@dataclass(slots=True)
class Report:
    """What a sweep did, or with `dry_run` would do."""

    removed: int = 0  # messages
    octets: int = 0  # of their files
    held: int = 0  # messages due but under a hold
    stale: int = 0  # left-overs of deliveries that died
    unknown: int = 0  # names that are no message's
    failed: int = 0  # files that could not be removed; they are tried again next time


def sweep(
    root: Path,
    now: int,
    held: Callable[[str], bool],
    *,
    real: int | None = None,
    dry_run: bool = False,
    told: Callable[[str, int], None] | None = None,
    stale_seconds: int = STALE_SECONDS,
) -> Report:
    """Remove every message file with expiry <= now. `told(account_id, removed)` is called for
    each account that has lost some (for the audit log and the bus), or under a hold would have
    (0: its member sees no difference). Unavailable when ROOT cannot be read. Safe beside
    deliveries, ingest and other sweeps.

    `real` is a second that is over by the real clock, when `now` is ahead of it: then what was
    delivered by then is due, and what comes meanwhile is not."""
    real = now if real is None else min(real, now)
    marks = MarksFile(root).current()
    if now > real:
        ahead = Mark(real, now)
        marks = marks.and_also(ahead, real) if dry_run else marking.record(root, ahead)
    report = Report()
    for account in _subdirectories(str(root / "accounts"), must_exist=True):
        account_id = os.path.basename(account)
        if not ACCOUNT_ID.fullmatch(account_id):
            report.unknown += 1
            continue
        removed, kept = report.removed, report.held
        due = _Due(marks, real, held(account_id))
        one = _Sweep(AccountDirectory(root, account_id), due, dry_run, report)
        one.run(now - stale_seconds)
        if told is not None and (report.removed, report.held) != (removed, kept):
            told(account_id, report.removed - removed)
    return report


@dataclass(frozen=True, slots=True)
class _Due:
    """What has to go, of one account."""

    marks: Marks
    now: int
    held: bool


class _Sweep:
    """One account's part."""

    def __init__(self, directory: AccountDirectory, due: _Due, dry_run: bool, report: Report) -> None:
        self._directory = directory
        self._marks, self._now, self._held = due.marks, due.now, due.held
        self._dry_run = dry_run
        self._report = report

    def run(self, stale_before: int) -> None:
        today = day_of(self._marks.latest(self._now))
        for day in _subdirectories(self._directory.cur):
            name = os.path.basename(day)
            if name <= today:  # YYYY-MM-DD sorts by time; only what may be due is opened
                self._messages(day)
                if name < today and not self._dry_run:
                    _remove_directory(day)
        self._messages(self._directory.new)
        # An APPEND's file that a kill left there. Who is still filing one looks at the marks itself.
        self._messages(self._directory.tmp, _is_unlocked)
        self._left_overs(stale_before)

    def _messages(self, directory: str, free: Callable[[str], bool] = lambda _: True) -> None:
        for entry in _scan(directory):
            name = BlobName.parse(entry.name.removesuffix(SUMMARY))
            if name is None:
                # Markers are looked at in `_left_overs`.
                self._report.unknown += not UNIQUE.fullmatch(entry.name)
            elif self._marks.gone(name, self._now) and free(entry.path):
                self._due(entry, name)

    def _due(self, entry: os.DirEntry[str], name: BlobName) -> None:
        counted = not entry.name.endswith(SUMMARY)
        if self._held:
            self._report.held += counted
            return
        octets = _size(entry)
        if self._dry_run or self._remove(entry.path):
            self._report.removed += counted
            self._report.octets += octets
            if not self._dry_run:
                # A marker that nobody acknowledged is a second name of the same content.
                self._remove(f"{self._directory.tmp}/{name.unique}")

    def _left_overs(self, before: int) -> None:
        for entry in _scan(self._directory.tmp):
            # An APPEND's file is left to the next session: only the index knows whether it has a row.
            marker = UNIQUE.fullmatch(entry.name)
            if marker and _modified(entry) <= before and _is_unlocked(entry.path):
                self._stale(entry.path)
        for entry in _scan(self._directory.new):
            if entry.name.endswith(SUMMARY) and _modified(entry) <= before:
                message = entry.path.removesuffix(SUMMARY)
                if not os.path.exists(message):
                    self._stale(entry.path)

    def _stale(self, path: str) -> None:
        if self._dry_run or self._remove(path):
            self._report.stale += 1

    def _remove(self, path: str) -> bool:
        try:
            return discard(path)
        except OSError:
            self._report.failed += 1
            return False


def _scan(directory: str) -> Iterator[os.DirEntry[str]]:
    """Lazily; a directory that is not there is empty."""
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    yield entry
    except FileNotFoundError:
        return
    except OSError as error:
        raise Unavailable from error


def _subdirectories(directory: str, *, must_exist: bool = False) -> Iterator[str]:
    """A symbolic link is not followed: the sweep must not delete outside of the store."""
    try:
        with os.scandir(directory) as entries:
            yield from [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError as error:
        if must_exist and not os.path.isdir(os.path.dirname(directory)):
            raise Unavailable from error
    except OSError as error:
        raise Unavailable from error


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        return 0


def _modified(entry: os.DirEntry[str]) -> float:
    try:
        return entry.stat(follow_symlinks=False).st_mtime
    except FileNotFoundError:
        return float("inf")


def _is_unlocked(path: str) -> bool:
    """Nobody alive is writing it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)


def _remove_directory(path: str) -> None:
    """Only when empty; a file that could not be removed, or is held, keeps its directory."""
    try:
        os.rmdir(path)
    except OSError:
        return
