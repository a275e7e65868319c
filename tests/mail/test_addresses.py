"""Address lists for display: read as a person would, with Dovecot's words for what is missing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail.addresses import GROUP_END, MAX_ADDRESSES, Entry, parse
from tests.mail.cost import assert_linear

NO_BOX, NO_HOST, BAD = b"MISSING_MAILBOX", b"MISSING_DOMAIN", b"SYNTAX_ERROR"


def group(name: bytes) -> Entry:
    return Entry(None, None, name, None)


A = Entry(None, None, b"a", b"b.test")


@pytest.mark.parametrize(
    ("value", "entries"),
    [
        (b"", []),
        (b" \t ", []),
        (b",,", []),
        (b"(only a comment)", []),
        (b"a@b.test", [A]),
        (b"a @ b.test", [A]),
        (b"a@(c)b.test", [Entry(b"c", None, b"a", b"b.test")]),
        (b"<a@b.test>", [A]),
        (b"< a @ b.test >", [A]),
        (b"a@b.test, a@b.test", [A, A]),
        (b"a@b.test,, a@b.test,", [A, A]),
        (b"A B <a@b.test>", [Entry(b"A B", None, b"a", b"b.test")]),
        (b'"A, B" <a@b.test>', [Entry(b"A, B", None, b"a", b"b.test")]),
        (b'"A \\"q\\" B" C <a@b.test>', [Entry(b'A "q" B C', None, b"a", b"b.test")]),
        (b'"" <a@b.test>', [A]),
        (b"John Q. Public <a@b.test>", [Entry(b"John Q. Public", None, b"a", b"b.test")]),
        (b"A <a@b.test> (c)", [Entry(b"A", None, b"a", b"b.test")]),
        (b"a@b.test (A B)", [Entry(b"A B", None, b"a", b"b.test")]),
        (b"a@b.test (A (n) B)", [Entry(b"A (n) B", None, b"a", b"b.test")]),
        (b"a@b.test (A \\) B)", [Entry(b"A ) B", None, b"a", b"b.test")]),
        (b"=?utf-8?q?=C3=A9?= <a@b.test>", [Entry(b"=?utf-8?q?=C3=A9?=", None, b"a", b"b.test")]),
        (b"\xc3\xa9 <\xc3\xa9@b.test>", [Entry(b"\xc3\xa9", None, b"\xc3\xa9", b"b.test")]),
        (b'"a b"@b.test', [Entry(None, None, b"a b", b"b.test")]),
        (b"a . b@b . test", [Entry(None, None, b"a.b", b"b.test")]),
        (b"a@[192.0.2.1]", [Entry(None, None, b"a", b"[192.0.2.1]")]),
        (b"<@x,@y:a@b.test>", [Entry(None, b"@x,@y", b"a", b"b.test")]),
        (b"<@x:a@b.test>, a@b.test", [Entry(None, b"@x", b"a", b"b.test"), A]),
        (b"G: a@b.test, A <a@b.test>;", [group(b"G"), A, Entry(b"A", None, b"a", b"b.test"), GROUP_END]),
        (b"undisclosed-recipients:;", [group(b"undisclosed-recipients"), GROUP_END]),
        (b'"G H": ;, a@b.test', [group(b"G H"), GROUP_END, A]),
        (b"G: a@b.test", [group(b"G"), A, GROUP_END]),
        (b"a", [Entry(None, None, b"a", NO_HOST)]),
        (b"A B", [Entry(None, None, b"A", NO_HOST)]),
        (b"a@", [Entry(None, None, b"a", NO_HOST)]),
        (b"@b.test", [Entry(None, None, NO_BOX, b"b.test")]),
        (b"<>", [Entry(None, None, NO_BOX, NO_HOST)]),
        (b"A <>", [Entry(b"A", None, NO_BOX, NO_HOST)]),
        (b"A <a>", [Entry(b"A", None, b"a", NO_HOST)]),
        (b"A <a@b.test", [Entry(b"A", None, b"a", BAD)]),
        (b"A <a b@b.test>", [Entry(b"A", None, b"a", BAD)]),
        (b"A <a\\@b@b.test>", [Entry(b"A", None, b"a", BAD)]),
        (b"A <a@b@c>", [Entry(b"A", None, b"a", BAD)]),
        # The address that mail goes to is shown, and the one it pretends to be stays visible.
        (b"a@org <b@evil.test>", [Entry(b"a@org", None, b"b", b"evil.test")]),
        (
            b"Doe, John <a@b.test>",
            [Entry(None, None, b"Doe", NO_HOST), Entry(b"John", None, b"a", b"b.test")],
        ),
        (b'"never closed, a@b.test', [Entry(None, None, b"never closed, a@b.test", NO_HOST)]),
        (b"(never closed, a@b.test", []),
        (b"a@b.test; a@b.test", [A]),
        (b"\\", [Entry(None, None, NO_BOX, NO_HOST)]),
    ],
)
def test_reads(value: bytes, entries: list[Entry]) -> None:
    assert parse(value) == entries


def test_is_bounded() -> None:
    assert MAX_ADDRESSES <= len(parse(b"a@b," * 20_000)) <= MAX_ADDRESSES + 2


@pytest.mark.parametrize(
    "make",
    [
        lambda n: b"a@b," * n,
        lambda n: b"a:;" * n,
        lambda n: b"<" * n,
        lambda n: b"<@" * n + b":",
        lambda n: b"(" * n,
        lambda n: b'"' * n,
        lambda n: b'"\\' * n,
        lambda n: b"[" * n,
        lambda n: b"a " * n,
        lambda n: b"a." * n + b"@b",
        lambda n: b"<@a," * n,
        lambda n: b":" * n,
        lambda n: b"\xff\0" * n,
        lambda n: b"()" * n + b"a@b",
    ],
)
def test_hostile_input_costs_its_length(make) -> None:
    assert_linear(parse, make, 1_500)


@given(st.text(alphabet='ab@.<>,;:"()[]\\ é', max_size=40).map(str.encode))
def test_never_raises_and_every_group_ends(value: bytes) -> None:
    open_groups = 0
    for entry in parse(value):
        if entry == GROUP_END:
            open_groups -= 1
        elif entry.host is None:
            open_groups += 1
        else:
            assert entry.mailbox
        assert open_groups in (0, 1)
    assert open_groups == 0
