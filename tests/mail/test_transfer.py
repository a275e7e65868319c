"""Transfer encodings: decoded and counted alike, broken or not."""

from __future__ import annotations

import base64
import binascii
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail.transfer import decoded, size
from tests.mail.cost import assert_linear


@pytest.mark.parametrize(
    ("raw", "encoding", "octets"),
    [
        (b"aGk=", b"base64", b"hi"),
        (b"aGk", b"BASE64", b"hi"),
        (b"a G\r\nk=\n", b"base64", b"hi"),
        (b"aGk=aGk=", b"base64", b"hihi"),  # concatenated
        (
            b"aGk=\r\n-- \r\nfooter",
            b"base64",
            b"hi\x7e\x8a\x28\xb5\xea"[:2] + binascii.a2b_base64(b"footer=="),
        ),
        (b"a", b"base64", b""),
        (b"====", b"base64", b""),
        (b"", b"base64", b""),
        (b"a=3Db=\r\nc=\nd", b"quoted-printable", b"a=bcd"),
        (b"a=zz=", b"Quoted-Printable", b"a=zz"),
        (b"x", b"7bit", b"x"),
        (b"x", b"8BIT", b"x"),
        (b"x", b"binary", b"x"),
        (b"x=41", b"x-unknown", b"x=41"),
        (b"begin 644 a\n", b"x-uuencode", b"begin 644 a\n"),
        (b"x", None, b"x"),
    ],
)
def test_decodes(raw: bytes, encoding: bytes | None, octets: bytes) -> None:
    assert decoded(raw, encoding) == octets


def _quoted(data: bytes) -> bytes:
    return binascii.b2a_qp(data, istext=False)


@pytest.mark.parametrize("encoding", [b"base64", b"quoted-printable", None])
def test_counts_megabytes_as_it_decodes_them(encoding: bytes | None) -> None:
    data = random.Random(1).randbytes(2_500_000)
    raw = {b"base64": base64.encodebytes, b"quoted-printable": _quoted}.get(encoding or b"", bytes)(data)
    content = b"before" + raw + b"after"
    assert size(content, 6, 6 + len(raw), encoding) == len(decoded(raw, encoding)) == len(data)


def test_counts_quoted_printable_without_line_ends() -> None:
    raw = b"=41" * 1_000_000
    assert size(raw, 0, len(raw), b"quoted-printable") == 1_000_000


@given(st.binary(max_size=200), st.sampled_from([b"base64", b"quoted-printable", b"7bit", None]))
def test_never_counts_less_than_it_decodes(raw: bytes, encoding: bytes | None) -> None:
    assert size(raw, 0, len(raw), encoding) >= len(decoded(raw, encoding))


@given(st.binary(max_size=300))
def test_round_trip(data: bytes) -> None:
    assert decoded(base64.encodebytes(data), b"base64") == data
    raw = base64.encodebytes(data)
    assert size(raw, 0, len(raw), b"base64") == len(data)


@pytest.mark.parametrize(
    "make",
    [
        lambda n: b"=" * n,
        lambda n: b"YQ==" * n,
        lambda n: b"=\r\n" * n,
        lambda n: b"=4" * n,
        lambda n: b" " * n + b"\n",
    ],
)
@pytest.mark.parametrize("encoding", [b"base64", b"quoted-printable"])
def test_hostile_input_costs_its_length(make, encoding: bytes) -> None:
    assert_linear(lambda raw: (decoded(raw, encoding), size(raw, 0, len(raw), encoding)), make, 20_000)
