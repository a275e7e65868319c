"""SELECT, EXAMINE, CHECK, CLOSE, UNSELECT.

select = "SELECT" SP mailbox [SP "(" select-param *(SP select-param) ")"]   ; RFC 4466
select-param = "CONDSTORE" / "QRESYNC" SP "(" uidvalidity SP mod-sequence-value
               [SP known-uids] [SP "(" known-sequence-set SP known-uid-set ")"] ")"   ; RFC 7162 section 7
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imap_out import mod_seqs
from imap_out.codes import Answer, ok
from imap_out.commands.folders import mailbox_id
from imap_out.grammar import SAVED, Arguments, bad
from imap_out.view import View
from mail.mailbox import DELETED
from mail.numbers import STAR, NumberSet

if TYPE_CHECKING:
    from imap_out.session import Session


async def select(session: Session, arguments: Arguments) -> Answer:
    """RFC 3501 section 6.3.1."""
    return _open(session, arguments, read_only=False)


async def examine(session: Session, arguments: Arguments) -> Answer:
    """RFC 3501 section 6.3.2."""
    return _open(session, arguments, read_only=True)


def _open(session: Session, arguments: Arguments, *, read_only: bool) -> Answer:
    arguments.space()
    name = arguments.mailbox()
    condstore, known = _parameters(arguments)
    arguments.end()
    if known is not None and not session.enabled.qresync:
        raise bad("QRESYNC must be enabled first.")  # RFC 7162 section 3.2.5
    if session.view is not None:  # RFC 7162 section 3.2.11: what comes next is of another folder
        session.say(b"* OK [CLOSED] The folder before is closed.\r\n")
    session.select(None)  # also when what follows fails: "no mailbox is selected"
    folder = session.store.folder(name)
    if condstore:
        mod_seqs.use(session)
    view = View(session.store, folder, read_only=read_only, enabled=session.enabled)
    session.select(view)
    session.say(view.flag_lists())
    session.say(b"* %d EXISTS\r\n* %d RECENT\r\n" % (len(view), view.recent_count()))
    if unseen := view.first_unseen():
        session.say(b"* OK [UNSEEN %d] First unseen.\r\n" % unseen)
    session.say(b"* OK [UIDNEXT %d] Next UID.\r\n" % view.uid_next)
    session.say(b"* OK [UIDVALIDITY %d] UIDs valid.\r\n" % folder.uid_validity)
    session.say(b"* OK [MAILBOXID %b] Folder's id.\r\n" % mailbox_id(folder))  # RFC 8474 section 4.2
    session.say(b"* OK [%b] Highest.\r\n" % mod_seqs.highest(view))  # RFC 7162 section 3.1.2.1
    if known is not None and known.uid_validity == folder.uid_validity:
        session.say(_news(view, known))
    return ok(b"Folder selected.", b"READ-ONLY" if read_only else b"READ-WRITE")


@dataclass(frozen=True, slots=True)
class _Known:
    """What the client has of the folder since it was there last."""

    uid_validity: int
    mod_seq: int
    uids: NumberSet | None


def _parameters(arguments: Arguments) -> tuple[bool, _Known | None]:
    """Whether CONDSTORE is named, and what QRESYNC says."""
    condstore, known = False, None
    if arguments.ended:
        return condstore, known
    arguments.space()
    arguments.expect(b"(")
    while True:
        name = arguments.word()
        if name == b"CONDSTORE" and not condstore:
            condstore = True
        elif name == b"QRESYNC" and known is None:
            arguments.space()
            known = _known(arguments)
        else:
            raise bad("There is no such parameter.")
        if arguments.taken(b")"):
            return condstore, known
        arguments.space()


def _known(arguments: Arguments) -> _Known:
    """RFC 7162 section 3.2.5. The sequence match data is for servers that forget what was expunged;
    the store never does, so that it is checked and not needed."""
    arguments.expect(b"(")
    uid_validity = arguments.number()
    arguments.space()
    mod_seq = arguments.long_number()
    uids, more = None, arguments.taken(b" ")
    if more and not arguments.at(b"("):
        uids = _without_star(arguments)
        more = arguments.taken(b" ")
    if more:
        arguments.expect(b"(")
        numbers = _without_star(arguments)
        arguments.space()
        if _size(numbers) != _size(_without_star(arguments)):
            raise bad("The known numbers and UIDs do not match.")
        arguments.expect(b")")
    arguments.expect(b")")
    return _Known(uid_validity, mod_seq, uids)


def _without_star(arguments: Arguments) -> NumberSet:
    numbers = arguments.sequence_set()
    if numbers is SAVED or any(STAR in pair for pair in numbers.ranges):
        raise bad("A known set has no * and no $.")  # RFC 7162 section 3.2.5.1
    return numbers.resolve(0)


def _size(numbers: NumberSet) -> int:
    return sum(high - low + 1 for low, high in numbers.ranges)


def _news(view: View, known: _Known) -> bytes:
    """RFC 7162 section 3.2.5.1: first what is gone, then what is new or has other flags."""
    uids = view.uids if known.uids is None else list(known.uids.among(view.uids))
    gone = mod_seqs.vanished_earlier(view, known.mod_seq, known.uids)
    return gone + b"".join(view.flag_lines(view.changed_since(uids, known.mod_seq)))


async def check(_session: Session, arguments: Arguments) -> Answer:
    """RFC 3501 section 6.4.1: everything is always on the disk."""
    arguments.end()
    return ok(b"Checked.")


async def close(session: Session, arguments: Arguments) -> Answer:
    """RFC 3501 section 6.4.2: removes what is \\Deleted, without a word about it."""
    arguments.end()
    view, code = session.selected, b""
    if not view.read_only:
        if session.enabled.qresync:
            session.catch_up(expunges=True)
        deleted = [uid for uid in view.uids if DELETED in view.flags(uid)]
        if deleted:
            session.store.expunge(view.folder, deleted)
            session.note("expunged", folder=view.folder.folder_id, uids=deleted)
            if session.enabled.qresync:
                code = _closing(view, deleted)
    session.select(None)
    return ok(b"Folder closed.", code)


def _closing(view: View, deleted: Sequence[int]) -> bytes:
    """RFC 7162 section 3.2.8. The client takes the number for its own and hears nothing more: it
    must not stand above what another session did meanwhile."""
    since = view.store.changes(view.folder, view.highest_mod_seq)
    if since.entries or not set(deleted).issuperset(since.vanished):
        return mod_seqs.highest(view)
    return b"HIGHESTMODSEQ %d" % since.highest_mod_seq


async def unselect(session: Session, arguments: Arguments) -> Answer:
    """RFC 3691: the same, removing nothing."""
    arguments.end()
    session.select(None)
    return ok(b"Folder left.")
