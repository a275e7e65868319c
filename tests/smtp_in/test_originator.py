"""From and Sender, read strictly (row 12)."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail.address import Address
from mail.errors import Reason, Refusal
from smtp_in.originator import check, mailbox

ANN = Address.parse("ann@acme.test")


@pytest.mark.parametrize(
    "value",
    [
        "ann@acme.test",
        " ann@acme.test ",
        "<ann@acme.test>",
        "Ann <ann@acme.test>",
        "ANN@ACME.test",
        '"Ann, the \\"boss\\"" <ann@acme.test>',
        "Ann (at home) <ann@acme.test> (really)",
        "=?utf-8?q?=C3=84?= <ann@acme.test>",
        "Änn M. <ann@acme.test>",
        "(c (nested)) ann@acme.test",
        '"claims@example-health.test" <ann@acme.test>',
        "Dr. Ann <ann@acme.test>",
    ],
)
def test_one_mailbox(value: str) -> None:
    stated = mailbox(value.encode())
    assert stated is not None and stated.key == ANN.key


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Ann",
        "<>",
        "ann@acme.test, bob@acme.test",
        "ann@acme.test; bob@acme.test",
        "ann@acme.test bob@acme.test",
        "<ann@acme.test> <bob@acme.test>",
        "bob@acme.test <ann@acme.test>",
        "<ann@acme.test> x",
        "a: ann@acme.test;",
        "<@x,@y:ann@acme.test>",
        "ann@acme.test <bob@acme.test>",
        "ann @acme.test",
        "ann@ acme.test",
        "ann(x)@acme.test",
        '"ann"@acme.test',
        "ann@[127.0.0.1]",
        '"Ann <ann@acme.test>',
        "(Ann <ann@acme.test>",
        "Ann) <ann@acme.test>",
        "ann@acme.test>",
        "<ann@acme.test",
        "<<ann@acme.test>>",
        '"a\\" <ann@acme.test>',
        "ann@acme.test\x00",
        "\x01<ann@acme.test>",
        "a,b <ann@acme.test>",
        "ann@acme.test@evil.test",
        "ann%evil@acme.test",
    ],
)
def test_anything_else(value: str) -> None:
    stated = mailbox(value.encode())
    assert stated is None or stated.key != ANN.key


@given(st.binary(max_size=60))
def test_never_raises(value: bytes) -> None:
    """Returns one Address or None, nothing else."""
    stated = mailbox(value)
    assert stated is None or Address.parse(str(stated)) == stated


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b"From: ann@acme.test\r\n\r\n", None),
        (b"From: ann@acme.test\r\n", None),
        (b"from:\r\n ann@acme.test\r\nX: y\r\n\tz\r\n\r\n", None),
        (b"From: ann@acme.test\r\nSENDER: ann@acme.test\r\n\r\n", None),
        (b"\r\n", Reason.BAD_MESSAGE),
        (b"", Reason.BAD_MESSAGE),
        (b"Subject: x\r\n\r\n", Reason.BAD_MESSAGE),
        (b"From: ann@acme.test\r\nFROM: ann@acme.test\r\n\r\n", Reason.BAD_MESSAGE),
        (b"From ann Mon Jan 1\r\nFrom: ann@acme.test\r\n\r\n", Reason.BAD_MESSAGE),
        (b" folded first\r\nFrom: ann@acme.test\r\n\r\n", Reason.BAD_MESSAGE),
        (b"From: ann@acme.test\r\nBad Name: x\r\n\r\n", Reason.BAD_MESSAGE),
        (b"From: ann@acme.test\r\nX : y\r\n\r\n", Reason.BAD_MESSAGE),
        (b"From: ann@acme.test\r\n: y\r\n\r\n", Reason.BAD_MESSAGE),
        (b"From: bob@acme.test\r\n\r\n", Reason.SENDER_NOT_PERMITTED),
        (b"From: ann@acme.test\r\nSender: bob@acme.test\r\n\r\n", Reason.SENDER_NOT_PERMITTED),
    ],
)
def test_check(header: bytes, reason: Reason | None) -> None:
    if reason is None:
        check(header, ANN)
        return
    with pytest.raises(Refusal) as caught:
        check(header, ANN)
    assert caught.value.reason is reason


@pytest.mark.parametrize(
    "value",
    [b"(" * 500_000, b"()" * 250_000, b'"' * 500_000, b"<" * 500_000, b"a," * 250_000, b"\\" * 500_000],
)
@pytest.mark.slow
def test_hostile_values_are_linear(value: bytes) -> None:
    """Rows 7 and 8: a header as long as its bound, and no recursion."""
    start = time.perf_counter()
    assert mailbox(value) is None
    assert time.perf_counter() - start < 5
