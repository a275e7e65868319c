"""SASL exchanges: whole conversations, and every way to say them wrong (row 21)."""

from __future__ import annotations

import pytest

from mail.errors import Reason, Refusal
from smtp_in import sasl


def run(exchange: sasl.Exchange, *responses: bytes) -> sasl.Credentials:
    challenges = [next(exchange)]
    try:
        for response in responses:
            challenges.append(exchange.send(response))
    except StopIteration as done:
        assert isinstance(done.value, sasl.Credentials)
        return done.value
    raise AssertionError(challenges)


def test_plain() -> None:
    for blob in (b"\0ann\0pw", b"ann\0ann\0pw"):
        got = run(sasl.plain(), blob)
        assert got.name == "ann" and got.password.reveal() == b"pw"


def test_login() -> None:
    exchange = sasl.login()
    assert next(exchange) == b"Username:" and exchange.send(b"ann") == b"Password:"
    got = run(sasl.login(), "ännchen".encode(), "größer".encode())
    assert got.name == "ännchen" and got.password.reveal() == "größer".encode()
    assert "größer" not in repr(got)


@pytest.mark.parametrize(
    "blob",
    [b"", b"\0", b"ann",
     b"\0ann", b"\0\0", b"\0ann\0", b"\0\0pw", b"\0a\0b\0c", b"\0\xff\0pw", b"\0a\0\xff",
     b"\0a\nb\0pw", b"\0" + b"x" * 321 + b"\0pw"],
)  # fmt: skip
def test_malformed_plain(blob: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        run(sasl.plain(), blob)
    assert caught.value.reason is Reason.BAD_SYNTAX


def test_nobody_acts_for_another() -> None:
    with pytest.raises(Refusal) as caught:
        run(sasl.plain(), b"bob\0ann\0pw")
    assert caught.value.reason is Reason.LOGIN_FAILED


@pytest.mark.parametrize(
    "responses", [(b"", b"pw"), (b"a", b""), (b"\xff", b"pw"), (b"a", b"\xff"), (b"a", b"b\0")]
)
def test_malformed_login(responses: tuple[bytes, bytes]) -> None:
    with pytest.raises(Refusal) as caught:
        run(sasl.login(), *responses)
    assert caught.value.reason is Reason.BAD_SYNTAX


def test_base64() -> None:
    assert sasl.decoded(b"=") == b"" and sasl.decoded(b"YQ==") == b"a"
    assert sasl.encoded(b"Username:") == "VXNlcm5hbWU6"


@pytest.mark.parametrize("line", [b"a", b"!!!!", b"YQ", b"YQ==\xff", b"Y Q==", b"\xc3\xa4", b"===="])
def test_bad_base64(line: bytes) -> None:
    with pytest.raises(Refusal):
        sasl.decoded(line)
