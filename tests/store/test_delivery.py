"""Delivery: sealed, all or none, once."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mail.errors import Unavailable
from store import blobs, delivery
from store.blobs import BlobName
from store.delivery import Destination
from store.verify import verify
from tests.store.house import ANN, BOB, KEEP, NOW, SERVER_KEY, House, house, member, message

LARGE = message(9, "A line of text.\r\n" * 80_000)


def test_what_comes_in_is_sealed_named_by_its_expiry_and_beside_its_summary(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as there:
            await there.deliver(message())
            files = there.files()
            assert files["tmp"] == [] and files["cur"] == []
            name = BlobName.parse(files["new"][0])
            assert name is not None and files["new"][1] == f"{name}.summary"
            assert (name.delivered, name.expires, name.size) == (NOW, NOW + KEEP, len(message()))
            assert list(verify(tmp_path, ANN, NOW)) == []  # sealed messages, each of them
            for file in (there.directory() / "new").iterdir():
                assert b"org.test" not in file.read_bytes()

    asyncio.run(scenario())


@pytest.mark.parametrize("content", [message(), LARGE], ids=["small", "large"])
def test_every_recipient_gets_the_bytes_with_the_trace_before_them(tmp_path: Path, content: bytes) -> None:
    trace = b"Return-Path: <x@org.test>\r\n"

    async def scenario() -> None:
        async with house(tmp_path) as there:
            receipt = await there.delivery.deliver(there.to(ANN, BOB, ANN), "x@org.test", content, trace)
            receipt.acknowledged()
            for account_id in (ANN, BOB):
                box = await there.open(account_id)
                inbox = box.folder("INBOX")
                (entry,) = box.entries(inbox)
                assert await box.content(inbox, entry.uid) == trace + content
                box.close()

    asyncio.run(scenario())


def test_nothing_is_visible_before_commit_and_nothing_left_after_abort(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as there:
            prepared = await there.delivery.prepare(there.to(ANN, BOB), "", message())
            box = await there.open()
            assert not box.entries(box.folder("INBOX"))
            prepared.abort()
            for account_id in (ANN, BOB):
                assert there.files(account_id) == {"tmp": [], "new": [], "cur": []}
            box.close()

    asyncio.run(scenario())


async def _count(there: House, account_id: str = ANN) -> int:
    box = await there.open(account_id)
    try:
        return len(box.entries(box.folder("INBOX")))
    finally:
        box.close()


@pytest.mark.parametrize("looked_at", [False, True])
def test_a_repetition_that_was_never_acknowledged_is_stored_once(tmp_path: Path, looked_at: bool) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as there:
            receipt = await there.delivery.deliver(there.to(ANN), "x@org.test", message())
            if looked_at:
                assert await _count(there) == 1
            receipt.let_go()  # the peer vanished before its 250
            there.clock.now += 100
            await there.deliver(message(), return_path="x@org.test")
            assert await _count(there) == 1
            assert there.files()["tmp"] == []
            # Acknowledged by now: from here on it is another message.
            await there.deliver(message(), return_path="x@org.test")
            assert await _count(there) == 2

    asyncio.run(scenario())


@pytest.mark.parametrize("other", ["return path", "content", "recipient"])
def test_what_differs_is_no_repetition(tmp_path: Path, other: str) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as there:
            receipt = await there.delivery.deliver(there.to(ANN), "x@org.test", message())
            receipt.let_go()
            await there.deliver(
                message(2 if other == "content" else 1),
                BOB if other == "recipient" else ANN,
                return_path="y@org.test" if other == "return path" else "x@org.test",
            )
            assert await _count(there) + await _count(there, BOB) == 2

    asyncio.run(scenario())


def test_the_same_message_twice_at_once_is_two_messages(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as there:
            receipts = [await there.delivery.deliver(there.to(ANN), "", message()) for _ in range(2)]
            for receipt in receipts:
                receipt.acknowledged()
            assert await _count(there) == 2

    asyncio.run(scenario())


def test_a_repetition_finishes_for_the_recipients_that_lack_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as there:
            (await there.delivery.deliver(there.to(ANN), "x@org.test", message())).let_go()
            receipt = await there.delivery.deliver(there.to(ANN, BOB), "x@org.test", message())
            receipt.acknowledged()
            assert (await _count(there), await _count(there, BOB)) == (1, 1)

    asyncio.run(scenario())


@pytest.mark.parametrize("content", [message(), LARGE], ids=["small", "large"])
@pytest.mark.parametrize("step", ["fsync", "pwrite", "link", "open"])
def test_a_fault_at_the_second_recipient_leaves_nothing_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, content: bytes
) -> None:
    """A failing fsync may not be asked again (it reports once): the whole delivery is taken back."""
    real = getattr(os, step)

    def failing(*args: object, **kw: object) -> object:
        path = args[0] if isinstance(args[0], str) else os.readlink(f"/proc/self/fd/{args[0]}")
        if BOB in path and (step != "open" or args[1] & os.O_CREAT):
            raise OSError(28 if step != "fsync" else 5, "injected")
        return real(*args, **kw)

    async def scenario() -> None:
        async with house(tmp_path) as there:
            for account_id in (ANN, BOB):
                there.delivery._claim(there.to(account_id)[0], "", b"", NOW, 1).marker.drop()
            with monkeypatch.context() as patch:
                patch.setattr(os, step, failing)
                with pytest.raises(Unavailable):
                    await there.delivery.deliver(there.to(ANN, BOB), "", content)
            for account_id in (ANN, BOB):
                assert there.files(account_id) == {"tmp": [], "new": [], "cur": []}
            await there.deliver(content, ANN, BOB)
            assert (await _count(there), await _count(there, BOB)) == (1, 1)

    asyncio.run(scenario())


def test_a_fault_after_a_reader_took_it_in_does_not_double_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as there:
            box = await there.open()
            inbox = box.folder("INBOX")

            def read_then_fail(_path: str) -> None:
                assert len(box.entries(inbox)) == 1
                raise OSError(5, "injected")

            prepared = await there.delivery.prepare(there.to(ANN), "x@org.test", message())
            with monkeypatch.context() as patch:
                patch.setattr(delivery, "sync_directory", read_then_fail)
                with pytest.raises(Unavailable):
                    await prepared.commit()
            await there.deliver(message(), return_path="x@org.test")
            assert len(box.entries(inbox)) == 1
            box.close()

    asyncio.run(scenario())


def test_a_reader_that_is_too_early_for_a_delivery_taken_back_sees_it_vanish(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as there:
            await there.deliver(message())
            box = await there.open()
            inbox = box.folder("INBOX")
            (entry,) = box.entries(inbox)
            # Taken back between the other process's rows and its rename: the file is gone.
            await there.deliver(message(2))
            settle = box._shared.directory.settle

            def withdrawn(name: BlobName, source: str) -> bool:
                os.unlink(source)
                return settle(name, source)

            box._shared.directory.settle = withdrawn  # type: ignore[method-assign]
            changes = box.changes(inbox, entry.mod_seq)
            assert changes.entries == () or [e.uid for e in changes.entries] == []
            assert [e.uid for e in box.entries(inbox)] == [entry.uid]
            box.close()

    asyncio.run(scenario())


def test_the_child_killed_in_the_middle_is_a_temporary_failure(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as there:
            await there.deliver(LARGE)
            pid = there.bulk.child_pid
            assert pid is not None
            os.kill(pid, 9)
            with pytest.raises(Unavailable):
                await there.delivery.deliver(there.to(BOB), "", LARGE)
            assert there.files(BOB) == {"tmp": [], "new": [], "cur": []}
            await there.deliver(LARGE, BOB)
            assert await _count(there, BOB) == 1

    asyncio.run(scenario())


def test_a_certificate_that_cannot_be_used_fails_before_anything_is_kept(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as there:
            with pytest.raises(Exception, match="certificate"):
                await there.delivery.deliver(
                    [*there.to(ANN), Destination(BOB, b"nonsense", NOW + KEEP)], "", message()
                )
            assert there.files(ANN) == {"tmp": [], "new": [], "cur": []}

    asyncio.run(scenario())


def test_cancelled_on_the_way_it_is_no_delivery_and_its_repetition_is_one(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as there:
            task = asyncio.ensure_future(there.delivery.deliver(there.to(ANN), "x@org.test", LARGE))
            await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await there.deliver(LARGE, return_path="x@org.test")
            assert await _count(there) == 1

    asyncio.run(scenario())


_LIMITED = """
import asyncio, resource, signal, sys
from pathlib import Path
from mail.errors import Unavailable
from store.verify import verify
from tests.store.house import ANN, house, message
from store.delivery import Destination
async def main():
    async with house(Path(sys.argv[1])) as there:
        to = [Destination(ANN, Path(sys.argv[2]).read_bytes(), there.clock() + 100)]
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, resource.RLIM_INFINITY))
        for lines in (4000, 80000):
            try:
                await there.delivery.deliver(to, "", message(1, "A line of text.\\r\\n" * lines))
            except Unavailable:
                print("unavailable", there.files())
        (await there.delivery.deliver(to, "", message())).acknowledged()
        print("stored", len(there.files()["new"]))
asyncio.run(main())
"""


def test_a_disk_that_takes_no_more_is_a_temporary_failure_and_the_next_mail_fits(tmp_path: Path) -> None:
    """The kernel refuses the write itself (EFBIG), in the worker and in the child process."""
    certificate = tmp_path / "certificate"
    certificate.write_bytes(member(ANN)[0].certificate)
    root = tmp_path / "store"
    root.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(root), str(certificate)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    empty = "unavailable {'tmp': [], 'new': [], 'cur': []}"
    assert done.stdout.splitlines() == [empty, empty, "stored 2"], done.stderr


def test_ten_at_once_are_ten(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as there:
            await asyncio.gather(*(there.deliver(message(n), ANN, BOB) for n in range(10)))
            assert (await _count(there), await _count(there, BOB)) == (10, 10)

    asyncio.run(scenario())


def test_the_marker_needs_the_server_key(tmp_path: Path) -> None:
    """Otherwise whoever has a copy of the disk could test a guess at what was sent."""

    async def scenario() -> None:
        async with house(tmp_path) as there:
            claim = there.delivery._claim(there.to(ANN)[0], "x", b"d", NOW, 1)
            there.delivery._key = type(SERVER_KEY)(b"z" * 32)
            other = there.delivery._claim(there.to(ANN)[0], "x", b"d", NOW, 1)
            assert claim.name.unique != other.name.unique
            assert blobs.UNIQUE.fullmatch(claim.name.unique)

    asyncio.run(scenario())
