"""Which ids a message refers to, and that their number is bounded."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from mail.structure import parse
from policy.lineage import MOST_FROM_ONE_HEADER, MOST_IDS, referred_ids


def ids(content: bytes) -> tuple[str, ...]:
    return referred_ids(content, parse(content))


def test_none() -> None:
    assert ids(b"Message-ID: <own@x>\r\n\r\nIn-Reply-To: <body@x>\r\n") == ()


def test_order_and_uniqueness() -> None:
    content = (
        b"References: <1@x> <2@x>\r\n <3@x>\r\nIN-REPLY-TO: <3@x>\r\nX-Forwarded-Message-Id: <4@x>\r\n\r\n"
    )
    assert ids(content) == ("3@x", "2@x", "1@x", "4@x")


def test_attached_originals() -> None:
    content = (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n"
        b"--b\r\nContent-Type: message/rfc822\r\n\r\n"
        b"Message-ID: <first@x>\r\nReferences: <no@x>\r\n\r\nold\r\n"
        b"--b\r\nContent-Type: message/rfc822\r\n\r\nmessage-id:\r\n <second@x>\r\n\r\nold\r\n--b--\r\n"
    )
    assert ids(content) == ("first@x", "second@x")
    assert ids(b"Content-Type: message/rfc822\r\n\r\nMessage-ID: <only@x>\r\n\r\n") == ("only@x",)


def test_bounded() -> None:
    many = b" ".join(b"<%d@x>" % n for n in range(900))
    found = ids(b"References: " + many + b"\r\n\r\n")
    assert found[0] == "899@x" and len(found) == MOST_FROM_ONE_HEADER
    part = b"--b\r\nContent-Type: message/rfc822\r\n\r\nMessage-ID: <a%d@x>\r\n\r\n"
    content = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"".join(part % n for n in range(300))
    assert len(ids(content)) == MOST_IDS
    assert ids(b"References: <" + b"x" * 2000 + b">\r\n\r\n") == ()


def test_a_hundred_thousand_headers_take_no_time() -> None:
    content = b"References: <a@x>\r\n" * 100_000 + b"\r\n"
    start = time.perf_counter()
    assert ids(content) == ("a@x",)
    assert time.perf_counter() - start < 2


@given(st.binary(max_size=200))
def test_never_raises(tail: bytes) -> None:
    """Returns at most MOST_IDS non-empty ids, nothing else."""
    found = ids(b"References: " + tail)
    assert len(found) <= MOST_IDS and all(found)
