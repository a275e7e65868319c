"""What FETCH can be asked for, and how each answer is put together.

Apart from the command: the table of items is where an extension adds its own, and a `Plan`
is made once and used for 10,000 rows, so it decides everything that can be decided before.

    fetch-att = "ENVELOPE" / "FLAGS" / "INTERNALDATE" / "RFC822" [".HEADER" / ".SIZE" / ".TEXT"] /
                "BODY" ["STRUCTURE"] / "UID" /
                "BODY" [".PEEK"] section ["<" number "." nz-number ">"]    ; RFC 3501 section 9
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from typing import Any

from imap_out import binary, moments, sections, wording
from imap_out.binary import Binary
from imap_out.grammar import Arguments, bad
from imap_out.preview import Preview
from imap_out.sections import Section, Spec
from mail.mailbox import Column

_NAME = re.compile(rb"[A-Za-z0-9.]+")
_BINARY = (b"BINARY", b"BINARY.PEEK", b"BINARY.SIZE")
_MOST_ITEMS = 200
_LARGE = 4096  # octets; above it a literal is sent as it is rather than copied into a line


@dataclass(frozen=True, slots=True)
class Item:
    """One thing asked for. Its value comes from the view, from a column or from the message."""

    form: bytes  # the answer with one %-place
    column: Column | None = None
    render: Callable[[Any], Any] | None = None  # column's value -> what goes into the place
    section: Section | Binary | Preview | None = None  # when the message must be opened
    marks_seen: bool = False


EMAIL_LETTER = "M"  # RFC 8474 section 7: no id should look like a number, nor like NIL

_UID = Item(b"UID %d", Column.UID)
_FLAGS = Item(b"FLAGS %b", Column.FLAGS)
_MOD_SEQ = Item(b"MODSEQ (%d)", Column.MOD_SEQ)  # RFC 7162 section 3.1.4.2
_OF_VIEW = (Column.UID, Column.FLAGS, Column.MOD_SEQ)  # told together, as this session heard them

SIMPLE: Mapping[bytes, Item] = {
    b"UID": _UID,
    b"FLAGS": _FLAGS,
    b"MODSEQ": _MOD_SEQ,
    b"INTERNALDATE": Item(b"INTERNALDATE %b", Column.INTERNAL_DATE, moments.render),
    b"RFC822.SIZE": Item(b"RFC822.SIZE %d", Column.SIZE),
    b"SAVEDATE": Item(b"SAVEDATE %b", Column.SAVE_DATE, moments.render),  # RFC 8514 section 4.1
    b"EMAILID": Item(b"EMAILID (%b)", Column.EMAIL_ID, lambda given: (EMAIL_LETTER + given).encode()),
    b"THREADID": Item(b"THREADID NIL%.0b", Column.FLAGS),  # RFC 8474 section 5.2: not kept, whatever it is
    b"PREVIEW": Item(b"PREVIEW %b", render=wording.string, section=Preview()),  # RFC 8970
    b"ENVELOPE": Item(b"ENVELOPE %b", Column.ENVELOPE),
    b"BODY": Item(b"BODY %b", Column.BODY),
    b"BODYSTRUCTURE": Item(b"BODYSTRUCTURE %b", Column.BODY_STRUCTURE),
    b"RFC822": Item(b"RFC822 %b", section=Section(), marks_seen=True),
    b"RFC822.HEADER": Item(b"RFC822.HEADER %b", Column.HEADER, wording.literal),
    b"RFC822.TEXT": Item(b"RFC822.TEXT %b", section=Section(Spec.TEXT), marks_seen=True),
}

MACROS: Mapping[bytes, Sequence[bytes]] = {
    b"ALL": (b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE", b"ENVELOPE"),
    b"FAST": (b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE"),
    b"FULL": (b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE", b"ENVELOPE", b"BODY"),
}


def read(arguments: Arguments) -> list[Item]:
    """A macro, an item or a list of items."""
    if arguments.at(b"("):
        items = arguments.list_of(partial(_item, arguments))
        if not items:
            raise bad("FETCH asks for nothing.")
        if len(items) > _MOST_ITEMS:
            raise bad("FETCH asks for too much at once.")
        return items
    name = arguments.match(_NAME, "FETCH asks for nothing.")[0].upper()
    if name in MACROS:
        return [SIMPLE[item] for item in MACROS[name]]
    return [_named(name, arguments)]


def _item(arguments: Arguments) -> Item:
    return _named(arguments.match(_NAME, "A FETCH item is missing.")[0].upper(), arguments)


def _named(name: bytes, arguments: Arguments) -> Item:
    if name in (b"BODY", b"BODY.PEEK") and arguments.at(b"["):
        return _body(sections.parse(arguments), peeks=name == b"BODY.PEEK")
    if name in _BINARY and arguments.at(b"["):
        return _binary(binary.parse(arguments, sized=name == b"BINARY.SIZE"), peeks=name != b"BINARY")
    if name == b"PREVIEW" and arguments.taken(b" ("):
        # RFC 8970 section 4.1: opening one takes a fraction of a millisecond, so LAZY gets the same.
        if arguments.word() != b"LAZY":
            raise bad("There is no such PREVIEW modifier.")
        arguments.expect(b")")
    item = SIMPLE.get(name)
    if item is None:
        raise bad("There is no such FETCH item.")
    return item


def _body(section: Section, *, peeks: bool) -> Item:
    form = b"BODY" + section.label().replace(b"%", b"%%") + b" %b"
    if section.in_header:
        read = sections.of_header(section)
        return Item(form, Column.HEADER, lambda block: wording.literal(read(block)), marks_seen=not peeks)
    return Item(form, section=section, marks_seen=not peeks)


def _binary(asked: Binary, *, peeks: bool) -> Item:
    if asked.sized:  # digits, which are no string
        return Item(b"BINARY.SIZE" + asked.section.label() + b" %b", render=bytes, section=asked)
    return Item(b"BINARY" + asked.section.label() + b" %b", section=asked, marks_seen=not peeks)


class Plan:
    """What to read for a list of items, and where in a record each value lies.

    A record is `(number, uid, flag list, mod-sequence, *columns after the first, *sections of the
    message)`.
    """

    def __init__(self, items: Sequence[Item], *, by_uid: bool, mod_seqs: bool = False) -> None:
        if mod_seqs:
            items = [*items, _MOD_SEQ]
        if by_uid and _UID not in items:
            items = [_UID, *items]
        items = list(dict.fromkeys(items))  # asked twice, answered once
        self._items = items
        self.marks_seen = any(item.marks_seen for item in items)
        self.shows_flags = _FLAGS in items
        self.shows_mod_seqs = _MOD_SEQ in items
        self.opens = [item.section for item in items if item.section is not None]
        wanted = [i.column for i in items if i.column is not None and i.column not in _OF_VIEW]
        columns: list[Column] = list(dict.fromkeys(wanted))
        self.needs_parts = any(section.needs_parts for section in self.opens)
        if self.needs_parts:
            columns = [Column.PARTS, *(c for c in columns if c is not Column.PARTS)]
        touches_store = columns or self.opens or self.marks_seen
        self.columns = [Column.UID, *columns] if touches_store else []
        self.parts_place = 1  # in a row, when parts are needed
        places = {c: i for i, c in enumerate((*_OF_VIEW, *columns), 1)}
        opened = iter(range(4 + len(columns), 4 + len(columns) + len(self.opens)))
        self._places = [
            (places[item.column] if item.column is not None else next(opened), item.render)
            for item in items
        ]
        self._form = b"* %d FETCH (" + b" ".join(item.form for item in items) + b")\r\n"
        self._pick = itemgetter(0, *(place for place, _ in self._places))
        self._rendered = [(at, render) for at, (_, render) in enumerate(self._places, 1) if render]

    def line(self, record: tuple[Any, ...]) -> bytes:
        """The whole response, from values that are all at hand."""
        values = self._pick(record)
        if self._rendered:
            shown = list(values)
            for at, render in self._rendered:
                shown[at] = render(shown[at])
            values = tuple(shown)
        line: bytes = self._form % values
        return line

    def lines(self, records: Iterable[tuple[Any, ...]]) -> bytes:
        """The same of many of which nothing is to be rendered: a listing of flags."""
        form, pick = self._form, self._pick
        return b"".join([form % pick(record) for record in records])

    def pieces(self, record: tuple[Any, ...]) -> Iterator[bytes]:
        """The same as octets, with large literals apart."""
        separator = b""
        for item, (place, render) in zip(self._items, self._places, strict=True):
            value = record[place]
            if item.section is None:
                yield separator + item.form % (render(value) if render else value)
            elif value is None:
                yield separator + item.form % b"NIL"
            elif render is not None:
                yield separator + item.form % render(value)
            else:
                # RFC 3516 section 4.2: octets with NUL are a literal8.
                eight = b"~" if isinstance(item.section, Binary) and b"\0" in value else b""
                if len(value) <= _LARGE:
                    yield separator + item.form % (eight + wording.literal(value))
                else:
                    yield separator + item.form % (eight + b"{%d}\r\n" % len(value))
                    yield value
            separator = b" "
