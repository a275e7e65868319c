"""One reading only: what clients write passes, what two programs read in two ways does not."""

from __future__ import annotations

import email
import email.policy
import time

import pytest

from mail.errors import Reason
from mail.structure import parse
from policy.ambiguity import MOST_MULTIPARTS, decide

PART = b"Content-Type: application/octet-stream\r\n\r\nfile\r\n"


def message(content_type: bytes, body: bytes, more: bytes = b"") -> bytes:
    return b"From: a@b\r\nContent-Type: " + content_type + b"\r\n" + more + b"\r\n" + body


def mixed(*parts: bytes, boundary: bytes = b"b") -> bytes:
    delimiter = b"--" + boundary
    body = b"".join(delimiter + b"\r\n" + part + b"\r\n" for part in parts)
    return message(b'multipart/mixed; boundary="' + boundary + b'"', body + delimiter + b"--\r\n")


def refused(content: bytes) -> bool:
    decision = decide(content, parse(content), "help@org.test")
    assert decision.reason in (None, Reason.BAD_MESSAGE)
    assert decision.permitted or decision.words.endswith("Questions: help@org.test")
    return not decision.permitted


EMBEDDED = b"Content-Type: message/rfc822\r\n\r\n"
INNER = mixed(b"\r\nx", boundary=b"c").partition(b"\r\n")[2]


@pytest.mark.parametrize(
    "content",
    [
        b"From: a@b\r\n\r\nhello\r\n",
        b"From: a@b\r\n",
        b"From: a@b\r\nContent-Type: text/plain;\r\n\tcharset=us-ascii (plain)\r\n\r\n--b\r\n--b\r\n",
        mixed(b"\r\ntext", PART),
        mixed(b"\r\ntext", PART, boundary=b"=_mixed 0123=_="),
        mixed(b"\r\n--\r\n--c\r\n-- \r\n", INNER, PART),
        mixed(b"\r\ntext", PART).replace(b"--b--\r\n", b""),  # never closed
        mixed(b"\r\ntext", PART).replace(b"--b--\r\n", b"--b--"),
        mixed(b"\r\ntext", PART).replace(b"--b\r\n", b"--b \t\r\n") + b"epilogue --b\r\n",
        message(b"multipart/mixed;\r\n boundary=b;\r\n\tcharset=utf-8;", b"x\r\n--b\r\n\r\n\r\n--b--\r\n"),
        message(
            b'multipart/signed;\r\n\tboundary="Apple-Mail=_1";\r\n\tprotocol="application/pgp-signature"',
            b"--Apple-Mail=_1\r\n\r\nx\r\n--Apple-Mail=_1--\r\n",
            b"Content-Transfer-Encoding: 7BIT\r\n",
        ),
        # An embedded message counts as one, so what is wrong within it hides nothing.
        mixed(EMBEDDED + b"Content-Type: a/b\r\ncontent-type: multipart/mixed\r\n\r\n"),
        mixed(EMBEDDED + message(b"multipart/mixed; boundary*=''x", b"--x\r\n")),
    ],
)  # fmt: skip
def test_one_reading(content: bytes) -> None:
    assert not refused(content)


HIDDEN = b"\r\ntext\r\n%s\r\n" + PART
TWICE = b"Content-Type: text/plain\r\nCONTENT-type: application/pdf\r\n\r\nx"
EMPTY = b"--b\r\n\r\n\r\n--b--\r\n"
QP = b"Content-Transfer-Encoding: quoted-printable\r\n"
ALL_OF_IT = b"--B\r\n\r\nx\r\n--B--\r\n"


@pytest.mark.parametrize(
    "content",
    [
        # RFC 2231 in a boundary, and other spellings of it that one reader knows and another not.
        message(b"multipart/mixed; boundary*=us-ascii''%42", ALL_OF_IT),
        message(b"multipart/mixed; boundary*0=B", ALL_OF_IT),
        message(b"multipart/mixed; boundary=b; boundary*=us-ascii''%42", EMPTY + ALL_OF_IT),
        message(b"multipart/mixed; boundary=b; Boundary=B", EMPTY + ALL_OF_IT),
        message(b"multipart/mixed; boundary=B=", ALL_OF_IT),
        message(b"multipart/mixed; boundary=B C", ALL_OF_IT),
        message(b"multipart/mixed boundary=B", ALL_OF_IT),
        message(b"multipart/mixed; x; boundary=B", ALL_OF_IT),
        message(b"multipart/mixed; (boundary=c) boundary=B", ALL_OF_IT),
        message(b'multipart/mixed; boundary="B', ALL_OF_IT),
        message(b'multipart/mixed; boundary="B "', ALL_OF_IT),
        message(b'multipart/mixed; boundary="\\B"', ALL_OF_IT),
        message(b'multipart/mixed; boundary="' + b"B" * 71 + b'"', ALL_OF_IT.replace(b"B", b"B" * 71)),
        message(b'multipart/mixed; boundary=""', ALL_OF_IT),
        message(b"multipart/mixed", ALL_OF_IT),
        message(b"multipart/mixed; boundary=c", ALL_OF_IT),
        message(b'"multipart/mixed"; boundary=B', ALL_OF_IT),
        message(b"(c) multipart/mixed; boundary=B", ALL_OF_IT),
        message(b"multipart/mixed/x; boundary=B", ALL_OF_IT),
        message(b"", ALL_OF_IT),
        # Two lines of which each reader takes another; lines that end the header for some.
        message(b"text/plain", b"x", b"Content-Type: multipart/mixed; boundary=B\r\n"),
        mixed(TWICE),
        mixed(b"Content-Disposition: inline\r\nContent-Disposition: attachment; filename=a\r\n\r\nx"),
        mixed(b"Content-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding: base64\r\n\r\nx"),
        mixed(b"no field\r\nContent-Type: text/plain\r\n\r\nx"),
        mixed(b" folded\r\nContent-Type: text/plain\r\n\r\nx"),
        mixed(b"Content-Type : text/plain\r\n\r\nx"),
        mixed(b"X: " + b"y" * (1 << 20) + b"\r\nContent-Type: application/pdf\r\n\r\nx"),
        mixed(b"Content-Disposition: =?us-ascii?q?attachment?=\r\n\r\nx"),
        mixed(b"Content-Transfer-Encoding: 7bit base64\r\n\r\nx"),
        # Lines that are a boundary to those who compare their beginning, and text to the others.
        mixed(HIDDEN % b"--b--x"),
        mixed(HIDDEN % b"--bx", boundary=b"b"),
        mixed(PART, b"\r\n--b-\r\n"),
        mixed(b"\r\nx") + b"--b\r\n" + PART + b"--b--\r\n",
        mixed(b"\r\nx") + b"--b--\r\n",
        # One boundary, or its end, in two depths.
        mixed(mixed(b"\r\nx", PART).partition(b"\r\n")[2], PART),
        mixed(b"Content-Type: message/rfc822\r\n\r\n" + mixed(b"\r\nx", PART), PART),
        mixed(b"Content-Type: multipart/mixed; boundary=b--\r\n\r\n--b--\r\n\r\nx\r\n--b----"),
        # Encoded as a whole, and a piece of a whole.
        message(b"multipart/mixed; boundary=B", ALL_OF_IT, QP),
        mixed(b"Content-Type: message/partial; id=x; number=1; total=2\r\n\r\nx"),
        message(b"MESSAGE/Partial; id=x; number=1; total=2", b"From: a@b\r\n\r\nx"),
    ],
)  # fmt: skip
def test_more_than_one_reading(content: bytes) -> None:
    assert refused(content)


def test_what_python_reads_otherwise_is_refused() -> None:
    """Eleven files for Python's reader, none for ours, each in its own way."""
    eleven = (PART + b"--b\r\n") * 11
    for cut in (b"--b--x\r\n--b\r\n", b"--b--\r\n--b\r\n"):
        content = message(b"multipart/mixed; boundary=b", b"--b\r\n\r\ntext\r\n" + cut + eleven)
        assert len(parse(content).children) == 1 and refused(content)
    theirs = email.message_from_bytes(
        message(b"multipart/mixed; boundary=b", b"--b\r\n\r\ntext\r\n--b--x\r\n--b\r\n" + eleven),
        policy=email.policy.default,
    )
    assert sum(part.get_content_type() == "application/octet-stream" for part in theirs.walk()) == 11


def test_too_many_multiparts() -> None:
    for count, answer in ((MOST_MULTIPARTS, False), (MOST_MULTIPARTS + 1, True)):
        opening = b"".join(
            b"Content-Type: multipart/mixed; boundary=n%dn\r\n\r\n--n%dn\r\n" % (n, n) for n in range(count)
        )
        assert refused(opening + b"\r\nx\r\n") is answer  # fmt: skip


def test_words() -> None:
    content = mixed(TWICE)
    assert decide(content, parse(content)).words == (
        "A part of the message has more than one Content-Type line. "
        "Other programs may read such a message in another way, so it was not sent."
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda n: mixed(b"\r\n" + b"--\r\n" * n),
        lambda n: mixed(b"\r\nx") + b"--b\r\n" * n,
        lambda n: mixed(b"a:\r\n" * (n // 10) + b"\r\n"),
        lambda n: mixed(b"a: b\r\n" + b" \r\n" * (n // 10) + b"\r\n"),
        lambda n: message(b"multipart/mixed" + b"; a=b" * n + b"; boundary=b x", EMPTY),
        lambda n: message(b"multipart/mixed" + b'; a="\\"' * n, EMPTY),
        lambda n: message(b"multipart/mixed; a=" + b" \t" * n, b""),
    ],
)  # fmt: skip
def test_hostile_input_costs_its_length(make) -> None:
    content = make(100_000)
    root = parse(content)
    start = time.perf_counter()
    decide(content, root)
    assert time.perf_counter() - start < 1
