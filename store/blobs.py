"""Message files: their names, the three directories, and what makes a write durable.

Apart because the order of write, fsync, link and rename is what an acknowledged message
rests on, and it should be read in one place. Strangers send no byte here: contents arrive
sealed and names are made of numbers and random hex. Whoever can write to the disk may put
anything into these directories, so a name that does not parse is nobody's message.

    name = delivered "." unique ",E=" expires ",S=" size    ; seconds, 32 hex, seconds, octets
    tmp/<unique>       a delivery's marker, flock'd while its process lives
    tmp/<name>         an APPEND being filed, flock'd likewise
    new/<name>         durable, not yet in the index; beside it <name>.summary
    cur/<day>/<name>   in the index; <day> is the expiry's, UTC
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mail.errors import Unavailable

SUMMARY = ".summary"
ACCOUNT_ID = re.compile(r"[0-9a-f]{32}")
UNIQUE = re.compile(r"[0-9a-f]{32}")
_NAME = re.compile(r"([0-9]{1,11})\.([0-9a-f]{32}),E=([0-9]{1,11}),S=([0-9]{1,11})")
_OLD_FILE = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
_NEW_FILE = _OLD_FILE | os.O_CREAT


@dataclass(frozen=True, slots=True, order=True)
class BlobName:
    """What a message file's name says. Orders by age. Times are seconds since the epoch."""

    delivered: int
    unique: str
    expires: int
    size: int  # octets of the RFC 5322 message, not of the file

    @classmethod
    def parse(cls, text: str) -> BlobName | None:
        """None for whatever is no message file's name."""
        match = _NAME.fullmatch(text)
        if match is None:
            return None
        return cls(int(match[1]), match[2], int(match[3]), int(match[4]))

    @property
    def day(self) -> str:
        """The directory in cur/: the UTC day of the expiry."""
        return day_of(self.expires)

    def __str__(self) -> str:
        return f"{self.delivered}.{self.unique},E={self.expires},S={self.size}"


def day_of(moment: int) -> str:
    """`YYYY-MM-DD` of seconds since the epoch, UTC."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d")


def new_unique() -> str:
    """32 random hex digits."""
    return secrets.token_hex(16)


class AccountDirectory:
    """The files of one account: ROOT/accounts/<id>."""

    def __init__(self, root: Path, account_id: str) -> None:
        # The id becomes a path: nothing but our own 32 hex digits may pass (traversal).
        if not ACCOUNT_ID.fullmatch(account_id):
            raise ValueError("not an account id")
        self.path = root / "accounts" / account_id
        self.index = self.path / "index.sqlite"
        self.tmp, self.new, self.cur = (str(self.path / part) for part in ("tmp", "new", "cur"))

    def make(self) -> None:
        """Create what is missing, durably; idempotent, also among processes."""
        with ours():
            if os.path.isdir(self.cur):  # made last, so the others are there
                return
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            for directory in (str(self.path), self.tmp, self.new, self.cur):
                Path(directory).mkdir(mode=0o700, exist_ok=True)
                sync_directory(os.path.dirname(directory))

    def place(self, name: BlobName) -> str:
        """Where a message that is in the index belongs."""
        return f"{self.cur}/{name.day}/{name}"

    def settle(self, name: BlobName, source: str) -> bool:
        """Rename into cur/. False when the file is gone from the source (another process was
        first, or it was withdrawn). Not synced: a kill in between is mended at the next look."""
        target = self.place(name)
        with ours():
            for attempt in (1, 2, 3):
                try:
                    os.rename(source, target)
                except FileNotFoundError:
                    if os.path.isdir(os.path.dirname(target)):
                        return False
                    # Retention may remove the empty directory between our two calls.
                    os.makedirs(os.path.dirname(target), 0o700, exist_ok=True)
                    if attempt == 3:
                        return False
                else:
                    return True
        return False

    def find(self, name: BlobName) -> str | None:
        """The file's path, wherever a kill may have left it; mends a rename that is due, if it
        can: a full disk must not keep a member from reading."""
        target = self.place(name)
        if os.path.exists(target):
            return target
        for source in (f"{self.new}/{name}", f"{self.tmp}/{name}"):
            if os.path.exists(source):
                try:
                    self.settle(name, source)
                except Unavailable:
                    return source
        return target if os.path.exists(target) else None

    def remove(self, name: BlobName) -> None:
        """Unlink every name it may have (an unacknowledged delivery's marker is one); a file
        already gone is fine, retention may have been first."""
        with ours():
            for path in (self.place(name), f"{self.new}/{name}", f"{self.tmp}/{name}"):
                discard(path)
            discard(f"{self.tmp}/{name.unique}")

    def by_arrival(self, names: list[BlobName]) -> list[BlobName]:
        """Files of new/, first come first: names count in seconds, the file system finer."""

        def moment(name: BlobName) -> tuple[int, int]:
            try:
                return name.delivered, os.stat(f"{self.new}/{name}").st_mtime_ns
            except FileNotFoundError:  # another process was first
                return name.delivered, 0

        with ours():
            return sorted(names, key=moment)

    def scan(self, directory: str) -> list[str]:
        """The file names in tmp/ or new/."""
        with ours():
            return os.listdir(directory)


class LockedFile:
    """A file in tmp/ that this process holds by flock; a killed process lets go by itself."""

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor

    @classmethod
    def claim(cls, path: str, *, create: bool = True) -> LockedFile | None:
        """Open or create, and lock. None when a living process holds it, or when it is not
        there and must not be made."""
        while True:
            try:
                descriptor = os.open(path, _NEW_FILE if create else _OLD_FILE, 0o600)
            except FileNotFoundError:
                if create:
                    raise
                return None
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # The holder before us may have unlinked the path after we opened it: then we
                # hold a lock on nothing that others can see, and must look again.
                held, named = os.fstat(descriptor), os.lstat(path)
                same = held.st_ino == named.st_ino and stat.S_ISREG(named.st_mode)
            except BlockingIOError:
                os.close(descriptor)
                return None
            except FileNotFoundError:
                same = False
            except BaseException:
                os.close(descriptor)
                raise
            if same:
                return cls(path, descriptor)
            os.close(descriptor)

    @property
    def links(self) -> int:
        """How many names the file has: 2 once it has been linked to its durable one."""
        return os.fstat(self.descriptor).st_nlink

    def write(self, content: bytes) -> None:
        """Replace whatever is there and make it durable; OSError when the disk cannot."""
        os.ftruncate(self.descriptor, 0)
        write_all(self.descriptor, content)
        os.fsync(self.descriptor)

    def rename(self, path: str) -> None:
        """To a name that is nobody's; still held."""
        os.rename(self.path, path)
        self.path = path

    def drop(self) -> None:
        """Unlink, then let go. In that order, so that nobody can claim a dying name."""
        if self.descriptor >= 0:
            try:
                discard(self.path)
            finally:
                self.let_go()

    def let_go(self) -> None:
        """Close; the file stays. Idempotent."""
        if self.descriptor >= 0:
            descriptor, self.descriptor = self.descriptor, -1
            os.close(descriptor)

    def __del__(self) -> None:
        self.let_go()  # a receipt that nobody acknowledged: its marker must outlive it, unlocked


def write_all(descriptor: int, content: bytes) -> None:
    """At offset 0; a short write is continued, an impossible one raises OSError."""
    view, done = memoryview(content), 0
    while done < len(view):
        done += os.pwrite(descriptor, view[done:], done)


def write_file(path: str, content: bytes) -> None:
    """A new file of mode 0600, not synced. For what can be made anew from something durable."""
    descriptor = os.open(path, _NEW_FILE | os.O_TRUNC, 0o600)
    try:
        write_all(descriptor, content)
    finally:
        os.close(descriptor)


def read_file(path: str) -> bytes:
    """The whole file. FileNotFoundError, OSError. Never follows a link out of the store."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def sync_directory(path: str) -> None:
    """Make the names in a directory durable (fsync of a file alone does not)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def discard(path: str) -> bool:
    """Unlink if it is there; whether it was."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


@contextmanager
def ours() -> Iterator[None]:
    """An OSError in here is a fault of ours: Unavailable, so that the peer keeps the mail."""
    try:
        yield
    except OSError as error:
        raise Unavailable from error
