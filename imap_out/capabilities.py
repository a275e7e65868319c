"""What the server says it can do, by state (RFC 3501 sections 6.1.1, 7.2.1).

Apart because it is the other half of the table of commands: an extension that clients
look for before they use it has a row here. Nothing is listed that is not served.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from imap_out.states import State

if TYPE_CHECKING:
    from imap_out.session import Session


def _always(_session: Session) -> bool:
    return True


def _outside(session: Session) -> bool:
    return session.state is State.NOT_AUTHENTICATED


def _inside(session: Session) -> bool:
    return not _outside(session)


def _may_log_in(session: Session) -> bool:
    return _outside(session) and session.wire.secure


ROWS: tuple[tuple[bytes, Callable[[Session], bool]], ...] = (
    (b"IMAP4rev1", _always),  # RFC 3501
    # RFC 7888 section 5: only one of "LITERAL+" and "LITERAL-", and this one grants what that one does.
    (b"LITERAL+", _always),
    (b"SASL-IR", _outside),  # RFC 4959
    (b"STARTTLS", lambda s: _outside(s) and s.wire.can_start_tls and not s.wire.secure),
    (b"LOGINDISABLED", lambda s: _outside(s) and not s.wire.secure),  # RFC 3501 section 6.2.3
    (b"AUTH=PLAIN", _may_log_in),  # RFC 4616
    (b"AUTH=LOGIN", _may_log_in),
    (b"ID", _always),  # RFC 2971
    (b"ENABLE", _inside),  # RFC 5161
    (b"IDLE", _inside),  # RFC 2177
    (b"NAMESPACE", _inside),  # RFC 2342
    (b"CHILDREN", _inside),  # RFC 3348
    (b"UNSELECT", _inside),  # RFC 3691
    (b"UIDPLUS", _inside),  # RFC 4315
    (b"MOVE", _inside),  # RFC 6851
    (b"CONDSTORE", _inside),  # RFC 7162
    (b"QRESYNC", _inside),  # RFC 7162
    (b"SPECIAL-USE", _inside),  # RFC 6154
    (b"CREATE-SPECIAL-USE", _inside),  # RFC 6154
    (b"LIST-EXTENDED", _inside),  # RFC 5258
    (b"LIST-STATUS", _inside),  # RFC 5819
    (b"STATUS=SIZE", _inside),  # RFC 8438
    (b"BINARY", _inside),  # RFC 3516
    (b"MULTIAPPEND", _inside),  # RFC 3502
    (b"PREVIEW", _inside),  # RFC 8970
    (b"OBJECTID", _inside),  # RFC 8474
    (b"SAVEDATE", _inside),  # RFC 8514
    (b"ESEARCH", _inside),  # RFC 4731
    (b"SEARCHRES", _inside),  # RFC 5182
    (b"WITHIN", _inside),  # RFC 5032
    (b"SORT", _inside),  # RFC 5256
    (b"SORT=DISPLAY", _inside),  # RFC 5957
    (b"THREAD=ORDEREDSUBJECT", _inside),  # RFC 5256
    (b"THREAD=REFERENCES", _inside),
)


def of(session: Session) -> list[bytes]:
    """Those that hold now, in a fixed order."""
    names = [name for name, holds in ROWS if holds(session)]
    if _inside(session):  # RFC 7889 section 2: octets of one message, for every folder alike
        names.append(b"APPENDLIMIT=%d" % session.limits.after_login.append)
    return names
