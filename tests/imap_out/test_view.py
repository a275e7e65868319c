"""The view: numbers stay true until EXPUNGE is said; a client that counts along never errs."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imap_out.view import View
from mail.errors import Refusal
from mail.mailbox import DELETED, SEEN, FlagChange
from mail.numbers import NumberSet
from tests.imap_out.memory import Account, MemoryStore
from tests.imap_out.talk import message


def opened(count: int) -> tuple[MemoryStore, View]:
    account = Account()
    account.changed = lambda: _count(account)  # type: ignore[method-assign]
    account.deliver(message(1))
    mail = account.boxes["INBOX"].mails.pop(1)
    for uid in range(1, count + 1):
        account.boxes["INBOX"].mails[uid] = replace(mail)
    account.boxes["INBOX"].uid_next = count + 1
    store = MemoryStore(account)
    return store, View(store, store.folder("INBOX"), read_only=False)


def _count(account: Account) -> int:
    account.mod_seq += 1
    return account.mod_seq


def test_numbers():
    _, view = opened(3)
    assert view.by_number(NumberSet.parse(b"2:*")) == [2, 3]
    assert view.by_uid(NumberSet.parse(b"3:900")) == [3]
    assert view.by_uid(NumberSet.parse(b"900:*")) == [3]
    assert view.number(2) == 2 and view.number(9) == 0
    for text in (b"4", b"1:4"):
        with pytest.raises(Refusal):
            view.by_number(NumberSet.parse(text))
    assert view.spans(NumberSet.parse(b"2:9,7")).render() == b"2:3"
    with pytest.raises(Refusal):
        opened(0)[1].by_number(NumberSet.parse(b"*"))


def test_own_changes_are_not_told_again():
    store, view = opened(2)
    entries, _ = store.change_flags(view.folder, [1], FlagChange.ADD, frozenset({"x"}))
    view.learn(entries)
    view.refresh()
    assert view.tell(expunges=True) == []
    assert view.flags(1) == {"x"}


def test_what_another_session_did_to_the_same_message_is_told_behind_a_silent_store():
    store, view = opened(3)

    def silently(how, *flags):
        given = frozenset(flags)
        entries, _ = store.change_flags(view.folder, [1, 2, 3], how, given)
        view.learn(entries, lambda known: how.applied(known, given))
        view.refresh()
        return view.tell(expunges=True)

    def elsewhere(uid, flag):
        store.change_flags(view.folder, [uid], FlagChange.ADD, frozenset({flag}))

    elsewhere(2, SEEN)
    assert silently(FlagChange.ADD, "x") == [b"* 2 FETCH (FLAGS (\\Seen x \\Recent))\r\n"]
    elsewhere(3, DELETED)
    assert silently(FlagChange.REMOVE, "x") == [b"* 3 FETCH (FLAGS (\\Deleted \\Recent))\r\n"]
    elsewhere(1, SEEN)
    assert silently(FlagChange.REPLACE, "y") == []  # the outcome is what was asked for
    assert silently(FlagChange.REPLACE) == []


def test_what_was_heard_and_not_yet_told_is_told_behind_a_silent_store():
    store, view = opened(1)
    store.change_flags(view.folder, [1], FlagChange.ADD, frozenset({SEEN}))
    view.refresh()
    entries, _ = store.change_flags(view.folder, [1], FlagChange.ADD, frozenset({"x"}))
    view.learn(entries, lambda known: known | {"x"})
    assert view.tell(expunges=True) == [b"* 1 FETCH (FLAGS (\\Seen x \\Recent))\r\n"]


def test_one_that_comes_and_goes_untold_is_never_told():
    store, view = opened(1)
    uid = store.account.deliver(message(2), flags=frozenset({DELETED}))
    view.refresh()
    store.expunge(view.folder, [uid])
    view.refresh()
    assert not any(b"EXPUNGE" in line for line in view.tell(expunges=True))
    assert len(view) == 1


_STEPS = st.lists(
    st.tuples(st.sampled_from(["deliver", "expunge", "flag", "tell", "tell all"]), st.integers(1, 12)),
    max_size=40,
)


@settings(deadline=None)
@given(_STEPS)
def test_a_client_that_counts_along_agrees(steps):
    """After `tell(expunges=True)` the client's list of UIDs, kept from responses alone, is the store's."""
    asyncio.run(_counting(steps))


async def _counting(steps):
    account = Account()
    for number in range(4):
        account.deliver(message(number))
    store = MemoryStore(account)
    view = View(store, store.folder("INBOX"), read_only=False)
    known = list(view.uids)

    def hear(*, expunges):
        view.refresh()
        for line in b"".join(view.tell(expunges=expunges)).split(b"\r\n"):
            if match := re.fullmatch(rb"\* (\d+) EXPUNGE", line):
                assert expunges
                del known[int(match[1]) - 1]
            elif match := re.fullmatch(rb"\* (\d+) EXISTS", line):
                assert int(match[1]) >= len(known)
                known.extend(view.uids[len(known) : int(match[1])])
            elif match := re.match(rb"\* (\d+) FETCH", line):
                assert 0 < int(match[1]) <= len(known)

    for step, number in steps:
        if step == "deliver":
            account.deliver(message(number))
        elif step == "expunge":
            store.change_flags(view.folder, [number], FlagChange.ADD, frozenset({DELETED}))
            store.expunge(view.folder, [number])
        elif step == "flag":
            store.change_flags(view.folder, [number], FlagChange.ADD, frozenset({f"k{number}"}))
        else:
            hear(expunges=step == "tell all")
    hear(expunges=True)
    assert known == [entry.uid for entry in store.entries(view.folder)] == list(view.uids)
    for entry in store.entries(view.folder):
        assert view.flags(entry.uid) == entry.flags
