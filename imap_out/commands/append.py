"""APPEND: a client files a message (its Sent copy, its drafts, an import).

Sent by members. The message's octets are kept as they are; only a message without a single
octet, or with a NUL, is refused. The upper bound is framing's, before the octets are taken.

    append = "APPEND" SP mailbox [SP flag-list] [SP date-time] SP literal   ; RFC 3501 section 6.3.11
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imap_out import moments
from imap_out.codes import Answer, ok
from imap_out.grammar import Arguments
from mail.errors import Reason, Refusal
from mail.mailbox import Flags

if TYPE_CHECKING:
    from imap_out.session import Session


async def append(session: Session, arguments: Arguments) -> Answer:
    """RFC 3501 section 6.3.11; APPENDUID of RFC 4315 section 3."""
    arguments.space()
    name = arguments.mailbox()
    arguments.space()
    flags: Flags = frozenset()
    internal_date: int | None = None
    if arguments.at(b"("):
        flags = arguments.flags()
        arguments.space()
    if arguments.at(b'"'):
        internal_date = moments.parse(arguments)
        arguments.space()
    content = arguments.literal()
    arguments.end()
    if not content:
        raise Refusal(Reason.BAD_MESSAGE, "An empty message is no message.")
    if b"\0" in content:
        # RFC 3501 section 9: a literal is of CHAR8, %x01-ff, so it could never be sent out again.
        raise Refusal(Reason.BAD_MESSAGE, "A message must not hold NUL.")
    folder = session.store.folder(name)
    copied = await session.store.append(folder, content, flags, internal_date)
    session.note("appended", folder=folder.folder_id, uids=copied.target_uids)
    code = b"APPENDUID %d %d" % (copied.uid_validity, copied.target_uids[0])
    return ok(b"Message stored.", code)
