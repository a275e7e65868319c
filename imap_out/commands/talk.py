"""CAPABILITY, NOOP, LOGOUT, ID, ENABLE: in any state. Strangers send these.

id     = "ID" SP id-params-list                  ; RFC 2971 section 4
id-params-list = "(" [string SP nstring *(SP string SP nstring)] ")" / nil
enable = "ENABLE" 1*(SP capability)              ; RFC 5161 section 5
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from imap_out import capabilities, mod_seqs
from imap_out.codes import Answer, ok
from imap_out.grammar import Arguments, bad

if TYPE_CHECKING:
    from collections.abc import Callable

    from imap_out.session import Session

_MOST_ID_FIELDS = 30  # RFC 2971 section 3.3
_OUR_ID = b'* ID ("name" "Secure Inbox")\r\n'  # no version: it would only help whoever looks for an old one

ENABLEABLE: Mapping[bytes, Callable[[Session], None]] = {
    b"CONDSTORE": mod_seqs.use,  # RFC 7162 section 3.1
    b"QRESYNC": mod_seqs.use_qresync,  # RFC 7162 section 3.2.3
}
"""Extensions that a client must ask for: name -> what switches it on."""


async def capability(session: Session, arguments: Arguments) -> Answer:
    """RFC 3501 section 6.1.1."""
    arguments.end()
    session.say(b"* CAPABILITY " + b" ".join(capabilities.of(session)) + b"\r\n")
    return ok(b"Capabilities listed.")


async def noop(_session: Session, arguments: Arguments) -> Answer:
    """RFC 3501 section 6.1.2; what is new is said by the session."""
    arguments.end()
    return ok(b"Nothing done.")


async def logout(session: Session, arguments: Arguments) -> Answer:
    """RFC 3501 section 6.1.3."""
    arguments.end()
    session.end()
    session.say(b"* BYE Good bye.\r\n")
    return ok(b"Logged out.")


async def identify(session: Session, arguments: Arguments) -> Answer:
    """RFC 2971. What the client says of itself is checked and forgotten."""
    arguments.space()
    if arguments.at(b"("):
        given = arguments.list_of(arguments.nstring)
        if len(given) % 2 or len(given) > 2 * _MOST_ID_FIELDS or None in given[::2]:
            raise bad("ID takes up to 30 pairs.")
    elif arguments.nstring() is not None:
        raise bad("ID takes a list or NIL.")
    arguments.end()
    session.say(_OUR_ID)
    return ok(b"Pleased to meet you.")


async def enable(session: Session, arguments: Arguments) -> Answer:
    """RFC 5161 section 3.1: what is unknown is ignored, what is on already is not named again."""
    asked: list[bytes] = []
    arguments.space()
    while True:
        asked.append(arguments.word())
        if arguments.ended:
            break
        arguments.space()
    enabled = [
        name for name in dict.fromkeys(asked) if name in ENABLEABLE and name not in session.asked_for
    ]
    for name in enabled:
        ENABLEABLE[name](session)
        session.asked_for.add(name)
    session.say(b" ".join([b"* ENABLED", *enabled]) + b"\r\n")
    return ok(b"Enabled.")
