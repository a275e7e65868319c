from __future__ import annotations

import ast
import errno
import multiprocessing
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.journal import RENAMED, UNTOLD
from mail.errors import Unavailable
from mail.secret import Secret
from store import audit
from store.audit import EVENTS, AuditLog

KEY = Secret(b"a" * 32)
NOW = 1_800_000_000  # 2027-01-15 08:00 UTC
ANN = "ab" * 16


class Clock:
    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log(tmp_path: Path, clock: Clock) -> AuditLog:
    return AuditLog(tmp_path, KEY, clock)


def files(root: Path) -> list[Path]:
    return sorted(root.glob("audit/*/*.log"))


def events(root: Path) -> list[str]:
    return [line.event for line in audit.read(root, KEY)]


def faults(root: Path) -> list[str]:
    return [finding.words for finding in audit.verify(root, KEY) if finding.fault]


def test_lines_come_back_in_order(tmp_path: Path, log: AuditLog, clock: Clock) -> None:
    log.note("login", ANN, peer="192.0.2.1", protocol="imap")
    clock.now += 2.7
    log.note("read", ANN, uids=[3, 1, 2, 9], size=12345)
    first, second = audit.read(tmp_path, KEY)
    assert (first.at, first.event, first.account_id) == (NOW, "login", ANN)
    assert first.facts == {"peer": "192.0.2.1", "protocol": "imap"}
    assert (second.at, second.facts) == (NOW + 2, {"uids": "1:3,9", "size": 12345})
    assert second.place.endswith(":1")
    assert audit.verify(tmp_path, KEY) == []


def test_no_log_is_no_fault(tmp_path: Path) -> None:
    assert list(audit.read(tmp_path, KEY)) == []
    assert audit.verify(tmp_path, KEY) == []


def test_nothing_is_readable_and_nobody_else_may_look(tmp_path: Path, log: AuditLog) -> None:
    log.note("login", ANN, peer="192.0.2.1")
    (file,) = files(tmp_path)
    assert b"login" not in file.read_bytes()
    assert ANN.encode() not in file.read_bytes()
    assert file.stat().st_mode & 0o077 == 0
    assert file.parent.stat().st_mode & 0o077 == 0


def test_an_event_that_is_not_in_the_table_is_a_bug(tmp_path: Path, log: AuditLog) -> None:
    with pytest.raises(ValueError):
        log.note("logged in", ANN)
    assert files(tmp_path) == []


@pytest.mark.parametrize("content", ["ann@acme.test", "two words", "line\nbreak", "ü", "x" * 129, "\udcff"])
def test_content_has_no_room(tmp_path: Path, log: AuditLog, content: str) -> None:
    log.note("refused", content, why=content)
    (line,) = audit.read(tmp_path, KEY)
    assert (line.account_id, line.facts) == ("?", {"why": "?"})


def constants(room: Path) -> Iterator[str]:
    """The first argument of every `….note("…")`, but for the operational log's."""
    for path in room.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(
                    func=ast.Attribute(attr="note" | "_note", value=owner),
                    args=[ast.Constant(value=str(event)), *_],
                ) if not (isinstance(owner, ast.Name) and owner.id == "logs"):
                    yield event


@pytest.mark.parametrize("room", ["smtp_in", "smtp_out", "imap_out", "store", "gateway"])
def test_every_event_that_the_rooms_note_is_in_the_table(room: str) -> None:
    noted = set(constants(Path(__file__).resolve().parents[2] / room))
    assert noted
    assert {RENAMED.get(event, event) for event in noted - UNTOLD} <= set(EVENTS)


def test_each_day_has_its_file(tmp_path: Path, log: AuditLog, clock: Clock) -> None:
    for _ in range(3):
        log.note("login", ANN)
        clock.now += 86_400
    assert [file.parent.name for file in files(tmp_path)] == ["2027-01-15", "2027-01-16", "2027-01-17"]
    assert events(tmp_path) == ["login"] * 3
    assert faults(tmp_path) == []


def test_each_writer_has_its_file_and_reading_goes_by_time(tmp_path: Path, clock: Clock) -> None:
    one, two = AuditLog(tmp_path, KEY, clock), AuditLog(tmp_path, KEY, clock)
    for log, event in (
        (one, "login"),
        (two, "delivered"),
        (one, "read"),
        (two, "expired"),
        (one, "logout"),
    ):
        log.note(event, ANN)
        clock.now += 1
    assert len(files(tmp_path)) == 2
    assert events(tmp_path) == ["login", "delivered", "read", "expired", "logout"]


def test_closing_is_idempotent_and_writing_goes_on(tmp_path: Path, log: AuditLog) -> None:
    log.note("login", ANN)
    log.close()
    log.close()
    log.note("logout", ANN)
    assert sorted(events(tmp_path)) == ["login", "logout"]
    assert faults(tmp_path) == []


def filled(root: Path, log: AuditLog, count: int = 6) -> Path:
    for n in range(count):
        log.note("delivered", ANN, size=n)
    (file,) = files(root)
    return file


def test_no_changed_byte_goes_unseen(tmp_path: Path, log: AuditLog) -> None:
    file = filled(tmp_path, log, 3)
    data = file.read_bytes()
    for position in range(len(data)):
        for bit in (0x01, 0x20):
            changed = bytearray(data)
            changed[position] ^= bit
            file.write_bytes(changed)
            # a changed last line feed looks like a kill in mid-write; it is told all the same
            assert audit.verify(tmp_path, KEY), position
    file.write_bytes(data)
    assert audit.verify(tmp_path, KEY) == []


def test_removed_moved_doubled_and_foreign_lines_are_found(tmp_path: Path, log: AuditLog) -> None:
    file = filled(tmp_path, log)
    lines = file.read_bytes().splitlines(keepends=True)
    renumbered = [*lines[:2], lines[3].replace(b"3 ", b"2 ", 1)]
    for name, changed in {
        "first removed": lines[1:],
        "middle removed": lines[:2] + lines[3:],
        "two removed": lines[:1] + lines[3:],
        "swapped": [lines[0], lines[2], lines[1], *lines[3:]],
        "doubled": [*lines[:3], lines[2], *lines[3:]],
        "removed and renumbered": renumbered,
        "foreign": [*lines[:3], b"hello\n", *lines[3:]],
        "empty": [*lines[:3], b"\n", *lines[3:]],
    }.items():
        file.write_bytes(b"".join(changed))
        found = faults(tmp_path)
        assert 1 <= len(found) <= 6, name
    file.write_bytes(b"".join(lines))
    assert faults(tmp_path) == []


def test_what_is_left_of_a_changed_log_can_still_be_read(tmp_path: Path, log: AuditLog) -> None:
    file = filled(tmp_path, log)
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:2] + lines[3:]))
    assert [line.facts["size"] for line in audit.read(tmp_path, KEY)] == [0, 1, 4, 5]


def test_a_file_moved_to_another_day_or_name_is_found(tmp_path: Path, log: AuditLog) -> None:
    file = filled(tmp_path, log)
    other = tmp_path / "audit" / "2027-01-14"
    other.mkdir()
    moved = file.rename(other / file.name)
    assert faults(tmp_path)
    moved.rename(file.with_name("1.00000000.log"))
    assert faults(tmp_path)


def test_the_wrong_key_reads_nothing(tmp_path: Path, log: AuditLog) -> None:
    filled(tmp_path, log)
    assert list(audit.read(tmp_path, Secret(b"b" * 32))) == []
    assert len(audit.verify(tmp_path, Secret(b"b" * 32))) == 6


def test_a_torn_last_line_is_told_and_is_no_fault(tmp_path: Path, log: AuditLog) -> None:
    file = filled(tmp_path, log)
    data = file.read_bytes()
    file.write_bytes(data[:-7])
    (finding,) = audit.verify(tmp_path, KEY)
    assert not finding.fault
    assert "torn" in finding.words
    assert len(events(tmp_path)) == 5


def test_a_full_disk_is_our_fault_and_leaves_no_torn_line(
    tmp_path: Path, log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = filled(tmp_path, log, 2)
    size = file.stat().st_size
    real = os.write

    def half(fd: int, data: bytes) -> int:
        return real(fd, data[: len(data) // 2])

    def none(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "full")

    for short in (half, none):
        with monkeypatch.context() as full:
            full.setattr(os, "write", short)
            with pytest.raises(Unavailable):
                log.note("login", ANN)
        assert file.stat().st_size == size
    log.note("login", ANN)
    assert events(tmp_path) == ["delivered", "delivered", "login"]
    assert faults(tmp_path) == []


def test_a_directory_that_cannot_be_made_is_our_fault(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "audit").write_bytes(b"")
    with pytest.raises(Unavailable):
        AuditLog(tmp_path, KEY, clock).note("login", ANN)


def write_for_ever(root: str) -> None:
    log = AuditLog(Path(root), KEY, time.time)
    number = 0
    while True:
        log.note("delivered", ANN, size=number)
        number += 1


def test_a_kill_loses_no_line(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=write_for_ever, args=(str(tmp_path),)) for _ in range(2)]
    for writer in writers:
        writer.start()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        seen = [file.read_bytes().count(b"\n") for file in files(tmp_path)]
        if len(seen) == 2 and min(seen) > 50:
            break
        time.sleep(0.01)
    for writer in writers:
        writer.kill()
        writer.join()
    assert faults(tmp_path) == []
    assert len(events(tmp_path)) >= sum(seen)
    for file in files(tmp_path):
        sizes = [line.facts["size"] for line in audit.read(tmp_path, KEY) if file.name in line.place]
        assert sizes == list(range(len(sizes)))


def test_a_forked_process_writes_its_own_file(tmp_path: Path, log: AuditLog) -> None:
    log.note("started", "")
    log._path = log._path.replace(f"{os.getpid()}.", "1.")  # as it looks to a child after fork
    log.note("login", ANN)
    assert len(files(tmp_path)) == 2
    assert faults(tmp_path) == []
