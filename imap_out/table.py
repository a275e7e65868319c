"""THE TABLE: command -> the states it is allowed in, its function, what may be told after it.

Apart so that it can be read at one look. A new extension is a file in `commands/` and a row
here; if clients must know of it, one in `capabilities`; if it must be switched on, one in
`commands.talk.ENABLEABLE`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from imap_out.codes import Answer
from imap_out.commands import (
    append,
    copying,
    expunge,
    fetch,
    folders,
    idle,
    listing,
    login,
    search,
    selecting,
    sorting,
    storing,
    talk,
)
from imap_out.grammar import Arguments
from imap_out.states import State, Tell
from mail.errors import Reason

if TYPE_CHECKING:
    from imap_out.session import Session


@dataclass(frozen=True, slots=True)
class Row:
    """One command. `codes` replaces rows of `codes.CODES` where the RFC asks for another."""

    states: frozenset[State]
    run: Callable[[Session, Arguments], Awaitable[Answer]]
    tell: Tell = Tell.ALL
    codes: Mapping[Reason, bytes] = field(default_factory=dict)


ANY = frozenset({State.NOT_AUTHENTICATED, State.AUTHENTICATED, State.SELECTED})
OUTSIDE = frozenset({State.NOT_AUTHENTICATED})
INSIDE = frozenset({State.AUTHENTICATED, State.SELECTED})
SELECTED = frozenset({State.SELECTED})
_TRY_CREATE = {Reason.NO_SUCH_FOLDER: b"TRYCREATE"}  # RFC 3501 sections 6.3.11, 6.4.7

TABLE: Mapping[bytes, Row] = {
    b"CAPABILITY": Row(ANY, talk.capability),
    b"NOOP": Row(ANY, talk.noop),
    b"LOGOUT": Row(ANY, talk.logout, Tell.NOTHING),
    b"ID": Row(ANY, talk.identify),
    b"STARTTLS": Row(OUTSIDE, login.start_tls),
    b"LOGIN": Row(OUTSIDE, login.login),
    b"AUTHENTICATE": Row(OUTSIDE, login.authenticate),
    b"ENABLE": Row(frozenset({State.AUTHENTICATED}), talk.enable),  # RFC 5161 section 3.1
    b"NAMESPACE": Row(INSIDE, listing.namespace),
    b"LIST": Row(INSIDE, listing.list_),
    b"LSUB": Row(INSIDE, listing.lsub),
    b"SUBSCRIBE": Row(INSIDE, folders.subscribe),
    b"UNSUBSCRIBE": Row(INSIDE, folders.unsubscribe),
    b"CREATE": Row(INSIDE, folders.create),
    b"DELETE": Row(INSIDE, folders.delete),
    b"RENAME": Row(INSIDE, folders.rename),
    b"STATUS": Row(INSIDE, folders.status),
    b"SELECT": Row(INSIDE, selecting.select, Tell.NOTHING),
    b"EXAMINE": Row(INSIDE, selecting.examine, Tell.NOTHING),
    b"APPEND": Row(INSIDE, append.append, codes=_TRY_CREATE),
    b"IDLE": Row(INSIDE, idle.idle),
    b"CHECK": Row(SELECTED, selecting.check),
    b"CLOSE": Row(SELECTED, selecting.close, Tell.NOTHING),
    b"UNSELECT": Row(SELECTED, selecting.unselect, Tell.NOTHING),
    b"EXPUNGE": Row(SELECTED, expunge.expunge),
    b"UID EXPUNGE": Row(SELECTED, expunge.uid_expunge),
    b"SEARCH": Row(SELECTED, search.search, Tell.NO_EXPUNGE),
    b"UID SEARCH": Row(SELECTED, search.uid_search),
    b"SORT": Row(SELECTED, sorting.sort, Tell.NO_EXPUNGE),
    b"UID SORT": Row(SELECTED, sorting.uid_sort),
    b"THREAD": Row(SELECTED, sorting.thread, Tell.NO_EXPUNGE),
    b"UID THREAD": Row(SELECTED, sorting.uid_thread),
    b"FETCH": Row(SELECTED, fetch.fetch, Tell.NO_EXPUNGE),
    b"UID FETCH": Row(SELECTED, fetch.uid_fetch),
    b"STORE": Row(SELECTED, storing.store, Tell.NO_EXPUNGE),
    b"UID STORE": Row(SELECTED, storing.uid_store),
    b"COPY": Row(SELECTED, copying.copy, codes=_TRY_CREATE),
    b"UID COPY": Row(SELECTED, copying.uid_copy, codes=_TRY_CREATE),
    b"MOVE": Row(SELECTED, copying.move, codes=_TRY_CREATE),
    b"UID MOVE": Row(SELECTED, copying.uid_move, codes=_TRY_CREATE),
}
