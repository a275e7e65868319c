"""STORE and UID STORE: flags and keywords.

store = "STORE" SP sequence-set SP store-att-flags        ; RFC 3501 section 6.4.6
store-att-flags = (["+" / "-"] "FLAGS" [".SILENT"]) SP (flag-list / (flag *(SP flag)))
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from imap_out.codes import Answer, ok
from imap_out.grammar import Arguments, bad
from imap_out.view import View
from mail.errors import Reason, Refusal
from mail.mailbox import FlagChange, Flags

if TYPE_CHECKING:
    from imap_out.session import Session

_SLICE = 1000  # messages a transaction; others run in between

WAYS: Mapping[bytes, tuple[FlagChange, bool]] = {
    b"FLAGS": (FlagChange.REPLACE, False),
    b"FLAGS.SILENT": (FlagChange.REPLACE, True),
    b"+FLAGS": (FlagChange.ADD, False),
    b"+FLAGS.SILENT": (FlagChange.ADD, True),
    b"-FLAGS": (FlagChange.REMOVE, False),
    b"-FLAGS.SILENT": (FlagChange.REMOVE, True),
}


async def store(session: Session, arguments: Arguments) -> Answer:
    """RFC 3501 section 6.4.6."""
    return await _store(session, arguments, by_uid=False)


async def uid_store(session: Session, arguments: Arguments) -> Answer:
    """RFC 3501 section 6.4.8."""
    return await _store(session, arguments, by_uid=True)


def writable(session: Session) -> View:
    """The selected folder, unless it was opened by EXAMINE."""
    if session.selected.read_only:
        raise Refusal(Reason.FOLDER_NOT_PERMITTED, "The folder was opened read-only.")
    return session.selected


async def _store(session: Session, arguments: Arguments, *, by_uid: bool) -> Answer:
    arguments.space()
    numbers = arguments.sequence_set()
    arguments.space()
    way = WAYS.get(arguments.word())
    if way is None:
        raise bad("STORE changes FLAGS.")
    arguments.space()
    flags = _flags(arguments)
    arguments.end()
    how, silent = way
    view = writable(session)
    uids = view.chosen(numbers, by_uid=by_uid)
    found = 0  # messages that are still there
    for start in range(0, len(uids), _SLICE):
        entries, _ = session.store.change_flags(view.folder, uids[start : start + _SLICE], how, flags)
        found += len(entries)
        view.learn(entries, (lambda known: how.applied(known, flags)) if silent else None)
        session.say_new_keywords()
        if not silent:
            present = [entry.uid for entry in entries]
            form = b"* %d FETCH (UID %d FLAGS %b)\r\n" if by_uid else b"* %d FETCH (FLAGS %b)\r\n"
            for number, uid, text in view.flag_rows(present):
                session.say(form % ((number, uid, text) if by_uid else (number, text)))
        await session.turn()
    if not (by_uid or silent) and found < len(uids):
        # RFC 2180 section 4.2.3: the others are done and told; who asked must learn of these.
        raise Refusal(Reason.NO_SUCH_MESSAGE, "Some of the messages are gone.")
    return ok(b"Flags changed.")


def _flags(arguments: Arguments) -> Flags:
    if arguments.at(b"("):
        return arguments.flags()
    flags = {arguments.flag()}
    while not arguments.ended:
        arguments.space()
        flags.add(arguments.flag())
    return frozenset(flags)
