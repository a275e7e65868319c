"""SUBSCRIBE, UNSUBSCRIBE, CREATE, DELETE, RENAME, STATUS.

Sent by members. A name is decoded strictly here (`imap_out.utf7`) and judged by the store.

    create = "CREATE" SP mailbox         ; RFC 3501 section 6.3.3
    rename = "RENAME" SP mailbox SP mailbox
    status = "STATUS" SP mailbox SP "(" status-att *(SP status-att) ")"
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from imap_out import wording
from imap_out.codes import Answer, ok
from imap_out.grammar import Arguments, bad
from mail.errors import Reason, Refusal
from mail.mailbox import Status

if TYPE_CHECKING:
    from imap_out.session import Session

STATUS_ITEMS: Mapping[bytes, Callable[[Status], int]] = {
    b"MESSAGES": lambda s: s.messages,
    b"RECENT": lambda s: s.recent,
    b"UIDNEXT": lambda s: s.uid_next,
    b"UIDVALIDITY": lambda s: s.uid_validity,
    b"UNSEEN": lambda s: s.unseen,
}


async def subscribe(session: Session, arguments: Arguments) -> Answer:
    """RFC 3501 section 6.3.6; the folder must exist, so that the list stays bounded."""
    name = _only_name(arguments)
    session.store.subscribe(session.store.folder(name).name, True)
    return ok(b"Subscribed.")


async def unsubscribe(session: Session, arguments: Arguments) -> Answer:
    """RFC 3501 section 6.3.7; the folder need not exist."""
    session.store.subscribe(_only_name(arguments), False)
    return ok(b"Unsubscribed.")


async def create(session: Session, arguments: Arguments) -> Answer:
    """RFC 3501 section 6.3.3: a separator at the end only says that children will come."""
    arguments.space()
    name = arguments.mailbox()
    arguments.end()
    session.store.create(_creatable(name.removesuffix("/")))
    return ok(b"Folder created.")


async def delete(session: Session, arguments: Arguments) -> Answer:
    """RFC 3501 section 6.3.4."""
    folder = session.store.folder(_only_name(arguments))
    session.store.delete(folder)
    if session.view is not None and session.view.folder.folder_id == folder.folder_id:
        session.select(None)
    return ok(b"Folder deleted.")


async def rename(session: Session, arguments: Arguments) -> Answer:
    """RFC 3501 section 6.3.5."""
    arguments.space()
    old = arguments.mailbox()
    arguments.space()
    new = arguments.mailbox()
    arguments.end()
    folder = session.store.folder(old)
    session.store.rename(folder, _creatable(new.removesuffix("/")))
    return ok(b"Folder renamed.")


async def status(session: Session, arguments: Arguments) -> Answer:
    """RFC 3501 section 6.3.10."""
    arguments.space()
    name = arguments.mailbox()
    arguments.space()
    items = arguments.list_of(arguments.word)
    arguments.end()
    if not items or any(item not in STATUS_ITEMS for item in items):
        raise bad("There is no such status item.")
    figures = session.store.status(session.store.folder(name))
    pairs = b" ".join(b"%b %d" % (item, STATUS_ITEMS[item](figures)) for item in items)
    session.say(b"* STATUS %b (%b)\r\n" % (wording.mailbox(name), pairs))
    return ok(b"Status shown.")


def _only_name(arguments: Arguments) -> str:
    arguments.space()
    name = arguments.mailbox()
    arguments.end()
    return name


def _creatable(name: str) -> str:
    """The store judges names; wildcards are IMAP's own matter: such a name could not be listed alone."""
    if "*" in name or "%" in name:
        raise Refusal(Reason.FOLDER_NOT_PERMITTED, "A folder name must not hold * or %.")
    return name
