"""EXPUNGE and UID EXPUNGE.

expunge     = "EXPUNGE"                          ; RFC 3501 section 6.4.3
uid-expunge = "UID" SP "EXPUNGE" SP sequence-set ; RFC 4315 section 2.1
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from imap_out import mod_seqs
from imap_out.codes import Answer, ok
from imap_out.commands.storing import writable
from imap_out.grammar import Arguments
from mail.mailbox import DELETED

if TYPE_CHECKING:
    from imap_out.session import Session


async def expunge(session: Session, arguments: Arguments) -> Answer:
    """All that is \\Deleted."""
    arguments.end()
    return _expunge(session, session.selected.uids)


async def uid_expunge(session: Session, arguments: Arguments) -> Answer:
    """Those of the set that are \\Deleted."""
    arguments.space()
    uids = arguments.sequence_set()
    arguments.end()
    return _expunge(session, session.selected.by_uid(uids))


def _expunge(session: Session, uids: Iterable[int]) -> Answer:
    """The EXPUNGE responses are said by the session's update, like those for others' expunges."""
    view = writable(session)
    deleted = [uid for uid in uids if DELETED in view.flags(uid)]
    if not deleted:
        return ok(b"Expunged.")
    session.store.expunge(view.folder, deleted)
    session.note("expunged", folder=view.folder.folder_id, uids=deleted)
    return ok(b"Expunged.", mod_seqs.after_removal(session))
