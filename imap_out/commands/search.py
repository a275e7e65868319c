"""SEARCH and UID SEARCH.

Sent by members. Strings are decoded from the charset the client names; nesting is bounded.

    search = "SEARCH" [SP "CHARSET" SP astring] 1*(SP search-key)   ; RFC 3501 section 6.4.4
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from imap_out import search_keys, wording
from imap_out.codes import Answer, no, ok
from imap_out.grammar import Arguments

if TYPE_CHECKING:
    from imap_out.session import Session


async def search(session: Session, arguments: Arguments) -> Answer:
    """Answers with message numbers."""
    return await _search(session, arguments, by_uid=False)


async def uid_search(session: Session, arguments: Arguments) -> Answer:
    """Answers with UIDs."""
    return await _search(session, arguments, by_uid=True)


async def _search(session: Session, arguments: Arguments, *, by_uid: bool) -> Answer:
    arguments.space()
    charset = "utf-8"  # US-ASCII is what RFC 3501 says; clients send UTF-8 without saying so
    if arguments.optional(search_keys.CHARSET):
        named = search_keys.charset(arguments.astring())
        if named is None:
            return no(b"That charset is not known here.", b"BADCHARSET (US-ASCII UTF-8)")
        charset = named
        arguments.space()
    view = session.selected
    key = search_keys.Reader(arguments, view, charset, session.limits).all()
    arguments.end()
    found: Sequence[int] = await session.store.search(view.folder, key)
    pairs = view.numbered(found)
    numbers = [uid for _, uid in pairs] if by_uid else [number for number, _ in pairs]
    session.say(b"* SEARCH" + (b" " + wording.numbers(numbers) if numbers else b"") + b"\r\n")
    return ok(b"Searched.")
