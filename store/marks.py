"""What sweeps ahead of the clock have declared gone.

Apart because files and rows must agree on it in every process. `retention run --now FUTURE`
destroys files whose rows have not expired, and a sweep has no key to say so in an index. So
it leaves a mark (at, until) before it removes anything: what was delivered by `at` and
expires by `until` is gone, whatever the clock says. What is delivered after `at` is not
touched by it.

ROOT/retention.json: a list of such pairs, replaced whole. Only processes of this gateway write
it; whoever else can write to the disk could as well remove the mail itself.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mail.errors import Damaged
from store.blobs import BlobName, ours, read_file, sync_directory, write_all

_FILE = "retention.json"


class Mark(NamedTuple):
    """One sweep: made at `at`, as of `until`. Seconds since the epoch."""

    at: int
    until: int


@dataclass(frozen=True, slots=True)
class Marks:
    """All that count; none of them covers another."""

    each: tuple[Mark, ...] = ()

    def gone(self, name: BlobName, now: int) -> bool:
        """Whether the message exists no more: the one rule for files and rows (P13)."""
        return name.expires <= now or any(
            name.delivered <= mark.at and name.expires <= mark.until for mark in self.each
        )

    def latest(self, now: int) -> int:
        """Nothing that expires after this is gone."""
        return max(now, *(mark.until for mark in self.each)) if self.each else now

    def and_also(self, new: Mark, now: int) -> Marks:
        """With one more; those that it covers, or that time has caught up with, are left out."""
        kept = [mark for mark in self.each if mark.until > now and not _covers(new, mark)]
        if not any(_covers(mark, new) for mark in kept):
            kept.append(new)
        return Marks(tuple(sorted(kept)))


NONE = Marks()


class MarksFile:
    """ROOT/retention.json, read again only when it was replaced. For any thread."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._seen: tuple[tuple[int, int, int] | None, Marks] = (None, NONE)

    def current(self) -> Marks:
        """One stat while nothing changes. Damaged, Unavailable: who cannot know
        what is gone must not show anything."""
        with ours():
            try:
                state = os.stat(self._root / _FILE)
                version = (state.st_ino, state.st_mtime_ns, state.st_size)
            except FileNotFoundError:
                version = None
            if self._seen[0] != version:
                self._seen = (version, _read(self._root))
            return self._seen[1]


def record(root: Path, mark: Mark) -> Marks:
    """Durable on return; all marks. Call it before anything is removed. Unavailable, Damaged."""
    with ours(), _alone(root):
        marks = _read(root).and_also(mark, mark.at)
        fresh = root / f".{_FILE}"
        fresh.unlink(missing_ok=True)  # of a sweep that was killed
        descriptor = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            write_all(descriptor, json.dumps(marks.each).encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(fresh, root / _FILE)
        sync_directory(str(root))
    return marks


def _read(root: Path) -> Marks:
    try:
        found = json.loads(read_file(str(root / _FILE)))
    except FileNotFoundError:
        return NONE
    except ValueError as error:
        raise Damaged("the record of sweeps is malformed") from error
    if not isinstance(found, list):
        raise Damaged("the record of sweeps is malformed")
    return Marks(tuple(_mark(pair) for pair in found))


def _mark(pair: object) -> Mark:
    match pair:
        case [int(at), int(until)]:
            return Mark(at, until)
    raise Damaged("the record of sweeps is malformed")


def _covers(one: Mark, other: Mark) -> bool:
    return one.at >= other.at and one.until >= other.until


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Two sweeps at once: none may lose the other's mark."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
