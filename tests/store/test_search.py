"""SEARCH over the sealed index, against a plain reading of the same messages."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mail.errors import Reason, Refusal
from mail.mailbox import DELETED, SEEN, FlagChange, Folder
from mail.numbers import NumberSet
from mail.search import (
    All,
    And,
    Dated,
    Field,
    Flagged,
    Header,
    Key,
    ModSeq,
    Moment,
    Not,
    Or,
    Sized,
    Text,
    Uids,
)
from store import index_search
from store.mailbox import Mailbox
from tests.store.house import DAY, NOW, House, house, message

TODAY = NOW // DAY
LONG = "padding " * 50_000  # beyond what a summary keeps


async def furnish(there: House) -> tuple[Mailbox, Folder]:
    box = await there.open()
    folder = box.folder("Archive")
    for content, date in (
        (message(1, "The quick 100% brown_fox.\r\n"), NOW - 3 * DAY),
        (
            message(
                2,
                "Gr\xfc\xdfe\r\n",
                Subject="=?utf-8?q?Stra=C3=9Fe_und_=C3=84rger?=",
                Cc="Zoe <zoe@x.test>",
            ),
            NOW,
        ),
        (message(3, LONG + "needle\r\n", Bcc="hidden@x.test", X_Odd="one\r\n two"), NOW + DAY),
        (message(4, "", Date="", Subject="", From="=?iso-8859-1?q?J=F6rg?= <j@y.test>"), NOW),
    ):
        await box.append(folder, content, frozenset(), date)
    box.change_flags(folder, [1, 3], FlagChange.ADD, frozenset({SEEN, "$Work"}))
    return box, folder


def text(field: Field, needle: str) -> Key:
    return Text(field, needle)


def uids(*numbers: int) -> Key:
    return Uids(NumberSet.of(numbers))


CASES: list[tuple[Key, list[int]]] = [
    (All(), [1, 2, 3, 4]),
    (Not(All()), []),
    (uids(2, 3, 9), [2, 3]),
    (Flagged(SEEN), [1, 3]),
    (Flagged("\\SEEN"), [1, 3]),
    (Flagged(SEEN, False), [2, 4]),
    (Flagged("$work"), [1, 3]),
    (Flagged("$wor"), []),
    (Flagged(DELETED), []),
    (ModSeq(0), [1, 2, 3, 4]),
    (ModSeq(1 << 40), []),
    (Sized(100_000, None), [3]),
    (Sized(None, 100_000), [1, 2, 4]),
    (Sized(None, None), [1, 2, 3, 4]),
    (Dated(Moment.INTERNAL, TODAY, TODAY + 1), [2, 4]),
    (Dated(Moment.INTERNAL, None, TODAY), [1]),
    (Dated(Moment.INTERNAL, TODAY + 1, None), [3]),
    (Dated(Moment.SENT, 20780, 20781), [1, 2, 3]),
    (Dated(Moment.SENT, None, 20781), [1, 2, 3]),
    (Dated(Moment.SENT, 20781, None), []),
    (Dated(Moment.SAVED, TODAY, TODAY + 1), [1, 2, 3, 4]),
    (text(Field.SUBJECT, ""), [1, 2, 3, 4]),
    (text(Field.SUBJECT, "message"), [1, 3]),
    (text(Field.SUBJECT, "STRASSE"), [2]),
    (text(Field.SUBJECT, "a\u0308RGER"), [2]),
    (text(Field.FROM, "jörg"), [4]),
    (text(Field.FROM, "j@Y.test"), [4]),
    (text(Field.TO, "ann@"), [1, 2, 3, 4]),
    (text(Field.CC, "zoe"), [2]),
    (text(Field.BCC, "hidden"), [3]),
    (text(Field.BODY, "GRÜSSE"), [2]),
    (text(Field.BODY, "100%"), [1]),
    (text(Field.BODY, "1__%"), []),
    (text(Field.BODY, "brown_fox"), [1]),
    (text(Field.BODY, "brownxfox"), []),
    (text(Field.BODY, "needle"), [3]),
    (text(Field.BODY, "message 3"), []),
    (text(Field.TEXT, "message 3"), [3]),
    (text(Field.TEXT, "needle"), [3]),
    (text(Field.TEXT, "jörg"), [4]),
    (text(Field.TEXT, "no such word'; DROP TABLE entry"), []),
    (Header("Cc", ""), [2]),
    (Header("cc", "ZOE"), [2]),
    (Header("To", "zoe"), []),
    (Header("Bcc", "zoe"), []),
    (Header("X-Odd", "one two"), [3]),
    (Header("Odd", ""), []),
    (Header("subject", "straße"), [2]),
    (Header("Message-ID", "m4@"), [4]),
    (And((Flagged(SEEN), text(Field.BODY, "fox"))), [1]),
    (And(()), [1, 2, 3, 4]),
    (Or(uids(4), text(Field.BODY, "needle")), [3, 4]),
    (Not(Or(uids(1), Flagged(SEEN))), [2, 4]),
    (And((Not(uids(1)), Not(text(Field.TEXT, "jörg")))), [2, 3]),
]


def test_every_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as there:
            box, folder = await furnish(there)
            for few in (400, 0):  # candidates named in the statement, and the folder scanned
                monkeypatch.setattr(index_search, "_FEW", few)
                for key, expected in CASES:
                    assert list(await box.search(folder, key)) == expected, (key, few)
            assert not await box.search(box.folder("Junk"), All())
            assert [event for event, *_ in there.notes.lines] == []  # searching reads no body to anyone
            box.close()

    asyncio.run(scenario())


def test_expired_messages_are_not_found_by_any_key(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as there:
            box, folder = await furnish(there)
            there.clock.now += there.keep
            for key, _ in CASES:
                assert list(await box.search(folder, key)) == []
            box.close()

    asyncio.run(scenario())


def test_searches_of_several_sessions_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as there:
            box, folder = await furnish(there)
            keys = [key for key, _ in CASES] * 2
            found = await asyncio.gather(*(box.search(folder, key) for key in keys))
            assert [list(each) for each in found] == [expected for _, expected in CASES] * 2
            box.close()

    asyncio.run(scenario())


def _nested(depth: int) -> Key:
    key: Key = All()
    for _ in range(depth):
        key = Not(key)
    return key


def _chosen(count: int, *, left: bool) -> Key:
    """One OR behind the other: as many alternatives, no depth."""
    key: Key = text(Field.SUBJECT, "message")
    for _ in range(count):
        key = Or(key, uids(4)) if left else Or(uids(4), key)
    return key


@pytest.mark.parametrize(
    "key",
    [
        _nested(100_000),
        _chosen(3000, left=True),
        _chosen(100_000, left=False),
        And((All(),) * 3000),
        Or(_nested(300), All()),
    ],
    ids=["deep", "many ORs", "ORs without end", "wide", "deep below"],
)
def test_a_search_beyond_the_bounds_is_refused(tmp_path: Path, key: Key) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as there:
            box = await there.open()
            with pytest.raises(Refusal) as caught:
                await box.search(box.folder("INBOX"), key)
            assert caught.value.reason is Reason.LIMIT
            box.close()

    asyncio.run(scenario())


def test_a_search_at_the_bounds_is_answered(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with house(tmp_path) as there:
            box, folder = await furnish(there)
            deep = _nested(index_search.MAX_DEPTH - 2)
            assert len(await box.search(folder, deep)) == 4
            wide = And((text(Field.SUBJECT, "message"),) * 500)
            assert list(await box.search(folder, wide)) == [1, 3]
            for chain in (_chosen(1500, left=True), _chosen(1500, left=False)):
                assert list(await box.search(folder, chain)) == [1, 3, 4]
            huge = Uids(NumberSet(tuple((n, n) for n in range(1, 60_000, 2))))
            assert list(await box.search(folder, And((huge, text(Field.BODY, "fox"))))) == [1]
            box.close()

    asyncio.run(scenario())
