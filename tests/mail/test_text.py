"""The text of a message for searching."""

from __future__ import annotations

import base64

import pytest

from mail.structure import parse
from mail.text import decoded, part_headers, text_of
from tests.mail.cost import assert_linear

MESSAGE = (
    b"Subject: not this\nContent-Type: multipart/mixed; boundary=b\n\npreamble\n--b\n"
    b"Content-Type: text/plain; charset=iso-8859-1\n"
    b"Content-Transfer-Encoding: quoted-printable\n\ncaf=E9\n--b\n"
    b"Content-Type: text/html; charset*=utf-8''utf-8\nContent-Transfer-Encoding: base64\n\n"
    + base64.encodebytes("<p>naïve</p>".encode())
    + b"\n--b\nContent-Type: application/pdf\n\nsecret\n--b\nContent-Type: message/rfc822\n\n"
    b"Subject: =?utf-8?q?inn=C3=A9r?=\n\ndeep\n--b--\nepilogue"
)


def test_every_text_part_and_no_header() -> None:
    text, complete = text_of(MESSAGE, parse(MESSAGE), 1000)
    assert complete
    assert text == "café\n<p>naïve</p>\ndeep"


def test_the_headers_of_parts() -> None:
    assert part_headers(MESSAGE, parse(MESSAGE)) == (
        "Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n"
        "Content-Type: text/html; charset*=utf-8''utf-8\nContent-Transfer-Encoding: base64\n"
        "Content-Type: application/pdf\nContent-Type: message/rfc822\nSubject: innér\n"
    )
    assert part_headers(b"Subject: x\n\ntext", parse(b"Subject: x\n\ntext")) == ""


@pytest.mark.parametrize(
    ("parameter", "shown"),
    [
        (b"filename=plain.pdf", ""),
        (b'filename="=?utf-8?q?f=C3=BCr?=.pdf"', ""),
        (b"filename*=utf-8''f%C3%BCr.pdf", "f\u00fcr.pdf\n"),
        (b'filename*0="one"; filename*1="two.pdf"', "onetwo.pdf\n"),
        (b"filename*0*=utf-8''a%0A%0Ab; filename*1=.pdf; name*=utf-8''%C3%A7", "a b.pdf\nç\n"),
        (b"name*=utf-8''%C3%A7; filename*=''x.pdf", "ç\n"),
        (b"x*=utf-8''f%C3%BCr.pdf", ""),
    ],
)
def test_file_names_that_their_encoding_hides(parameter: bytes, shown: str) -> None:
    part = b"Content-Disposition: attachment; " + parameter + b"\n\nx"
    inside = b"Content-Type: multipart/mixed; boundary=b\n\n--b\n" + part + b"\n--b--\n"
    first, _, names = part_headers(inside, parse(inside)).partition("\n")
    assert first.startswith("Content-Disposition: attachment; ")
    assert names == shown


def test_a_message_that_is_an_attachment_itself() -> None:
    content = b"Content-Disposition: attachment; filename*=utf-8''f%C3%BCr.pdf\n\nx"
    assert part_headers(content, parse(content)) == "f\u00fcr.pdf\n"


def test_headers_of_parts_cost_their_length() -> None:
    def make(n: int) -> bytes:
        return b"Content-Type: multipart/mixed; boundary=b\n" + b"\n--b\nA: =?utf-8?q?x?=\n" * n

    assert_linear(lambda content: part_headers(content, parse(content)), make, 300)


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
