"""The states of a session and what may be told in them (RFC 3501 sections 3 and 7.4.1).

Apart because the table, the session and the capabilities name them, and none may own them.

    NOT_AUTHENTICATED --LOGIN, AUTHENTICATE--> AUTHENTICATED --SELECT, EXAMINE--> SELECTED
    SELECTED --CLOSE, UNSELECT, a failed SELECT--> AUTHENTICATED;  any --LOGOUT, BYE--> LOGOUT
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto


class State(Enum):
    """RFC 3501 section 3."""

    NOT_AUTHENTICATED = auto()
    AUTHENTICATED = auto()
    SELECTED = auto()
    LOGOUT = auto()


class Tell(Enum):
    """What a command lets the session say of the folder when it is done (RFC 3501 7.4.1)."""

    NOTHING = auto()
    NO_EXPUNGE = auto()  # numbers in the client's next pipelined command must stay true
    ALL = auto()


@dataclass(slots=True)
class Enabled:
    """What a client has switched on; nothing of it is ever switched off (RFC 5161 section 3.1)."""

    condstore: bool = False  # RFC 7162 section 3.1: answers about flags hold MODSEQ
    qresync: bool = False  # RFC 7162 section 3.2.3: VANISHED instead of EXPUNGE; has CONDSTORE in it
