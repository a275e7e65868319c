"""Tokens at their boundary bytes, names both ways, patterns in linear time."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imap_out import moments, utf7, wording
from imap_out.grammar import Arguments
from imap_out.patterns import FolderPattern, Pattern
from mail import dates
from mail.errors import Reason, Refusal


def read(*parts: bytes) -> Arguments:
    return Arguments(parts)


def refused(call, *args) -> bool:
    try:
        call(*args)
    except Refusal as refusal:
        return refusal.reason is Reason.BAD_SYNTAX
    return False


@pytest.mark.parametrize("octet", range(256))
def test_atom_boundaries(octet):
    """RFC 3501 section 9: ATOM-CHAR is any CHAR but atom-specials."""
    special = octet <= 0x20 or octet >= 0x7F or bytes([octet]) in b'(){%*"\\]'
    one = bytes([octet])
    assert refused(read(one).atom) is special
    assert refused(read(one).astring) is (special and one != b"]")
    assert refused(read(one).list_mailbox) is ((special and one not in b"]%*") or one == b"&")


@pytest.mark.parametrize(
    ("parts", "value"),
    [
        ((b"abc",), b"abc"),
        ((b'"a b"',), b"a b"),
        ((b'"a\\"b\\\\"',), b'a"b\\'),
        ((b'""',), b""),
        ((b"", b"lit\r\n", b""), b"lit\r\n"),
        (('"é"'.encode(),), "é".encode()),
    ],
)
def test_astring(parts, value):
    arguments = read(*parts)
    assert arguments.astring() == value
    arguments.end()


@pytest.mark.parametrize("parts", [(b'"a',), (b'"a\\x"',), (b'"a\r"',), (b"",), (b"", b"a\0b", b"")])
def test_no_astring(parts):
    assert refused(read(*parts).astring)


def test_numbers_and_ends():
    assert read(b"4294967295").number() == 4_294_967_295
    for text in (b"4294967296", b"99999999999", b"x", b"-1"):
        assert refused(read(text).number)
    read(b"  ").end()
    assert refused(read(b" x").end)
    assert refused(read(b"", b"x", b"").end)
    assert refused(read(b"x").literal)


def test_nstring():
    assert read(b"nil").nstring() is None
    assert read(b'"nil"').nstring() == b"nil"
    assert refused(read(b"nix").nstring)


def test_flags():
    assert read(b"(\\sEEN $Forwarded)").flags() == frozenset({"\\Seen", "$Forwarded"})
    assert read(b"()").flags() == frozenset()
    for text in (b"(\\Recent)", b"(\\*)", b"(\\Nope)", b"(a", b"(a  b)", b"(" + b"x" * 101 + b")"):
        assert refused(read(text).flags)
    assert refused(read(b"(" + b" ".join(b"k%d" % i for i in range(201)) + b")").flags)


@pytest.mark.parametrize(
    ("text", "day"),
    [(b"1-Jan-1970", 0), (b'"2-jan-1970"', 1), (b"31-Dec-1969", -1), (b"29-Feb-2024", 19_782)],
)
def test_days(text, day):
    assert read(text).day() == day


@pytest.mark.parametrize(
    "text", [b"30-Feb-2024", b"1-Foo-2024", b"0-Jan-2024", b"1-Jan-24", b'"1-Jan-2024', b"x"]
)
def test_no_days(text):
    assert refused(read(text).day)


def test_moments():
    assert moments.parse(read(b'"17-Jul-1996 02:44:25 -0700"')) == 837_596_665
    assert moments.render(837_596_665) == b'"17-Jul-1996 09:44:25 +0000"'
    assert moments.render(5 * 86_400) == b'" 6-Jan-1970 00:00:00 +0000"'
    for text in (b'"17-Jul-1996"', b'"32-Jul-1996 02:44:25 -0700"', b'"17-Jul-1996 25:44:25 -0700"', b"x"):
        assert refused(moments.parse, read(text))


def test_moments_that_no_date_can_name_are_shown_as_the_nearest():
    assert moments.render(dates.LAST + 1) == moments.render(dates.LAST) == b'"31-Dec-9999 23:59:59 +0000"'
    assert moments.render(dates.FIRST - 1) == b'" 1-Jan-0001 00:00:00 +0000"'
    assert moments.render(1 << 62) == moments.render(dates.LAST)


@given(st.integers(dates.FIRST, dates.LAST))
def test_moments_both_ways(moment):
    assert moments.parse(read(moments.render(moment))) == moment


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_names_both_ways(name):
    spelling = utf7.encode(name)
    assert re.fullmatch(rb"[ -~]*", spelling)
    assert utf7.decode(spelling) == name
    canonical = name if name.split("/")[0].upper() != "INBOX" else "INBOX" + name[5:]
    assert read(wording.mailbox(name)).mailbox() == canonical


@given(st.binary(max_size=40))
def test_a_name_has_one_spelling(spelling):
    """Decodes to a name whose spelling this is, or ValueError, nothing else."""
    try:
        name = utf7.decode(spelling)
    except ValueError:
        return
    assert utf7.encode(name) == spelling


@pytest.mark.parametrize(
    "spelling", [b"&AC8-", b"&AGE-", b"&", b"&Jj", b"&2AA-", b"&AOk", b"\xc3\xa9", b"&AOk=-", b"&AOkA-"]
)
def test_second_spellings_are_refused(spelling):
    with pytest.raises(ValueError):
        utf7.decode(spelling)


def test_rfc_example_names():
    assert utf7.decode(b"~peter/mail/&U,BTFw-/&ZeVnLIqe-") == "~peter/mail/台北/日本語"
    assert utf7.encode("Entwürfe & mehr") == b"Entw&APw-rfe &- mehr"


def reference(pattern: str, name: str) -> bool:
    translated = "".join({"*": "(?s:.*)", "%": "[^/]*"}.get(c, re.escape(c)) for c in pattern)
    return re.fullmatch(translated, name) is not None


@given(st.text("ab/%*", max_size=8), st.text("ab/", max_size=10))
def test_patterns_agree_with_a_regular_expression(pattern, name):
    assert Pattern(pattern).matches(name) == reference(pattern, name)


@pytest.mark.parametrize(
    "pattern", ["%*" * 5000, "*a" * 900 + "b", "%a" * 900 + "b", "*" * 10_000, "a" * 10_000]
)
def test_patterns_are_linear(pattern):
    """CVE-2021-40110: `%*%*%*...`."""
    compiled = FolderPattern(pattern)
    started = time.perf_counter()
    for _ in range(20):
        compiled.matches("a" * 1000)
    assert time.perf_counter() - started < 1


def test_inbox_in_any_case():
    for pattern in ("inbox", "INBOX", "InB%", "*", "%"):
        assert FolderPattern(pattern).matches("INBOX")
    assert FolderPattern("inbox/%").matches("INBOX/a")
    assert not FolderPattern("inbox").matches("INBOX/a")
    assert not FolderPattern("archive").matches("Archive")


@given(st.binary(max_size=30))
def test_strings_both_ways(octets):
    text = wording.string(octets)
    head, _, tail = text.partition(b"\r\n")
    arguments = read(text) if text.startswith(b'"') else read(b"", tail, b"")
    if text.startswith(b"{"):
        assert head == b"{%d}" % len(octets) and tail == octets
    if b"\0" not in octets:
        assert arguments.string() == octets
