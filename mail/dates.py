"""Dates: the Date field as people write it, IMAP's date-time as RFC 3501 writes it.

Apart because three rooms compare days and none may own the reading. Anyone can write a
Date field: it is read for display and SEARCH only and never decides an expiry.
Times are seconds since the epoch, UTC.
"""

from __future__ import annotations

import calendar
import re

MONTHS = (b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec")
_MONTH_NUMBER = {name: number for number, name in enumerate(MONTHS, 1)}
FIRST, LAST = -62_135_596_800, 253_402_300_799
"""The years 1 to 9999: what a date of four digits can name."""

_LONGEST = 200  # a Date field has 31 characters, and some mailers add the zone's name

# RFC 5322 section 3.3 and obs-date of section 4.3; the seconds and the zone may be missing.
_DATE = re.compile(
    rb"(?:^|[\s,])(\d{1,2})[\s-]*([A-Za-z]{3})[a-z]*[\s,.-]*(\d{2,4})[\s,]+"
    rb"(\d{1,2})[:.](\d{2})(?:[:.](\d{2})(?:\.\d+)?)?\s*(?:([+-]\d{4})|([A-Za-z]{1,5}))?"
)
_ASCTIME = re.compile(
    rb"([A-Za-z]{3})\s+(\d{1,2})\s+(\d{1,2}):(\d{2}):(\d{2})\s+(?:([A-Za-z]{1,5})\s+)?(\d{4})"
)
_COMMENT = re.compile(rb"\([^()]*\)")

# RFC 5322 section 4.3 gives these meaning; every other word stands for -0000.
_ZONES = {
    b"ut": 0, b"gmt": 0, b"utc": 0, b"z": 0, b"est": -5, b"edt": -4, b"cst": -6, b"cdt": -5,
    b"mst": -7, b"mdt": -6, b"pst": -8, b"pdt": -7,
}  # fmt: skip

# RFC 3501 section 9 date-time: `DQUOTE date-day-fixed "-" date-month "-" date-year SP time SP zone`
_INTERNAL = re.compile(
    rb"([ 0-3]?\d)-([A-Za-z]{3})-(\d{4}) ([0-2]\d):([0-5]\d):([0-6]\d) ([+-])(\d{2})([0-5]\d)"
)


def sent(value: bytes) -> int | None:
    """The moment a Date field names; None when it names none."""
    found = _read(value)
    return None if found is None else found[0] - found[1]


def sent_day(value: bytes) -> int | None:
    """The day it names, as days since 1970-01-01, time and zone disregarded (SENTON and the
    like, RFC 3501 section 6.4.4); None when it names none."""
    found = _read(value)
    return None if found is None else found[0] // 86400


def _read(value: bytes) -> tuple[int, int] | None:
    """The written time as if it were UTC, and the zone's seconds east."""
    text = _COMMENT.sub(b" ", value[:_LONGEST])
    if match := _DATE.search(text):
        day, month, year, hour, minute, second, offset, zone = match.groups()
    elif match := _ASCTIME.search(text):
        month, day, hour, minute, second, zone, year = match.groups()
        offset = None
    else:
        return None
    written = _moment(_year(year), month, day, (hour, minute, second or b"0"))
    return None if written is None else (written, _offset(offset, zone))


def _year(text: bytes) -> int:
    """RFC 5322 section 4.3: 00-49 is 20xx, 50-999 counts from 1900."""
    year = int(text)
    if len(text) >= 4:
        return year
    return year + (2000 if len(text) == 2 and year < 50 else 1900)


def _offset(numeric: bytes | None, zone: bytes | None) -> int:
    if numeric is not None:
        hours, minutes = int(numeric[1:3]), int(numeric[3:5])
        seconds = (hours * 60 + minutes) * 60
        if hours > 24 or minutes > 59:
            return 0
        return -seconds if numeric[:1] == b"-" else seconds
    return _ZONES.get((zone or b"").lower(), 0) * 3600


def _moment(year: int, month: bytes, day: bytes, clock: tuple[bytes, bytes, bytes]) -> int | None:
    number = _MONTH_NUMBER.get(month.lower())
    if number is None or not 1 <= year <= 9999 or not 1 <= int(day) <= calendar.monthrange(year, number)[1]:
        return None
    hour, minute, second = map(int, clock)
    if hour > 23 or minute > 59 or second > 60:
        return None
    # 60 is a leap second (RFC 5322 section 3.3), which the epoch does not count.
    return calendar.timegm((year, number, int(day), hour, minute, min(second, 59)))


def parse_internal(text: bytes) -> int:
    """IMAP date-time without its quotes, `17-Jul-1996 02:44:25 -0700`; ValueError otherwise."""
    match = _INTERNAL.fullmatch(text)
    if match is None:
        raise ValueError("not a date-time")
    day, month, year, hour, minute, second, sign, zone_hours, zone_minutes = match.groups()
    written = _moment(int(year), month, day, (hour, minute, second))
    if written is None:
        raise ValueError("no such date")
    seconds = (int(zone_hours) * 60 + int(zone_minutes)) * 60
    moment = written + seconds if sign == b"-" else written - seconds
    if not FIRST <= moment <= LAST:
        # It will be shown in UTC, where it has no year of four digits: no listing must fail by it.
        raise ValueError("a date outside the years 1 to 9999")
    return moment
