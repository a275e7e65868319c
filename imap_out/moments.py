"""INTERNALDATE: IMAP's own way of writing a moment (RFC 3501 section 9, `date-time`).

Apart because it is written for every row of a listing, so it must be quick, and read from
APPEND, so it must be strict.

    date-time      = DQUOTE date-day-fixed "-" date-month "-" date-year SP time SP zone DQUOTE
    date-day-fixed = (SP DIGIT) / 2DIGIT
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

from imap_out.grammar import Arguments, bad
from mail import dates

_DATE_TIME = re.compile(rb'"([^"]{26})"')


def parse(arguments: Arguments) -> int:
    """Seconds since the epoch; BAD when there is no such moment."""
    found = arguments.match(_DATE_TIME, "The date is malformed.")
    try:
        return dates.parse_internal(found[1])
    except ValueError:
        raise bad("There is no such moment.") from None


def render(moment: int) -> bytes:
    """In UTC: the zone in which a message came is not kept. A moment that no date-time can
    name becomes the nearest that one can, so that one row never spoils a listing."""
    day, second = divmod(min(max(moment, dates.FIRST), dates.LAST), 86_400)
    return b'"%b %02d:%02d:%02d +0000"' % (_day(day), second // 3600, second // 60 % 60, second % 60)


@lru_cache(maxsize=1024)
def _day(day: int) -> bytes:
    date = datetime.fromtimestamp(day * 86_400, UTC)
    return b"%2d-%b-%04d" % (date.day, dates.MONTHS[date.month - 1].capitalize(), date.year)
