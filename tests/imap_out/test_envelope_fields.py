"""ENVELOPE read back is what went in, whatever the header holds."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imap_out import envelope_fields, rendering
from imap_out.envelope_fields import CC, FROM, IN_REPLY_TO, SUBJECT, TO, Address

HEADER = (
    b'From: "O\\"Brien, \\\\ (x)" <ob@example.test>, second@example.test\r\n'
    b"To: friends: a@b.test, c@d.test;\r\nCc: \xc3\xbcber@example.test\r\n"
    b'Subject: a "quoted" (sub)ject\r\nIn-Reply-To: <1@x>\r\nMessage-ID: <2@x>\r\n\r\n'
)


def test_fields():
    envelope = rendering.envelope(HEADER)
    assert envelope_fields.text(envelope, SUBJECT) == b'a "quoted" (sub)ject'
    assert envelope_fields.text(envelope, IN_REPLY_TO) == b"<1@x>"
    assert envelope_fields.text(envelope, 9) == b"<2@x>"
    address = envelope_fields.first_address(envelope, FROM)
    assert address == Address(b'O"Brien, \\ (x)', b"ob", b"example.test")
    assert envelope_fields.first_address(envelope, TO) == Address(None, b"friends", None)
    assert envelope_fields.first_address(envelope, CC) == Address(None, b"\xc3\xbcber", b"example.test")


def test_nothing():
    envelope = rendering.envelope(b"\r\n")
    assert envelope_fields.text(envelope, SUBJECT) == b""
    for place in (FROM, TO, CC):
        assert envelope_fields.first_address(envelope, place) is None


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_whatever_was_written_is_read(subject, name):
    subject, name = (value.translate(None, b"\r\n\0 \t") for value in (subject, name))
    header = b"Subject: " + subject + b"\r\nFrom: " + name + b" <a@b.test>\r\nIn-Reply-To: <1@x>\r\n\r\n"
    envelope = rendering.envelope(header)
    assert envelope_fields.text(envelope, SUBJECT) == subject
    assert envelope_fields.text(envelope, IN_REPLY_TO) == b"<1@x>"
    envelope_fields.first_address(envelope, FROM)


@pytest.mark.parametrize("filler", [b'\\"', b'"', b"\\", b"(", b"a", b"\xe9"])
def test_a_long_subject_costs_little(filler):
    envelope = rendering.envelope(b"Subject: " + filler * 30_000 + b"\r\nIn-Reply-To: <1@x>\r\n\r\n")
    started = time.perf_counter()
    assert envelope_fields.text(envelope, IN_REPLY_TO) == b"<1@x>"
    assert time.perf_counter() - started < 1
