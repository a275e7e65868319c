"""Every row of the reply table, and replies that nobody can inject into."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail.errors import Damaged, Reason, Refusal, Unavailable
from smtp_in.conversation import _IN_ITS_VERB, HELLO, LOGIN, MAIL, NO_MAIL, RCPT, TLS
from smtp_in.replies import CODES, TEMPORARY_FAILURE, Reply, reply_to


@pytest.mark.parametrize("reason", list(Reason))
def test_each_reason_has_its_code(reason: Reason) -> None:
    code, enhanced = CODES[reason]
    assert enhanced[0] == str(code)[0] and re.fullmatch(r"[45]\.[0-7]\.\d{1,2}", enhanced)
    reply = reply_to(Refusal(reason, "Words."))
    assert reply.encoded() == f"{code} {enhanced} Words.\r\n".encode()


def test_every_other_reply_agrees_with_its_class() -> None:
    """RFC 2034: the class of the enhanced code is the class of the code."""
    for code, enhanced in _IN_ITS_VERB.values():
        assert enhanced[0] == str(code)[0]
    for need in (HELLO, TLS, LOGIN, NO_MAIL, MAIL, RCPT):
        assert need.reply.enhanced[0] == str(need.reply.code)[0]


def test_our_faults_are_temporary_and_say_nothing() -> None:
    for error in (Unavailable("disk /dev/x is full"), Damaged("file y")):
        assert reply_to(error) == TEMPORARY_FAILURE
    assert TEMPORARY_FAILURE.code == 451


@given(st.text())
def test_no_injection(text: str) -> None:
    """Row 13: each line is ours, short and printable, whatever the text."""
    lines = Reply(550, "5.7.1", text).encoded().split(b"\r\n")
    assert lines.pop() == b""
    assert [line[3:4] for line in lines] == [b"-"] * (len(lines) - 1) + [b" "]
    for line in lines:
        assert re.fullmatch(rb"550[ -]5\.7\.1 [ -~]*", line) and len(line) <= 510


def test_long_words_go_over_several_lines() -> None:
    lines = Reply(550, "5.7.1", "word " * 200).encoded().split(b"\r\n")
    assert len(lines) == 4 and lines[0].startswith(b"550-5.7.1 word")
    assert len(Reply(550, "5.7.1", "x" * 100_000).encoded()) < 6 * 512


def test_intermediate_replies_have_no_enhanced_code() -> None:
    assert Reply(354, "", "Go").encoded() == b"354 Go\r\n"
    assert Reply(334, "", "").encoded() == b"334 \r\n"
