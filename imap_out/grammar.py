"""Tokens of IMAP commands: framed bytes in, typed values out, or BAD and nothing else.

Apart because every octet here is the peer's, in part without a login. The cursor never
looks at the socket and never recurses.
ABNF: RFC 3501 section 9, as corrected by RFC 9051.

    atom    = 1*ATOM-CHAR
    astring = 1*ASTRING-CHAR / string       ; ASTRING-CHAR = ATOM-CHAR / "]"
    string  = quoted / literal
    ATOM-CHAR = <any CHAR except "(" ")" "{" SP CTL "%" "*" DQUOTE "\\" "]">
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date
from typing import TypeVar

from imap_out import utf7
from mail.dates import MONTHS
from mail.errors import Reason, Refusal
from mail.mailbox import SYSTEM_FLAGS
from mail.numbers import NumberSet

_ATOM = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\\]]+')
_ASTRING = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\]+')
_LIST_NAME = re.compile(rb'[^\x00-\x20\x7f-\xff(){"\\]+')
_QUOTED = re.compile(rb'"((?:[^"\\\x00\r\n]|\\["\\])*)"')
_ESCAPED = re.compile(rb"\\(.)")
_NUMBER = re.compile(rb"[0-9]{1,10}(?![0-9])")
_LONG_NUMBER = re.compile(rb"[0-9]{1,19}(?![0-9])")
_FLAG = re.compile(rb'\\?[^\x00-\x20\x7f-\xff(){%*"\\\]]+')
_SET = re.compile(rb"[0-9*:,]+")
_DATE = re.compile(rb"([0-9]{1,2})-([A-Za-z]{3})-([0-9]{4})")

_SYSTEM = {flag.lower(): flag for flag in SYSTEM_FLAGS}
_EPOCH = date(1970, 1, 1).toordinal()
_LONGEST_NAME = 1000
_LONGEST_FLAG = 100
_MOST_FLAGS = 200

T = TypeVar("T")

SAVED = NumberSet(())
"""Stands for `$`, the messages that the last SEARCH saved (RFC 5182); the view knows them. The
object itself is the mark."""


def bad(words: str) -> Refusal:
    """What is raised for anything the grammar does not know; becomes a tagged BAD."""
    return Refusal(Reason.BAD_SYNTAX, words)


class Arguments:
    """A cursor over one framed command: text, literal, text, ..., text."""

    def __init__(self, parts: Sequence[bytes]) -> None:
        self._parts = parts
        self._part = 0
        self._at = 0

    # -- what comes next ------------------------------------------------------------------

    def at(self, octets: bytes) -> bool:
        """Whether these octets come next; nothing is taken."""
        return self._parts[self._part].startswith(octets, self._at)

    def taken(self, octets: bytes) -> bool:
        """Take these octets when they come next."""
        if self.at(octets):
            self._at += len(octets)
            return True
        return False

    def expect(self, octets: bytes, words: str = "The command is malformed.") -> None:
        """Take these octets, or BAD."""
        if not self.taken(octets):
            raise bad(words)

    def space(self) -> None:
        """One SP."""
        self.expect(b" ", "The command needs more arguments.")

    def end(self) -> None:
        """Nothing more. Trailing spaces pass: old clients send them, and they mean nothing."""
        if self._part != len(self._parts) - 1 or self._parts[self._part][self._at :].strip(b" "):
            raise bad("The command has too many arguments.")

    @property
    def ended(self) -> bool:
        """Whether nothing is left but spaces."""
        return self._part == len(self._parts) - 1 and not self._parts[self._part][self._at :].strip(b" ")

    # -- tokens ---------------------------------------------------------------------------

    def optional(self, pattern: re.Pattern[bytes]) -> re.Match[bytes] | None:
        """Take what the pattern matches here, if it does."""
        found = pattern.match(self._parts[self._part], self._at)
        if found is not None:
            self._at = found.end()
        return found

    def match(self, pattern: re.Pattern[bytes], words: str) -> re.Match[bytes]:
        """Take what the pattern matches here, or BAD."""
        found = self.optional(pattern)
        if found is None:
            raise bad(words)
        return found

    def atom(self) -> bytes:
        """As written."""
        return self.match(_ATOM, "An atom is missing.")[0]

    def word(self) -> bytes:
        """An atom that is a keyword of the protocol, in upper case."""
        return self.atom().upper()

    @property
    def at_string(self) -> bool:
        """Whether a quoted string or a literal comes next."""
        return self.at(b'"') or self._at_literal

    @property
    def _at_literal(self) -> bool:
        return self._part < len(self._parts) - 1 and self._at == len(self._parts[self._part])

    def literal(self) -> bytes:
        """Exactly a literal, NUL and all: the message of APPEND."""
        if not self._at_literal:
            raise bad("A literal is missing.")
        octets = self._parts[self._part + 1]
        self._part += 2
        self._at = 0
        return octets

    def string(self) -> bytes:
        """A quoted string or a literal without NUL. 8-bit octets pass: many clients send them."""
        if self._at_literal:
            octets = self.literal()
            if b"\0" in octets:
                raise bad("A string must not hold NUL.")
            return octets
        quoted = self.match(_QUOTED, "A string is missing or not closed.")[1]
        return _ESCAPED.sub(rb"\1", quoted) if b"\\" in quoted else quoted

    def astring(self) -> bytes:
        """An atom (with "]") or a string."""
        return self.string() if self.at_string else self.match(_ASTRING, "A string is missing.")[0]

    def nstring(self) -> bytes | None:
        """A string or NIL."""
        if self.at_string:
            return self.string()
        if self.word() != b"NIL":
            raise bad("A string or NIL is missing.")
        return None

    def number(self) -> int:
        """0 to 2^32-1."""
        value = int(self.match(_NUMBER, "A number is missing or too large.")[0])
        if value > 0xFFFFFFFF:
            raise bad("A number is too large.")
        return value

    def long_number(self) -> int:
        """0 to 2^63-1: a mod-sequence (RFC 7162 section 7)."""
        value = int(self.match(_LONG_NUMBER, "A number is missing or too large.")[0])
        if value >= 1 << 63:
            raise bad("A number is too large.")
        return value

    def list_of(self, item: Callable[[], T]) -> list[T]:
        """`"(" [item *(SP item)] ")"`."""
        self.expect(b"(", "A list in parentheses is missing.")
        items: list[T] = []
        if not self.taken(b")"):
            items.append(item())
            while not self.taken(b")"):
                self.expect(b" ", "A list is not closed.")
                items.append(item())
        return items

    # -- values ---------------------------------------------------------------------------

    def mailbox(self) -> str:
        """A folder's name; `inbox` in any case is INBOX."""
        return _name(self.astring())

    def list_mailbox(self) -> str:
        """The same with the wildcards `*` and `%` of LIST, which also pass unquoted."""
        octets = self.string() if self.at_string else self.match(_LIST_NAME, "A pattern is missing.")[0]
        return _decoded(octets)

    def sequence_set(self) -> NumberSet:
        """Numbers and ranges, `*` unresolved; or SAVED for `$` (RFC 5182 section 3)."""
        if self.taken(b"$"):
            return SAVED
        text = self.match(_SET, "A set of messages is missing.")[0]
        try:
            return NumberSet.parse(text)
        except ValueError:
            raise bad("The set of messages is malformed.") from None

    def flag(self) -> str:
        """`\\Seen` and its kin in their usual spelling, or a keyword. `\\Recent` is not for clients."""
        text = self.match(_FLAG, "A flag is missing.")[0].decode("ascii")
        if len(text) > _LONGEST_FLAG:
            raise bad("A flag is too long.")
        if not text.startswith("\\"):
            return text
        if (known := _SYSTEM.get(text.lower())) is None:
            raise bad("That is no flag a client can set.")
        return known

    def flags(self) -> frozenset[str]:
        """`"(" [flag *(SP flag)] ")"`."""
        found = frozenset(self.list_of(self.flag))
        if len(found) > _MOST_FLAGS:
            raise bad("There are too many flags.")
        return found

    def day(self) -> int:
        """A date, quoted or not, as days since 1970-01-01."""
        quoted = self.taken(b'"')
        found = self.match(_DATE, "A date is missing.")
        if quoted:
            self.expect(b'"', "A date is not closed.")
        try:
            return (
                date(int(found[3]), MONTHS.index(found[2].lower()) + 1, int(found[1])).toordinal() - _EPOCH
            )
        except ValueError:
            raise bad("There is no such day.") from None


def _decoded(octets: bytes) -> str:
    if len(octets) > _LONGEST_NAME * 4:
        raise bad("The name is too long.")
    try:
        return utf7.decode(octets)
    except ValueError:
        raise bad("The name is not in modified UTF-7.") from None


def _name(octets: bytes) -> str:
    name = _decoded(octets)
    head, separator, rest = name.partition("/")
    return "INBOX" + separator + rest if head.upper() == "INBOX" else name
