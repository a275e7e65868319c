"""Values as the wire has them: strings, names, flags.

Apart from grammar because it writes and grammar reads; `tests` hold the two to each other.
ABNF: RFC 3501 section 9.

    string = quoted / literal        ; quoted holds no CR, LF, NUL, and here no 8-bit octet
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from imap_out import utf7
from mail.mailbox import Flags

_QUOTABLE = re.compile(rb"[ -~]{0,1000}")
_ATOM = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\\]]+')


def string(octets: bytes) -> bytes:
    """Quoted when it can be, else a literal."""
    if _QUOTABLE.fullmatch(octets):
        return b'"' + octets.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
    return literal(octets)


def astring(octets: bytes) -> bytes:
    """An atom when it can be, else a string."""
    return octets if _ATOM.fullmatch(octets) else string(octets)


def literal(octets: bytes) -> bytes:
    """`{n}` CRLF and the octets as they are."""
    return b"{%d}\r\n%b" % (len(octets), octets)


def mailbox(name: str) -> bytes:
    """A folder's name, always quoted: some clients stumble over atoms such as `Sent]`."""
    return string(utf7.encode(name))


@lru_cache(maxsize=4096)
def flags(present: Flags, recent: bool = False) -> bytes:
    """`(\\Seen $Forwarded)`; cached, because 10,000 messages have a dozen different sets."""
    names = sorted(present) + (["\\Recent"] if recent else [])
    return b"(" + " ".join(names).encode("ascii") + b")"


def numbers(values: Iterable[int]) -> bytes:
    """Separated by spaces."""
    return b" ".join([b"%d" % value for value in values])
