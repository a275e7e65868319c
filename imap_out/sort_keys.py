"""SORT's criteria: each is a column of the index and what is compared of it.

Apart because THREAD compares subjects the same way. Text is compared as i;unicode-casemap
does (RFC 5051 section 2): in title case, decomposed, octet by octet.

    sort-key = "ARRIVAL" / "CC" / "DATE" / "FROM" / "SIZE" / "SUBJECT" / "TO"  ; RFC 5256 section 5
    sort-key =/ "DISPLAYFROM" / "DISPLAYTO"                                    ; RFC 5957 section 4
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from imap_out import base_subject, envelope_fields
from imap_out.envelope_fields import CC, FROM, SUBJECT, TO
from imap_out.grammar import Arguments, bad
from mail import headers
from mail.mailbox import Column

Compared = Callable[[Any], Any]
"""The column's value to what is compared."""

Criterion = tuple[Column, Compared, bool]
"""With whether it is reversed."""

_MOST = 20  # criteria; there are nine, and each may be reversed


def casemap(text: str) -> str:
    """For comparison; code points order as UTF-8 octets do."""
    if text.isascii():
        return text.upper()
    title = "".join(map(_title, text))
    return unicodedata.normalize("NFKD", title)


def _title(character: str) -> str:
    """RFC 5051 section 2: simple title case, one character for one."""
    title = character.title()
    return title if len(title) == 1 else character


def _as_is(value: int) -> int:
    return value


def _subject(envelope: bytes) -> str:
    return casemap(base_subject.of(envelope_fields.text(envelope, SUBJECT))[0])


def _mailbox(place: int) -> Compared:
    """RFC 5256 section 3: the addr-mailbox of the first address."""

    def compared(envelope: bytes) -> str:
        address = envelope_fields.first_address(envelope, place)
        return casemap(_text(address.mailbox)) if address else ""

    return compared


def _display(place: int) -> Compared:
    """RFC 5957 section 3: the decoded addr-name, or else the address; "" when there is none."""

    def compared(envelope: bytes) -> str:
        address = envelope_fields.first_address(envelope, place)
        if address is None:
            return ""
        if address.name:
            return casemap(headers.collapsed(headers.decode(address.name)))
        host = b"@" + address.host if address.host else b""
        return casemap(_text((address.mailbox or b"") + host))

    return compared


def _text(octets: bytes | None) -> str:
    return (octets or b"").decode("utf-8", "replace")


KEYS: Mapping[bytes, tuple[Column, Compared]] = {
    b"ARRIVAL": (Column.INTERNAL_DATE, _as_is),
    b"CC": (Column.ENVELOPE, _mailbox(CC)),
    b"DATE": (Column.SENT, _as_is),
    b"DISPLAYFROM": (Column.ENVELOPE, _display(FROM)),
    b"DISPLAYTO": (Column.ENVELOPE, _display(TO)),
    b"FROM": (Column.ENVELOPE, _mailbox(FROM)),
    b"SIZE": (Column.SIZE, _as_is),
    b"SUBJECT": (Column.ENVELOPE, _subject),
    b"TO": (Column.ENVELOPE, _mailbox(TO)),
}


def read(arguments: Arguments) -> list[Criterion]:
    """`"(" sort-criterion *(SP sort-criterion) ")"`, each perhaps behind REVERSE."""
    criteria = arguments.list_of(lambda: _read(arguments))
    if not 0 < len(criteria) <= _MOST:
        raise bad("SORT takes one criterion or some.")
    return criteria


def _read(arguments: Arguments) -> Criterion:
    name = arguments.word()
    reverse = name == b"REVERSE"
    if reverse:
        arguments.space()
        name = arguments.word()
    if name not in KEYS:
        raise bad("There is no such sort key.")
    return (*KEYS[name], reverse)


def ordered(rows: Sequence[tuple[Any, ...]], criteria: Sequence[Criterion]) -> list[int]:
    """First values of the rows, (number, compared, ...), sorted; the rows ascend by number.

    RFC 5256 section 3: what compares equal stays in the mailbox's order, and REVERSE turns its own
    key alone. Stable passes from the last criterion to the first do both.
    """
    found = list(rows)
    for place in range(len(criteria), 0, -1):
        found.sort(key=lambda row: row[place], reverse=criteria[place - 1][2])
    return [row[0] for row in found]
