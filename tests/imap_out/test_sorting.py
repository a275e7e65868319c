"""SORT and THREAD as clients see them, and beside Dovecot on the same messages."""

from __future__ import annotations

import imaplib
import random
import re

import pytest

from imap_out.sort_keys import casemap
from tests.imap_out.memory import Account
from tests.imap_out.talk import message, run, talking
from tests.peers.dovecot import dovecot

KEYS = ["ARRIVAL", "CC", "DATE", "FROM", "SIZE", "SUBJECT", "TO", "DISPLAYFROM", "DISPLAYTO"]
FIRST_DAY = 837_596_665  # 17-Jul-1996


SUBJECTS = (
    "lunch", "Re: lunch", "[list] Lunch", "[fwd: lunch]", "lunch (fwd)", "", "Zoo", "_x", "a]b", "Fwd:",
    "=?utf-8?q?=C3=9Cber?=", "=?utf-8?q?=C3=BCber?=", "Re: [list] Re: zoo", "10", "9",
)  # fmt: skip
PEOPLE = (
    "Ann <ann@x.test>", "ann@y.test", "Bob <Bob@x.test>", '"Zed, Z" <zed@x.test>', "", "_u@x.test",
    "=?utf-8?q?=C3=84nne?= <aenne@x.test>", "staff: carl@x.test, ann@x.test;", "bob@x.test",
)  # fmt: skip


def many(count: int) -> list[bytes]:
    """Messages with much in common, each time the same. A seventh of those referred to is not here."""
    chance = random.Random(5957)
    lines: list[list[str]] = []  # of each, the ids it refers to
    made = []
    for number in range(count):
        ids: list[str] = []
        if lines and chance.random() < 0.6:
            parent = chance.randrange(len(lines))
            ids = [*lines[parent], f"<{parent}@x>"][-chance.choice((1, 2, 9)) :]
        lines.append(ids)
        if number % 7 == 3:
            continue
        day, hour, zone = chance.randrange(1, 28), chance.randrange(24), chance.choice("012")
        content = message(
            number,
            "x" * chance.randrange(20) + "\r\n",
            Date=f"{day:02} Feb 1994 {hour:02}:00:00 +0{zone}00" if chance.random() < 0.9 else "",
            Subject=chance.choice(SUBJECTS) if chance.random() < 0.3 else f"subject {number}",
            From=chance.choice(PEOPLE),
            To=chance.choice(PEOPLE),
            Cc=chance.choice(PEOPLE),
            Message_Id=f"<{number}@x>",
            References=" ".join(ids) if number % 5 else "",
            In_Reply_To=ids[-1] if ids and number % 5 == 0 else "",
        )
        made.append(content)
    return made


def test_sort_keys():
    async def conversation():
        account = Account()
        for subject, sent, who in (
            ("Re: b", "Mon, 7 Feb 1994 10:00:00 +0000", "Zoe <a@x.test>"),
            ("A", "Mon, 7 Feb 1994 10:30:00 +0100", "c@x.test"),
            ("[list] B", "", "Ann <b@x.test>"),
            ("", "Mon, 7 Feb 1994 09:00:00 +0000", ""),
        ):
            content = message(1, Subject=subject, Date=sent, From=who)
            account.deliver(content, date=FIRST_DAY)
        async with talking(account) as talk:
            await talk.ok(b"SELECT INBOX")
            for criteria, expected in (
                (b"SUBJECT", b"4 2 1 3"),
                (b"REVERSE SUBJECT", b"1 3 2 4"),  # equal ones stay in order
                (b"SUBJECT REVERSE DATE", b"4 2 3 1"),
                (b"DATE", b"4 2 1 3"),  # without a Date: by arrival
                (b"FROM", b"4 1 3 2"),
                (b"DISPLAYFROM", b"4 3 2 1"),
                (b"ARRIVAL", b"1 2 3 4"),
                (b"REVERSE ARRIVAL", b"1 2 3 4"),
            ):
                said = await talk.ok(b"SORT (" + criteria + b") UTF-8 ALL")
                assert said.startswith(b"* SORT " + expected + b"\r\n"), (criteria, said)
            said = await talk.ok(b"THREAD ORDEREDSUBJECT UTF-8 ALL")
            assert said.startswith(b"* THREAD (4)(2)(1 3)\r\n")

    run(conversation)


def test_casemap():
    assert casemap("a") == casemap("A") < casemap("_")
    assert casemap("z") < casemap("_") < casemap("\u4e00")
    assert casemap("\u00e9") == casemap("\u00c9") == casemap("e\u0301")
    assert casemap("\u01c6") == casemap("\u01c4")


@pytest.mark.clients
def test_as_dovecot_does():
    contents = many(300)
    asked = [f"SORT ({key})" for key in KEYS] + ["SORT (SUBJECT REVERSE DATE)", "SORT (REVERSE FROM SIZE)"]
    asked += ["THREAD REFERENCES", "THREAD ORDEREDSUBJECT"]
    theirs: dict[str, bytes] = {}
    with dovecot({"ann": "secret"}) as peer, imaplib.IMAP4(peer.host, peer.imap) as client:
        client.login("ann", "secret")
        for place, content in enumerate(contents):
            client.append("INBOX", None, imaplib.Time2Internaldate(FIRST_DAY + place % 17), content)
        client.select()
        for command in asked:
            name, rest = command.split(" ", 1)
            client.xatom(name, rest, "UTF-8", "ALL")
            theirs[command] = client.response(name)[1][0]

    async def conversation():
        account = Account()
        for place, content in enumerate(contents):
            account.deliver(content, date=FIRST_DAY + place % 17)
        async with talking(account) as talk:
            await talk.ok(b"SELECT INBOX")
            differing = []
            for command in asked:
                said = await talk.ok(command.encode() + b" UTF-8 ALL")
                line = re.match(rb"\* \w+ (.*)\r\n", said)
                assert line
                if line[1] != theirs[command]:
                    differing.append((command, line[1], theirs[command]))
            assert not differing

    run(conversation)
