"""`$` (RFC 5182) beside other sessions, and for every command that takes a set."""

from __future__ import annotations

from mail.errors import Unavailable
from mail.mailbox import DELETED
from tests.imap_out.memory import Account, MemoryStore
from tests.imap_out.talk import message, run, talking


def account_of(count: int) -> Account:
    account = Account()
    for number in range(1, count + 1):
        account.deliver(message(number))
    return account


def test_what_another_session_expunges_leaves_it_before_it_is_told():
    async def conversation():
        account = account_of(3)
        async with talking(account) as talk:
            await talk.ok(b"SELECT INBOX")
            await talk.ok(b"SEARCH RETURN (SAVE) ALL")
            box = account.boxes["INBOX"]
            box.mails[2].flags = frozenset({DELETED})
            other = MemoryStore(account)
            other.expunge(other.folder("INBOX"), [2])
            other.close()
            # RFC 5182 section 2.1: not NO, as it would be for a number that was named
            said = await talk.ok(b"COPY $ Archive")
            assert b" 1,3 1:2]" in said
            await talk.ok(b"NOOP")
            said = await talk.ok(b"FETCH $ UID")
            assert said.startswith(b"* 1 FETCH (UID 1)\r\n* 2 FETCH (UID 3)\r\n")

    run(conversation)


def test_a_folder_selected_anew_has_none():
    async def conversation():
        async with talking(account_of(2)) as talk:
            await talk.ok(b"SELECT INBOX")
            await talk.ok(b"SEARCH RETURN (SAVE) ALL")
            await talk.ok(b"SELECT INBOX")
            assert b"FETCH (" not in await talk.ok(b"FETCH $ UID")

    run(conversation)


def test_a_search_that_fails_empties_it(monkeypatch):
    async def conversation():
        async with talking(account_of(2)) as talk:
            await talk.ok(b"SELECT INBOX")
            await talk.ok(b"SEARCH RETURN (SAVE) ALL")

            async def unavailable(*_args):
                raise Unavailable

            with monkeypatch.context() as patch:
                patch.setattr(MemoryStore, "search", unavailable)
                assert b" NO [UNAVAILABLE]" in await talk.ask(b"SEARCH RETURN (SAVE) ALL")
            assert b"FETCH (" not in await talk.ok(b"UID FETCH $ FLAGS")

    run(conversation)


def test_other_commands_take_it():
    async def conversation():
        async with talking(account_of(3)) as talk:
            await talk.ok(b"SELECT INBOX")
            await talk.ok(b"SEARCH RETURN (SAVE) 2")
            assert b"UID 2" in await talk.ok(b"UID FETCH $ FLAGS")
            await talk.ok(b"STORE $ +FLAGS (\\Deleted)")
            await talk.ok(b"STORE 3 +FLAGS (\\Deleted)")
            assert b"* 2 EXPUNGE\r\nt" in await talk.ok(b"UID EXPUNGE $")

    run(conversation)
