from __future__ import annotations

import asyncio
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from mail.address import Address
from mail.errors import Damaged, Reason, Refusal, Unavailable
from mail.outbound import Item, Outcome, Recipient
from mail.secret import Secret
from smtp_out.ports import Spool as Port
from store.spool import BATCH, LEASE, ORPHAN_AGE, Spool

KEY = Secret(b"s" * 32)
NOW = 1_800_000_000
ANN = "ab" * 16
CLAIMS, SUPPORT = Address.parse("claims@example-health.test"), Address.parse("support@example-health.test")
CONTENT = b"Subject: canary\r\n\r\ncanary\r\n"


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


def opened(root: Path, clock: Callable[[], float] | None = None) -> Spool:
    return Spool(root, KEY, clock or Clock())


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return opened(tmp_path)


def add(spool: Spool, *recipients: Address, content: bytes = CONTENT, now: int = NOW) -> Item:
    return asyncio.run(spool.add("ann@acme.test", ANN, recipients or (CLAIMS,), content, now))


def read(spool: Spool, item: Item) -> bytes:
    return asyncio.run(spool.content(item))


def with_recipients(item: Item, *changes: dict[str, object]) -> Item:
    changed = [replace(r, **c) for r, c in zip(item.recipients, changes, strict=True)]
    return replace(item, recipients=tuple(changed))


def message_files(root: Path) -> Sequence[Path]:
    return [path for path in (root / "spool").iterdir() if len(path.name) == 32]


def test_it_has_the_shape_that_the_courier_wants(spool: Spool) -> None:
    port: Port = spool
    item = add(spool, CLAIMS, SUPPORT)
    assert port.due(NOW) == [item]
    assert item.recipients == (Recipient(CLAIMS, next_attempt=NOW), Recipient(SUPPORT, next_attempt=NOW))
    assert (item.sender, item.account_id, item.queued_at) == ("ann@acme.test", ANN, NOW)


@pytest.mark.parametrize(
    "content",
    [b"", b"x", os.urandom((1 << 20) - 1), os.urandom(1 << 20), os.urandom((3 << 20) + 5)],
    ids=len,
)
def test_content_comes_back_byte_for_byte(tmp_path: Path, spool: Spool, content: bytes) -> None:
    item = add(spool, content=content)
    assert read(spool, item) == content
    assert read(opened(tmp_path), item) == content


def test_nothing_is_readable_and_nobody_else_may_look(tmp_path: Path, spool: Spool) -> None:
    item = add(spool, CLAIMS)
    spool.record(with_recipients(item, {"diagnostic": "canary of the remote", "attempts": 1}))
    for path in (tmp_path / "spool").iterdir():
        data = path.read_bytes()
        for canary in (b"canary", b"ann@", b"claims", b"example-health"):
            assert canary not in data
        assert path.stat().st_mode & 0o077 == 0
        assert "ann" not in path.name


def test_no_flip_cut_or_swap_of_a_file_goes_unseen(tmp_path: Path, spool: Spool) -> None:
    item, other = add(spool, content=os.urandom((2 << 20) + 9)), add(spool, content=os.urandom(2 << 20))
    path = tmp_path / "spool" / item.item_id
    data = path.read_bytes()
    chunk = (1 << 20) + 28
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1
    for bad in (
        bytes(flipped),
        data[:-1],
        data[: 2 * chunk],  # cut at the end of a chunk
        data[:chunk],
        b"",
        data + b"x",
        data[chunk : 2 * chunk] + data[:chunk] + data[2 * chunk :],
        (tmp_path / "spool" / other.item_id).read_bytes(),
    ):
        path.write_bytes(bad)
        with pytest.raises(Damaged):
            read(spool, item)
    path.unlink()
    with pytest.raises(Damaged):
        read(spool, item)


def test_another_server_key_opens_nothing(tmp_path: Path, spool: Spool) -> None:
    add(spool)
    with pytest.raises(Damaged):
        Spool(tmp_path, Secret(b"t" * 32), Clock())


def test_prepared_is_not_queued_until_committed(tmp_path: Path, spool: Spool) -> None:
    prepared = asyncio.run(spool.prepare("", "", [CLAIMS], CONTENT, NOW))
    assert spool.list() == []
    assert len(message_files(tmp_path)) == 1
    item = prepared.commit()
    assert opened(tmp_path).list() == [item]
    dropped = asyncio.run(spool.prepare("", "", [CLAIMS], CONTENT, NOW))
    dropped.abandon()
    assert [path.name for path in message_files(tmp_path)] == [item.item_id]


def test_a_full_disk_queues_nothing(tmp_path: Path, spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int) -> None:
        raise OSError(28, "full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Unavailable):
        add(spool)
    monkeypatch.undo()
    assert spool.list() == []
    assert message_files(tmp_path) == []


def test_a_file_without_a_row_is_removed_in_time(tmp_path: Path) -> None:
    now = int(time.time())
    spool = opened(tmp_path)
    kept = add(spool, now=now)
    asyncio.run(spool.prepare("", "", [CLAIMS], CONTENT, now))  # and its process is killed here
    spool.due(now)
    assert len(message_files(tmp_path)) == 2
    later = opened(tmp_path)
    later.due(now + ORPHAN_AGE + 60)
    assert [path.name for path in message_files(tmp_path)] == [kept.item_id]
    assert (tmp_path / "spool" / "spool.sqlite").exists()


def test_due_is_oldest_first_and_only_what_is_due(spool: Spool) -> None:
    late, early = add(spool, now=NOW + 5), add(spool, now=NOW)
    add(spool, now=NOW + 100)
    assert spool.due(NOW - 1) == []
    assert spool.due(NOW + 10) == [early, late]
    assert len(spool.list()) == 3


def test_a_claim_is_for_one_process_until_released(tmp_path: Path, spool: Spool) -> None:
    other = opened(tmp_path)
    item = add(spool)
    assert spool.due(NOW) == [item]
    assert spool.due(NOW) == []
    assert other.due(NOW) == []
    other.release(item)  # not its own
    assert other.due(NOW) == []
    spool.release(item)
    assert other.due(NOW) == [item]


def test_a_claim_that_nobody_renews_ends_with_its_lease(tmp_path: Path) -> None:
    clock = Clock()
    one, two = opened(tmp_path, clock), opened(tmp_path, clock)
    item = add(one)
    assert one.due(NOW) == [item]
    clock.now = NOW + LEASE - 1
    assert two.due(clock.now) == []
    read(one, item)  # still at work
    clock.now += LEASE - 1
    assert two.due(clock.now) == []
    one.record(with_recipients(item, {"attempts": 1}))
    clock.now += LEASE - 1
    assert two.due(clock.now) == []
    clock.now += 1
    assert [each.item_id for each in two.due(clock.now)] == [item.item_id]


def test_one_call_claims_no_more_than_a_batch(spool: Spool) -> None:
    for n in range(BATCH + 3):
        spool.insert(Item(f"{n:032x}", "", "", NOW + n, (Recipient(CLAIMS, next_attempt=NOW),)))
    first, second = spool.due(NOW), spool.due(NOW)
    assert (len(first), len(second)) == (BATCH, 3)
    assert first[0].queued_at == NOW


def test_recording_keeps_each_recipients_state(tmp_path: Path, spool: Spool) -> None:
    add(spool, CLAIMS, SUPPORT)
    (item,) = spool.due(NOW)
    changed = with_recipients(
        item,
        {
            "outcome": Outcome.DELIVERED,
            "attempts": 1,
            "status": "2.0.0",
            "remote": "mx.example-health.test",
        },
        {"attempts": 1, "next_attempt": NOW + 300, "status": "4.2.2", "diagnostic": "452 4.2.2 full"},
    )
    spool.record(changed)
    spool.release(changed)
    assert opened(tmp_path).list() == [changed]
    assert spool.due(NOW + 299) == []
    assert spool.due(NOW + 300) == [changed]


def test_an_item_with_none_waiting_is_gone_with_its_file(tmp_path: Path, spool: Spool) -> None:
    add(spool, CLAIMS, SUPPORT)
    (item,) = spool.due(NOW)
    spool.record(with_recipients(item, {"outcome": Outcome.DELIVERED}, {}))
    assert len(message_files(tmp_path)) == 1
    spool.record(with_recipients(item, {"outcome": Outcome.DELIVERED}, {"outcome": Outcome.FAILED}))
    assert spool.list() == []
    assert message_files(tmp_path) == []
    spool.record(item)  # late and harmless
    assert spool.list() == []


def test_who_comes_late_cannot_set_a_delivered_recipient_back(spool: Spool) -> None:
    add(spool, CLAIMS, SUPPORT)
    (item,) = spool.due(NOW)
    spool.record(with_recipients(item, {"outcome": Outcome.DELIVERED}, {}))
    spool.record(with_recipients(item, {"next_attempt": NOW, "attempts": 9}, {"attempts": 2}))
    (now,) = spool.list()
    assert [r.outcome for r in now.recipients] == [Outcome.DELIVERED, Outcome.WAITING]
    assert [r.attempts for r in now.recipients] == [0, 2]


def test_drop_and_flush(tmp_path: Path, spool: Spool) -> None:
    gone, kept = add(spool, now=NOW + 500), add(spool, CLAIMS, SUPPORT, now=NOW + 500)
    spool.drop(gone.item_id)
    with pytest.raises(Refusal) as caught:
        spool.drop(gone.item_id)
    assert caught.value.reason is Reason.NO_SUCH_MESSAGE
    assert [path.name for path in message_files(tmp_path)] == [kept.item_id]
    assert spool.due(NOW) == []
    assert spool.flush(NOW) == 2
    assert [item.item_id for item in spool.due(NOW)] == [kept.item_id]


def test_a_large_message_does_not_stall_the_loop(spool: Spool) -> None:
    content = os.urandom(50 << 20)
    worst = 0.0

    async def watch() -> None:
        nonlocal worst
        while True:
            start = time.perf_counter()
            await asyncio.sleep(0.001)
            worst = max(worst, time.perf_counter() - start)

    async def scenario() -> bytes:
        watching = asyncio.create_task(watch())
        item = await spool.add("", "", [CLAIMS], content, NOW)
        got = await spool.content(item)
        watching.cancel()
        return got

    assert asyncio.run(scenario()) == content
    assert worst < 0.1


def take(root: str, taken) -> None:  # type: ignore[no-untyped-def]
    spool = opened(Path(root))
    while items := spool.due(NOW):
        for item in items:
            assert asyncio.run(spool.content(item)) == CONTENT
            spool.record(with_recipients(item, {"outcome": Outcome.DELIVERED}))
            taken.put(item.item_id)
    taken.put("")


def test_processes_never_share_an_item(tmp_path: Path, spool: Spool) -> None:
    queued = sorted(add(spool).item_id for _ in range(40))
    spawn = multiprocessing.get_context("spawn")
    taken = spawn.Queue()
    workers = [spawn.Process(target=take, args=(str(tmp_path), taken)) for _ in range(2)]
    for worker in workers:
        worker.start()
    got: list[str] = []
    while got.count("") < 2:
        got.append(taken.get(timeout=60))
    for worker in workers:
        worker.join()
    assert sorted(item_id for item_id in got if item_id) == queued
    assert spool.list() == []


def claim_and_hang(root: str, ready) -> None:  # type: ignore[no-untyped-def]
    spool = opened(Path(root))
    ready.put(len(spool.due(NOW)))
    time.sleep(600)


def test_the_claim_of_a_dead_process_ends_at_once(tmp_path: Path, spool: Spool) -> None:
    item = add(spool)
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Queue()
    holder = spawn.Process(target=claim_and_hang, args=(str(tmp_path), ready))
    holder.start()
    assert ready.get(timeout=60) == 1
    assert spool.due(NOW) == []
    holder.kill()
    holder.join()
    assert spool.due(NOW) == [item]


def test_a_reused_process_id_is_not_the_claimant(tmp_path: Path, spool: Spool) -> None:
    item = add(spool)
    other = opened(tmp_path)
    other._me = f"{os.getpid()} 1 00000000"  # this pid, but started at another time
    assert other.due(NOW) == [item]
    assert spool.due(NOW) == [item]
