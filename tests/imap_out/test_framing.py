"""Framing: the same events whole, byte by byte and with trailing data; every bound answered."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imap_out.framing import Abuse, Continue, Event, Frame, Framer, Line, Refused
from imap_out.limits import BEFORE_LOGIN, Budget, Limits

AFTER_LOGIN = Limits().after_login
BAD_OCTET = Refused(b"a", b"BAD A command line must not hold NUL or a bare CR.")
TOO_BIG = Refused(b"a", b"NO [TOOBIG] The literal is larger than this server takes.")
TOO_MANY = Refused(b"a", b"BAD [TOOBIG] The command has too many literals.")
TOO_LONG = Refused(b"a", b"BAD [TOOBIG] The command line is too long.")
TOO_MUCH = Abuse(b"That is more than this server reads.")


def events(data: bytes, *, step: int = 0, limits=AFTER_LOGIN) -> list[Event]:
    framer = Framer(limits, Budget(1 << 30))
    found: list[Event] = []
    pieces = [data[i : i + step] for i in range(0, len(data), step)] if step else [data]
    for piece in pieces:
        framer.feed(piece)
        while (event := framer.next()) is not None:
            found.append(event)
            if isinstance(event, Abuse):
                return found
    return found


CASES = {
    "a line": (b"a NOOP\r\n", [Frame((b"a NOOP",))]),
    "lone LF ends a line": (b"a NOOP\nb NOOP\n", [Frame((b"a NOOP",)), Frame((b"b NOOP",))]),
    "an empty line": (b"\r\n", [Frame((b"",))]),
    "a literal that waits": (
        b"a LOGIN {3}\r\nann {2}\r\npw\r\n",
        [Continue(), Continue(), Frame((b"a LOGIN ", b"ann", b" ", b"pw", b""))],
    ),
    "a literal that does not": (
        b"a LOGIN {3+}\r\nann {2+}\r\npw\r\n",
        [Frame((b"a LOGIN ", b"ann", b" ", b"pw", b""))],
    ),
    "a literal holds line ends": (
        b"a APPEND x {4+}\r\n\r\n\r\n\r\nb NOOP\r\n",
        [Frame((b"a APPEND x ", b"\r\n\r\n", b"")), Frame((b"b NOOP",))],
    ),
    "an empty literal": (b"a X {0}\r\n y\r\n", [Continue(), Frame((b"a X ", b"", b" y"))]),
    "an empty literal that does not wait": (b"a X {0+}\r\n\r\n", [Frame((b"a X ", b"", b""))]),
    "leading zeros": (b"a X {007+}\r\n1234567\r\n", [Frame((b"a X ", b"1234567", b""))]),
    "a negative number is no literal": (b"a X {-1}\r\n", [Frame((b"a X {-1}",))]),
    "an announcement not at the end": (b"a X {3} y\r\n", [Frame((b"a X {3} y",))]),
    "NUL": (b"a X \0\r\nb NOOP\r\n", [BAD_OCTET, Frame((b"b NOOP",))]),
    "bare CR": (b"a X \rb NOOP\r\nc NOOP\r\n", [BAD_OCTET, Frame((b"c NOOP",))]),
    "CR CR LF": (b"a NOOP\r\r\n", [BAD_OCTET]),
    "NUL before a literal": (b"a X \0 {3+}\r\nb X\r\nc NOOP\r\n", [BAD_OCTET, Frame((b"c NOOP",))]),
    "2^32-1 octets": (
        b"a X {4294967295}\r\nb NOOP\r\n",
        [TOO_BIG, Frame((b"b NOOP",))],
    ),
    "2^32-1 octets unasked": (b"a X {4294967295+}\r\nb", [TOO_MUCH]),
    "a number of 5,000 digits": (b"a X {" + b"9" * 5000 + b"+}\r\n", [TOO_MUCH]),
    "no tag": (b"{99999999}\r\n", [replace(TOO_BIG, tag=b"*")]),
}


@pytest.mark.parametrize("step", [0, 1, 2, 7])
@pytest.mark.parametrize("name", CASES)
def test_events_do_not_depend_on_segments(name, step):
    data, expected = CASES[name]
    assert events(data, step=step) == expected


@pytest.mark.parametrize("name", CASES)
def test_trailing_data_waits(name):
    data, expected = CASES[name]
    if isinstance(expected[-1], Abuse):
        return
    assert events(data + b"z NO", step=0) == expected
    assert events(data + b"z NOOP\r\n")[-1] == Frame((b"z NOOP",))


def test_incomplete_input_is_no_event():
    for data in (b"", b"a NOOP", b"a NOOP\r", b"a X {3+}\r\nab", b"a X {3+}\r\nabc", b"a X {3+}\r"):
        assert events(data) == []


@pytest.mark.parametrize("step", [0, 1000])
@pytest.mark.parametrize("limits", [BEFORE_LOGIN, AFTER_LOGIN])
def test_overlong_line_is_refused_once_and_the_next_command_is_read(limits, step):
    data = b"a X " + b"y" * (limits.line + 5000) + b"\r\nb NOOP\r\n"
    assert events(data, limits=limits, step=step) == [
        TOO_LONG,
        Frame((b"b NOOP",)),
    ]


@pytest.mark.parametrize("step", [0, 1000])
def test_literal_behind_an_overlong_line_is_not_read_as_commands(step):
    data = b"a X " + b"y" * 70_000 + b" {11+}\r\nx DELETE a\n\r\nb NOOP\r\n"
    assert events(data, step=step) == [
        TOO_LONG,
        Frame((b"b NOOP",)),
    ]


def test_endless_line_ends_in_bye_with_flat_memory():
    framer = Framer(BEFORE_LOGIN, Budget(1 << 30))
    for _ in range(1000):
        framer.feed(b"x" * 1000)
        event = framer.next()
        assert framer.buffered <= BEFORE_LOGIN.line + 1000
        if event is not None:
            break
    assert event == Abuse(b"The line is too long.")


@pytest.mark.parametrize("limits", [BEFORE_LOGIN, AFTER_LOGIN])
@pytest.mark.parametrize("step", [0, 4096])
def test_ten_thousand_literals_are_refused(limits, step):
    small = replace(limits, line=10**6)
    found = events(b"a X " + b"{0+}\r\n " * 10_000 + b"\r\nb NOOP\r\n", limits=small, step=step)
    if limits is BEFORE_LOGIN:
        assert found in (
            [TOO_MANY, Frame((b"b NOOP",))],
            [TOO_MUCH],
        )
    else:
        assert found == [TOO_MANY, Frame((b"b NOOP",))]


def test_sum_of_literals_counts_not_each():
    data = b"a X " + b"{600000+}\r\n" + b"x" * 600_000 + b" {600000}\r\nb NOOP\r\n"
    assert events(data) == [
        TOO_BIG,
        Frame((b"b NOOP",)),
    ]


def test_append_may_be_as_large_as_a_message_only_after_login():
    message = b"x" * (2 * 1024 * 1024)
    data = b"a append INBOX {%d+}\r\n" % len(message) + message + b"\r\n"
    assert events(data) == [Frame((b"a append INBOX ", message, b""))]
    assert events(data, limits=BEFORE_LOGIN) == [TOO_MUCH]


def test_refused_unasked_literal_is_swallowed_not_stored():
    framer = Framer(AFTER_LOGIN, Budget(1 << 30))
    framer.feed(b"a X {20000000+}\r\n")
    assert framer.next() is None
    tracemalloc.start()
    for _ in range(20):
        framer.feed(b"\0" * 1_000_000)
        assert framer.next() is None
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4_000_000
    framer.feed(b"\r\nb NOOP\r\n")
    assert isinstance(framer.next(), Refused)
    assert framer.next() == Frame((b"b NOOP",))


def test_a_large_literal_is_collected_in_linear_memory():
    framer = Framer(AFTER_LOGIN, Budget(1 << 30))
    framer.feed(b"a APPEND x {20000000+}\r\n")
    piece = b"y" * 65536
    tracemalloc.start()
    sent = 0
    while sent < 20_000_000:
        framer.feed(piece[: 20_000_000 - sent])
        sent += min(len(piece), 20_000_000 - sent)
        framer.next()
    framer.feed(b"\r\n")
    event = framer.next()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(event, Frame) and len(event.parts[1]) == 20_000_000
    assert peak < 45_000_000


def test_sessions_share_a_budget_for_large_literals():
    budget = Budget(1_000_000)
    framers = [Framer(AFTER_LOGIN, budget) for _ in range(3)]
    for framer in framers[:2]:
        framer.feed(b"a APPEND x {400000}\r\n")
        assert framer.next() == Continue()
    framers[2].feed(b"a APPEND x {400000}\r\n")
    refused = framers[2].next()
    assert isinstance(refused, Refused) and refused.answer.startswith(b"NO [UNAVAILABLE]")
    framers[0].feed(b"x" * 400_000 + b"\r\n")
    assert isinstance(framers[0].next(), Frame)
    framers[0].release()  # its command is done
    framers[2].feed(b"a APPEND x {400000+}\r\n")
    assert framers[2].next() is None
    framers[1].clear()  # its client has gone
    framers[2].feed(b"x" * 400_000 + b" {700000+}\r\n" + b"x" * 700_000 + b"\r\nb NOOP\r\n")
    assert isinstance(framers[2].next(), Refused)
    assert framers[2].next() == Frame((b"b NOOP",))
    assert budget.left == 1_000_000


def test_plain_lines_are_asked_for_one_at_a_time():
    framer = Framer(BEFORE_LOGIN, Budget(1 << 30))
    framer.expect_line()
    framer.feed(b"{5}\r\na NOOP\r\n")
    assert framer.next() == Line(b"{5}")
    assert framer.next() == Frame((b"a NOOP",))


def test_overlong_plain_line_is_abuse():
    for data in (b"x" * 9000, b"x" * 9000 + b"\r\n"):
        framer = Framer(BEFORE_LOGIN, Budget(1 << 30))
        framer.expect_line()
        framer.feed(data)
        assert framer.next() == Abuse(b"The line is too long.")


def test_clear_forgets_what_came_in_clear():
    framer = Framer(BEFORE_LOGIN, Budget(1 << 30))
    framer.feed(b"a STARTTLS\r\nb LOGIN ann {2+}\r\np")
    assert framer.next() == Frame((b"a STARTTLS",))
    assert framer.next() is None
    assert framer.midway
    framer.clear()
    assert not framer.midway
    framer.feed(b"c NOOP\r\n")
    assert framer.next() == Frame((b"c NOOP",))


@given(st.binary(max_size=400), st.integers(1, 50))
def test_any_bytes_give_the_same_events_in_any_segments(data, step):
    """Returns events or None, and nothing depends on how the bytes were cut."""
    assert events(data, step=step) == events(data)


@given(st.lists(st.binary(max_size=30).filter(lambda b: True), max_size=6), st.booleans())
def test_what_is_built_is_framed(literals, waits):
    data, parts = b"t CMD", [b"t CMD"]
    for literal in literals:
        parts[-1] += b" "
        data += b" {%d%s}\r\n" % (len(literal), b"" if waits else b"+") + literal
        parts += [literal, b""]
    found = [e for e in events(data + b"\r\n") if not isinstance(e, Continue)]
    assert found == [Frame(tuple(parts))]
