"""What is added to a member's message and what is taken away; the rest stays byte for byte."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from smtp_in.composition import compose
from smtp_in.trace import Hop, date_time, hops, received_from_relay, return_path

NOW = 1_800_000_000


def test_without_bcc_both_are_one_object() -> None:
    composed = compose(b"Date: d\r\nMessage-ID: <x@y>\r\n\r\n", memoryview(b"body"), "h.test", "t", NOW)
    assert composed.content is composed.sent_copy
    assert composed.content == (
        b"Received: by h.test with ESMTPSA id t;\r\n\tFri, 15 Jan 2027 08:00:00 +0000\r\n"
        b"Date: d\r\nMessage-ID: <x@y>\r\n\r\nbody"
    )


@given(
    st.lists(
        st.sampled_from(
            [b"Bcc: a\r\n", b"bcc:\r\n b\r\n", b"Resent-BCC: c\r\n", b"X: d\r\n", b"To: e\r\n\tf\r\n"]
        )
    )
)
def test_bcc_goes_and_nothing_else(fields: list[bytes]) -> None:
    header = b"Date: d\r\nMessage-ID: <x@y>\r\n" + b"".join(fields) + b"\r\n"
    composed = compose(header, memoryview(b"Bcc: in the body\r\n"), "h.test", "t", NOW)
    visible = b"".join(field for field in fields if b"bcc" not in field.lower())
    assert composed.content.endswith(b"<x@y>\r\n" + visible + b"\r\nBcc: in the body\r\n")
    assert composed.sent_copy.endswith(header + b"Bcc: in the body\r\n")


def test_trace() -> None:
    hop = Hop("x", "2001:db8::1", secure=True)
    assert b"from x ([IPv6:2001:db8::1])\r\n\tby h.test with ESMTPS id t" in received_from_relay(
        hop, "h.test", "t", NOW
    )
    assert return_path("größe@x.test") == "Return-Path: <größe@x.test>\r\n".encode()
    assert hops(b"Received: a\r\nRECEIVED: b\r\nX-Received: c\r\n") == 2
    assert date_time(0) == "Thu, 01 Jan 1970 00:00:00 +0000"
