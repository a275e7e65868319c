"""What `imap_out.ports.Mailstore` promises, held on the in-memory store and on the real one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from imap_out.ports import Mailstore
from mail.errors import Reason, Refusal
from mail.mailbox import DELETED, SEEN, Column, FlagChange, Folder, Upload
from mail.numbers import NumberSet
from mail.search import (
    Aged,
    All,
    And,
    Dated,
    EmailId,
    Field,
    Flagged,
    Header,
    Moment,
    Not,
    Or,
    Sized,
    Text,
    Uids,
)
from tests.imap_out import searched
from tests.imap_out.memory import Account, MemoryStore
from tests.imap_out.talk import message
from tests.store.house import Clock, house

Reopen = Callable[[], Awaitable[Mailstore]]


@asynccontextmanager
async def _memory(_tmp_path, clock) -> AsyncIterator[Reopen]:
    account = Account(clock)

    async def reopen() -> Mailstore:
        return MemoryStore(account)

    yield reopen


@asynccontextmanager
async def _real(tmp_path, clock) -> AsyncIterator[Reopen]:
    async with house(tmp_path, clock) as place:
        yield place.open


@pytest.fixture(params=[_memory, _real], ids=["memory", "real"])
def hold(request, tmp_path):
    """Runs a coroutine function with (store, reopen, clock)."""

    def run(test):
        async def main():
            clock = Clock()
            async with request.param(tmp_path, clock) as reopen:
                store = await reopen()
                try:
                    await test(store, reopen, clock)
                finally:
                    store.close()
                    store.close()  # idempotent

        asyncio.run(main())

    return run


async def fill(store: Mailstore, count: int, name: str = "INBOX") -> Folder:
    folder = store.folder(name)
    for number in range(1, count + 1):
        await store.append(folder, message(number), frozenset(), None)
    return folder


def refusal(call, *args) -> Reason:
    with pytest.raises(Refusal) as caught:
        call(*args)
    return caught.value.reason


def test_folders(hold):
    async def test(store, _reopen, _clock):
        names = [folder.name for folder in store.folders()]
        assert names[0] == "INBOX" and names[1:] == sorted(names[1:])
        assert store.folder("inBox").name == "INBOX"
        assert {f.special_use for f in store.folders()} >= {"\\Sent", "\\Drafts", "\\Trash", "\\Junk"}
        made = store.create("a/b/c")
        assert {"a", "a/b", "a/b/c"} <= {folder.name for folder in store.folders()}
        assert refusal(store.create, "a/b/c") is Reason.FOLDER_EXISTS
        assert refusal(store.create, "INBOX") is Reason.FOLDER_EXISTS
        assert refusal(store.folder, "nowhere") is Reason.NO_SUCH_FOLDER
        store.rename(store.folder("a"), "z")
        assert store.folder("z/b/c").folder_id == made.folder_id
        store.delete(store.folder("z"))
        assert store.folder("z/b/c").folder_id == made.folder_id
        assert refusal(store.delete, store.folder("INBOX")) is Reason.FOLDER_NOT_PERMITTED
        validity = store.folder("z/b/c").uid_validity
        store.delete(store.folder("z/b/c"))
        again = store.create("z/b/c")
        assert (again.folder_id, again.uid_validity) != (made.folder_id, validity)
        assert refusal(store.changes, made, 0) is Reason.NO_SUCH_FOLDER

    hold(test)


def test_special_use(hold):
    async def test(store, _reopen, _clock):
        assert refusal(store.create, "Old", "\\Archive") is Reason.USE_NOT_PERMITTED
        assert refusal(store.create, "Old", "\\Nonsense") is Reason.USE_NOT_PERMITTED
        assert refusal(store.folder, "Old") is Reason.NO_SUCH_FOLDER
        store.delete(store.folder("Archive"))
        assert store.create("Old", "\\Archive").special_use == "\\Archive"
        assert store.folder("Old").special_use == "\\Archive"

    hold(test)


def test_email_ids_and_save_dates(hold):
    async def test(store, _reopen, clock):
        folder = await fill(store, 2)
        first, second = (row[0] for row in store.rows(folder, [1, 2], [Column.EMAIL_ID]))
        assert first != second and first.isalnum() and first.isascii()
        assert list(await store.search(folder, EmailId(second))) == [2]
        assert list(await store.search(folder, Not(EmailId(second)))) == [1]
        for unknown in ("0", first[:-1], first + "0", first[1:], "E=1"):
            assert list(await store.search(folder, EmailId(unknown))) == []
        sent = store.folder("Sent")
        store.copy(folder, [2], sent)
        assert list(store.rows(sent, [1], [Column.EMAIL_ID, Column.SAVE_DATE])) == [(second, clock())]
        assert list(await store.search(sent, EmailId(second))) == [1]
        today = clock() // 86_400
        assert list(await store.search(sent, Dated(Moment.SAVED, today, today + 1))) == [1]
        assert list(await store.search(sent, Dated(Moment.SAVED, None, today))) == []

    hold(test)


def test_subscriptions(hold):
    async def test(store, _reopen, _clock):
        store.create("x")
        store.subscribe("x", True)
        assert "x" in store.subscriptions() and store.folder("x").subscribed
        store.delete(store.folder("x"))
        assert "x" in store.subscriptions()
        store.subscribe("x", False)
        assert "x" not in store.subscriptions()

    hold(test)


def test_append_all(hold):
    async def test(store, _reopen, clock):
        folder = await fill(store, 1)
        uploads = [Upload(message(n), frozenset({f"$K{n}"}), n * 86_400) for n in (2, 3, 4)]
        done = await store.append_all(folder, uploads)
        assert list(done.target_uids) == [2, 3, 4] and done.uid_validity == folder.uid_validity
        columns = [Column.UID, Column.FLAGS, Column.INTERNAL_DATE]
        assert list(store.rows(folder, [2, 3, 4], columns)) == [
            (n, {f"$K{n}"}, n * 86_400) for n in (2, 3, 4)
        ]
        for uid in (2, 3, 4):
            assert await store.content(folder, uid) == message(uid)
        doomed = store.create("doomed")
        store.delete(doomed)
        with pytest.raises(Refusal) as caught:
            await store.append_all(doomed, uploads)
        assert caught.value.reason is Reason.NO_SUCH_FOLDER
        assert store.status(folder).messages == 4

    hold(test)


def test_append_rows_and_content(hold):
    async def test(store, _reopen, clock):
        folder = store.folder("INBOX")
        done = await store.append(folder, message(1), frozenset({SEEN, "$Mark"}), 837_596_665)
        assert list(done.source_uids) == [] and list(done.target_uids) == [1]
        assert done.uid_validity == folder.uid_validity
        columns = [
            Column.UID,
            Column.FLAGS,
            Column.SIZE,
            Column.INTERNAL_DATE,
            Column.HEADER,
            Column.MESSAGE_ID,
        ]
        (row,) = store.rows(folder, [1, 7], columns)
        content = message(1)
        assert row[:4] == (1, {SEEN, "$Mark"}, len(content), 837_596_665)
        assert row[4] == content[: content.index(b"\r\n\r\n") + 4]
        assert row[5] == "B27397-1@Blurdybloop.example"
        assert await store.content(folder, 1) == content
        for column in (Column.ENVELOPE, Column.BODY, Column.BODY_STRUCTURE):
            ((value,),) = store.rows(folder, [1], [column])
            assert value.startswith(b"(") and value.endswith(b")")
        with pytest.raises(Refusal):
            await store.content(folder, 7)
        await store.append(folder, message(2), frozenset(), None)
        assert list(store.rows(folder, [2], [Column.INTERNAL_DATE])) == [(clock(),)]

    hold(test)


def test_sent_falls_back_to_the_internal_date(hold):
    async def test(store, _reopen, _clock):
        folder = store.folder("INBOX")
        for sent in ("Mon, 7 Feb 1994 21:52:25 -0800", "", "soon", "Thu, 1 Jan 1970 00:00:00 +0000"):
            await store.append(folder, message(1, Date=sent), frozenset(), 837_596_665)
        rows = store.rows(folder, [1, 2, 3, 4], [Column.SENT, Column.INTERNAL_DATE])
        assert [sent for sent, _ in rows] == [760_686_745, 837_596_665, 837_596_665, 0]

    hold(test)


def test_rows_ascend_and_may_be_left_midway(hold):
    async def test(store, _reopen, _clock):
        folder = await fill(store, 5)
        rows = store.rows(folder, [1, 2, 4, 5], [Column.UID])
        assert next(iter(rows)) == (1,)
        del rows
        assert [uid for (uid,) in store.rows(folder, [1, 2, 4, 5, 99], [Column.UID])] == [1, 2, 4, 5]
        assert list(store.rows(folder, [], [Column.UID])) == []

    hold(test)


@pytest.mark.parametrize("name", ["Sent", "INBOX"])
def test_what_is_appended_twice_is_there_twice(hold, name):
    async def test(store, _reopen, _clock):
        folder = store.folder(name)
        for expected in (1, 2):
            filed = await store.append(folder, message(1), frozenset({SEEN}), None)
            assert list(filed.target_uids) == [expected]
        assert [entry.uid for entry in store.entries(folder)] == [1, 2]

    hold(test)


def test_status_and_entries(hold):
    async def test(store, _reopen, _clock):
        folder = await fill(store, 3)
        store.change_flags(folder, [2], FlagChange.ADD, frozenset({SEEN, DELETED}))
        figures = store.status(folder)
        assert (figures.messages, figures.unseen, figures.deleted, figures.uid_next) == (3, 2, 1, 4)
        assert figures.size == sum(len(message(n)) for n in (1, 2, 3))
        entries = store.entries(folder)
        assert [entry.uid for entry in entries] == [1, 2, 3]
        assert max(entry.mod_seq for entry in entries) <= figures.highest_mod_seq

    hold(test)


def test_recent_is_claimed_once(hold):
    async def test(store, _reopen, _clock):
        folder = await fill(store, 2)
        assert store.claim_recent(folder, read_only=True) == 1
        assert store.claim_recent(folder, read_only=False) == 1
        assert store.claim_recent(folder, read_only=False) == 3
        await store.append(folder, message(3), frozenset(), None)
        assert store.claim_recent(folder, read_only=False) == 3

    hold(test)


def test_flags(hold):
    async def test(store, _reopen, _clock):
        folder = await fill(store, 2)
        add, remove, replace = FlagChange.ADD, FlagChange.REMOVE, FlagChange.REPLACE
        entries, left = store.change_flags(folder, [1, 2, 9], add, frozenset({SEEN, "k"}))
        assert [(e.uid, e.flags) for e in entries] == [(1, {SEEN, "k"}), (2, {SEEN, "k"})]
        assert list(left) == []
        entries, _ = store.change_flags(folder, [1], remove, frozenset({SEEN}))
        assert entries[0].flags == {"k"}
        entries, _ = store.change_flags(folder, [1], replace, frozenset())
        assert entries[0].flags == frozenset()
        known = entries[0].mod_seq
        store.change_flags(folder, [1], add, frozenset({"x"}))
        entries, left = store.change_flags(folder, [1], add, frozenset({"y"}), known)
        assert list(left) == [1] and store.entries(folder)[0].flags == {"x"}

    hold(test)


def test_changes(hold):
    async def test(store, reopen, _clock):
        folder = await fill(store, 3)
        known = store.status(folder).highest_mod_seq
        assert not store.changes(folder, known).entries
        other = await reopen()
        other.change_flags(folder, [2], FlagChange.ADD, frozenset({SEEN}))
        await other.append(folder, message(4), frozenset(), None)
        changes = store.changes(folder, known)
        assert [entry.uid for entry in changes.entries] == [2, 4]
        assert changes.uid_next == 5 and changes.highest_mod_seq > known
        other.change_flags(folder, [1], FlagChange.ADD, frozenset({DELETED}))
        other.expunge(folder, [1, 2, 77])
        later = store.changes(folder, changes.highest_mod_seq)
        assert list(later.vanished) == [1]
        assert [entry.uid for entry in store.entries(folder)] == [2, 3, 4]
        other.close()

    hold(test)


def test_copy_and_move(hold):
    async def test(store, _reopen, clock):
        folder = await fill(store, 3)
        store.change_flags(folder, [2], FlagChange.ADD, frozenset({SEEN, "k"}))
        (before,) = store.rows(folder, [2], [Column.EXPIRES, Column.INTERNAL_DATE, Column.EMAIL_ID])
        clock.now += 1000
        target = store.folder("Archive")
        done = store.copy(folder, [2, 3], target)
        assert (list(done.source_uids), list(done.target_uids)) == ([2, 3], [1, 2])
        assert done.uid_validity == target.uid_validity
        ((*facts, flags),) = store.rows(
            target, [1], [Column.EXPIRES, Column.INTERNAL_DATE, Column.EMAIL_ID, Column.FLAGS]
        )
        assert tuple(facts) == before and flags == {SEEN, "k"}  # P13: a copy lives no longer
        done = store.move(folder, [1, 3], target)
        assert (list(done.source_uids), list(done.target_uids)) == ([1, 3], [3, 4])
        assert [entry.uid for entry in store.entries(folder)] == [2]
        assert await store.content(target, 3) == message(1)
        store.delete(store.folder("Archive"))
        assert refusal(store.copy, folder, [2], target) is Reason.NO_SUCH_FOLDER
        assert [entry.uid for entry in store.entries(folder)] == [2]

    hold(test)


def test_renaming_inbox_moves_its_messages(hold):
    async def test(store, _reopen, _clock):
        folder = await fill(store, 2)
        store.rename(folder, "old")
        assert store.status(store.folder("INBOX")).messages == 0
        assert store.status(store.folder("old")).messages == 2

    hold(test)


def test_search(hold):
    async def test(store, _reopen, clock):
        folder = store.folder("INBOX")
        await store.append(folder, message(1, "The Straße\r\n"), frozenset({SEEN}), 837_596_665)
        await store.append(folder, message(2, Subject="Ünder"), frozenset({"k"}), None)
        for key, expected in (
            (All(), [1, 2]),
            (Uids(NumberSet(((2, 9),))), [2]),
            (Uids(NumberSet(())), []),
            (Flagged(SEEN), [1]),
            (Flagged("K"), [2]),
            (Flagged(SEEN, False), [2]),
            (Text(Field.BODY, "STRASSE"), [1]),
            (Text(Field.TEXT, "foobar"), [1, 2]),
            (Text(Field.FROM, ""), [1, 2]),
            (Text(Field.TO, "MOOCH"), [1, 2]),
            (Text(Field.CC, "mooch"), []),
            (Header("message-id", "27397-2"), [2]),
            (Header("X-None", ""), []),
            (Header("date", ""), [1, 2]),
            (Dated(Moment.INTERNAL, None, 10_000), [1]),
            (Dated(Moment.SENT, 8_803, 8_804), [1, 2]),
            (Aged(1, True), [1]),
            (Aged(1, False), [2]),
            (Aged(clock.now - 837_596_665, True), [1]),  # both hold at the very second
            (Aged(clock.now - 837_596_665, False), [1, 2]),
            (Aged(clock.now - 837_596_664, True), []),
            (Sized(None, 10), []),
            (Sized(10, None), [1, 2]),
            (Not(Flagged(SEEN)), [2]),
            (And((Flagged("k"), All())), [2]),
            (Or(Flagged("k"), Flagged(SEEN)), [1, 2]),
        ):
            assert list(await store.search(folder, key)) == expected, key

    hold(test)


def test_search_sees_folded_fields_and_the_headers_of_parts(hold):
    async def test(store, _reopen, _clock):
        folder = store.folder("INBOX")
        await store.append(folder, message(1), frozenset(), None)
        await store.append(folder, searched.MESSAGE, frozenset(), None)

        async def finds(key):
            return 2 in await store.search(folder, key)

        for field, words in (
            (Field.TEXT, searched.TEXT | dict.fromkeys(searched.OURS_ALONE, True)),
            (Field.BODY, searched.BODY),
            (Field.SUBJECT, searched.SUBJECT),
        ):
            for word, expected in words.items():
                assert await finds(Text(field, word)) is expected, (field, word)
        for word in ("quarterly figures", "Quarterly\t figures", "Quarterly\r\n\tfigures", "figures für"):
            assert await finds(Text(Field.SUBJECT, word)) and await finds(Header("Subject", word)), word
        assert await finds(Header("Content-Type", "multipart/mixed; boundary=X"))
        for name in (
            "X-Thing",
            "Content-Disposition",
            " X-Thing",
            "",
        ):  # fields of parts are not the message's
            assert not await finds(Header(name, "")), name
        assert not await finds(Header("Content-Type", "application/pdf"))

    hold(test)


def test_expired_messages_are_never_in_it(hold):
    async def test(store, _reopen, clock):
        folder = await fill(store, 2)
        known = store.status(folder).highest_mod_seq
        ((expires,),) = store.rows(folder, [1], [Column.EXPIRES])
        clock.now = expires
        with pytest.raises(Refusal) as caught:
            await store.content(folder, 1)
        assert caught.value.reason in (Reason.EXPIRED, Reason.NO_SUCH_MESSAGE)
        assert list(store.rows(folder, [1, 2], [Column.UID])) == []
        assert list(await store.search(folder, All())) == []
        assert store.status(folder).messages == 0
        assert list(store.changes(folder, known).vanished) == [1, 2]
        assert list(store.entries(folder)) == []
        assert store.status(folder).uid_next == 3  # a UID is never used again

    hold(test)


def test_watch(hold):
    async def test(store, reopen, _clock):
        told = asyncio.Event()
        stop = store.watch(told.set)
        other = await reopen()
        await other.append(other.folder("INBOX"), message(1), frozenset(), None)
        await asyncio.wait_for(told.wait(), 5)
        stop()
        await asyncio.sleep(0.05)  # what was told already is delivered
        told.clear()
        await other.append(other.folder("INBOX"), message(2), frozenset(), None)
        await asyncio.sleep(0.05)
        assert not told.is_set()
        other.close()

    hold(test)


def test_the_account_is_known_by_its_id(hold):
    async def test(store, _reopen, _clock):
        assert len(store.account_id) == 32

    hold(test)
