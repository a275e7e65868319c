"""RFC 5256 section 2.1, rule by rule, and its cost."""

from __future__ import annotations

import time

import pytest

from imap_out import base_subject

CASES = {
    b"": ("", False),
    b"   ": ("", False),
    b"meeting": ("meeting", False),
    b"Re: meeting": ("meeting", True),
    b"RE:meeting": ("meeting", True),
    b"re :  meeting": ("meeting", True),
    b"Fw: meeting": ("meeting", True),
    b"Fwd: meeting": ("meeting", True),
    b"fwdd: meeting": ("fwdd: meeting", False),
    b"Res: meeting": ("Res: meeting", False),
    b"Regarding: x": ("Regarding: x", False),
    b"Re: Re: Fwd: meeting": ("meeting", True),
    b"Re[2]: meeting": ("meeting", True),
    b"Re [2] : meeting": ("meeting", True),
    b"[list] Re: meeting": ("meeting", True),
    b"[a] [b][c] Re: meeting": ("meeting", True),
    b"Re: [list] meeting": ("meeting", True),
    b"Re: [list] Re: meeting": ("meeting", True),
    b"[list] meeting": ("meeting", False),
    b"[a][b] meeting": ("meeting", False),
    b"[list]": ("[list]", False),
    b"[a][b]": ("[b]", False),
    b"[a] [b] ": ("[b]", False),
    b"Re: [list]": ("[list]", True),
    b"[unclosed Re: x": ("[unclosed Re: x", False),
    b"[a[b] x": ("[a[b] x", False),
    b"meeting (fwd)": ("meeting", True),
    b"meeting (FWD) (fwd)  ": ("meeting", True),
    b"meeting(fwd)": ("meeting", True),
    b"meeting (fwd) x": ("meeting (fwd) x", False),
    b"(fwd)": ("", True),
    b"[fwd: meeting]": ("meeting", True),
    b"[Fwd: Re: [list] meeting (fwd)]": ("meeting", True),
    b"[fwd: [fwd: meeting]]": ("meeting", True),
    b"[fwd: a] b": ("b", False),  # a blob by rule (4), which comes first
    b"[fwd:]": ("", True),
    b"Re:": ("", True),
    b"Re: Re:": ("", True),
    b"Re: (fwd)": ("", True),
    b"a  b\tc": ("a b c", False),
    b"Re:\r\n meeting": ("meeting", True),
    b"=?utf-8?q?Re=3A_=C3=9Cber?= uns": ("\u00dcber uns", True),
    b"=?utf-8?q?=5Blist=5D?= x": ("x", False),
    b"AW: meeting": ("AW: meeting", False),  # the RFC knows English alone
    "Re: ﬁn".encode(): ("ﬁn", True),
}


@pytest.mark.parametrize("value", CASES, ids=repr)
def test_base(value):
    assert base_subject.of(value) == CASES[value]


@pytest.mark.parametrize("value", CASES, ids=repr)
def test_a_reply_has_the_same_base(value):
    base = CASES[value][0]
    assert base_subject.of(b"Re: " + value)[0] == base


@pytest.mark.parametrize(
    "value",
    [
        b"[a]" * 30_000, b"[a]" * 30_000 + b" x", b"[" * 60_000, b"re[" * 30_000, b"Re: " * 20_000,
        b"[fwd:" * 15_000 + b"]" * 15_000, b"(fwd)" * 15_000, b"[a] re " * 10_000, b" " * 60_000 + b"x",
        b"fw [" + b"a" * 60_000, b"[a" * 30_000, b"Re[a]" * 12_000,
    ],
    ids=lambda value: repr(value[:8]),
)  # fmt: skip
def test_cost_is_linear(value):
    started = time.perf_counter()
    base_subject.of(value)
    assert time.perf_counter() - started < 1
