"""SEARCH keys read from the wire: nesting, its bounds, and what it means."""

from __future__ import annotations

import sys
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imap_out.grammar import Arguments
from imap_out.limits import Limits
from imap_out.search_keys import Reader
from imap_out.view import View
from mail.errors import Reason, Refusal
from mail.mailbox import ANSWERED, DELETED, FLAGGED, SEEN
from mail.search import All, And, Flagged, Key, Not, Or, alternatives
from tests.imap_out.memory import Account, MemoryStore
from tests.imap_out.talk import message, run, talking


def read(text: bytes, limits: Limits = Limits()) -> Key:  # noqa: B008 - frozen
    store = MemoryStore(Account())
    view = View(store, store.folder("INBOX"), read_only=True)
    return Reader(Arguments((text,)), view, "utf-8", limits).all()


SEEN_, ANSWERED_, FLAGGED_ = Flagged(SEEN), Flagged(ANSWERED), Flagged(FLAGGED)
MEANINGS = {
    b"SEEN": SEEN_,
    b"((SEEN))": SEEN_,
    b"SEEN ANSWERED": And((SEEN_, ANSWERED_)),
    b"SEEN (ANSWERED FLAGGED)": And((SEEN_, And((ANSWERED_, FLAGGED_)))),
    b"NOT NOT SEEN": Not(Not(SEEN_)),
    b"not SEEN": Not(SEEN_),
    b"OR SEEN ANSWERED FLAGGED": And((Or(SEEN_, ANSWERED_), FLAGGED_)),
    b"OR SEEN OR ANSWERED FLAGGED": Or(SEEN_, Or(ANSWERED_, FLAGGED_)),
    b"or OR SEEN ANSWERED FLAGGED": Or(Or(SEEN_, ANSWERED_), FLAGGED_),
    b"OR NOT SEEN (ANSWERED FLAGGED)": Or(Not(SEEN_), And((ANSWERED_, FLAGGED_))),
    b"NOT OR SEEN (NOT ANSWERED)": Not(Or(SEEN_, Not(ANSWERED_))),
    b"(OR SEEN ANSWERED) FLAGGED ": And((Or(SEEN_, ANSWERED_), FLAGGED_)),
}


@pytest.mark.parametrize("text", MEANINGS)
def test_meaning(text):
    assert read(text) == MEANINGS[text]


@pytest.mark.parametrize(
    "text",
    [b"", b"(", b"()", b"(SEEN", b"SEEN)", b"( SEEN)", b"(SEEN )", b"NOT", b"OR SEEN", b"OR (SEEN) ",
     b"NOT)", b"(NOT) SEEN", b"(OR SEEN) SEEN", b"OR SEEN)", b"ORSEEN SEEN", b"NOTSEEN", b"(SEEN)SEEN",
     b"SEEN  SEEN"],
)  # fmt: skip
def test_malformed(text):
    with pytest.raises(Refusal) as caught:
        read(text)
    assert caught.value.reason is Reason.BAD_SYNTAX


def refused_as_too_complex(text: bytes) -> bool:
    try:
        read(text)
    except Refusal as refusal:
        assert refusal.reason is Reason.LIMIT
        return True
    return False


def test_ors_behind_each_other_are_no_nesting():
    for ors in (33, 200, 999):
        chain = b"OR SEEN " * ors + b"ANSWERED"
        assert len(list(alternatives(read(chain)))) == ors + 1  # type: ignore[arg-type]
        first = b"OR " * ors + b"SEEN" + b" ANSWERED" * ors
        assert len(list(alternatives(read(first)))) == ors + 1  # type: ignore[arg-type]


def test_bounds():
    assert not refused_as_too_complex(b"(" * 200 + b"SEEN" + b")" * 200)
    assert refused_as_too_complex(b"(" * 201 + b"SEEN" + b")" * 201)
    assert not refused_as_too_complex(b"NOT " * 200 + b"SEEN")
    assert refused_as_too_complex(b"NOT " * 201 + b"SEEN")
    assert not refused_as_too_complex(b"(NOT SEEN) " * 600 + b"SEEN")  # nesting is given back
    assert not refused_as_too_complex(b" ".join([b"SEEN"] * 2000))
    assert refused_as_too_complex(b" ".join([b"SEEN"] * 2001))
    assert refused_as_too_complex(b"OR SEEN " * 1000 + b"SEEN")


def test_no_nesting_deepens_the_stack():
    wide = replace(Limits(), search_depth=100_000, search_keys=1_000_000)
    before, started = sys.getrecursionlimit(), time.perf_counter()
    for text in (b"(" * 50_000, b"NOT " * 50_000, b"OR SEEN " * 50_000, b"OR " * 50_000):
        with pytest.raises(Refusal):
            read(text, wide)
    assert sys.getrecursionlimit() == before
    assert time.perf_counter() - started < 5


def test_many_ors_find_what_they_name():
    async def conversation():
        account = Account()
        for number in range(40):
            account.deliver(message(number), flags=frozenset({DELETED}) if number == 7 else frozenset())
        async with talking(account) as talk:
            await talk.ok(b"SELECT INBOX")
            words = b"".join(b'OR SUBJECT "meeting %d" ' % number for number in range(33))
            said = await talk.ok(b"SEARCH " + words + b"DELETED")
            assert said.startswith(b"* SEARCH " + b" ".join(b"%d" % n for n in range(1, 41)) + b"\r\n")
            said = await talk.ask(b"SEARCH " + b"OR SEEN " * 1500 + b"SEEN")
            assert b" NO [LIMIT] That search is too complex." in said

    run(conversation)


_KEYS = st.recursive(
    st.sampled_from([SEEN_, ANSWERED_, FLAGGED_, All()]),
    lambda inner: st.one_of(
        inner.map(Not),
        st.tuples(inner, inner).map(lambda pair: Or(*pair)),
        st.lists(inner, min_size=2, max_size=4).map(lambda keys: And(tuple(keys))),
    ),
)
_NAMES = {SEEN_: b"SEEN", ANSWERED_: b"ANSWERED", FLAGGED_: b"FLAGGED", All(): b"ALL"}


def written(key: Key) -> bytes:
    match key:
        case Not(inner):
            return b"NOT " + written(inner)
        case Or(left, right):
            return b"OR " + written(left) + b" " + written(right)
        case And(keys):
            return b"(" + b" ".join(map(written, keys)) + b")"
    return _NAMES[key]


@settings(deadline=None)
@given(_KEYS)
def test_both_ways(key):
    assert read(written(key)) == key
