"""From new/ into the index: summaries, damage, several sessions, bursts."""

from __future__ import annotations

import asyncio
import os
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imap_out.rendering import summarise
from mail.errors import Damaged, Unavailable
from mail.mailbox import Column
from mail.search import Field, Text
from store import intake, open_accounts
from store.mailbox import unlock
from store.summaries import Material, fold, header_text, pack, unpack
from store.verify import verify
from tests.store.house import ANN, NOW, house, member, message

_FIELDS = [st.binary(max_size=20)] * 13


@given(
    st.builds(
        Material,
        st.integers(0, 1 << 50),
        st.integers(-(1 << 40), 1 << 40),
        st.none() | st.integers(-1_000_000, 3_000_000),
        st.booleans(),
        st.binary(min_size=32, max_size=32),
        *_FIELDS,
    )
)
def test_a_packed_summary_reads_back_and_any_cut_is_damage(material: Material) -> None:
    packed = pack(material)
    assert unpack(packed) == material
    for cut in (b"", packed[:-1], packed[:40], packed + b"x", b"XXXX" + packed[4:]):
        if cut != packed:
            with pytest.raises(Damaged):
                unpack(cut)


def test_text_is_folded_for_comparing() -> None:
    assert fold("Straße ÄRGER") == fold("STRASSE a\u0308rger")
    assert fold("\ud800") == b"?"
    block = b"Subject: =?utf-8?q?=C3=84=0D=0AX-Evil:_y?=\r\nTo: a,\r\n b\r\nno field\r\n\r\n"
    assert header_text(block).split(b"\n") == ["subject: ä x-evil: y".encode(), b"to: a, b", b""]


def test_mail_comes_in_by_age_whatever_order_the_directory_has(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as there:
            for number in range(5):
                there.clock.now = NOW - number
                await there.deliver(message(number))
            there.clock.now = NOW
            box = await there.open()
            inbox = box.folder("INBOX")
            rows = box.rows(inbox, [1, 2, 3, 4, 5], [Column.MESSAGE_ID])
            assert [row[0] for row in rows] == [f"m{n}@org.test" for n in (4, 3, 2, 1, 0)]
            box.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("spoiled", ["missing", "torn", "empty", "another's"])
def test_without_a_sound_summary_the_message_itself_is_read(tmp_path: Path, spoiled: str) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as there:
            await there.deliver(message(1))
            (summary,) = (there.directory() / "new").glob("*.summary")
            if spoiled == "missing":
                summary.unlink()
            else:
                sealed = summary.read_bytes()
                other = summary.with_suffix("").read_bytes()  # sealed to the same key, but no summary
                summary.write_bytes({"torn": sealed[:-20], "empty": b"", "another's": other}[spoiled])
            box = await there.open()
            inbox = box.folder("INBOX")
            assert list(box.rows(inbox, [1], [Column.MESSAGE_ID])) == [("m1@org.test",)]
            assert await box.content(inbox, 1) == message(1)
            assert there.files()["new"] == []
            box.close()

    asyncio.run(scenario())


def test_one_damaged_file_does_not_stop_the_mail_behind_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as there:
            await there.deliver(message(1))
            for file in (there.directory() / "new").iterdir():
                file.write_bytes(b"spoiled")
            there.clock.now += 1
            await there.deliver(message(2))
            (there.directory() / "new" / "not a message").write_bytes(b"")
            box = await there.open()
            inbox = box.folder("INBOX")
            for _ in range(3):
                assert len(box.entries(inbox)) == 1
            assert [event for event, *_ in there.notes.lines] == ["damaged"]  # told once
            faults = [fault.what for fault in verify(tmp_path, ANN, NOW, unlock(*member(ANN)))]
            assert sorted(faults) == ["not a sealed message", "not the name of a message"]
            box.close()

    asyncio.run(scenario())


def test_open_sessions_hear_of_a_delivery_and_of_each_other(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as there, house(tmp_path) as elsewhere:
            here, far = await there.open(), await elsewhere.open()
            inbox, far_inbox = here.folder("INBOX"), far.folder("INBOX")
            since, far_since = (b.status(f).highest_mod_seq for b, f in ((here, inbox), (far, far_inbox)))
            told, far_told = asyncio.Event(), asyncio.Event()
            here.watch(told.set)
            stop = far.watch(far_told.set)
            await elsewhere.deliver(message(1))
            await asyncio.wait_for(asyncio.gather(told.wait(), far_told.wait()), 5)
            assert [e.uid for e in here.changes(inbox, since).entries] == [1]
            assert [e.uid for e in far.changes(far_inbox, far_since).entries] == [1]
            stop()
            far_told.clear()
            await asyncio.sleep(0.05)
            far_told.clear()
            told.clear()
            far.create("New")
            await asyncio.wait_for(told.wait(), 5)
            assert here.folder("New") and not far_told.is_set()
            here.close()
            far.close()

    asyncio.run(scenario())


def test_two_processes_take_in_the_same_mail_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as there, house(tmp_path) as elsewhere:
            boxes = [await there.open(), await elsewhere.open()]
            inbox = boxes[0].folder("INBOX")
            for number in range(30):
                await there.deliver(message(number))
                looks = [asyncio.to_thread(b._shared._intake.take_in, NOW, 1000) for b in boxes]
                # None when a look that the bus called for was quicker still.
                assert sum(await asyncio.gather(*looks)) <= 1
            for box in boxes:
                assert [e.uid for e in box.entries(inbox)] == list(range(1, 31))
            box = boxes[0]
            assert len({row[0] for row in box.rows(inbox, list(range(1, 31)), [Column.EMAIL_ID])}) == 30
            for box in boxes:
                box.close()
            await there.accounts.emptied()
            assert list(verify(tmp_path, ANN, NOW, unlock(*member(ANN)))) == []

    asyncio.run(scenario())


def test_mail_of_one_second_comes_in_as_it_arrived(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as there:
            for number in range(12):
                await there.delivery.deliver(there.to(ANN), "", message(number))
            box = await there.open()
            inbox = box.folder("INBOX")
            ids = [row[0] for row in box.rows(inbox, list(range(1, 13)), [Column.MESSAGE_ID])]
            expected = [row.message_id for row in map(summarise, map(message, range(12)))]
            assert ids == expected
            box.close()

    asyncio.run(scenario())


def test_a_burst_comes_in_at_several_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_accounts, "LOOK", 4)

    async def scenario() -> None:
        async with house(tmp_path) as there:
            box = await there.open()
            inbox = box.folder("INBOX")
            seen = [0]

            def look() -> None:
                seen.append(len(box.entries(inbox)))

            for number in range(10):
                await there.delivery.deliver(there.to(ANN), "", message(number))
            box.watch(look)
            there.bus.tell(ANN)
            for _ in range(200):
                await asyncio.sleep(0.01)
                if seen[-1] == 10:
                    break
            assert seen[-1] == 10 and all(b - a <= 4 for a, b in pairwise(seen))
            box.close()

    asyncio.run(scenario())


def test_the_last_session_drops_keys_and_plaintext(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as there:
            await there.deliver(message(1))
            one, two = await asyncio.gather(there.open(), there.open())
            shared = one._shared
            assert two._shared is shared
            inbox = one.folder("INBOX")
            await one.content(inbox, 1)
            one.close()
            one.close()
            assert await two.content(inbox, 1) == message(1)
            two.close()
            await there.accounts.emptied()
            assert not there.contents._contents and there.contents._held == 0
            with pytest.raises(Exception, match="closed"):
                two.folders()
            again = await there.open()
            assert again._shared is not shared
            again.close()

    asyncio.run(scenario())


def test_another_members_key_does_not_open_the_index(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as there:
            (await there.open()).close()
            await there.accounts.emptied()
            with pytest.raises(Damaged):
                await there.accounts.share(ANN, unlock(*member("b" * 32)))
            (await there.open()).close()

    asyncio.run(scenario())


def test_the_plaintext_cache_is_bounded_and_opens_a_large_message_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as there:
            box = await there.open()
            drafts = box.folder("Drafts")
            contents = [message(n, "x" * 100_000) for n in range(4)]
            for content in contents:
                await box.append(drafts, content, frozenset(), None)
            plaintext, cache = box._shared.plaintext, there.contents
            cache._budget = 250_000
            opened: list[int] = []
            read = plaintext._read

            def counted(name: object) -> bytes:
                opened.append(1)
                return read(name)  # type: ignore[arg-type]

            plaintext._read = counted  # type: ignore[method-assign]
            for _ in range(2):
                assert (
                    await asyncio.gather(*(box.content(drafts, 1) for _ in range(5))) == [contents[0]] * 5
                )
            assert len(opened) == 1
            for uid, content in enumerate(contents, 1):
                assert await box.content(drafts, uid) == content
                assert cache._held == sum(map(len, cache._contents.values())) <= 250_000
            await box.content(drafts, 1)
            assert len(opened) == 5  # 1 again: it was the least recently used
            cache._budget = 10
            await box.content(drafts, 2)
            assert cache._held <= 250_000
            box.close()

    asyncio.run(scenario())


CANARIES = {
    "Subject": "Ca9aSubject",
    "From": "Ca9aName <Ca9aLocal@org.test>",
    "X-Ca9aHeader": "Ca9aValue",
}


def test_no_file_holds_a_readable_word(tmp_path: Path) -> None:
    """A day of mail: in, filed, copied, flagged, searched, one delivery half done; every file of
    the store is read while the sessions are open (WAL) and after they are closed."""

    def plain() -> list[str]:
        return [
            path.name
            for path in tmp_path.rglob("*")
            if (path.is_file() and b"ca9a" in path.read_bytes().lower()) or "ca9a" in path.name.lower()
        ]

    async def scenario() -> None:
        async with house(tmp_path) as there:
            body = "Ca9aBody " * 3000
            for number, size in enumerate((1, 60)):
                await there.deliver(message(number, body * size, **CANARIES))
            box = await there.open()
            inbox = box.folder("INBOX")
            uids = [entry.uid for entry in box.entries(inbox)]
            box.create("Ca9aFolder")
            box.copy(inbox, uids, box.folder("Ca9aFolder"))
            await box.append(
                box.folder("Drafts"), message(5, body, **CANARIES), frozenset({"Ca9aKey"}), None
            )
            await box.file_sent(message(6, body * 60, **CANARIES))
            assert list(await box.search(inbox, Text(Field.TEXT, "ca9abody"))) == uids
            await box.content(inbox, uids[1])
            half = await there.delivery.prepare(
                there.to(ANN), "Ca9aPath@org.test", message(7, body, **CANARIES)
            )
            assert plain() == []
            assert any(path.name.endswith("-wal") for path in there.directory().iterdir())
            box.close()
            await there.accounts.emptied()
            assert plain() == []
            half.abort()

    asyncio.run(scenario())


def test_on_a_full_disk_mail_is_read_and_put_in_its_place_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as there:
            box = await there.open()
            inbox = box.folder("INBOX")
            await there.deliver(message(1))

            def full(*_args: object) -> None:
                raise OSError(28, "injected")

            with monkeypatch.context() as patch:
                patch.setattr(os, "rename", full)
                for _ in range(2):
                    assert len(box.entries(inbox)) == 1
                    assert await box.content(inbox, 1) == message(1)
            assert len(there.files()["new"]) == 2
            assert len(box.entries(inbox)) == 1
            assert await box.content(inbox, 1) == message(1)
            assert there.files()["new"] == []
            box.close()

    asyncio.run(scenario())


def test_when_the_index_takes_no_more_what_is_there_is_still_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as there:
            await there.deliver(message(1))
            box = await there.open()
            inbox = box.folder("INBOX")
            await there.deliver(message(2))

            def full(*_args: object) -> None:
                raise Unavailable from OSError(28, "Ca9aPath")

            with monkeypatch.context() as patch:
                patch.setattr(intake, "add", full)
                assert [entry.uid for entry in box.entries(inbox)] == [1]
                assert await box.content(inbox, 1) == message(1)
                other = await there.open()
                other.close()
            assert "OSError" in caplog.text and "Ca9a" not in caplog.text
            assert [entry.uid for entry in box.entries(inbox)] == [1, 2]
            box.close()

    asyncio.run(scenario())
