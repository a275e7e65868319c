"""BINARY: what is decoded, what is not, and what is refused."""

from __future__ import annotations

import base64

import pytest

from imap_out.binary import parse
from imap_out.grammar import Arguments
from mail import structure
from mail.errors import Reason, Refusal

ALL_OCTETS = bytes(range(256)) * 40
MESSAGE = (
    b"Content-Type: multipart/mixed; boundary=X\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    b"--X\r\nContent-Transfer-Encoding: BASE64\r\n\r\n" + base64.encodebytes(ALL_OCTETS) + b"\r\n"
    b"--X\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nf=C3=BC=\r\nr\r\n"
    b"--X\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    b"Subject: =3D\r\n\r\nx\r\n"
    b"--X\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\nbegin\r\n--X--\r\n"
)
ROOT = structure.parse(MESSAGE)


def binary(section: bytes, *, sized: bool = False) -> bytes | None:
    return parse(Arguments([section]), sized=sized).of(MESSAGE, ROOT)


@pytest.mark.parametrize(
    ("section", "octets"),
    [
        (b"[1]", ALL_OCTETS),
        (b"[1]<250.20>", ALL_OCTETS[250:270]),
        (b"[1]<20000.5>", b""),
        (b"[2]", b"f\xc3\xbcr"),
        (b"[3]", b"Subject: =3D\r\n\r\nx"),  # RFC 2045 section 6.4: a message is never encoded
        (b"[3.1]", b"x"),
        (b"[7]", None),
        (b"[]", MESSAGE),
    ],
)
def test_octets_and_their_number(section, octets):
    assert binary(section) == octets
    if b"<" not in section:
        assert binary(section, sized=True) == b"%d" % len(octets or b"")


@pytest.mark.parametrize("sized", [True, False])
def test_an_unknown_encoding_is_refused(sized):
    with pytest.raises(Refusal) as caught:
        binary(b"[4]", sized=sized)
    assert caught.value.reason is Reason.UNKNOWN_ENCODING


@pytest.mark.parametrize("section", [b"[HEADER]", b"[1.TEXT]", b"[1.MIME]", b"[1", b"[0]", b"[1]<0.0>"])
def test_what_is_no_section_of_binary(section):
    with pytest.raises(Refusal) as caught:
        arguments = Arguments([section])
        parse(arguments)
        arguments.end()
    assert caught.value.reason is Reason.BAD_SYNTAX
