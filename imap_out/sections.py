"""BODY[...]: which octets of a message a section names (RFC 3501 section 6.4.5).

Apart because it is pure: a header block or a whole message and its part tree go in, octets
come out, no store and no session. The messages are hostile; every step is one linear pass.

    section      = "[" [section-spec] "]"
    section-spec = section-msgtext / (section-part ["." section-text])
    section-text = section-msgtext / "MIME"
    section-msgtext = "HEADER" / "HEADER.FIELDS" [".NOT"] SP header-list / "TEXT"
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from imap_out import wording
from imap_out.grammar import Arguments, bad
from mail import structure

# A field: its line, and the lines folded under it. Bare CR is an octet like any other.
# Anchored and possessive, so that a megabyte without a colon costs its length and no more.
_REST = rb"[ \t]*+:[^\n]*+(?:\n[ \t][^\n]*+)*+(?:\n|\Z)"
_FIELD = re.compile(rb"(?m)^(([^\s:]++)" + _REST + b")")
_FIELD_NAME = re.compile(rb"[^\s:]+")
_FEW = 64  # names tried one by one at each line; more are looked up
_NUMBERS = re.compile(rb"[1-9][0-9]{0,9}(?:\.[1-9][0-9]{0,9})*")
_SPEC = re.compile(rb"(?i:HEADER\.FIELDS\.NOT|HEADER\.FIELDS|HEADER|TEXT|MIME)")
_PARTIAL = re.compile(rb"<([0-9]{1,10})\.([1-9][0-9]{0,9})>")
_DEEPEST = 200  # no tree that mail.structure makes is deeper


class Spec(Enum):
    """What of the message or part is meant."""

    ALL = b""
    HEADER = b"HEADER"
    FIELDS = b"HEADER.FIELDS"
    FIELDS_NOT = b"HEADER.FIELDS.NOT"
    TEXT = b"TEXT"
    MIME = b"MIME"


@dataclass(frozen=True, slots=True)
class Section:
    """`path` numbers parts from 1; `partial` is (first octet, most octets)."""

    spec: Spec = Spec.ALL
    path: tuple[int, ...] = ()
    fields: tuple[bytes, ...] = ()
    partial: tuple[int, int] | None = None

    @property
    def in_header(self) -> bool:
        """Whether the stored header block is enough, the message staying shut."""
        return not self.path and self.spec in (Spec.HEADER, Spec.FIELDS, Spec.FIELDS_NOT)

    @property
    def needs_parts(self) -> bool:
        """Whether the part tree is needed to find it."""
        return bool(self.path) or self.spec is not Spec.ALL

    def label(self) -> bytes:
        """`[1.2.HEADER.FIELDS (SUBJECT)]<0>`, as the answer names it."""
        words = [b"%d" % number for number in self.path]
        if self.spec is not Spec.ALL:
            words.append(self.spec.value)
        names = b" (" + b" ".join(wording.astring(f) for f in self.fields) + b")" if self.fields else b""
        origin = b"<%d>" % self.partial[0] if self.partial else b""
        return b"[" + b".".join(words) + names + b"]" + origin

    def of(self, content: bytes, root: structure.Part | None) -> bytes | None:
        """Its octets; None when there is no such part."""
        return of_message(content, root, self)

    def cut(self, octets: bytes) -> bytes:
        """The part of the section that was asked for; beyond its end there is nothing."""
        if self.partial is None:
            return octets
        first, most = self.partial
        return octets[first : first + most]


def parse(arguments: Arguments) -> Section:
    """Behind `BODY` or `BODY.PEEK`, from the bracket on."""
    arguments.expect(b"[")
    path: tuple[int, ...] = ()
    spec = Spec.ALL
    fields: tuple[bytes, ...] = ()
    if not arguments.at(b"]"):
        path = _path(arguments)
        if not path or arguments.taken(b"."):
            spec = Spec(arguments.match(_SPEC, "There is no such section.")[0].upper())
    if spec is Spec.MIME and not path:
        raise bad("MIME needs a part number.")
    if spec in (Spec.FIELDS, Spec.FIELDS_NOT):
        arguments.space()
        fields = tuple(name.upper() for name in arguments.list_of(arguments.astring))
        if not fields:
            raise bad("A header field's name is missing.")
    arguments.expect(b"]", "The section is not closed.")
    partial = None
    if arguments.at(b"<"):
        found = arguments.match(_PARTIAL, "The partial range is malformed.")
        partial = (int(found[1]), int(found[2]))
    return Section(spec, path, fields, partial)


def of_header(section: Section) -> Callable[[bytes], bytes]:
    """For a section that is `in_header`: from the header block with its closing empty line to its
    octets. Made once and used for 10,000 rows."""
    choose = chooser(section) if section.spec is not Spec.HEADER else None
    if section.partial is None:
        return choose or bytes
    return lambda header: section.cut(choose(header) if choose else header)


def chooser(section: Section) -> Callable[[bytes], bytes]:
    """The fields that FIELDS names, or those that FIELDS_NOT does not, in order; and the empty line.

    RFC 3501 section 6.4.5: "subsetting does not exclude the [RFC-2822] delimiting blank line".
    """
    find = _finder(section)

    def choose(header: bytes) -> bytes:
        chosen = b"".join(find(header))
        return chosen + (b"\r\n" if not chosen or chosen.endswith(b"\n") else b"\r\n\r\n")

    return choose


def _finder(section: Section) -> Callable[[bytes], list[bytes]]:
    names = frozenset(section.fields)
    keep = section.spec is Spec.FIELDS
    if keep and len(names) <= _FEW:  # one expression finds them in a third of the time
        possible = [re.escape(name) for name in names if _FIELD_NAME.fullmatch(name)] or [b"(?!)"]
        return re.compile(b"(?im)^(?:" + b"|".join(possible) + b")" + _REST).findall
    return lambda header: [f for f, name in _FIELD.findall(header) if (name.upper() in names) is keep]


def of_message(content: bytes, root: structure.Part | None, section: Section) -> bytes | None:
    """Any section, from the whole message and its part tree (None when no section `needs_parts`).

    None when there is no such part: NIL on the wire.
    """
    if root is None or not section.needs_parts:
        return section.cut(content)
    span = _span(root, section)
    if span is None:
        return None
    start, end = span
    if section.spec in (Spec.FIELDS, Spec.FIELDS_NOT):
        return section.cut(chooser(section)(content[start:end]))
    if section.partial:
        first, most = section.partial
        return content[start + first : min(end, start + first + most)]
    return content[start:end]


def _span(root: structure.Part, section: Section) -> tuple[int, int] | None:
    if not section.path:
        return root.body if section.spec is Spec.TEXT else root.header
    part = structure.find(root, section.path)
    if part is None:
        return None
    if section.spec is Spec.ALL:
        return part.body
    if section.spec is Spec.MIME:
        return part.header
    # HEADER and TEXT of a part are those of the message inside it, and of nothing else.
    if part.message is None:
        return None
    return part.message.body if section.spec is Spec.TEXT else part.message.header


def _path(arguments: Arguments) -> tuple[int, ...]:
    found = arguments.optional(_NUMBERS)
    numbers = found[0].split(b".") if found else []
    if len(numbers) > _DEEPEST:
        raise bad("The part number is too deep.")
    return tuple(map(int, numbers))
