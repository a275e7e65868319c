"""APPEND: a client files messages (its Sent copy, its drafts, an import).

Sent by members. The message's octets are kept as they are; only a message without a single
octet, or with a NUL, is refused. The upper bound is framing's, before the octets are taken.

    append  = "APPEND" SP mailbox 1*append-message          ; RFC 3502 section 6.3.11
    append-message = [SP flag-list] [SP date-time] SP ["~"] literal   ; literal8: RFC 3516 section 7
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imap_out import moments
from imap_out.codes import Answer, ok
from imap_out.grammar import Arguments
from mail.errors import Reason, Refusal
from mail.mailbox import Flags, Upload
from mail.numbers import NumberSet

if TYPE_CHECKING:
    from imap_out.session import Session


_MOST = 100  # messages of one APPEND: each is a file that stays open until all are there


async def append(session: Session, arguments: Arguments) -> Answer:
    """RFC 3501 section 6.3.11, RFC 3502: all or none; APPENDUID of RFC 4315 section 3."""
    arguments.space()
    name = arguments.mailbox()
    uploads = [_upload(arguments)]
    while not arguments.ended:
        uploads.append(_upload(arguments))
    arguments.end()
    if len(uploads) > _MOST:
        raise Refusal(Reason.LIMIT, "That is too many messages for one APPEND.")
    for upload in uploads:
        _check(upload.content)
    folder = session.store.folder(name)
    if len(uploads) == 1:
        copied = await session.store.append(folder, *uploads[0])
    else:
        copied = await session.store.append_all(folder, uploads)
    session.note("appended", folder=folder.folder_id, uids=copied.target_uids)
    # In the order of the messages, which is not always ascending: an old copy may have been named.
    uids = NumberSet.of(copied.target_uids).render()
    words = b"Message stored." if len(uploads) == 1 else b"Messages stored."
    return ok(words, b"APPENDUID %d %b" % (copied.uid_validity, uids))


def _upload(arguments: Arguments) -> Upload:
    arguments.space()
    flags: Flags = frozenset()
    internal_date: int | None = None
    if arguments.at(b"("):
        flags = arguments.flags()
        arguments.space()
    if arguments.at(b'"'):
        internal_date = moments.parse(arguments)
        arguments.space()
    binary = arguments.taken(b"~")
    content = arguments.literal()
    if binary and b"\0" in content:
        # RFC 3516 section 4.2: who cannot keep binary content says so; BODY[] could never send it out.
        raise Refusal(Reason.UNKNOWN_ENCODING, "A message must not hold NUL, also as a binary literal.")
    return Upload(content, flags, internal_date)


def _check(content: bytes) -> None:
    if not content:
        raise Refusal(Reason.BAD_MESSAGE, "An empty message is no message.")
    if b"\0" in content:
        # RFC 3501 section 9: a literal is of CHAR8, %x01-ff, so it could never be sent out again.
        raise Refusal(Reason.BAD_MESSAGE, "A message must not hold NUL.")
