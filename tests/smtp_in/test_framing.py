"""Command lines: whole, byte by byte, trailing; faults leave the stream in step."""

from __future__ import annotations

import pytest

from smtp_in.framing import Fault, Lines


def lines(wire: bytes, step: int, limit: int = 20) -> tuple[list[bytes | Fault], bytes]:
    inbox, found = Lines(), []
    for position in range(0, len(wire), step):
        inbox.feed(wire[position : position + step])
        while (line := inbox.next_line(limit)) is not None:
            found.append(line)
    return found, inbox.take()


STEPS = [1, 2, 3, 5, 1000]


@pytest.mark.parametrize("step", STEPS)
def test_lines(step: int) -> None:
    assert lines(b"EHLO x\r\n\r\nNOOP\r\nQU", step) == ([b"EHLO x", b"", b"NOOP"], b"QU")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("bad", [b"NOOP\n", b"NO\rOP\r\n", b"NOOP\r\r\n", b"NO\0OP\r\n", b"\n"])
def test_bare_line_ends_are_faults(bad: bytes, step: int) -> None:
    assert lines(bad + b"QUIT\r\n", step) == ([Fault.BAD_ENDING, b"QUIT"], b"")


@pytest.mark.parametrize("step", STEPS)
def test_long_lines(step: int) -> None:
    assert lines(b"x" * 18 + b"\r\nQUIT\r\n", step)[0] == [b"x" * 18, b"QUIT"]
    assert lines(b"x" * 19 + b"\r\nQUIT\r\n", step)[0] == [Fault.TOO_LONG, b"QUIT"]
    assert lines(b"x" * 500 + b"\r\nQUIT\r\n", step)[0] == [Fault.TOO_LONG, b"QUIT"]


def test_a_line_without_end_is_not_kept() -> None:
    inbox = Lines()
    for _ in range(100):
        inbox.feed(b"x" * 30)
        assert inbox.next_line(20) is None
    assert inbox.skipped == 3000 and inbox.take() == b""


def test_take_and_clear() -> None:
    inbox = Lines()
    inbox.feed(b"DATA\r\nrest")
    assert inbox.next_line(20) == b"DATA"
    assert inbox.take() == b"rest" and inbox.take() == b""
    inbox.feed(b"STARTTLS\r\nMAIL\r\n")
    assert inbox.next_line(20) == b"STARTTLS"
    inbox.clear()
    assert inbox.next_line(20) is None
