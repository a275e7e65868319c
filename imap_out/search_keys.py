"""SEARCH's keys: from the wire to `mail.search`, every key of RFC 3501 as a row of a table.

Apart from the command because the grammar is a language of its own. Message numbers and
`\\Recent` mean something only in this session, so they become UIDs here.

    search-key = "ALL" / "ANSWERED" / "BCC" SP astring / ... / sequence-set /
                 "(" search-key *(SP search-key) ")"         ; RFC 3501 section 9
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from imap_out.fetch_items import EMAIL_LETTER
from imap_out.grammar import Arguments, bad
from imap_out.limits import Limits
from imap_out.view import View
from mail.errors import Reason, Refusal
from mail.mailbox import ANSWERED, DELETED, DRAFT, FLAGGED, SEEN
from mail.search import (
    Aged,
    All,
    And,
    Dated,
    EmailId,
    Field,
    Flagged,
    Header,
    Key,
    ModSeq,
    Moment,
    Not,
    Or,
    Sized,
    Text,
    Uids,
)

CHARSET = re.compile(rb"(?i:CHARSET) ")
_CHARSET_NAME = re.compile(rb"[A-Za-z0-9_.:+-]{1,40}")
# Python's own inventions and those with quadratic decoders (CVE-2022-45061) are no mail charsets.
_NOT_FOR_MAIL = re.compile(r"idna|punycode|.*unicode.escape|undefined|mbcs|oem|charmap")
_NOT = re.compile(rb"(?i:NOT) ")
_OBJECT_ID = re.compile(rb"[A-Za-z0-9_-]{1,255}(?![^ )])")
_OR = re.compile(rb"(?i:OR) ")
_BARE_SET = re.compile(rb"(?=[0-9*$])")


def charset(name: bytes) -> str | None:
    """Python's name for a charset, None when it has none."""
    if not _CHARSET_NAME.fullmatch(name):
        return None
    try:
        info = codecs.lookup(name.decode("ascii"))
        b"".decode(info.name)  # LookupError for codecs that are not of text (base64, zlib)
    except (LookupError, ValueError):
        return None
    return None if _NOT_FOR_MAIL.fullmatch(info.name.replace("-", "_")) else info.name


@dataclass(frozen=True, slots=True)
class _Open:
    """A key that holds others, while they are read."""

    join: Callable[[list[Key]], Key]
    wanted: int = 0  # keys that make it whole; 0: its end is marked
    deeper: bool = True  # whether it counts as nesting
    keys: list[Key] = field(default_factory=list)


def _and(keys: list[Key]) -> Key:
    return keys[0] if len(keys) == 1 else And(tuple(keys))


class Reader:
    """Reads keys; `all` reads to the end of the command and joins them by AND."""

    def __init__(self, arguments: Arguments, view: View, charset: str, limits: Limits) -> None:
        self.arguments = arguments
        self.view = view
        self._charset = charset
        self._limits = limits
        self._count = self._depth = 0

    def all(self) -> Key:
        """One or more keys; Refusal(LIMIT) beyond the bounds.

        What is open lies in a list, so that no nesting deepens the stack (CVE-2026-27857).
        """
        program = _Open(_and)
        opened = [program]
        while True:
            inner = self._next()
            if isinstance(inner, _Open):
                opened.append(inner)
                continue
            opened[-1].keys.append(inner)
            while self._complete(opened[-1], outermost=len(opened) == 1):
                whole = opened.pop()
                if whole is program:
                    return whole.join(whole.keys)
                self._depth -= whole.deeper
                opened[-1].keys.append(whole.join(whole.keys))
            self.arguments.space()

    def _complete(self, key: _Open, *, outermost: bool) -> bool:
        if key.wanted:
            return len(key.keys) == key.wanted
        return self.arguments.ended if outermost else self.arguments.taken(b")")

    def _next(self) -> Key | _Open:
        self._count += 1
        opening = self._opening()
        if opening is not None:
            # Clients name ten thousand messages by OR behind OR: that is long, not deep.
            self._depth += opening.deeper
        if self._count > self._limits.search_keys or self._depth > self._limits.search_depth:
            raise Refusal(Reason.LIMIT, "That search is too complex.")
        return opening or self._simple()

    def _opening(self) -> _Open | None:
        if self.arguments.taken(b"("):
            return _Open(_and)
        if self.arguments.optional(_NOT):
            return _Open(lambda keys: Not(keys[0]), wanted=1)
        if self.arguments.optional(_OR):
            return _Open(lambda keys: Or(keys[0], keys[1]), wanted=2, deeper=False)
        return None

    def _simple(self) -> Key:
        if self.arguments.optional(_BARE_SET):
            return Uids(self.view.spans(self.arguments.sequence_set()))
        read = KEYS.get(self.arguments.word())
        if read is None:
            raise bad("There is no such search key.")
        return read(self)

    def text(self) -> str:
        """A string in the search's charset."""
        self.arguments.space()
        octets = self.arguments.astring()
        try:
            return octets.decode(self._charset)
        except (UnicodeError, LookupError, ValueError):
            raise bad("A string is not in the charset.") from None

    def name(self) -> str:
        """A header field's name: ASCII, or it names nothing."""
        self.arguments.space()
        return self.arguments.astring().decode("ascii", "replace")

    def keyword(self) -> str:
        """A keyword is an atom without a backslash."""
        self.arguments.space()
        return self.arguments.atom().decode("ascii")

    def number(self) -> int:
        """Octets."""
        self.arguments.space()
        return self.arguments.number()

    def seconds(self) -> int:
        """An interval of WITHIN: nz-number (RFC 5032 section 3)."""
        if not (seconds := self.number()):
            raise bad("An interval is one second or more.")
        return seconds

    def object_id(self) -> str:
        """RFC 8474 section 7."""
        self.arguments.space()
        return self.arguments.match(_OBJECT_ID, "An object id is missing.")[0].decode("ascii")

    def mod_seq(self) -> int:
        """RFC 7162 section 3.1.5: without the name and kind of an entry, or with. There is one
        mod-sequence for all flags of a message, so that they are read and count for nothing."""
        self.arguments.space()
        if self.arguments.at_string:
            if not self.arguments.string().lower().startswith(b"/flags/"):
                raise bad("There is no such entry.")
            self.arguments.space()
            if self.arguments.word() not in (b"PRIV", b"SHARED", b"ALL"):
                raise bad("There is no such kind of entry.")
            self.arguments.space()
        return self.arguments.long_number()

    def day(self) -> int:
        """Days since the epoch."""
        self.arguments.space()
        return self.arguments.day()

    def uids(self) -> Key:
        """Behind UID."""
        self.arguments.space()
        return Uids(self.view.resolve_uids(self.arguments.sequence_set()))


Read = Callable[[Reader], Key]


def _text(field: Field) -> Read:
    return lambda r: Text(field, r.text())


def _has(flag: str, present: bool = True) -> Read:
    return lambda _: Flagged(flag, present)


def _email(reader: Reader) -> Key:
    letter, email_id = (text := reader.object_id())[0], text[1:]
    # What FETCH never said names no message, and is no error (RFC 8474 section 5.2).
    return EmailId(email_id) if letter == EMAIL_LETTER and email_id else Not(All())


def _thread(reader: Reader) -> Key:
    reader.object_id()
    return Not(All())  # RFC 8474 section 5.2: THREADID is NIL everywhere, so that nothing has this one


def _before(moment: Moment) -> Read:
    return lambda r: Dated(moment, None, r.day())


def _since(moment: Moment) -> Read:
    return lambda r: Dated(moment, r.day(), None)


def _on(moment: Moment) -> Read:
    def read(reader: Reader) -> Key:
        day = reader.day()
        return Dated(moment, day, day + 1)

    return read


KEYS: Mapping[bytes, Read] = {
    b"ALL": lambda _: All(),
    b"ANSWERED": _has(ANSWERED),
    b"BCC": _text(Field.BCC),
    b"BEFORE": _before(Moment.INTERNAL),
    b"BODY": _text(Field.BODY),
    b"CC": _text(Field.CC),
    b"DELETED": _has(DELETED),
    b"DRAFT": _has(DRAFT),
    b"EMAILID": _email,
    b"FLAGGED": _has(FLAGGED),
    b"FROM": _text(Field.FROM),
    b"HEADER": lambda r: Header(r.name(), r.text()),
    b"KEYWORD": lambda r: Flagged(r.keyword()),
    b"LARGER": lambda r: Sized(r.number(), None),
    b"MODSEQ": lambda r: ModSeq(r.mod_seq()),
    b"NEW": lambda r: And((Uids(r.view.recent), Flagged(SEEN, False))),
    b"OLD": lambda r: Not(Uids(r.view.recent)),
    b"OLDER": lambda r: Aged(r.seconds(), True),
    b"ON": _on(Moment.INTERNAL),
    b"RECENT": lambda r: Uids(r.view.recent),
    b"SAVEDATESUPPORTED": lambda _: All(),  # RFC 8514 section 4.3: every folder keeps it
    b"SAVEDBEFORE": _before(Moment.SAVED),
    b"SAVEDON": _on(Moment.SAVED),
    b"SAVEDSINCE": _since(Moment.SAVED),
    b"SEEN": _has(SEEN),
    b"SENTBEFORE": _before(Moment.SENT),
    b"SENTON": _on(Moment.SENT),
    b"SENTSINCE": _since(Moment.SENT),
    b"SINCE": _since(Moment.INTERNAL),
    b"SMALLER": lambda r: Sized(None, r.number()),
    b"SUBJECT": _text(Field.SUBJECT),
    b"TEXT": _text(Field.TEXT),
    b"THREADID": _thread,
    b"TO": _text(Field.TO),
    b"UID": Reader.uids,
    b"UNANSWERED": _has(ANSWERED, False),
    b"UNDELETED": _has(DELETED, False),
    b"UNDRAFT": _has(DRAFT, False),
    b"UNFLAGGED": _has(FLAGGED, False),
    b"UNKEYWORD": lambda r: Flagged(r.keyword(), False),
    b"UNSEEN": _has(SEEN, False),
    b"YOUNGER": lambda r: Aged(r.seconds(), False),
}
