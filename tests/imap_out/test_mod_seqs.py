"""RFC 7162: a client that keeps to it has what the store has, however it was away."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from mail.mailbox import DELETED, SEEN, FlagChange
from tests.imap_out.memory import Account, MemoryStore
from tests.imap_out.talk import Talk, message, run, talking
from tests.store.house import Clock, house

_FETCH = re.compile(rb"\* \d+ FETCH \(UID (\d+) FLAGS \(([^)]*)\) MODSEQ \((\d+)\)\)\r\n")
_VANISHED = re.compile(rb"\* VANISHED (?:\(EARLIER\) )?([0-9:,]+)\r\n")
_HIGHEST = re.compile(rb"\[HIGHESTMODSEQ (\d+)\]")


class Client:
    """Keeps UIDs and flags, and learns of both only by what RFC 7162 has a server say."""

    def __init__(self) -> None:
        self.kept: dict[int, frozenset[str]] = {}
        self.mod_seq = 0
        self.known = 0  # every UID up to it was seen

    def hear(self, said: bytes) -> None:
        for names in _VANISHED.findall(said):
            for low, _, high in (name.partition(b":") for name in names.split(b",")):
                for uid in range(int(low), int(high or low) + 1):
                    self.kept.pop(uid, None)
        for uid, flags, _ in _FETCH.findall(said):
            self.kept[int(uid)] = frozenset(flags.decode().split()) - {"\\Recent"}

    async def come(self, talk: Talk) -> None:
        known = b" (QRESYNC (1001 %d))" % self.mod_seq if self.mod_seq else b""
        said = await talk.ok(b"SELECT INBOX" + known)
        self.hear(said)
        self.mod_seq = int(_HIGHEST.findall(said)[0])
        await self.news(talk)

    async def news(self, talk: Talk) -> None:
        said = await talk.ok(b"NOOP") + await talk.ok(b"UID FETCH %d:* (FLAGS MODSEQ)" % (self.known + 1))
        self.hear(said)
        self.known = max(self.known, *self.kept) if self.kept else self.known

    async def leave(self, talk: Talk, how: bytes) -> None:
        said = await talk.ok(how)
        if how == b"SELECT INBOX":  # not looked at: as if the connection had gone
            return
        self.hear(said)
        if found := _HIGHEST.findall(said):
            self.mod_seq = int(found[0])
            self.kept = {uid: flags for uid, flags in self.kept.items() if DELETED not in flags}


_uids = st.integers(1, 12)
_steps = st.one_of(
    st.tuples(st.sampled_from(["seen", "unseen", "delete", "expunge", "store", "remove"]), _uids),
    st.tuples(st.sampled_from(["deliver", "noop", "CLOSE", "UNSELECT", "SELECT INBOX"]), st.just(0)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(_steps, max_size=25))
def test_a_client_that_comes_back_has_what_the_store_has(steps):
    async def conversation() -> None:
        account = Account()
        for number in range(6):
            account.deliver(message(number))
        other = MemoryStore(account)
        inbox = other.folder("INBOX")
        client = Client()
        async with talking(account) as talk:
            await talk.ok(b"ENABLE QRESYNC")
            await client.come(talk)
            for what, uid in [*steps, ("UNSELECT", 0)]:
                match what:
                    case "seen":
                        other.change_flags(inbox, [uid], FlagChange.ADD, frozenset({SEEN}))
                    case "unseen":
                        other.change_flags(inbox, [uid], FlagChange.REMOVE, frozenset({SEEN}))
                    case "delete":
                        other.change_flags(inbox, [uid], FlagChange.ADD, frozenset({DELETED}))
                    case "expunge":
                        other.change_flags(inbox, [uid], FlagChange.ADD, frozenset({DELETED}))
                        other.expunge(inbox, [uid])
                    case "deliver":
                        account.deliver(message(7))
                    case "store":
                        client.hear(await talk.ok(b"UID STORE %d +FLAGS (\\Flagged)" % uid))
                    case "remove":
                        client.hear(await talk.ok(b"UID STORE %d +FLAGS (\\Deleted)" % uid))
                        said = await talk.ok(b"UID EXPUNGE %d" % uid)
                        client.hear(said)
                        if found := _HIGHEST.findall(said):
                            client.mod_seq = int(found[-1])
                    case "noop":
                        await client.news(talk)
                    case _:
                        await client.leave(talk, what.encode())
                        await client.come(talk)
            mails = account.boxes["INBOX"].mails
            assert client.kept == {uid: mail.flags for uid, mail in mails.items()}

    run(conversation)


class _House:
    """Lets everybody into the one account of a real store."""

    def __init__(self, place) -> None:
        self.place = place

    async def log_in(self, _name, _password, _peer):
        return await self.place.open()


def test_a_client_of_the_real_store_comes_back(tmp_path):
    async def conversation() -> None:
        async with house(tmp_path, Clock()) as place:
            other = await place.open()
            inbox = other.folder("INBOX")
            for number in range(6):
                await other.append(inbox, message(number), frozenset(), None)
            talk = Talk(_House(place))
            await talk.until(b"ready")
            await talk.ok(b"LOGIN ann sesame")
            await talk.ok(b"ENABLE QRESYNC")
            validity = inbox.uid_validity
            since = int(_HIGHEST.findall(await talk.ok(b"SELECT INBOX"))[0])
            await talk.ok(b"UID STORE 2 +FLAGS.SILENT (\\Deleted)")
            assert b"* VANISHED 2\r\n" in await talk.ok(b"EXPUNGE")
            await talk.ok(b"UNSELECT")
            other.change_flags(inbox, [4, 6], FlagChange.ADD, frozenset({SEEN, DELETED}))
            other.expunge(inbox, [6])
            said = await talk.ok(b"SELECT INBOX (QRESYNC (%d %d 1:6))" % (validity, since))
            assert _VANISHED.findall(said) == [b"2,6"]
            assert [(uid, flags) for uid, flags, _ in _FETCH.findall(said)] == [(b"4", b"\\Deleted \\Seen")]
            answer = await talk.ok(b"STORE 1:* (UNCHANGEDSINCE %d) +FLAGS.SILENT (x)" % since)
            assert b"[MODIFIED 3]" in answer
            found = await talk.ok(b"SEARCH MODSEQ %d" % (int(_HIGHEST.findall(said)[0]) + 1))
            assert b"* SEARCH 1 2 4 (MODSEQ " in found
            closed = await talk.ok(b"CLOSE")
            status = await talk.ok(b"STATUS INBOX (HIGHESTMODSEQ)")
            assert _HIGHEST.findall(closed)[0] in status
            await talk.end()
            other.close()

    run(conversation)


def test_close_does_not_hide_what_another_session_did():
    async def conversation() -> None:
        account = Account()
        for number in range(3):
            account.deliver(message(number))
        other = MemoryStore(account)
        inbox = other.folder("INBOX")
        async with talking(account) as talk:
            await talk.ok(b"ENABLE QRESYNC")
            await talk.ok(b"SELECT INBOX")
            await talk.ok(b"STORE 1 +FLAGS.SILENT \\Deleted")
            before = account.mod_seq
            store = talk.session.store
            plain = store.expunge

            def expunge(folder, uids):
                other.change_flags(inbox, [2], FlagChange.ADD, frozenset({SEEN}))
                plain(folder, uids)

            store.expunge = expunge  # between what CLOSE heard and what it did
            assert b"[HIGHESTMODSEQ %d]" % before in await talk.ok(b"CLOSE")

    run(conversation)


def test_a_condition_on_messages_that_are_gone():
    async def conversation() -> None:
        account = Account()
        for number in range(3):
            account.deliver(message(number))
        other = MemoryStore(account)
        inbox = other.folder("INBOX")
        async with talking(account) as talk:
            await talk.ok(b"SELECT INBOX")
            since = account.mod_seq
            other.change_flags(inbox, [2, 3], FlagChange.ADD, frozenset({DELETED}))
            other.expunge(inbox, [3])
            answer = await talk.ask(b"STORE 1:3 (UNCHANGEDSINCE %d) +FLAGS (x)" % since)
            assert b" NO [MODIFIED 2] " in answer and b"* 1 FETCH (FLAGS (x " in answer

    run(conversation)


def test_the_last_message_is_missed_by_who_asks_for_all():
    async def conversation() -> None:
        account = Account()
        for number in range(3):
            account.deliver(message(number))
        other = MemoryStore(account)
        inbox = other.folder("INBOX")
        since = account.mod_seq
        other.change_flags(inbox, [3], FlagChange.ADD, frozenset({DELETED}))
        other.expunge(inbox, [3])
        async with talking(account) as talk:
            await talk.ok(b"ENABLE QRESYNC")
            await talk.ok(b"SELECT INBOX")
            answer = await talk.ok(b"UID FETCH 1:* (FLAGS) (CHANGEDSINCE %d VANISHED)" % since)
            assert b"* VANISHED (EARLIER) 3\r\n" in answer

    run(conversation)


def test_what_came_and_went_untold_does_not_vanish():
    async def conversation() -> None:
        account = Account()
        account.deliver(message(1))
        other = MemoryStore(account)
        inbox = other.folder("INBOX")
        async with talking(account) as talk:
            await talk.ok(b"ENABLE QRESYNC")
            await talk.ok(b"SELECT INBOX")
            uid = account.deliver(message(2), flags=frozenset({DELETED}))
            other.expunge(inbox, [uid])
            assert b"VANISHED" not in await talk.ok(b"NOOP")

    run(conversation)
