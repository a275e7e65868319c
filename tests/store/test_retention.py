"""The sweep: by name, without a key, and no more than what is due."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
import tracemalloc
from pathlib import Path

import pytest

from mail.errors import Unavailable
from mail.mailbox import DELETED, FlagChange
from store.blobs import AccountDirectory, BlobName, LockedFile, write_file
from store.mailbox import unlock
from store.retention import Report, sweep
from store.verify import verify
from tests.store.house import ANN, BOB, DAY, KEEP, NOW, house, member, message


def nobody(_account_id: str) -> bool:
    return False


def place(root: Path, account_id: str, where: str, expires: int) -> str:
    directory = AccountDirectory(root, account_id)
    directory.make()
    name = BlobName(expires - KEEP, secrets.token_hex(16), expires, 10)
    path = {
        "cur": directory.place(name),
        "new": f"{directory.new}/{name}",
        "tmp": f"{directory.tmp}/{name}",
    }[where]
    os.makedirs(os.path.dirname(path), exist_ok=True)
    write_file(path, b"0123456789")
    return path


@pytest.mark.parametrize("where", ["cur", "new", "tmp"])
@pytest.mark.parametrize("age", [-DAY, -1, 0, 1, DAY])
def test_due_means_expires_at_or_before_now(tmp_path: Path, where: str, age: int) -> None:
    path = place(tmp_path, ANN, where, NOW - age)
    due = age >= 0
    assert sweep(tmp_path, NOW, nobody, dry_run=True).removed == due
    assert os.path.exists(path)
    report = sweep(tmp_path, NOW, nobody)
    assert (report.removed, report.octets) == (due, 10 * due)
    assert os.path.exists(path) is not due
    assert sweep(tmp_path, NOW, nobody) == Report()


def test_a_hold_keeps_everything_and_its_end_lets_time_catch_up(tmp_path: Path) -> None:
    paths = [place(tmp_path, ANN, where, NOW - 1) for where in ("cur", "new", "tmp")]
    other = place(tmp_path, BOB, "cur", NOW - 1)
    report = sweep(tmp_path, NOW, {ANN}.__contains__)
    assert (report.removed, report.held) == (1, 3)
    assert all(map(os.path.exists, paths)) and not os.path.exists(other)
    assert sweep(tmp_path, NOW, nobody).removed == 3


def test_each_account_that_lost_mail_is_named_once(tmp_path: Path) -> None:
    for account_id, count in ((ANN, 3), (BOB, 1), ("c" * 32, 0)):
        AccountDirectory(tmp_path, account_id).make()
        for _ in range(count):
            place(tmp_path, account_id, "cur", NOW)
    told: dict[str, int] = {}
    sweep(tmp_path, NOW, nobody, told=told.__setitem__)
    assert told == {ANN: 3, BOB: 1}


def test_empty_days_go_and_others_stay(tmp_path: Path) -> None:
    place(tmp_path, ANN, "cur", NOW - 3 * DAY)
    place(tmp_path, ANN, "cur", NOW)
    kept = place(tmp_path, ANN, "cur", NOW + DAY)
    sweep(tmp_path, NOW, nobody)
    cur = Path(kept).parent.parent
    assert len(list(cur.iterdir())) == 2  # today's may be wanted again at any moment


def test_names_that_are_no_messages_and_links_are_left_alone(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / str(BlobName(1, "0" * 32, 2, 3))).write_bytes(b"x")
    directory = AccountDirectory(tmp_path, ANN)
    directory.make()
    os.symlink(outside, directory.cur + "/2000-01-01")
    os.symlink(outside, str(tmp_path / "accounts" / BOB))
    (tmp_path / "accounts" / "lost+found").mkdir()
    Path(directory.new, "README").write_bytes(b"x")
    os.makedirs(directory.cur + "/1999-01-01")
    Path(directory.cur, "1999-01-01", "notes").write_bytes(b"x")
    report = sweep(tmp_path, NOW, nobody)
    assert (report.removed, report.unknown) == (0, 3)
    assert len(list(outside.iterdir())) == 1 and Path(directory.cur, "1999-01-01", "notes").exists()


def test_left_overs_go_when_they_are_old_and_nobody_holds_them(tmp_path: Path) -> None:
    directory = AccountDirectory(tmp_path, ANN)
    directory.make()
    name = BlobName(NOW, "0" * 32, NOW + KEEP, 3)
    summary = f"{directory.new}/{name}.summary"
    live = LockedFile.claim(f"{directory.tmp}/{'1' * 32}")
    assert live is not None
    for path in (f"{directory.tmp}/{'0' * 32}", f"{directory.tmp}/{name}", summary):
        write_file(path, b"x")
    for path in (*os.listdir(directory.tmp), summary):
        os.utime(os.path.join(directory.tmp, path), (NOW - 6 * DAY, NOW - 6 * DAY))
    assert sweep(tmp_path, NOW - 2 * DAY, nobody).stale == 0
    assert sweep(tmp_path, NOW, nobody, dry_run=True).stale == 2
    assert sweep(tmp_path, NOW, nobody).stale == 2
    # The one in hand stays, and an APPEND's file, which only the index can judge.
    assert sorted(os.listdir(directory.tmp)) == sorted(["1" * 32, str(name)])
    live.drop()


def test_a_summary_beside_its_message_is_no_left_over(tmp_path: Path) -> None:
    path = place(tmp_path, ANN, "new", NOW + KEEP)
    write_file(path + ".summary", b"x")
    for each in (path, path + ".summary"):
        os.utime(each, (NOW - 9 * DAY, NOW - 9 * DAY))
    assert sweep(tmp_path, NOW, nobody) == Report()
    assert sweep(tmp_path, NOW + KEEP, nobody).removed == 1
    assert not os.path.exists(path + ".summary")


def test_the_content_is_gone_although_its_marker_was_never_acknowledged(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as there:
            receipt = await there.delivery.deliver(there.to(ANN), "", message())
            receipt.let_go()
            assert sweep(tmp_path, NOW + KEEP, nobody).removed == 1
            assert there.files() == {"tmp": [], "new": [], "cur": []}

    asyncio.run(scenario())


def test_sessions_go_on_beside_a_sweep(tmp_path: Path) -> None:
    """Delivering, taking in, moving and expunging while sweeps remove what is due."""

    async def scenario() -> None:
        async with house(tmp_path) as there:
            box = await there.open()
            inbox, trash = box.folder("INBOX"), box.folder("Trash")
            stop = asyncio.Event()

            async def sweeping() -> None:
                while not stop.is_set():
                    await asyncio.to_thread(sweep, tmp_path, there.clock(), nobody)

            background = asyncio.ensure_future(sweeping())
            there.keep = 5
            for number in range(60):
                there.clock.now += 1
                await there.deliver(message(number))
                uids = [entry.uid for entry in box.entries(inbox)]
                assert len(uids) <= 5
                if number % 7 == 0:
                    box.move(inbox, uids[:1], trash)
                    box.change_flags(trash, [1], FlagChange.ADD, frozenset({DELETED}))
                    box.expunge(trash, [1])
            stop.set()
            await background
            box.close()
            await there.accounts.emptied()
            assert list(verify(tmp_path, ANN, there.clock(), unlock(*member(ANN)))) == []
            sweep(tmp_path, there.clock() + 5, nobody)
            assert there.files() == {"tmp": [], "new": [], "cur": []}

    asyncio.run(scenario())


def test_a_file_that_cannot_be_removed_is_counted_and_the_rest_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, free = place(tmp_path, ANN, "cur", NOW - DAY), place(tmp_path, ANN, "cur", NOW - DAY)
    real = os.unlink

    def unlink(path: str) -> None:
        if path == stuck:
            raise PermissionError
        real(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", unlink)
        report = sweep(tmp_path, NOW, nobody)
    assert (report.removed, report.failed) == (1, 1)
    assert os.path.exists(stuck) and not os.path.exists(free)


def test_no_store_is_a_fault_and_an_empty_one_is_not(tmp_path: Path) -> None:
    assert sweep(tmp_path, NOW, nobody) == Report()
    with pytest.raises(Unavailable):
        sweep(tmp_path / "nowhere", NOW, nobody)


@pytest.mark.slow
def test_many_files_take_little_time_and_flat_memory(tmp_path: Path) -> None:
    count = 20_000
    for number in range(count):
        expires = NOW if number % 100 == 0 else NOW + DAY * (number % 60 + 1)
        place(tmp_path, ANN, "cur", expires)
    tracemalloc.start()
    start = time.monotonic()
    report = sweep(tmp_path, NOW, nobody)
    assert time.monotonic() - start < 10
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert report.removed == count // 100
    assert peak < 2_000_000
