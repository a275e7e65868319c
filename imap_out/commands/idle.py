"""IDLE: the client waits, and hears of changes as they happen.

idle = "IDLE" CRLF "DONE"            ; RFC 2177 section 4
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imap_out.codes import Answer, ok
from imap_out.grammar import Arguments, bad

if TYPE_CHECKING:
    from imap_out.session import Session


async def idle(session: Session, arguments: Arguments) -> Answer:
    """RFC 2177 section 3. The watch starts before the first look, so that nothing falls between."""
    arguments.end()
    with session.watching():
        session.say(b"+ idling\r\n")
        line: bytes | None = None
        while line is None:
            session.catch_up(expunges=True)
            await session.flush()
            line = await session.line_or_change()
    if line.strip().upper() != b"DONE":
        raise bad("IDLE is ended by DONE.")
    return ok(b"Idled.")
