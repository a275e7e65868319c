from __future__ import annotations

import multiprocessing
import os
import threading
import time
from pathlib import Path

import pytest

from mail.errors import Damaged, Unavailable
from mail.secret import Secret
from store import sealed_db
from store.sealed_db import Conflict, Connection

KEY = Secret(b"k" * 32)
SCHEMA = [
    "CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT UNIQUE) STRICT;"
    "CREATE TRIGGER filled BEFORE INSERT ON notes WHEN new.body = ''"
    " BEGIN SELECT RAISE(ABORT, 'empty'); END;",
    "ALTER TABLE notes ADD COLUMN extra TEXT NOT NULL DEFAULT 'later';",
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.sqlite"


def opened(path: Path) -> Connection:
    return sealed_db.open(path, KEY, SCHEMA)


def test_rows_are_there_after_opening_again(path: Path) -> None:
    db = opened(path)
    assert db.change("INSERT INTO notes (body) VALUES (?)", ("a canary",)) == 1
    db.close()
    db.close()
    assert opened(path).execute("SELECT body, extra FROM notes") == [("a canary", "later")]


def test_nothing_is_readable_and_nobody_else_may_look(path: Path) -> None:
    db = opened(path)
    with db.transaction():
        db.executemany("INSERT INTO notes (body) VALUES (?)", [(f"canary {n}" * 50,) for n in range(2000)])
    # a sort that is too large for the page cache would go to a temporary file
    assert len(db.execute("SELECT body FROM notes ORDER BY body || body DESC")) == 2000
    for file in path.parent.iterdir():
        data = file.read_bytes()
        assert b"canary" not in data
        assert b"CREATE TABLE" not in data
        assert not data.startswith(b"SQLite format 3")
        assert file.stat().st_mode & 0o077 == 0


def test_the_settings_that_durability_rests_on(path: Path) -> None:
    db = opened(path)
    settings = (
        "journal_mode",
        "synchronous",
        "temp_store",
        "foreign_keys",
        "busy_timeout",
        "trusted_schema",
    )
    assert [db.execute(f"PRAGMA {name}")[0][0] for name in settings] == ["wal", 2, 2, 1, 5000, 0]


@pytest.mark.parametrize("key", [b"j" * 32, b"k" * 31 + b"\0"])
def test_a_wrong_key_is_damaged_and_writes_nothing_to_stderr(
    path: Path, key: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    opened(path).close()
    with pytest.raises(Damaged):
        sealed_db.open(path, Secret(key), SCHEMA)
    assert capfd.readouterr().err == ""


def test_a_changed_page_is_damaged(path: Path) -> None:
    db = opened(path)
    with db.transaction():
        db.executemany("INSERT INTO notes (body) VALUES (?)", [(f"{n}" * 200,) for n in range(500)])
    db.close()
    pages = path.stat().st_size // 4096
    for page in (0, pages // 2, pages - 1):
        data = bytearray(path.read_bytes())
        data[page * 4096 + 2000] ^= 1
        changed = path.with_suffix(f".{page}")
        changed.write_bytes(data)
        with pytest.raises(Damaged):
            sealed_db.open(changed, KEY, SCHEMA).execute("SELECT count(body || extra) FROM notes")


def test_migrations_run_once_and_in_order(path: Path) -> None:
    first = sealed_db.open(path, KEY, SCHEMA[:1])
    first.change("INSERT INTO notes (body) VALUES ('old')")
    first.close()
    assert opened(path).execute("SELECT body, extra FROM notes") == [("old", "later")]
    with pytest.raises(Damaged):
        sealed_db.open(path, KEY, SCHEMA[:1])


def test_a_failed_migration_changes_nothing(path: Path) -> None:
    with pytest.raises(Exception, match="no such table"):
        sealed_db.open(path, KEY, ["CREATE TABLE a (x); INSERT INTO missing VALUES (1);"])
    assert (
        sealed_db.open(path, KEY, SCHEMA).execute("SELECT name FROM sqlite_master WHERE name = 'a'") == []
    )


def test_a_constraint_is_a_conflict_and_bad_sql_is_a_bug(path: Path) -> None:
    db = opened(path)
    db.change("INSERT INTO notes (body) VALUES ('x')")
    for body in ("x", ""):
        with pytest.raises(Conflict):
            db.change("INSERT INTO notes (body) VALUES (?)", (body,))
    with pytest.raises(Exception, match="no such table") as caught:
        db.execute("SELECT * FROM nowhere")
    assert not isinstance(caught.value, Unavailable | Damaged | Conflict)


def test_a_transaction_is_all_or_nothing(path: Path) -> None:
    db = opened(path)
    with pytest.raises(ZeroDivisionError), db.transaction():
        db.change("INSERT INTO notes (body) VALUES ('a')")
        with db.transaction():
            db.change("INSERT INTO notes (body) VALUES ('b')")
        raise ZeroDivisionError
    assert db.execute("SELECT * FROM notes") == []
    with db.transaction():
        db.change("INSERT INTO notes (body) VALUES ('c')")
    assert db.execute("SELECT body FROM notes") == [("c",)]


def test_lazy_rows_may_be_left_early(path: Path) -> None:
    db = opened(path)
    with db.transaction():
        db.executemany("INSERT INTO notes (body) VALUES (?)", [(str(n),) for n in range(1000)])
    rows = db.rows("SELECT id FROM notes ORDER BY id")
    assert next(rows) == (1,)
    rows.close()
    assert [row[0] for row in db.rows("SELECT id FROM notes ORDER BY id")] == list(range(1, 1001))
    db.change("DELETE FROM notes")


def test_a_directory_in_its_place_and_a_missing_parent_are_our_fault(tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    for path in (tmp_path / "dir", tmp_path / "missing" / "x"):
        with pytest.raises(Unavailable):
            opened(path)


def test_a_lock_held_too_long_is_our_fault(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed_db, "_BUSY_MS", 50)
    one, two = opened(path), opened(path)
    with one.transaction():
        one.change("INSERT INTO notes (body) VALUES ('a')")
        with pytest.raises(Unavailable):
            two.change("INSERT INTO notes (body) VALUES ('b')")
        assert two.execute("SELECT * FROM notes") == []  # readers do not wait
    two.change("INSERT INTO notes (body) VALUES ('b')")


def test_a_full_disk_is_our_fault_and_loses_nothing_older(path: Path) -> None:
    db = opened(path)
    db.change("INSERT INTO notes (body) VALUES ('kept')")
    db.execute(f"PRAGMA max_page_count = {db.execute('PRAGMA page_count')[0][0] + 5}")
    with pytest.raises(Unavailable), db.transaction():
        db.executemany("INSERT INTO notes (body) VALUES (?)", [(f"{n}" * 999,) for n in range(500)])
    db.close()
    assert opened(path).execute("SELECT body FROM notes") == [("kept",)]


def test_threads_share_one_connection(path: Path) -> None:
    db = opened(path)

    def work(name: int) -> None:
        for n in range(50):
            with db.transaction():
                seen = db.execute("SELECT count(*) FROM notes")[0][0]
                db.change("INSERT INTO notes (body) VALUES (?)", (f"{name} {n}",))
                assert db.execute("SELECT count(*) FROM notes")[0][0] == seen + 1

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert db.execute("SELECT count(*) FROM notes") == [(200,)]


def count_up(path: str, times: int) -> None:
    db = opened(Path(path))
    for _ in range(times):
        with db.transaction():
            (largest,) = db.execute("SELECT coalesce(max(id), 0) FROM notes")[0]
            db.change("INSERT INTO notes (id, body) VALUES (?, ?)", (largest + 1, os.urandom(8).hex()))
    db.close()


def test_processes_create_it_together_and_take_turns(path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=count_up, args=(str(path), 100)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert opened(path).execute("SELECT count(*), max(id) FROM notes") == [(300, 300)]


def write_for_ever(path: str) -> None:
    db = opened(Path(path))
    number = 0
    while True:
        number += 1
        db.change("INSERT INTO notes (id, body) VALUES (?, ?)", (number, str(number)))


def test_what_was_committed_outlives_a_kill(path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    opened(path).close()
    for _ in range(3):
        db = opened(path)
        db.change("DELETE FROM notes")
        writer = spawn.Process(target=write_for_ever, args=(str(path),))
        writer.start()
        deadline = time.monotonic() + 30
        while not (seen := db.execute("SELECT count(*) FROM notes")[0][0]) and time.monotonic() < deadline:
            time.sleep(0.01)
        writer.kill()
        writer.join()
        assert seen
        count, largest = db.execute("SELECT count(*), max(id) FROM notes")[0]
        assert count == largest >= seen
        assert db.execute("PRAGMA integrity_check") == [("ok",)]
        db.close()


def test_ten_thousand_rows_read_back_in_fifty_milliseconds(path: Path) -> None:
    db = opened(path)
    with db.transaction():
        db.executemany("INSERT INTO notes (body) VALUES (?)", [(f"{n:06}" * 40,) for n in range(10_000)])
    times = []
    for _ in range(3):
        start = time.perf_counter()
        assert sum(1 for _ in db.rows("SELECT * FROM notes")) == 10_000
        times.append(time.perf_counter() - start)
    assert min(times) < 0.05
