"""DATA's octets: whole, byte by byte and with trailing data; the end, the bounds, the smuggling."""

from __future__ import annotations

import smtplib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail.errors import Reason, Refusal
from smtp_in.dot_stream import DotStream
from smtp_in.limits import Limits
from smtp_in.occupancy import Occupancy

LIMITS = Limits(message_octets=2000, header_octets=200, header_fields=10, octets_in_flight=5000)


def stream(limits: Limits = LIMITS) -> DotStream:
    return DotStream(limits, Occupancy(limits), "support@example.test")


def fed(wire: bytes, step: int, limits: Limits = LIMITS) -> tuple[DotStream, bytes | None]:
    one = stream(limits)
    for position in range(0, len(wire), step):
        rest = one.feed(wire[position : position + step])
        if rest is not None:
            return one, rest + wire[position + step :]
    return one, None


def result(one: DotStream) -> bytes | Reason:
    try:
        return one.content()
    except Refusal as refusal:
        return refusal.reason
    finally:
        one.release()


STEPS = [1, 2, 3, 4, 5, 7, 10_000]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    ("wire", "content"),
    [
        (b".\r\n", b""),
        (b"\r\n.\r\n", b"\r\n"),
        (b"a: b\r\n\r\nx\r\n.\r\n", b"a: b\r\n\r\nx\r\n"),
        (b"..\r\n.\r\n", b".\r\n"),
        (b".a\r\n..b\r\n...\r\n.\r\n", b"a\r\n.b\r\n..\r\n"),
        (b"a\r\n\r\n..\r\n..\r\n\r\n.\r\n", b"a\r\n\r\n.\r\n.\r\n\r\n"),
        (b"a.\r\n.\r\n", b"a.\r\n"),
    ],
)
def test_content_and_what_lies_behind(wire: bytes, content: bytes, step: int) -> None:
    one, rest = fed(wire + b"QUIT\r\n.\r\n", step)
    assert rest == b"QUIT\r\n.\r\n"
    assert result(one) == content


SMUGGLING = [
    b"\n.\n", b"\r\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n", b"\0", b"\r\n\0.\r\n", b"\n.\r",
    b"\r\r\n.\r\n\n", b"\r\n.\r\r\n", b"\r\n\r.\r\n", b"x\ny", b"x\ry", b"\r\n.\0\r\n",
]  # fmt: skip


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("variant", SMUGGLING)
def test_no_variant_of_the_end_passes(variant: bytes, step: int) -> None:
    """Row 1: exactly one message or a refusal, and the stream stays in step."""
    wire = b"a: b\r\n\r\nx" + variant + b"MAIL FROM:<x@y>\r\n"
    true_end = wire.find(b"\r\n.\r\n")
    if true_end < 0:
        wire += b".\r\n"
        true_end = len(wire) - 5
    one, rest = fed(wire + b"NEXT", step)
    assert rest == (wire + b"NEXT")[true_end + 5 :]
    assert result(one) is Reason.BAD_MESSAGE


@pytest.mark.parametrize("step", STEPS)
def test_size_is_counted_to_the_end(step: int) -> None:
    one, rest = fed(b"a: b\r\n\r\n" + b"x" * 1990 + b"\r\n.\r\n", step)
    assert rest == b"" and len(result(one)) == 2000  # type: ignore[arg-type]
    one, rest = fed(b"a: b\r\n\r\n" + b"x" * 2990 + b"\r\n.\r\nRSET", step)
    assert rest == b"RSET" and one.octets == 3000 and result(one) is Reason.TOO_LARGE


@pytest.mark.parametrize("step", STEPS)
def test_header_bounds(step: int) -> None:
    cases: list[tuple[bytes, bool]] = [
        (b"a: b\r\n" * 10 + b"\r\nbody", True),
        (b"a: b\r\n" * 11 + b"\r\nbody", False),
        (b"a: b\r\n" * 10, True),
        (b"a: b\r\n" * 11, False),
        (b"a: b\r\n c\r\n\td\r\n" * 10 + b"\r\nbody", True),
        (b"a: " + b"b" * 150 + b"\r\n\r\n" + b"c" * 400, True),
        (b"a: " + b"b" * 250 + b"\r\n\r\n" + b"c" * 400, False),
        (b"\r\n" + b"a: b\r\n" * 100, True),
    ]
    for content, passes in cases:
        one, _ = fed(content + b"\r\n.\r\n", step)
        assert result(one) == (content + b"\r\n" if passes else Reason.TOO_LARGE), content


def test_what_is_refused_is_not_kept() -> None:
    for bad in (b"a: \n", b"a: " + b"b" * 300, b"a: b\r\n\r\n" + b"x" * 3000):
        occupancy = Occupancy(LIMITS)
        one = DotStream(LIMITS, occupancy, "")
        one.feed(bad)
        one.feed(b"x" * 500)
        assert occupancy.octets == 0 and not one._blocks


def test_octets_in_flight_are_shared() -> None:
    occupancy = Occupancy(LIMITS)
    first = [DotStream(LIMITS, occupancy, "") for _ in range(3)]
    for one in first:
        one.feed(b"a: b\r\n\r\n" + b"x" * 1600)
    assert occupancy.octets == 3 * 1608
    late = DotStream(LIMITS, occupancy, "")
    assert late.feed(b"a: b\r\n\r\n" + b"x" * 300 + b"\r\n.\r\n") == b""
    assert result(late) is Reason.LIMIT
    for one in first:
        one.release()
        one.release()
    assert occupancy.octets == 0


def test_endless() -> None:
    one = stream()
    one.feed(b"x" * 8000)
    assert not one.endless
    one.feed(b"x")
    assert one.endless


@given(st.lists(st.sampled_from([b"", b".", b"..", b"a", b".a", b"a.", b"a: b", b" "])), st.integers(1, 40))
def test_what_smtplib_stuffs_we_unstuff(lines: list[bytes], step: int) -> None:
    content = b"".join(line + b"\r\n" for line in lines)
    limits = Limits(header_fields=10_000)
    one, rest = fed(smtplib._quote_periods(content) + b".\r\nX", step, limits)  # type: ignore[attr-defined]
    assert rest == b"X" and result(one) == content


@given(st.text("\r\n.\0a", max_size=40), st.integers(1, 45))
def test_any_octets_any_chunks(text: str, step: int) -> None:
    """Chunking never matters; content never holds a bare CR, LF or NUL."""
    wire = text.encode() + b"\r\n.\r\ntail"
    whole, rest = fed(wire, len(wire))
    chunked, chunked_rest = fed(wire, step)
    content = result(whole)
    assert rest == chunked_rest and content == result(chunked)
    if isinstance(content, bytes):
        bare = content.replace(b"\r\n", b"")
        assert not {b"\r"[0], b"\n"[0], 0} & set(bare)


def test_large_messages_take_no_time() -> None:
    content = (
        b"a: b\r\n\r\n"
        + b"..stuffed line of base64, as long as they usually are in a mail body.\r\n" * 370_000
    )
    wire = content + b".\r\n"
    one = stream(Limits())
    start = time.perf_counter()
    for position in range(0, len(wire), 65536):
        one.feed(wire[position : position + 65536])
    got = one.content()
    assert time.perf_counter() - start < 0.5
    assert len(got) == len(content) - 370_000
    one.release()
