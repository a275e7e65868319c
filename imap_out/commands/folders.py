"""SUBSCRIBE, UNSUBSCRIBE, CREATE, DELETE, RENAME, STATUS.

Sent by members. A name is decoded strictly here (`imap_out.utf7`) and judged by the store.

    create = "CREATE" SP mailbox [SP "(USE (" [use-attr *(SP use-attr)] "))"]   ; RFC 3501 6.3.3, RFC 6154 6
    rename = "RENAME" SP mailbox SP mailbox
    status = "STATUS" SP mailbox SP "(" status-att *(SP status-att) ")"
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from imap_out import mod_seqs, wording
from imap_out.codes import Answer, ok
from imap_out.grammar import Arguments, bad
from mail.errors import Reason, Refusal
from mail.mailbox import Folder, Status

if TYPE_CHECKING:
    from imap_out.session import Session

_USE = re.compile(rb"\\[A-Za-z]{1,40}")

STATUS_ITEMS: Mapping[bytes, Callable[[Status], int]] = {
    b"MESSAGES": lambda s: s.messages,
    b"RECENT": lambda s: s.recent,
    b"UIDNEXT": lambda s: s.uid_next,
    b"UIDVALIDITY": lambda s: s.uid_validity,
    b"UNSEEN": lambda s: s.unseen,
    b"HIGHESTMODSEQ": lambda s: s.highest_mod_seq,  # RFC 7162 section 3.1.7
    b"SIZE": lambda s: s.size,  # RFC 8438: the sum of RFC822.SIZE
}


def mailbox_id(folder: Folder) -> bytes:
    """`(F12)`: of the folder and not of its name; a new one has another (RFC 8474 section 4)."""
    return b"(F%d)" % folder.folder_id


def _append_limit(session: Session, _folder: Folder) -> bytes:
    """RFC 7889 section 3: the same for every folder."""
    return b"%d" % session.limits.after_login.append


FOLDER_ITEMS: Mapping[bytes, Callable[[Session, Folder], bytes]] = {
    b"MAILBOXID": lambda _session, folder: mailbox_id(folder),  # RFC 8474 section 4.3
    b"APPENDLIMIT": _append_limit,
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
    uses: list[bytes] = []
    if not arguments.ended:
        arguments.space()
        uses = _uses(arguments)
    arguments.end()
    if len(uses) > 1:
        # RFC 6154 section 3: the server may refuse what it cannot keep; a folder has one use here.
        raise Refusal(Reason.USE_NOT_PERMITTED, "A folder can have one special use.")
    use = uses[0].decode("ascii") if uses else ""
    made = session.store.create(_creatable(name.removesuffix("/")), use)
    return ok(b"Folder created.", b"MAILBOXID " + mailbox_id(made))  # RFC 8474 section 4.1


def _uses(arguments: Arguments) -> list[bytes]:
    """`"(" "USE" SP "(" [use-attr *(SP use-attr)] ")" ")"` (RFC 6154 section 6)."""
    arguments.expect(b"(")
    if arguments.word() != b"USE":
        raise bad("There is no such CREATE parameter.")
    arguments.space()
    uses = arguments.list_of(lambda: arguments.match(_USE, "A special use is missing.")[0])
    arguments.expect(b")", "The list is not closed.")
    return list(dict.fromkeys(b"\\" + use[1:].capitalize() for use in uses))


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
    items = status_items(arguments)
    arguments.end()
    session.say(status_line(session, name, session.store.folder(name), items))
    return ok(b"Status shown.")


def status_items(arguments: Arguments) -> list[bytes]:
    """`"(" status-att *(SP status-att) ")"`."""
    items = arguments.list_of(arguments.word)
    if not items or any(item not in {*STATUS_ITEMS, *FOLDER_ITEMS} for item in items):
        raise bad("There is no such status item.")
    return items


def status_line(session: Session, name: str, folder: Folder, items: Sequence[bytes]) -> bytes:
    """The response; Refusal(NO_SUCH_FOLDER), Unavailable."""
    if b"HIGHESTMODSEQ" in items:
        mod_seqs.use(session)
    figures = session.store.status(folder)
    pairs = b" ".join(
        b"%b %d" % (item, STATUS_ITEMS[item](figures))
        if item in STATUS_ITEMS
        else b"%b %b" % (item, FOLDER_ITEMS[item](session, folder))
        for item in items
    )
    return b"* STATUS %b (%b)\r\n" % (wording.mailbox(name), pairs)


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
