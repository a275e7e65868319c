"""COPY and MOVE, by number and by UID.

copy = "COPY" SP sequence-set SP mailbox          ; RFC 3501 section 6.4.7
move = "MOVE" SP sequence-set SP mailbox          ; RFC 6851 section 3.1
resp-code-copy = "COPYUID" SP nz-number SP uid-set SP uid-set   ; RFC 4315 section 3
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imap_out import mod_seqs
from imap_out.codes import Answer, ok
from imap_out.commands.storing import writable
from imap_out.grammar import Arguments
from mail.mailbox import Copied, Folder
from mail.numbers import NumberSet

if TYPE_CHECKING:
    from imap_out.session import Session


async def copy(session: Session, arguments: Arguments) -> Answer:
    """RFC 3501 section 6.4.7."""
    return _copy(session, arguments, by_uid=False)


async def uid_copy(session: Session, arguments: Arguments) -> Answer:
    """RFC 3501 section 6.4.8."""
    return _copy(session, arguments, by_uid=True)


async def move(session: Session, arguments: Arguments) -> Answer:
    """RFC 6851 section 3.1."""
    return _move(session, arguments, by_uid=False)


async def uid_move(session: Session, arguments: Arguments) -> Answer:
    """RFC 6851 section 3.2."""
    return _move(session, arguments, by_uid=True)


def _copy(session: Session, arguments: Arguments, *, by_uid: bool) -> Answer:
    uids, target = _arguments(session, arguments, by_uid=by_uid)
    if not uids:
        return ok(b"Nothing to copy.")
    folder = session.selected.folder
    copied = session.store.copy(folder, uids, target)
    _note(session, "copied", folder, target, copied)
    return ok(b"Copied.", _code(copied))


def _move(session: Session, arguments: Arguments, *, by_uid: bool) -> Answer:
    uids, target = _arguments(session, arguments, by_uid=by_uid)
    view = writable(session)
    if not uids:
        return ok(b"Nothing to move.")
    copied = session.store.move(view.folder, uids, target)
    _note(session, "moved", view.folder, target, copied)
    if code := _code(copied):
        # RFC 6851 section 4.3: COPYUID comes untagged, before the EXPUNGE responses.
        session.say(b"* OK [" + code + b"] Moved.\r\n")
    return ok(b"Moved.", mod_seqs.after_removal(session) if code else b"")  # RFC 7162 section 3.2.7


def _arguments(session: Session, arguments: Arguments, *, by_uid: bool) -> tuple[list[int], Folder]:
    arguments.space()
    numbers = arguments.sequence_set()
    arguments.space()
    name = arguments.mailbox()
    arguments.end()
    uids, target = session.selected.chosen(numbers, by_uid=by_uid), session.store.folder(name)
    if not by_uid:
        # RFC 2180 section 4.4.1: all that was named, or nothing and NO. OK would be taken for done.
        session.selected.require(uids)
    return uids, target


def _note(session: Session, event: str, source: Folder, target: Folder, copied: Copied) -> None:
    session.note(
        event,
        folder=source.folder_id,
        uids=copied.source_uids,
        to_folder=target.folder_id,
        to_uids=copied.target_uids,
    )


def _code(copied: Copied) -> bytes:
    """Both sets name the UIDs one by one, in the same order, as ranges where they run together."""
    if not copied.source_uids:
        return b""
    source, target = NumberSet.of(copied.source_uids).render(), NumberSet.of(copied.target_uids).render()
    return b"COPYUID %d %b %b" % (copied.uid_validity, source, target)
