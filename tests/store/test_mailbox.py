"""The store's face: folders, flags, copying, moving, expiry, filing."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from imap_out.rendering import summarise
from mail.errors import Reason, Refusal, Unavailable
from mail.mailbox import DELETED, FLAGGED, SEEN, Column, FlagChange, Folder, Upload
from store import index_entries, index_folders
from store.blobs import BlobName
from store.mailbox import Mailbox, unlock
from store.verify import verify
from tests.store.house import ANN, DAY, KEEP, NOW, House, house, member, message

LARGE = message(9, "A line of text.\r\n" * 80_000)
ALL = list(Column)


def run(root: Path, scenario: Callable[[House, Mailbox], Awaitable[None]]) -> None:
    """With Ann's mailbox open; afterwards nothing may be amiss in the store."""

    async def whole() -> None:
        async with house(root) as there:
            box = await there.open()
            await scenario(there, box)
            box.close()
            await there.accounts.emptied()
            assert list(verify(root, ANN, there.clock(), unlock(*member(ANN)))) == []

    asyncio.run(whole())


def uids(box: Mailbox, folder: Folder) -> list[int]:
    return [entry.uid for entry in box.entries(folder)]


def refused(reason: Reason, call: Callable[..., Any], *args: Any, **kw: Any) -> None:
    with pytest.raises(Refusal) as caught:
        call(*args, **kw)
    assert caught.value.reason is reason


# Folders


def test_a_new_account_has_its_folders(tmp_path: Path) -> None:
    async def scenario(_there: House, box: Mailbox) -> None:
        assert [(f.name, f.special_use, f.subscribed) for f in box.folders()] == [
            ("INBOX", "", True),
            ("Archive", "\\Archive", True),
            ("Drafts", "\\Drafts", True),
            ("Junk", "\\Junk", True),
            ("Sent", "\\Sent", True),
            ("Trash", "\\Trash", True),
        ]
        assert len({f.uid_validity for f in box.folders()}) == 6
        assert box.folder("inBox").name == "INBOX"
        refused(Reason.NO_SUCH_FOLDER, box.folder, "Nowhere")
        refused(Reason.NO_SUCH_FOLDER, box.folder, "a\0b")

    run(tmp_path, scenario)


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("Work", "Work"),
        ("Work/", "Work"),
        ("a/b/c", "a/b/c"),
        ("inbox/x", "INBOX/x"),
        ("50%*", "50%*"),
        ("Ärzte", "Ärzte"),
        ("A\u0308rzte", "Ärzte"),
        ("a" * 255, "a" * 255),
    ],
)
def test_names_that_are_made(tmp_path: Path, given: str, made: str) -> None:
    async def scenario(_there: House, box: Mailbox) -> None:
        assert box.create(given).name == made
        assert box.folder(given.rstrip("/")).name == made
        refused(Reason.FOLDER_EXISTS, box.create, made)
        parents = made.split("/")[:-1]
        for depth in range(1, len(parents) + 1):
            box.folder("/".join(parents[:depth]))

    run(tmp_path, scenario)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", Reason.FOLDER_NOT_PERMITTED),
        ("/", Reason.FOLDER_NOT_PERMITTED),
        ("/a", Reason.FOLDER_NOT_PERMITTED),
        ("a//b", Reason.FOLDER_NOT_PERMITTED),
        ("a/..", Reason.FOLDER_NOT_PERMITTED),
        ("./a", Reason.FOLDER_NOT_PERMITTED),
        ("a\r\nb", Reason.FOLDER_NOT_PERMITTED),
        ("a\x7fb", Reason.FOLDER_NOT_PERMITTED),
        ("a\0b", Reason.FOLDER_NOT_PERMITTED),
        ("a\ud800", Reason.FOLDER_NOT_PERMITTED),
        ("a\u2028", Reason.FOLDER_NOT_PERMITTED),
        ("INBOX", Reason.FOLDER_EXISTS),
        ("sent/../INBOX", Reason.FOLDER_NOT_PERMITTED),
        ("a" * 256, Reason.LIMIT),
        ("ä" * 128, Reason.LIMIT),
        ("/".join(["a" * 200] * 6), Reason.LIMIT),
        ("/".join("a" * 33), Reason.LIMIT),
    ],
)
def test_names_that_are_refused(tmp_path: Path, name: str, reason: Reason) -> None:
    async def scenario(_there: House, box: Mailbox) -> None:
        before = box.folders()
        refused(reason, box.create, name)
        assert box.folders() == before

    run(tmp_path, scenario)


def test_the_number_of_folders_and_subscriptions_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_folders, "MAX_FOLDERS", 8)

    async def scenario(_there: House, box: Mailbox) -> None:
        box.create("a/b")
        refused(Reason.LIMIT, box.create, "c")
        refused(Reason.LIMIT, box.rename, box.folder("a"), "x/y/z")
        for number in range(10):
            box.subscribe(f"n{number}", True)
        refused(Reason.LIMIT, box.subscribe, "more", True)

    run(tmp_path, scenario)


def test_special_use_is_given_once(tmp_path: Path) -> None:
    async def scenario(_there: House, box: Mailbox) -> None:
        refused(Reason.USE_NOT_PERMITTED, box.create, "Other", "\\Sent")
        refused(Reason.USE_NOT_PERMITTED, box.create, "Other", "\\Nonsense")
        box.delete(box.folder("Sent"))
        assert box.create("Gesendet", "\\Sent").special_use == "\\Sent"
        assert box.special("\\Sent").name == "Gesendet"
        box.delete(box.folder("Gesendet"))
        assert box.special("\\Sent").name == "Sent"
        box.delete(box.folder("Trash"))
        box.create("Trash")
        assert box.special("\\Trash") == box.folder("Trash")

    run(tmp_path, scenario)


def test_a_folder_made_anew_has_a_greater_uidvalidity(tmp_path: Path) -> None:
    async def scenario(_there: House, box: Mailbox) -> None:
        seen = []
        for _ in range(3):
            folder = box.create("Work")
            seen.append(folder.uid_validity)
            box.delete(folder)
            refused(Reason.NO_SUCH_FOLDER, box.entries, folder)
        assert seen == sorted(set(seen))
        # A session that still names the old one must not reach into the new one.
        again = box.create("Work")
        assert again.folder_id != folder.folder_id
        for call in (box.entries, box.status, box.delete):
            refused(Reason.NO_SUCH_FOLDER, call, folder)
        refused(Reason.NO_SUCH_FOLDER, box.changes, folder, 0)
        refused(Reason.NO_SUCH_FOLDER, box.claim_recent, folder, read_only=False)
        refused(Reason.NO_SUCH_FOLDER, box.rename, folder, "x")
        with pytest.raises(Refusal):
            await box.append(folder, message(), frozenset(), None)
        with pytest.raises(Refusal):
            await box.search(folder, None)  # type: ignore[arg-type]

    run(tmp_path, scenario)


def test_deleting_a_folder_destroys_its_mail_and_leaves_children_and_copies(tmp_path: Path) -> None:
    async def scenario(there: House, box: Mailbox) -> None:
        box.create("Work/Child")
        work, child = box.folder("Work"), box.folder("Work/Child")
        filed = await box.append(work, message(1), frozenset(), None)
        await box.append(work, message(2), frozenset(), None)
        box.copy(work, filed.target_uids, child)
        box.delete(work)
        assert await box.content(child, 1) == message(1)
        refused(Reason.FOLDER_NOT_PERMITTED, box.delete, box.folder("INBOX"))
        box.close()
        await there.accounts.emptied()
        assert len(there.files()["cur"]) == 1

    run(tmp_path, scenario)


def test_renaming_takes_children_along(tmp_path: Path) -> None:
    async def scenario(_there: House, box: Mailbox) -> None:
        box.create("a/b/c")
        box.create("ab")
        before = box.folder("a/b")
        box.rename(before, "x/y")
        names = [f.name for f in box.folders()]
        assert "x/y/c" in names and "a/b" not in names and "a" in names and "ab" in names
        assert box.folder("x/y").uid_validity == before.uid_validity
        refused(Reason.FOLDER_EXISTS, box.rename, box.folder("ab"), "x/y")
        refused(Reason.FOLDER_NOT_PERMITTED, box.rename, box.folder("x"), "x/y/z")
        box.delete(box.folder("x/y"))
        refused(Reason.FOLDER_EXISTS, box.rename, box.create("q/c").__class__ and box.folder("q"), "x/y")

    run(tmp_path, scenario)


def test_a_name_never_gets_a_lower_uidvalidity_by_a_rename(tmp_path: Path) -> None:
    async def scenario(_there: House, box: Mailbox) -> None:
        old = box.create("old/child").uid_validity
        await box.append(box.folder("old/child"), message(1), frozenset(), None)
        top = box.folder("old").uid_validity
        later = box.create("new/child").uid_validity
        assert later > old
        box.delete(box.folder("new/child"))
        box.delete(box.folder("new"))
        box.rename(box.folder("old"), "new")
        assert box.folder("new").uid_validity > later and box.folder("new/child").uid_validity > later
        assert uids(box, box.folder("new/child")) == [1]
        # A name that nobody had before keeps what a client knows, and so does a name that
        # only lower ones had.
        box.create("third")
        third = box.folder("third").uid_validity
        box.rename(box.folder("third"), "old")
        assert box.folder("old").uid_validity == third > top
        # Renamed away counts as gone: a lower one must not take its place.
        first = box.create("first").uid_validity
        second = box.create("second").uid_validity
        box.rename(box.folder("second"), "elsewhere")
        assert box.folder("elsewhere").uid_validity == second
        box.rename(box.folder("first"), "second")
        assert box.folder("second").uid_validity > second > first

    run(tmp_path, scenario)


def test_what_is_remembered_of_names_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_folders, "MAX_FOLDERS", 9)

    async def scenario(there: House, box: Mailbox) -> None:
        low = box.create("low")
        highest = 0
        for number in range(30):
            made = box.create(f"name {number}")
            highest = max(highest, made.uid_validity) if number == 5 else highest
            box.delete(made)
        assert there.rows("former") == 18
        box.rename(low, "name 5")  # forgotten, but not how high it may have been
        assert box.folder("name 5").uid_validity > highest
        fresh = box.create("fresh")
        box.rename(fresh, "kept")
        assert box.folder("kept").uid_validity == fresh.uid_validity

    run(tmp_path, scenario)


def test_renaming_a_child_beyond_the_bounds_is_refused_whole(tmp_path: Path) -> None:
    async def scenario(_there: House, box: Mailbox) -> None:
        box.create("a/" + "/".join(["b" * 240] * 4))
        before = box.folders()
        refused(Reason.LIMIT, box.rename, box.folder("a"), "c" * 100)
        assert box.folders() == before

    run(tmp_path, scenario)


def test_renaming_inbox_moves_its_mail_and_leaves_it_and_its_children(tmp_path: Path) -> None:
    async def scenario(there: House, box: Mailbox) -> None:
        box.create("INBOX/child")
        for number in (1, 2):
            await there.deliver(message(number))
        inbox = box.folder("INBOX")
        assert uids(box, inbox) == [1, 2]
        box.rename(inbox, "INBOX/old")
        assert uids(box, inbox) == []
        assert uids(box, box.folder("INBOX/old")) == [1, 2]
        box.folder("INBOX/child")
        await there.deliver(message(3))
        assert uids(box, inbox) == [3]
        filed = await box.append(box.folder("INBOX/old"), message(4), frozenset(), None)
        assert list(filed.target_uids) == [3]

    run(tmp_path, scenario)


def test_subscriptions_outlive_their_folders(tmp_path: Path) -> None:
    async def scenario(_there: House, box: Mailbox) -> None:
        box.subscribe("Nowhere", True)
        box.subscribe("Nowhere", True)
        box.subscribe("junk", False)
        box.subscribe("Junk", False)
        box.delete(box.folder("Trash"))
        assert box.subscriptions() == ["Archive", "Drafts", "INBOX", "Nowhere", "Sent", "Trash"]
        assert not box.folder("Junk").subscribed
        refused(Reason.FOLDER_NOT_PERMITTED, box.subscribe, "a\nb", True)

    run(tmp_path, scenario)


# Messages


def test_what_was_delivered_is_listed_as_it_was_summarised(tmp_path: Path) -> None:
    async def scenario(there: House, box: Mailbox) -> None:
        await there.deliver(message(7))
        inbox = box.folder("INBOX")
        status = box.status(inbox)
        assert (status.messages, status.recent, status.unseen, status.size) == (1, 1, 1, len(message(7)))
        ((uid, flags, _, date, sent, size, expires, saved, email_id, *wide),) = box.rows(inbox, [1], ALL)
        assert (uid, flags, date, size, expires, saved) == (
            1,
            frozenset(),
            NOW,
            len(message(7)),
            NOW + KEEP,
            NOW,
        )
        assert sent == summarise(message(7)).sent
        envelope, body, structure, header, parts, message_id = wide
        assert len(email_id) == 32 and b"Message 7" in envelope and body.startswith(b"(")
        assert structure.startswith(b"(") and message(7).startswith(header) and parts
        assert message_id == "m7@org.test"
        assert await box.content(inbox, 1) == message(7)

    run(tmp_path, scenario)


def test_rows_of_runs_gaps_and_strangers(tmp_path: Path) -> None:
    async def scenario(there: House, box: Mailbox) -> None:
        await asyncio.gather(*(there.deliver(message(n)) for n in range(1, 41)))
        inbox = box.folder("INBOX")
        assert len(uids(box, inbox)) == 40
        for wanted in ([], [1], [40, 41], [1, 2, 3, 90], [1, 40, 4000], list(range(1, 41)), [7, 9, 11]):
            got = [row[0] for row in box.rows(inbox, wanted, [Column.UID, Column.HEADER])]
            assert got == [uid for uid in wanted if uid <= 40]

    run(tmp_path, scenario)


def test_rows_are_read_in_slices_between_which_others_may_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_entries, "SLICE", 2)

    async def scenario(there: House, box: Mailbox) -> None:
        await asyncio.gather(*(there.deliver(message(n)) for n in range(5)))
        inbox = box.folder("INBOX")
        rows = box.rows(inbox, uids(box, inbox), [Column.UID])
        assert next(rows) == (1,)
        box.change_flags(inbox, [4], FlagChange.ADD, frozenset({DELETED}))
        box.expunge(inbox, [4])
        assert list(rows) == [(2,), (3,), (5,)]

    run(tmp_path, scenario)


def test_flags_are_replaced_added_and_removed(tmp_path: Path) -> None:
    async def scenario(there: House, box: Mailbox) -> None:
        await there.deliver(message(1))
        await there.deliver(message(2))
        inbox = box.folder("INBOX")
        start = box.status(inbox).highest_mod_seq
        change = box.change_flags
        (entry,), alone = change(inbox, [1, 99], FlagChange.ADD, frozenset({"\\SEEN", "$Work"}))
        assert entry.flags == {SEEN, "$Work"} and alone == []
        (same,), _ = change(inbox, [1], FlagChange.ADD, frozenset({"$WORK"}))
        assert same == entry  # no change, no new mod-sequence; keywords keep their first spelling
        assert [e.uid for e in box.changes(inbox, start).entries] == [1]
        (entry,), _ = change(inbox, [1], FlagChange.REMOVE, frozenset({SEEN}))
        assert entry.flags == {"$Work"}
        (entry,), _ = change(inbox, [1], FlagChange.REPLACE, frozenset({FLAGGED}))
        assert entry.flags == {FLAGGED}
        both, _ = change(inbox, [1, 2], FlagChange.REPLACE, frozenset())
        assert [e.flags for e in both] == [frozenset(), frozenset()]
        # RFC 7162 section 3.1.3: what changed since is left alone.
        done, alone = change(inbox, [1, 2], FlagChange.ADD, frozenset({SEEN}), entry.mod_seq)
        assert [e.uid for e in done] == [2] and alone == [1]
        assert box.status(inbox).unseen == 1

    run(tmp_path, scenario)


def test_flags_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_entries, "MAX_KEYWORDS", 3)

    async def scenario(there: House, box: Mailbox) -> None:
        await there.deliver(message())
        inbox = box.folder("INBOX")
        assert uids(box, inbox) == [1]
        for flag in ("\\Recent", "\\Made-Up", "k" * 256, "two words", ""):
            refused(Reason.LIMIT, box.change_flags, inbox, [1], FlagChange.ADD, frozenset({flag}))
        box.change_flags(inbox, [1], FlagChange.ADD, frozenset({"a", "b", "c"}))
        refused(Reason.LIMIT, box.change_flags, inbox, [1], FlagChange.ADD, frozenset({"d"}))
        assert box.entries(inbox)[0].flags == {"a", "b", "c"}

    run(tmp_path, scenario)


def test_keywords_that_no_message_carries_make_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_entries, "MAX_KEYWORDS", 3)

    async def scenario(there: House, box: Mailbox) -> None:
        for number in (1, 2):
            await there.deliver(message(number))
        inbox = box.folder("INBOX")
        assert uids(box, inbox) == [1, 2]
        for number in range(10):  # a keyword a day
            box.change_flags(inbox, [1], FlagChange.REPLACE, frozenset({SEEN, "Kept", f"day{number}"}))
        box.change_flags(inbox, [2], FlagChange.ADD, frozenset({"kept", "more"}))
        assert [entry.flags for entry in box.entries(inbox)] == [{SEEN, "Kept", "day9"}, {"Kept", "more"}]
        # One is new in the same command as another that would push it out.
        box.change_flags(inbox, [1], FlagChange.REPLACE, frozenset({SEEN}))
        box.change_flags(inbox, [1], FlagChange.REPLACE, frozenset({"Kept", "one"}))
        refused(Reason.LIMIT, box.change_flags, inbox, [1], FlagChange.REPLACE, frozenset({"two", "three"}))
        assert box.entries(inbox)[0].flags == {"Kept", "one"}
        box.change_flags(inbox, [2], FlagChange.REPLACE, frozenset())
        box.change_flags(inbox, [1], FlagChange.REPLACE, frozenset())
        box.change_flags(inbox, [1], FlagChange.REPLACE, frozenset({"x", "y", "z"}))
        assert box.entries(inbox)[0].flags == {"x", "y", "z"}

    run(tmp_path, scenario)


def test_recent_is_claimed_once(tmp_path: Path) -> None:
    async def scenario(there: House, box: Mailbox) -> None:
        inbox = box.folder("INBOX")
        await there.deliver(message(1))
        assert box.status(inbox).recent == 1
        assert box.claim_recent(inbox, read_only=True) == 1
        assert box.claim_recent(inbox, read_only=False) == 1
        assert box.claim_recent(inbox, read_only=False) == 2
        await there.deliver(message(2))
        assert box.status(inbox).recent == 1
        assert box.claim_recent(inbox, read_only=False) == 2

    run(tmp_path, scenario)


def test_copies_share_the_file_and_keep_date_flags_and_expiry(tmp_path: Path) -> None:
    async def scenario(there: House, box: Mailbox) -> None:
        archive, trash = box.folder("Archive"), box.folder("Trash")
        await box.append(archive, message(1), frozenset({SEEN, "$x"}), 1_000_000)
        await box.append(archive, message(2), frozenset(), None)
        there.clock.now += 5
        copied = box.copy(archive, [1, 2, 3], trash)
        assert (list(copied.source_uids), list(copied.target_uids)) == ([1, 2], [1, 2])
        assert copied.uid_validity == trash.uid_validity
        columns = [Column.FLAGS, Column.INTERNAL_DATE, Column.EXPIRES, Column.SAVE_DATE, Column.EMAIL_ID]
        ((flags, date, expires, saved, email_id),) = box.rows(trash, [1], columns)
        assert (flags, date, expires, saved) == ({SEEN, "$x"}, 1_000_000, NOW + KEEP, NOW + 5)
        assert [(email_id,)] == list(box.rows(archive, [1], [Column.EMAIL_ID]))
        assert len(there.files()["cur"]) == 2
        again = box.copy(archive, [1], archive)
        assert list(again.target_uids) == [3]
        # The file goes with the last of its entries.
        for folder in (archive, trash):
            box.change_flags(folder, uids(box, folder), FlagChange.ADD, frozenset({DELETED}))
        box.expunge(archive, uids(box, archive))
        assert await box.content(trash, 1) == message(1)
        box.expunge(trash, [1])
        box.close()
        await there.accounts.emptied()
        assert len(there.files()["cur"]) == 1

    run(tmp_path, scenario)


def test_moving_is_one_step_for_every_onlooker(tmp_path: Path) -> None:
    async def scenario(there: House, box: Mailbox) -> None:
        for number in (1, 2, 3):
            await there.deliver(message(number))
        inbox, trash = box.folder("INBOX"), box.folder("Trash")
        since = box.status(inbox).highest_mod_seq
        since_trash = box.status(trash).highest_mod_seq
        moved = box.move(inbox, [1, 3, 5], trash)
        assert (list(moved.source_uids), list(moved.target_uids)) == ([1, 3], [1, 2])
        changes = box.changes(inbox, since)
        assert (list(changes.vanished), list(changes.entries)) == ([1, 3], [])
        assert [e.uid for e in box.changes(trash, since_trash).entries] == [1, 2]
        assert changes.highest_mod_seq == box.changes(trash, 0).highest_mod_seq
        assert box.changes(inbox, changes.highest_mod_seq).vanished == ()
        assert await box.content(trash, 2) == message(3)
        assert list(box.move(inbox, [99], trash).target_uids) == []
        gone = box.create("Gone")
        box.delete(gone)
        refused(Reason.NO_SUCH_FOLDER, box.move, inbox, [2], gone)
        assert uids(box, inbox) == [2]

    run(tmp_path, scenario)


def test_expunge_takes_only_what_is_marked_and_uids_are_never_used_again(tmp_path: Path) -> None:
    async def scenario(there: House, box: Mailbox) -> None:
        for number in (1, 2, 3):
            await there.deliver(message(number))
        inbox = box.folder("INBOX")
        assert uids(box, inbox) == [1, 2, 3]
        box.change_flags(inbox, [3], FlagChange.ADD, frozenset({DELETED}))
        assert box.status(inbox).deleted == 1
        box.expunge(inbox, [1, 2, 3, 4])
        assert uids(box, inbox) == [1, 2]
        await there.deliver(message(4))
        assert uids(box, inbox) == [1, 2, 4]
        with pytest.raises(Refusal) as caught:
            await box.content(inbox, 3)
        assert caught.value.reason is Reason.NO_SUCH_MESSAGE

    run(tmp_path, scenario)


# Filing


@pytest.mark.parametrize(
    "content", [message(), LARGE, b"", b"\0\xff no header"], ids=["small", "large", "0", "odd"]
)
def test_what_is_appended_comes_back_to_the_byte(tmp_path: Path, content: bytes) -> None:
    async def scenario(there: House, box: Mailbox) -> None:
        drafts = box.folder("Drafts")
        filed = await box.append(drafts, content, frozenset({"\\Draft"}), 12345)
        assert (filed.uid_validity, filed.source_uids, list(filed.target_uids)) == (
            drafts.uid_validity,
            (),
            [1],
        )
        assert await box.content(drafts, 1) == content
        assert list(box.rows(drafts, [1], [Column.INTERNAL_DATE, Column.SIZE])) == [(12345, len(content))]
        files = there.files()
        assert files["tmp"] == [] and len(files["cur"]) == 1

    run(tmp_path, scenario)


# Sent: the gateway files a copy of what is submitted, and most clients append one of their own


def multipart(number: int, *bodies: str) -> bytes:
    body = "".join(f"--b\r\n\r\n{each}\r\n" for each in bodies) + "--b--\r\n"
    return message(number, body, MIME_Version="1.0", Content_Type="multipart/mixed; boundary=b")


@pytest.mark.parametrize("own", [message(1), message(1, "A line of text.\r\n" * 80_000)])
def test_the_clients_copy_of_what_the_gateway_filed_is_that(tmp_path: Path, own: bytes) -> None:
    async def scenario(there: House, box: Mailbox) -> None:
        sent = box.folder("Sent")
        filed = await box.file_sent(own)
        assert filed.new
        since = box.status(sent).highest_mod_seq
        there.clock.now += 3599
        theirs = await box.append(sent, own + b"Another trailer.\r\n", frozenset({FLAGGED, "$Key"}), 5)
        assert theirs == filed.copied and uids(box, sent) == [1]
        assert box.entries(sent)[0].flags == {SEEN, FLAGGED, "$Key"}
        assert [entry.uid for entry in box.changes(sent, since).entries] == [1]
        assert await box.content(sent, 1) == own
        # Once only: the next one is a message that the client wants kept.
        again = await box.append(sent, own, frozenset(), None)
        assert list(again.target_uids) == [2] and uids(box, sent) == [1, 2]
        assert there.files()["tmp"] == []

    run(tmp_path, scenario)


@pytest.mark.parametrize(
    ("own", "theirs", "later"),
    [
        (message(1), message(2), 0),
        (message(1), message(1), 3600),
        (message(1, Message_ID=""), message(1, Message_ID=""), 0),
        (message(1), multipart(1, "Hello.", "An attachment that the gateway never saw."), 0),
        (multipart(1, "Hello.", "Attached."), multipart(1, "Hello."), 0),
    ],
    ids=["another id", "an hour later", "no id", "a part more", "a part less"],
)
def test_what_is_not_its_copy_is_stored(tmp_path: Path, own: bytes, theirs: bytes, later: int) -> None:
    async def scenario(there: House, box: Mailbox) -> None:
        sent = box.folder("Sent")
        await box.file_sent(own)
        there.clock.now += later
        assert list((await box.append(sent, theirs, frozenset(), None)).target_uids) == [2]
        assert await box.content(sent, 2) == theirs

    run(tmp_path, scenario)


def test_what_a_client_appends_to_sent_is_stored_each_time(tmp_path: Path) -> None:
    async def scenario(_there: House, box: Mailbox) -> None:
        sent = box.folder("Sent")
        for expected in (1, 2):
            filed = await box.append(sent, message(1), frozenset(), None)
            assert list(filed.target_uids) == [expected]
        # A copy of the gateway's that was moved away is not in Sent any more.
        await box.file_sent(message(2))
        box.move(sent, [3], box.folder("Archive"))
        assert list((await box.append(sent, message(2), frozenset(), None)).target_uids) == [4]

    run(tmp_path, scenario)


@pytest.mark.parametrize("claimed", [False, True])
@pytest.mark.parametrize("by_client", [False, True])
def test_the_gateway_files_nothing_within_an_hour_of_a_copy(
    tmp_path: Path, by_client: bool, claimed: bool
) -> None:
    """The client's came first; or the member submits again what got no 250."""

    async def scenario(there: House, box: Mailbox) -> None:
        sent = box.folder("Sent")
        if by_client:
            await box.append(sent, message(1), frozenset(), None)
        else:
            await box.file_sent(message(1))
        if claimed:
            await box.append(sent, message(1), frozenset(), None)
        before = uids(box, sent)
        there.clock.now += 3599
        filed = await box.file_sent(message(1))
        assert not filed.new and list(filed.copied.target_uids) == [1] and uids(box, sent) == before
        there.clock.now += 3600
        assert (await box.file_sent(message(1))).new

    run(tmp_path, scenario)


@pytest.mark.parametrize("body", ["Hello.\r\n", "A line of text.\r\n" * 80_000])
def test_sent_copies_of_one_moment_are_one(tmp_path: Path, body: str) -> None:
    """Several attempts at one submission, and the client's own copy, in several sessions."""

    async def scenario(there: House, box: Mailbox) -> None:
        sent, other = box.folder("Sent"), await there.open()
        content = message(1, body)
        filed = await asyncio.gather(*(each.file_sent(content) for each in (box, other) * 3))
        assert [each.new for each in filed].count(True) == 1
        assert len({each.copied for each in filed}) == 1
        theirs = await asyncio.gather(*(box.append(sent, content, frozenset(), None) for _ in range(2)))
        assert sorted(list(each.target_uids) for each in theirs) == [[1], [2]]
        other.close()

    run(tmp_path, scenario)


def test_only_an_unclaimed_copy_of_this_submission_is_taken_back(tmp_path: Path) -> None:
    async def scenario(there: House, box: Mailbox) -> None:
        sent = box.folder("Sent")
        first = await box.file_sent(message(1))
        box.unfile(await box.file_sent(message(1)))  # the second attempt failed, not the first
        assert uids(box, sent) == [1]
        box.unfile(first)
        assert uids(box, sent) == []
        filed = await box.file_sent(message(2))
        await box.append(sent, message(2), frozenset(), None)
        box.unfile(filed)  # the client was told that this is its copy
        assert uids(box, sent) == [2]
        filed = await box.file_sent(message(3))
        box.delete(sent)
        there.clock.now += 1
        box.unfile(filed)
        # Nobody remembers who filed what for longer than it matters.
        there.clock.now += 3600
        await box.file_sent(message(4))
        assert there.rows("filing") == 1

    run(tmp_path, scenario)


def test_elsewhere_the_same_message_may_lie_twice(tmp_path: Path) -> None:
    async def scenario(_there: House, box: Mailbox) -> None:
        drafts = box.folder("Drafts")
        for _ in range(2):
            await box.append(drafts, message(1), frozenset(), None)
        assert uids(box, drafts) == [1, 2]

    run(tmp_path, scenario)


@pytest.mark.parametrize("content", [message(1), LARGE], ids=["small", "large"])
@pytest.mark.parametrize("step", ["pwrite", "fsync"])
def test_a_full_disk_files_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, content: bytes
) -> None:
    async def scenario(there: House, box: Mailbox) -> None:
        drafts = box.folder("Drafts")
        if step == "pwrite" and content is LARGE:
            os.kill((await _child(there)), 9)

        def full(*_args: object) -> int:
            raise OSError(28, "injected")

        with monkeypatch.context() as patch:
            patch.setattr(os, step, full)
            with pytest.raises(Unavailable):
                await box.append(drafts, content, frozenset(), None)
        assert uids(box, drafts) == [] and there.files() == {"tmp": [], "new": [], "cur": []}
        await box.append(drafts, content, frozenset(), None)
        assert uids(box, drafts) == [1]

    run(tmp_path, scenario)


async def _child(there: House) -> int:
    nowhere = os.memfd_create("nowhere")
    await there.bulk.seal(b"x", unlock(*member(ANN)).certificate, nowhere)
    os.close(nowhere)
    assert there.bulk.child_pid is not None
    return there.bulk.child_pid


def test_flags_that_are_refused_file_nothing(tmp_path: Path) -> None:
    async def scenario(there: House, box: Mailbox) -> None:
        drafts = box.folder("Drafts")
        with pytest.raises(Refusal):
            await box.append(drafts, message(), frozenset({"\\Recent"}), None)
        assert uids(box, drafts) == [] and there.files()["tmp"] == []

    run(tmp_path, scenario)


def test_an_append_killed_before_its_rename_is_finished_without_anyone_reading_it(tmp_path: Path) -> None:
    async def scenario(there: House, box: Mailbox) -> None:
        await box.append(box.folder("Drafts"), message(), frozenset(), None)
        box.close()
        await there.accounts.emptied()
        (file,) = (there.directory() / "cur").rglob("*S=*")
        file.rename(there.directory() / "tmp" / file.name)
        stray = BlobName(NOW, "f" * 32, NOW + 9, 1)
        (there.directory() / "tmp" / str(stray)).write_bytes(b"never acknowledged")
        (await there.open()).close()
        assert file.exists() and there.files()["tmp"] == []

    run(tmp_path, scenario)


# Time, promise P13


def test_an_expired_message_is_in_no_answer_although_nobody_swept(tmp_path: Path) -> None:
    async def scenario(there: House, box: Mailbox) -> None:
        archive, trash = box.folder("Archive"), box.folder("Trash")
        await box.append(archive, message(1), frozenset(), 4_000_000_000)  # a date far ahead
        there.clock.now += DAY
        await box.append(archive, message(2), frozenset(), None)
        await box.content(archive, 1)  # opened already, in the cache
        there.clock.now = NOW + KEEP - 1
        assert uids(box, archive) == [1, 2]
        box.copy(archive, [1], trash)
        since = box.status(archive).highest_mod_seq
        there.clock.now += 1
        # Before anything purges: each path by itself.
        with pytest.raises(Refusal) as caught:
            await box.content(archive, 1)
        assert caught.value.reason is Reason.EXPIRED
        assert [row[0] for row in box.rows(archive, [1, 2], ALL)] == [2]
        assert list(box.copy(archive, [1], trash).target_uids) == []
        assert list(box.move(archive, [1], trash).target_uids) == []
        assert box.change_flags(archive, [1], FlagChange.ADD, frozenset({SEEN})) == ([], [])
        changes = box.changes(archive, since)
        assert list(changes.vanished) == [1] and changes.highest_mod_seq > since
        assert uids(box, archive) == [2] and uids(box, trash) == []
        assert box.status(archive).messages == 1 and box.status(trash).messages == 0
        box.close()
        await there.accounts.emptied()
        assert len(there.files()["cur"]) == 1

    run(tmp_path, scenario)


def test_an_expired_delivery_never_comes_in(tmp_path: Path) -> None:
    async def scenario(there: House, box: Mailbox) -> None:
        await there.deliver(message())
        there.clock.now += KEEP
        assert uids(box, box.folder("INBOX")) == []
        assert not await box.holds(["m1@org.test"])

    run(tmp_path, scenario)


def test_a_download_and_an_upload_do_not_make_it_younger(tmp_path: Path) -> None:
    async def scenario(there: House, box: Mailbox) -> None:
        await there.deliver(message(1))
        inbox, archive = box.folder("INBOX"), box.folder("Archive")
        content = await _only(box, inbox)
        box.change_flags(inbox, [1], FlagChange.ADD, frozenset({DELETED}))
        box.expunge(inbox, [1])
        there.clock.now += 10 * DAY
        await box.append(archive, content, frozenset(), there.clock.now)
        assert list(box.rows(archive, [1], [Column.EXPIRES])) == [(NOW + KEEP,)]
        # A draft saved again is another message, and so is this one once it is forgotten.
        await box.append(archive, message(1, "Edited.\r\n"), frozenset(), None)
        assert list(box.rows(archive, [2], [Column.EXPIRES])) == [(there.clock.now + KEEP,)]
        there.clock.now = NOW + KEEP
        assert uids(box, archive) == [2]
        await box.append(archive, content, frozenset(), None)
        assert list(box.rows(archive, [3], [Column.EXPIRES])) == [(there.clock.now + KEEP,)]

    run(tmp_path, scenario)


async def _only(box: Mailbox, folder: Folder) -> bytes:
    (entry,) = box.entries(folder)
    return await box.content(folder, entry.uid)


def test_lineage_outlives_the_message_but_not_its_retention(tmp_path: Path) -> None:
    async def scenario(there: House, box: Mailbox) -> None:
        await there.deliver(message(1))
        assert await box.holds(["nobody@x", "m1@org.test"])  # not looked at before
        assert (
            not await box.holds([]) and not await box.holds([""]) and not await box.holds(["m2@org.test"])
        )
        inbox = box.folder("INBOX")
        box.change_flags(inbox, [1], FlagChange.ADD, frozenset({DELETED}))
        box.expunge(inbox, [1])
        assert await box.holds(["m1@org.test"])
        there.clock.now = NOW + KEEP
        assert not await box.holds(["m1@org.test"])

    run(tmp_path, scenario)


def test_under_a_hold_nothing_is_destroyed_and_the_member_sees_no_difference(tmp_path: Path) -> None:
    async def scenario(there: House, box: Mailbox) -> None:
        there.held.add(ANN)
        await there.deliver(message(1))
        await box.append(box.folder("Drafts"), message(2), frozenset({DELETED}), None)
        box.expunge(box.folder("Drafts"), [1])
        assert uids(box, box.folder("INBOX")) == [1]
        there.clock.now += KEEP
        assert uids(box, box.folder("INBOX")) == [] and uids(box, box.folder("Drafts")) == []
        box.close()
        await there.accounts.emptied()
        assert len(there.files()["cur"]) == 2
        there.held.clear()
        (await there.open()).close()
        await there.accounts.emptied()
        assert there.files()["cur"] == []

    run(tmp_path, scenario)


# What cannot be read


def test_a_damaged_file_is_a_temporary_failure_and_told_to_the_audit_log(tmp_path: Path) -> None:
    async def scenario(there: House, box: Mailbox) -> None:
        drafts = box.folder("Drafts")
        for content in (message(1), LARGE):
            await box.append(drafts, content, frozenset(), None)
        intact = {}
        for file in (there.directory() / "cur").rglob("*S=*"):
            intact[file] = file.read_bytes()
            file.write_bytes(intact[file][:-9] + bytes([intact[file][-9] ^ 1]) + intact[file][-8:])
        for uid in (1, 2):
            with pytest.raises(Unavailable):
                await box.content(drafts, uid)
        assert [event for event, *_ in there.notes.lines] == ["damaged", "damaged"]
        for file, content in intact.items():
            file.write_bytes(content)
        assert await box.content(drafts, 1) == message(1)

    run(tmp_path, scenario)


def test_swapped_files_are_damage(tmp_path: Path) -> None:
    async def scenario(there: House, box: Mailbox) -> None:
        drafts = box.folder("Drafts")
        for body in ("One.", "Another."):
            await box.append(drafts, message(1, body), frozenset(), None)
        one, other = (there.directory() / "cur").rglob("*S=*")
        mine, theirs = one.read_bytes(), other.read_bytes()
        one.write_bytes(theirs)
        other.write_bytes(mine)
        for uid in (1, 2):
            with pytest.raises(Unavailable):
                await box.content(drafts, uid)
        one.write_bytes(mine)
        other.write_bytes(theirs)

    run(tmp_path, scenario)


def test_a_missing_file_is_a_temporary_failure(tmp_path: Path) -> None:
    async def scenario(there: House, box: Mailbox) -> None:
        drafts = box.folder("Drafts")
        await box.append(drafts, message(1), frozenset(), None)
        await box.append(drafts, LARGE, frozenset(), None)
        hidden = {file: file.read_bytes() for file in (there.directory() / "cur").rglob("*S=*")}
        for file in hidden:
            file.unlink()
        for uid in (1, 2):
            with pytest.raises(Unavailable):
                await box.content(drafts, uid)
        for file, content in hidden.items():
            file.write_bytes(content)

    run(tmp_path, scenario)


def test_a_read_is_one_audit_line_for_each_session(tmp_path: Path) -> None:
    async def scenario(there: House, box: Mailbox) -> None:
        drafts = box.folder("Drafts")
        await box.append(drafts, LARGE, frozenset(), None)
        for _ in range(5):
            await box.content(drafts, 1)
        other = await there.open()
        await other.content(drafts, 1)
        other.close()
        ((email_id,),) = box.rows(drafts, [1], [Column.EMAIL_ID])
        assert there.notes.lines == [("read", ANN, {"message": email_id})] * 2

    run(tmp_path, scenario)


def test_several_are_filed_or_none(tmp_path: Path) -> None:
    async def scenario(there: House, box: Mailbox) -> None:
        inbox = box.folder("INBOX")
        uploads = [Upload(content, frozenset(), None) for content in (message(1), LARGE, message(2))]
        too_long = Upload(message(3), frozenset({"k" * 300}), None)
        with pytest.raises(Refusal) as caught:
            await box.append_all(inbox, [*uploads, too_long])
        assert caught.value.reason is Reason.LIMIT
        # Neither a row nor a file of any of them is left.
        assert uids(box, inbox) == [] and not there.files()["tmp"] and not there.files()["cur"]
        done = await box.append_all(inbox, uploads)
        assert uids(box, inbox) == list(done.target_uids) and len(there.files()["cur"]) == 3
        assert [await box.content(inbox, uid) for uid in done.target_uids] == [u.content for u in uploads]

    run(tmp_path, scenario)


def test_several_for_sent_join_the_copy_that_lies_there(tmp_path: Path) -> None:
    async def scenario(_there: House, box: Mailbox) -> None:
        sent = box.special("\\Sent")
        filed = await box.file_sent(message(2))
        uploads = [Upload(message(n), frozenset({FLAGGED}), None) for n in (1, 2)]
        done = await box.append_all(sent, uploads)
        (own,) = filed.copied.target_uids
        assert list(done.target_uids)[1] == own and len(uids(box, sent)) == 2

    run(tmp_path, scenario)
