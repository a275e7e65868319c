"""SEARCH as a tree of typed keys (RFC 3501 section 6.4.4, RFC 9051 section 6.4.4).

Apart because the reading door parses it and the store answers it. A key says what is
asked, never how; numbers are already resolved to UIDs. Strings are matched as substrings,
compared case-insensitively (Unicode casefold), in decoded text; in header fields a run of
white space is one space, on both sides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from mail.numbers import NumberSet


class Field(Enum):
    """Text that a `Text` key looks into."""

    SUBJECT = auto()
    FROM = auto()
    TO = auto()
    CC = auto()
    BCC = auto()
    BODY = auto()  # text/* parts
    TEXT = auto()  # the same, the header, and the headers of all parts


class Moment(Enum):
    """Which date a `Dated` key compares; RFC 3501 compares days, time and zone disregarded."""

    INTERNAL = auto()
    SENT = auto()
    SAVED = auto()


@dataclass(frozen=True, slots=True)
class All:
    """Every message."""


@dataclass(frozen=True, slots=True)
class Uids:
    """Messages in a resolved UID set."""

    uids: NumberSet


@dataclass(frozen=True, slots=True)
class Flagged:
    """Has (or lacks) a flag or keyword."""

    flag: str
    present: bool = True


@dataclass(frozen=True, slots=True)
class Text:
    """`needle` occurs in the field; an empty needle matches every message."""

    field: Field
    needle: str


@dataclass(frozen=True, slots=True)
class Header:
    """A header field of that name holds the needle; with "" the field need only exist."""

    name: str
    needle: str


@dataclass(frozen=True, slots=True)
class Dated:
    """`first_day` <= day of the message < `end_day`, as days since 1970-01-01; None is open."""

    moment: Moment
    first_day: int | None
    end_day: int | None


@dataclass(frozen=True, slots=True)
class Sized:
    """`above` < octets (LARGER) or octets < `below` (SMALLER)."""

    above: int | None
    below: int | None


@dataclass(frozen=True, slots=True)
class Aged:
    """Whether the internal date lies `seconds` or more back; with `older` False: or less (RFC 5032)."""

    seconds: int
    older: bool


@dataclass(frozen=True, slots=True)
class ModSeq:
    """mod-sequence >= `least` (RFC 7162)."""

    least: int


@dataclass(frozen=True, slots=True)
class EmailId:
    """The message of that id, as `mail.mailbox.Column.EMAIL_ID` has it (RFC 8474 section 7)."""

    email_id: str


@dataclass(frozen=True, slots=True)
class Not:
    """The complement."""

    key: Key


@dataclass(frozen=True, slots=True)
class And:
    """All of them."""

    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Either."""

    left: Key
    right: Key


def alternatives(key: Or) -> Iterator[Key]:
    """The keys that a nest of ORs chooses between: `OR a OR b c` is a, b, c. Not recursive:
    clients nest as many ORs as they have words."""
    waiting: list[Key] = [key]
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, Or):
            waiting += (inner.right, inner.left)
        else:
            yield inner


Key = All | Uids | Flagged | Text | Header | Dated | Aged | Sized | ModSeq | EmailId | Not | And | Or
