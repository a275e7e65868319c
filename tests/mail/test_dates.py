"""The Date field as people write it, and IMAP's date-time exactly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail.dates import FIRST, LAST, parse_internal, sent, sent_day
from tests.mail.cost import assert_linear

MOMENT = 837596665  # 17 Jul 1996 09:44:25 UTC


@pytest.mark.parametrize(
    "value",
    [
        b"Wed, 17 Jul 1996 02:44:25 -0700",
        b"Wed, 17 Jul 1996 02:44:25 -0700 (PDT)",
        b"17 Jul 1996 02:44:25 -0700",
        b"Wed,17 Jul 1996 02:44:25 -0700",
        b"Wednesday, 17 July 1996 02:44:25 PDT",
        b"wed, 17 jul 96 02:44:25 pdt",
        b"Wed, 17 Jul 1996 09:44:25 GMT",
        b"Wed, 17 Jul 1996 09:44:25 UT",
        b"Wed, 17 Jul 1996 09:44:25 Z",
        b"Wed, 17 Jul 1996 09:44:25 UTC",
        b"Wed, 17 Jul 1996 09:44:25",
        b"Wed, 17 Jul 1996 09:44:25 -0000",
        b"Wed, 17 Jul 1996 09:44:25 XYZ",
        b"Wed, 17 Jul 1996 05:44:25 EDT",
        b"Wed, 17 Jul 1996 04:44:25 EST",
        b"Wed, 17 Jul 1996 04:44:25 CDT",
        b"Wed, 17 Jul 1996 03:44:25 CST",
        b"Wed, 17 Jul 1996 03:44:25 MDT",
        b"Wed, 17 Jul 1996 02:44:25 MST",
        b"Wed, 17 Jul 1996 01:44:25 PST",
        b"Wed, 17-Jul-1996 09:44:25 GMT",
        b"Wed Jul 17 09:44:25 1996",
        b"Wed Jul 17 02:44:25 PDT 1996",
        b"(c) Wed, 17 (d) Jul 1996 02:44:25 -0700",
        b"Wed, 17 Jul 1996 09.44.25 +0000",
        b"Wed, 17 Jul 1996 09:44:25.123 +0000",
        b"Wed, 17 Jul 1996 15:14:25 +0530",
    ],
)
def test_one_moment(value: bytes) -> None:
    assert sent(value) == MOMENT


@pytest.mark.parametrize(
    ("value", "day"),
    [
        (b"1 Jan 1970 00:00:00 +1400", 0),  # the day that is written, not the day in UTC
        (b"1 Jan 1970 23:59:59 -1200", 0),
        (b"2 Jan 1970 00:00:00 +0000", 1),
        (b"31 Dec 1969 23:59:59 +0000", -1),
        (b"nonsense", None),
    ],
)
def test_the_day_disregards_time_and_zone(value: bytes, day: int | None) -> None:
    assert sent_day(value) == day


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        (b"1 Jan 49 00:00 +0000", 2493072000),
        (b"1 Jan 50 00:00 +0000", -631152000),
        (b"1 Jan 100 00:00 +0000", 946684800),  # RFC 5322 section 4.3: 1900 + 100
        (b"29 Feb 2000 00:00:00 +0000", 951782400),
        (b"31 Dec 2016 23:59:60 +0000", 1483228799),
        (b"1 Jan 1970 00:00:00 +9999", 0),
        (b"", None),
        (b"yesterday", None),
        (b"29 Feb 2001 00:00:00 +0000", None),
        (b"30 Feb 2000 00:00:00 +0000", None),
        (b"0 Jan 2000 00:00:00 +0000", None),
        (b"32 Jan 2000 00:00:00 +0000", None),
        (b"1 Foo 2000 00:00:00 +0000", None),
        (b"1 Jan 2000 24:00:00 +0000", None),
        (b"1 Jan 2000 00:60:00 +0000", None),
        (b"1 Jan 2000 00:00:61 +0000", None),
        (b"1 Jan 0000 00:00:00 +0000", None),
        (b"\xff\0", None),
    ],
)
def test_edges(value: bytes, moment: int | None) -> None:
    assert sent(value) == moment


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        (b"17-Jul-1996 02:44:25 -0700", MOMENT),
        (b" 1-Jan-1970 00:00:00 +0000", 0),
        (b"01-jan-1970 00:00:00 +0000", 0),
        (b" 1-Jan-1970 00:00:00 +0100", -3600),
        (b"31-Dec-9999 23:59:59 +0000", LAST),
        (b" 1-Jan-0001 00:00:00 +0000", FIRST),
        (b" 1-Jan-0001 14:00:00 +1400", FIRST),
        (b"29-Feb-2000 00:00:00 +0000", 951782400),
    ],
)
def test_internal(text: bytes, moment: int) -> None:
    assert parse_internal(text) == moment


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"17-Jul-1996",
        b"17-Jul-1996 02:44:25",
        b"17-Jul-1996 02:44:25 PDT",
        b"17-Jul-96 02:44:25 -0700",
        b"17 Jul 1996 02:44:25 -0700",
        b"32-Jul-1996 02:44:25 -0700",
        b"00-Jul-1996 02:44:25 -0700",
        b"17-Foo-1996 02:44:25 -0700",
        b"17-Jul-1996 24:44:25 -0700",
        b"17-Jul-1996 02:60:25 -0700",
        b"17-Jul-1996 02:44:61 -0700",
        b"17-Jul-1996 02:44:25 -0760",
        b"29-Feb-2001 00:00:00 +0000",
        b"17-Jul-1996 02:44:25 -0700 ",
        b'"17-Jul-1996 02:44:25 -0700"',
        b"17-Jul-0000 02:44:25 -0700",
        b"31-Dec-9999 23:59:59 -0001",
        b"31-Dec-9999 23:59:59 -1200",
        b" 1-Jan-0001 00:00:00 +0001",
    ],
)
def test_no_internal_date(text: bytes) -> None:
    with pytest.raises(ValueError, match="date"):
        parse_internal(text)


@given(st.binary(max_size=60))
def test_any_bytes(value: bytes) -> None:
    assert isinstance(sent(value), int | None)


def test_hostile_input_costs_its_length() -> None:
    assert_linear(sent, lambda n: b"1 Jan " * n + b"(" * n, 50_000)
