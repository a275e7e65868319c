"""SELECT, EXAMINE, CHECK, CLOSE, UNSELECT.

select = "SELECT" SP mailbox         ; RFC 3501 section 6.3.1
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imap_out.codes import Answer, ok
from imap_out.commands.folders import mailbox_id
from imap_out.grammar import Arguments, bad
from imap_out.view import View
from mail.mailbox import DELETED

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
    arguments.end()
    session.select(None)  # also when what follows fails: "no mailbox is selected"
    folder = session.store.folder(name)
    view = View(session.store, folder, read_only=read_only)
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


async def check(_session: Session, arguments: Arguments) -> Answer:
    """RFC 3501 section 6.4.1: everything is always on the disk."""
    arguments.end()
    return ok(b"Checked.")


async def close(session: Session, arguments: Arguments) -> Answer:
    """RFC 3501 section 6.4.2: removes what is \\Deleted, without a word about it."""
    arguments.end()
    view = session.selected
    if not view.read_only:
        deleted = [uid for uid in view.uids if DELETED in view.flags(uid)]
        if deleted:
            session.store.expunge(view.folder, deleted)
            session.note("expunged", folder=view.folder.folder_id, uids=deleted)
    session.select(None)
    return ok(b"Folder closed.")


async def unselect(session: Session, arguments: Arguments) -> Answer:
    """RFC 3691: the same, removing nothing."""
    arguments.end()
    session.select(None)
    return ok(b"Folder left.")
