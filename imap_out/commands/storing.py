"""STORE and UID STORE: flags and keywords.

store = "STORE" SP sequence-set [SP "(" "UNCHANGEDSINCE" SP mod-sequence-valzer ")"]
        SP store-att-flags               ; RFC 3501 section 6.4.6, RFC 7162 section 7
store-att-flags = (["+" / "-"] "FLAGS" [".SILENT"]) SP (flag-list / (flag *(SP flag)))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from imap_out import mod_seqs
from imap_out.codes import NO, OK, Answer
from imap_out.grammar import Arguments, bad
from imap_out.view import View
from mail.errors import Reason, Refusal
from mail.mailbox import FlagChange, Flags
from mail.numbers import NumberSet

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
    since = _unchanged_since(arguments)
    way = WAYS.get(arguments.word())
    if way is None:
        raise bad("STORE changes FLAGS.")
    arguments.space()
    flags = _flags(arguments)
    arguments.end()
    how, silent = way
    view = writable(session)
    uids = view.chosen(numbers, by_uid=by_uid)
    if since is not None:
        mod_seqs.use(session)
    found = 0  # messages that are still there
    modified: list[int] = []
    for start in range(0, len(uids), _SLICE):
        entries, left_alone = session.store.change_flags(
            view.folder, uids[start : start + _SLICE], how, flags, since
        )
        found += len(entries) + len(left_alone)
        modified += left_alone
        view.learn(entries, (lambda known: how.applied(known, flags)) if silent else None)
        session.say_new_keywords()
        if not silent or session.enabled.condstore:
            # RFC 7162 section 3.1.3: the new mod-sequence is told even when silence was asked for.
            present = [entry.uid for entry in entries]
            session.say(b"".join(view.flag_lines(present, by_uid=by_uid, flags=not silent)))
        await session.turn()
    # RFC 2180 section 4.2.3: the others are done and told; who asked must learn of these.
    gone = found < len(uids) and not (by_uid or silent)
    if modified:
        return Answer(
            NO if gone else OK, _modified(view, modified, by_uid=by_uid), b"Not all were changed."
        )
    if gone:
        raise Refusal(Reason.NO_SUCH_MESSAGE, "Some of the messages are gone.")
    return Answer(OK, b"", b"Flags changed.")


def _unchanged_since(arguments: Arguments) -> int | None:
    """RFC 7162 section 3.1.3. Zero passes: no message is as old, so all are left alone."""
    if not arguments.taken(b"("):
        return None
    if arguments.word() != b"UNCHANGEDSINCE":
        raise bad("There is no such STORE modifier.")
    arguments.space()
    since = arguments.long_number()
    arguments.expect(b") ")
    return since


def _modified(view: View, uids: Sequence[int], *, by_uid: bool) -> bytes:
    """Numbers to STORE, UIDs to UID STORE: what a client would name them by."""
    named = uids if by_uid else [number for number, _ in view.numbered(uids)]
    return b"MODIFIED " + NumberSet.of(named).render()


def _flags(arguments: Arguments) -> Flags:
    if arguments.at(b"("):
        return arguments.flags()
    flags = {arguments.flag()}
    while not arguments.ended:
        arguments.space()
        flags.add(arguments.flag())
    return frozenset(flags)
