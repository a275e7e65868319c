"""An SQL database that is never readable on disk: the one door to SQLCipher.

Apart because every durable row in the house (index, accounts, spool) needs the same
settings, and one forgotten pragma would put a plaintext temporary file or a lost commit
there. Strangers send no SQL: statements are constants and values are bound. The file may
have been changed by whoever can write to the disk; SQLCipher authenticates every page.

A committed transaction is durable (WAL with synchronous=FULL). One `Connection` may be used
from several threads (a lock) and one file from several processes (SQLite's own locks).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlcipher3 import dbapi2 as sqlite

from mail.errors import Damaged, Unavailable
from mail.secret import Secret

Row = tuple[Any, ...]

_BUSY_MS = 5000
_BATCH = 256
_DAMAGE = (sqlite.SQLITE_CORRUPT, sqlite.SQLITE_NOTADB)
_OURS = (
    sqlite.SQLITE_BUSY,
    sqlite.SQLITE_LOCKED,
    sqlite.SQLITE_NOMEM,
    sqlite.SQLITE_READONLY,
    sqlite.SQLITE_IOERR,
    sqlite.SQLITE_FULL,
    sqlite.SQLITE_CANTOPEN,
    sqlite.SQLITE_PERM,
)


class Conflict(Exception):
    """A constraint (UNIQUE, FOREIGN KEY, CHECK) said no; nothing was changed by the statement."""


class Connection:
    """One open database. Made by `open`."""

    def __init__(self, raw: sqlite.Connection) -> None:
        self._raw = raw
        self._lock = threading.RLock()

    def execute(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """One statement, all its rows. Conflict, Unavailable or Damaged; outside of a
        transaction it is durable on return."""
        with self._lock, _translated():
            rows: list[Row] = self._raw.execute(sql, values).fetchall()
            return rows

    def executemany(self, sql: str, values: Iterable[Sequence[Any]]) -> int:
        """The statement for each; how many rows it changed. Wants a transaction around it."""
        with self._lock, _translated():
            return int(self._raw.executemany(sql, values).rowcount)

    def change(self, sql: str, values: Sequence[Any] = ()) -> int:
        """As `execute`, for what has no rows: how many rows it changed."""
        with self._lock, _translated():
            return int(self._raw.execute(sql, values).rowcount)

    def rows(self, sql: str, values: Sequence[Any] = ()) -> Iterator[Row]:
        """Lazily, in batches; other threads get their turn between. Rows changed meanwhile
        through this connection may or may not be seen."""
        with self._lock, _translated():
            cursor = self._raw.execute(sql, values)
        try:
            while True:
                with self._lock, _translated():
                    batch: list[Row] = cursor.fetchmany(_BATCH)
                if not batch:
                    return
                yield from batch
        finally:
            with self._lock:
                cursor.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, durable when the block ends; other writers wait (BEGIN IMMEDIATE).

        Within a transaction of the same thread it joins that one.
        """
        with self._lock:
            if self._raw.in_transaction:
                yield
                return
            with _translated():
                self._raw.execute("BEGIN IMMEDIATE")
            try:
                yield
                with _translated():
                    self._raw.execute("COMMIT")
            except BaseException:
                if self._raw.in_transaction:  # a full disk may have rolled back by itself
                    with _translated():
                        self._raw.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Idempotent; the last one out folds the write-ahead log into the file."""
        with self._lock, _translated():
            self._raw.close()


def open(path: Path, key: Secret, schema: Sequence[str]) -> Connection:
    """Open, or create with mode 0600. `schema[n]` is the script that takes version n to n+1.

    Damaged for a wrong key, a changed page or a database of a later version of this program;
    Unavailable when the file cannot be opened or is locked for more than 5 seconds.
    """
    try:
        _create(path)
    except OSError:
        raise Unavailable from None
    with _translated():
        raw = sqlite.connect(
            str(path), isolation_level=None, check_same_thread=False, timeout=_BUSY_MS / 1000
        )
    connection = Connection(raw)
    try:
        with _translated():
            # SQLCipher would write its own lines to stderr, past our log, for a wrong key.
            raw.execute("PRAGMA cipher_log_level = NONE")
            # Raw key form: no PBKDF2, the key is already 256 random bits.
            raw.execute(f"PRAGMA key = \"x'{key.reveal().hex()}'\"")
            raw.execute("PRAGMA temp_store = MEMORY")  # no plaintext sorter files
            _write_ahead(raw)
            raw.execute("PRAGMA synchronous = FULL")
            raw.execute("PRAGMA foreign_keys = ON")
            raw.execute("PRAGMA trusted_schema = OFF")
        _migrate(connection, schema)
    except BaseException:
        raw.close()
        raise
    return connection


def _create(path: Path) -> None:
    """An empty file of mode 0600 whose name is durable; nothing when it is there already."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _write_ahead(raw: sqlite.Connection) -> None:
    """Switch to WAL. SQLite does not wait for its lock here as it does elsewhere, so two
    processes that create one database at the same time need this loop."""
    deadline = time.monotonic() + _BUSY_MS / 1000
    while True:
        try:
            raw.execute("PRAGMA journal_mode = WAL").fetchall()
            return
        except sqlite.OperationalError as error:
            if (
                _code(error) not in (sqlite.SQLITE_BUSY, sqlite.SQLITE_LOCKED)
                or time.monotonic() > deadline
            ):
                raise
        time.sleep(0.005)


def _migrate(connection: Connection, schema: Sequence[str]) -> None:
    if _version(connection) == len(schema):
        return
    with connection.transaction():
        version = _version(connection)
        if version > len(schema):
            raise Damaged("a database was written by a later version of this program")
        for script in schema[version:]:
            for statement in _statements(script):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(schema)}")


def _version(connection: Connection) -> int:
    return int(connection.execute("PRAGMA user_version")[0][0])


def _statements(script: str) -> Iterator[str]:
    """Split at the semicolons that end a statement (not those inside a trigger)."""
    pending = ""
    for piece in script.split(";"):
        pending += piece + ";"
        if sqlite.complete_statement(pending):
            if pending.strip(" \n;"):
                yield pending
            pending = ""


def _code(error: sqlite.Error) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


@contextmanager
def _translated() -> Iterator[None]:
    """SQLite's errors into ours. What is neither (bad SQL) is a bug and passes as it is."""
    try:
        yield
    except sqlite.IntegrityError:
        raise Conflict from None
    except sqlite.DatabaseError as error:
        if _code(error) in _DAMAGE:
            raise Damaged("a database does not pass its integrity check") from error
        if _code(error) in _OURS:
            raise Unavailable from error
        raise
