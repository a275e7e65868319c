"""A sweep ahead of the clock: what it declared gone is gone for every reader, and nothing else is."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail.errors import Damaged, Refusal, Unavailable
from mail.mailbox import Column, FlagChange
from mail.search import All
from store import marks as marking
from store.blobs import BlobName
from store.mailbox import unlock
from store.marks import Mark, Marks, MarksFile, record
from store.retention import sweep
from store.verify import verify
from tests.store.house import ANN, DAY, KEEP, NOW, house, member, message

T = NOW + KEEP + DAY
"""61 days ahead: everything that was delivered by now is due then."""


def name(delivered: int, expires: int) -> BlobName:
    return BlobName(delivered, "0" * 32, expires, 1)


def nobody(_account_id: str) -> bool:
    return False


@pytest.mark.parametrize(
    ("delivered", "expires", "now", "gone"),
    [
        (50, 200, 100, True),
        (51, 200, 100, False),
        (50, 201, 100, False),
        (51, 100, 100, True),
        (81, 101, 100, False),
        (80, 150, 100, True),  # the other mark
        (81, 150, 100, False),
        (80, 151, 100, False),
    ],
)
def test_what_is_gone(delivered: int, expires: int, now: int, gone: bool) -> None:
    assert Marks((Mark(50, 200), Mark(80, 150))).gone(name(delivered, expires), now) is gone


NUMBERS = st.integers(0, 9)


@given(st.lists(st.tuples(NUMBERS, NUMBERS)), NUMBERS)
def test_what_is_left_out_changes_nothing(pairs: list[tuple[int, int]], now: int) -> None:
    kept = Marks()
    for pair in pairs:
        kept = kept.and_also(Mark(*pair), now)
    whole = Marks(tuple(Mark(*pair) for pair in pairs))
    for delivered in range(10):
        for expires in range(10):
            each = name(delivered, expires)
            assert kept.gone(each, now) == whole.gone(each, now)
            assert not kept.gone(each, now) or expires <= kept.latest(now)
    assert len(kept.each) <= 10
    assert list(kept.each) == sorted(set(kept.each))


def test_they_are_kept_in_a_file_that_is_replaced_whole(tmp_path: Path) -> None:
    file = MarksFile(tmp_path)
    assert file.current() == Marks()
    record(tmp_path, Mark(50, 200))
    assert file.current().each == (Mark(50, 200),)
    record(tmp_path, Mark(60, 150))
    assert file.current().each == (Mark(50, 200), Mark(60, 150)) == MarksFile(tmp_path).current().each
    record(tmp_path, Mark(70, 300))
    assert file.current().each == (Mark(70, 300),)
    record(tmp_path, Mark(300, 400))  # by now the clock has caught up with the other
    assert file.current().each == (Mark(300, 400),)
    assert [path.name for path in tmp_path.iterdir()] == ["retention.json"]
    assert (tmp_path / "retention.json").stat().st_mode & 0o077 == 0
    (tmp_path / "retention.json").unlink()
    assert file.current() == Marks()


def test_sweeps_at_once_lose_no_mark(tmp_path: Path) -> None:
    threads = [threading.Thread(target=record, args=(tmp_path, Mark(at, 900 - at))) for at in range(20)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(MarksFile(tmp_path).current().each) == 20


@pytest.mark.parametrize(
    "content", ["", "nonsense", "{}", "[1]", "[[1]]", "[[1, 2, 3]]", '[["1", 2]]', "[[1, 2.5]]"]
)
def test_who_cannot_know_what_is_gone_shows_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "retention.json").write_text(content)
    with pytest.raises(Damaged):
        MarksFile(tmp_path).current()

    async def scenario() -> None:
        async with house(tmp_path) as there:
            with pytest.raises(Damaged):
                await there.open()

    asyncio.run(scenario())


def test_open_sessions_lose_it_at_once_and_see_what_comes_afterwards(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as there:
            box = await there.open()
            inbox, archive = box.folder("INBOX"), box.folder("Archive")
            await there.deliver(message(1))
            await there.deliver(message(2))
            await box.append(archive, message(3), frozenset(), None)
            assert len(box.entries(inbox)) == 2
            await box.content(inbox, 1)  # in the cache
            await there.deliver(message(4))  # not taken in yet
            before = box.status(inbox)
            assert before.messages == 3
            await there.deliver(message(5))
            told: list[int] = []
            box.watch(lambda: told.append(1))

            there.clock.now += 1
            report = sweep(
                tmp_path, T, nobody, real=NOW, told=lambda account_id, _: there.bus.tell(account_id)
            )
            assert (report.removed, report.failed) == (5, 0)
            await there.deliver(message(6))
            await asyncio.sleep(0.05)
            assert told

            # Whatever is asked first, and by each path.
            paths: list[Callable[[], object]] = [
                lambda: list(box.rows(archive, [1], [Column.ENVELOPE])),
                lambda: box.status(archive).messages,
                lambda: box.entries(archive),
                lambda: box.change_flags(archive, [1], FlagChange.ADD, frozenset({"\\Seen"}))[0],
                lambda: box.copy(archive, [1], inbox).target_uids,
                lambda: box.move(archive, [1], inbox).target_uids,
            ]
            for path in paths:
                assert not path()
            for uid in (1, 2, 3):
                with pytest.raises(Refusal):
                    await box.content(inbox, uid)
            changes = box.changes(inbox, before.highest_mod_seq)
            assert list(changes.vanished) == [1, 2, 3]
            assert [entry.uid for entry in changes.entries] == [4] == await box.search(inbox, All())
            assert await box.content(inbox, 4) == message(6)
            assert box.status(inbox).messages == 1
            assert not await box.holds(["m1@org.test", "m5@org.test"])
            assert await box.holds(["m6@org.test"])
            box.close()
            await there.accounts.emptied()
            assert len(there.files()["cur"]) == 1
            # What is repeated is not doubled: nothing is left to repeat.
            assert sweep(tmp_path, T, nobody, real=NOW).removed == 0
            there.clock.now = T + KEEP
            again = await there.open()
            assert again.entries(again.folder("INBOX")) == []
            again.close()

    asyncio.run(scenario())


def each_path() -> list[Callable[..., object]]:
    return [
        lambda box, folder: list(box.rows(folder, [1], [Column.ENVELOPE])),
        lambda box, folder: box.status(folder).messages,
        lambda box, folder: box.entries(folder),
        lambda box, folder: box.changes(folder, 0).entries,
        lambda box, folder: box.change_flags(folder, [1], FlagChange.ADD, frozenset({"\\Seen"}))[0],
        lambda box, folder: box.copy(folder, [1], folder).target_uids,
        lambda box, folder: box.move(folder, [1], folder).target_uids,
    ]


@pytest.mark.parametrize("path", each_path())
def test_each_path_by_itself_answers_nothing_from_it(tmp_path: Path, path: Callable[..., object]) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as there:
            box = await there.open()
            archive = box.folder("Archive")
            await box.append(archive, message(1), frozenset(), None)
            assert path(box, archive)
            await box.append(archive, message(2), frozenset(), None)
            record(tmp_path, Mark(NOW, T))  # and no file is removed yet
            assert not path(box, archive)
            box.close()

    asyncio.run(scenario())


def test_a_session_opened_later_sees_nothing_either_and_the_checker_agrees(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as there:
            box = await there.open()
            await there.deliver(message(1))
            assert len(box.entries(box.folder("INBOX"))) == 1
            box.close()
            await there.accounts.emptied()
            there.clock.now += 1
            sweep(tmp_path, T, nobody, real=NOW)
            keys = unlock(*member(ANN))
            assert list(verify(tmp_path, ANN, there.clock(), keys)) == []
            assert there.rows("entry") == 1  # nobody has been there yet
            box = await there.open()
            assert box.entries(box.folder("INBOX")) == [] and box.status(box.folder("INBOX")).messages == 0
            box.close()
            await there.accounts.emptied()
            assert there.rows("entry") == there.rows("message") == 0

    asyncio.run(scenario())


def test_under_a_hold_the_member_sees_no_difference_and_the_files_stay(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as there:
            there.held.add(ANN)
            box = await there.open()
            inbox = box.folder("INBOX")
            await there.deliver(message(1))
            assert len(box.entries(inbox)) == 1
            await there.deliver(message(2))
            told: dict[str, int] = {}
            there.clock.now += 1
            report = sweep(tmp_path, T, there.held.__contains__, real=NOW, told=told.__setitem__)
            assert (report.removed, report.held, told) == (0, 2, {ANN: 0})
            assert box.entries(inbox) == []
            with pytest.raises(Refusal):
                await box.content(inbox, 1)
            await there.deliver(message(3))
            assert [entry.uid for entry in box.entries(inbox)] == [2]
            box.close()
            await there.accounts.emptied()
            files = there.files()
            assert (
                len(files["cur"]) == 2
                and len([each for each in files["new"] if "summary" not in each]) == 1
            )
            assert list(verify(tmp_path, ANN, there.clock(), unlock(*member(ANN)))) == []
            # Lifted, time catches up, also with an ordinary sweep.
            there.held.clear()
            assert sweep(tmp_path, there.clock(), nobody).removed == 2
            (await there.open()).close()
            await there.accounts.emptied()
            assert len(there.files()["cur"]) == 1 and there.files()["new"] == []

    asyncio.run(scenario())


def test_a_sweep_that_was_killed_is_finished_by_the_next(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as there:
            await there.deliver(message(1))
            record(tmp_path, Mark(NOW, T))
            there.clock.now += 1
            await there.deliver(message(2))
            assert sweep(tmp_path, there.clock(), nobody).removed == 1

    asyncio.run(scenario())


def test_a_dry_run_and_one_that_cannot_be_recorded_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as there:
            await there.deliver(message(1))
            assert sweep(tmp_path, T, nobody, real=NOW, dry_run=True).removed == 1

            def full(*_args: object) -> None:
                raise OSError(28, "injected")

            with monkeypatch.context() as patch:
                patch.setattr(marking, "write_all", full)
                with pytest.raises(Unavailable):
                    sweep(tmp_path, T, nobody, real=NOW)
            assert MarksFile(tmp_path).current() == Marks()
            box = await there.open()
            assert len(box.entries(box.folder("INBOX"))) == 1
            box.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("content", [message(1), message(1, "A line of text.\r\n" * 80_000)])
def test_what_is_on_its_way_in_is_put_off_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    """Named before the sweep, it would be gone the moment that it is acknowledged."""

    async def scenario() -> None:
        async with house(tmp_path) as there:
            prepared = await there.delivery.prepare(there.to(ANN), "x@org.test", content)
            box = await there.open()
            drafts = box.folder("Drafts")
            certificate = box._shared.keys.certificate
            seal, seal_large = certificate.__class__.seal, there.bulk.seal

            def swept_meanwhile() -> None:
                there.clock.now += 1
                sweep(tmp_path, T, nobody, real=NOW)

            def small(self: object, given: bytes) -> bytes:
                swept_meanwhile()
                return seal(self, given)  # type: ignore[arg-type]

            async def large(*given: object) -> None:
                swept_meanwhile()
                await seal_large(*given)  # type: ignore[arg-type]

            with monkeypatch.context() as patch:
                patch.setattr(certificate.__class__, "seal", small)
                patch.setattr(there.bulk, "seal", large)
                with pytest.raises(Unavailable):
                    await box.append(drafts, content, frozenset(), None)
            with pytest.raises(Unavailable):
                await prepared.commit()
            assert there.files() == {"tmp": [], "new": [], "cur": []}
            await box.append(drafts, content, frozenset(), None)
            await there.deliver(content)
            assert len(box.entries(drafts)) == len(box.entries(box.folder("INBOX"))) == 1
            assert await box.content(box.folder("INBOX"), 1) == content
            box.close()

    asyncio.run(scenario())


def test_an_index_that_takes_no_change_answers_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as there:
            box = await there.open()
            archive = box.folder("Archive")
            await box.append(archive, message(1), frozenset(), None)
            record(tmp_path, Mark(NOW, T))
            box._db.execute("PRAGMA query_only = ON")  # as on a full disk
            for path in each_path():
                with pytest.raises(Unavailable):
                    path(box, archive)
            box._db.execute("PRAGMA query_only = OFF")
            assert box.entries(archive) == []
            box.close()

    asyncio.run(scenario())
