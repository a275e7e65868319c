"""What a mailbox is made of, as the reading door and the store both name it.

Apart because `imap_out` asks and `store` answers and neither may import the other. All
times are seconds since the epoch, UTC. Names follow RFC 9051 and RFC 7162.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

SEEN, ANSWERED, FLAGGED, DELETED, DRAFT = "\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft"
SYSTEM_FLAGS = (ANSWERED, FLAGGED, DELETED, SEEN, DRAFT)
"""RFC 9051 section 2.3.2. `\\Recent` is no stored flag: it belongs to a session's view."""

Flags = frozenset[str]


class Column(Enum):
    """What can be asked of a stored message without opening its file."""

    UID = auto()
    FLAGS = auto()  # Flags
    MOD_SEQ = auto()  # int
    INTERNAL_DATE = auto()  # int
    SENT = auto()  # int, the Date field's moment; without one the internal date (RFC 5256 section 2.2)
    SIZE = auto()  # int, octets of the RFC 5322 message
    EXPIRES = auto()  # int
    SAVE_DATE = auto()  # int, when it came into this folder (RFC 8514)
    EMAIL_ID = auto()  # str, the same for every copy (RFC 8474)
    ENVELOPE = auto()  # bytes, as IMAP sends it, parentheses included
    BODY = auto()  # bytes, BODY without extension data
    BODY_STRUCTURE = auto()  # bytes
    HEADER = auto()  # bytes, the header block with its closing empty line
    PARTS = auto()  # bytes, the packed part tree (mail.structure)
    MESSAGE_ID = auto()  # str, without angle brackets, or ""


@dataclass(frozen=True, slots=True)
class Folder:
    """One folder of one account. `special_use` is "\\Sent" and so on, or ""."""

    folder_id: int
    name: str
    uid_validity: int
    special_use: str
    subscribed: bool


@dataclass(frozen=True, slots=True)
class Status:
    """The figures of RFC 9051 STATUS; expired messages count as gone."""

    messages: int
    recent: int
    unseen: int
    deleted: int
    size: int
    uid_next: int
    uid_validity: int
    highest_mod_seq: int


class Entry(NamedTuple):
    """A message's place in a folder. A tuple, since every SELECT makes one a message."""

    uid: int
    flags: Flags
    mod_seq: int


@dataclass(frozen=True, slots=True)
class Changes:
    """What happened to a folder after a given mod-sequence."""

    entries: Sequence[Entry]  # new and re-flagged, ascending by uid
    vanished: Sequence[int]  # UIDs expunged, moved away or expired, ascending
    highest_mod_seq: int
    uid_next: int


class FlagChange(Enum):
    """STORE's three ways (RFC 9051 section 6.4.6)."""

    REPLACE = auto()
    ADD = auto()
    REMOVE = auto()

    def applied(self, before: Flags, given: Flags) -> Flags:
        """What becomes of a message's flags."""
        if self is FlagChange.REPLACE:
            return given
        return before | given if self is FlagChange.ADD else before - given


class Upload(NamedTuple):
    """One message of an APPEND; without an internal date it is of now."""

    content: bytes
    flags: Flags
    internal_date: int | None


@dataclass(frozen=True, slots=True)
class Copied:
    """For COPYUID and APPENDUID (RFC 4315): parallel, ascending by source."""

    uid_validity: int
    source_uids: Sequence[int]
    target_uids: Sequence[int]
