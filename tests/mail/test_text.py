"""The text of a message for searching."""

from __future__ import annotations

import base64

import pytest

from mail.structure import parse
from mail.text import decoded, text_of

MESSAGE = (
    b"Subject: not this\nContent-Type: multipart/mixed; boundary=b\n\npreamble\n--b\n"
    b"Content-Type: text/plain; charset=iso-8859-1\n"
    b"Content-Transfer-Encoding: quoted-printable\n\ncaf=E9\n--b\n"
    b"Content-Type: text/html; charset*=utf-8''utf-8\nContent-Transfer-Encoding: base64\n\n"
    + base64.encodebytes("<p>naïve</p>".encode())
    + b"\n--b\nContent-Type: application/pdf\n\nsecret\n--b\nContent-Type: message/rfc822\n\n"
    b"Subject: =?utf-8?q?inn=C3=A9r?=\n\ndeep\n--b--\nepilogue"
)


def test_every_text_part_and_embedded_header() -> None:
    text, complete = text_of(MESSAGE, parse(MESSAGE), 1000)
    assert complete
    assert text == "café\n<p>naïve</p>\nSubject: innér\n\n\ndeep"


@pytest.mark.parametrize("bound", range(50))
def test_the_bound_cuts_and_says_so(bound: int) -> None:
    whole, _ = text_of(MESSAGE, parse(MESSAGE), 1000)
    text, complete = text_of(MESSAGE, parse(MESSAGE), bound)
    assert whole.startswith(text)
    assert len(text) <= bound
    assert complete == (text == whole)


@pytest.mark.parametrize("encoding", [b"base64", b"quoted-printable", b"7bit"])
def test_a_large_part_is_not_decoded_beyond_the_bound(encoding: bytes) -> None:
    content = b"Content-Transfer-Encoding: " + encoding + b"\n\n" + b"QUJD" * 1_000_000
    text, complete = text_of(content, parse(content), 100)
    assert len(text) == 100
    assert not complete


@pytest.mark.parametrize(
    ("header", "body", "text"),
    [
        (b"", b"\xc3\xa9", "é"),
        (b"Content-Type: text/plain; charset=nonsense\n", b"\xe9", "é"),
        (b"Content-Type: text/plain; charset=utf-8\n", b"\xe9", "\ufffd"),
        (b"Content-Type: text/calendar; charset=utf-8\n", b"\xc3\xa9", "é"),
        (b"Content-Type: image/png\n", b"x", ""),
        (b"Content-Type: multipart/mixed\n", b"x", ""),
        (b"Content-Transfer-Encoding: base64\n", b"aGk", "hi"),
    ],
)
def test_charsets_and_types(header: bytes, body: bytes, text: str) -> None:
    content = header + b"\n" + body
    assert text_of(content, parse(content), 100) == (text, True)


def test_decoded_is_the_octets() -> None:
    content = b"Content-Transfer-Encoding: base64\n\naGk="
    assert decoded(content, parse(content)) == b"hi"
