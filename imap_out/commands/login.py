"""STARTTLS, LOGIN, AUTHENTICATE PLAIN and LOGIN: where strangers become members.

Everything here is sent by strangers. No password is taken outside TLS, advertised or not
(P3); a malformed answer is BAD on this connection and nothing to any other
(CVE-2025-59028); a failed login is answered late, by a timer that holds up nobody else.

    login        = "LOGIN" SP userid SP password           ; RFC 3501 section 6.2.3
    authenticate = "AUTHENTICATE" SP auth-type [SP initial-resp] *(CRLF base64)
    initial-resp = base64 / "="                            ; RFC 4959 section 3
    message      = [authzid] NUL authcid NUL passwd        ; RFC 4616 section 2
"""

from __future__ import annotations

import asyncio
import binascii
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from imap_out import capabilities
from imap_out.codes import Answer, ok
from imap_out.grammar import Arguments, bad
from mail.errors import Reason, Refusal
from mail.secret import Secret

if TYPE_CHECKING:
    from imap_out.session import Session

_BASE64 = re.compile(rb"[A-Za-z0-9+/=]+")
_LATE = (Reason.LOGIN_FAILED, Reason.THROTTLED)
_LONGEST_NAME = 320  # octets: 64 of local part, "@", 255 of domain (RFC 5321 section 4.5.3.1)
_LONGEST_PASSWORD = 1024  # octets; Argon2 would take more, a person would not

Credentials = tuple[bytes, bytes]


async def start_tls(session: Session, arguments: Arguments) -> Answer:
    """RFC 3501 section 6.2.1. A second one is BAD."""
    arguments.end()
    if session.wire.secure:
        raise bad("TLS is already on.")
    if not session.wire.can_start_tls:
        raise bad("TLS is not on offer here.")
    session.start_tls()
    return ok(b"Begin TLS negotiation now.")


async def login(session: Session, arguments: Arguments) -> Answer:
    """RFC 3501 section 6.2.3."""
    arguments.space()
    name = arguments.astring()
    arguments.space()
    password = arguments.astring()
    arguments.end()
    _private(session)
    return await _enter(session, name, password)


async def authenticate(session: Session, arguments: Arguments) -> Answer:
    """RFC 3501 section 6.2.2 with the initial response of RFC 4959."""
    arguments.space()
    mechanism = MECHANISMS.get(arguments.word())
    initial: bytes | None = None
    if not arguments.ended:
        arguments.space()
        initial = arguments.match(_BASE64, "The response is not in base64.")[0]
    arguments.end()
    _private(session)
    if mechanism is None:
        raise Refusal(Reason.LOGIN_FAILED, "That mechanism is not on offer.")
    name, password = await mechanism(session, initial)
    return await _enter(session, name, password)


async def _plain(session: Session, initial: bytes | None) -> Credentials:
    message = _decoded(initial) if initial is not None else await _ask(session, b"")
    acting, _, rest = message.partition(b"\0")
    name, separator, password = rest.partition(b"\0")
    if not separator or b"\0" in password:
        raise bad("The response is not as RFC 4616 says.")
    if acting not in (b"", name):
        # RFC 5530: nobody acts for somebody else here.
        raise Refusal(Reason.SENDER_NOT_PERMITTED, "Acting for another user is not allowed.")
    return name, password


async def _login(session: Session, initial: bytes | None) -> Credentials:
    """The older mechanism that Outlook knows: two questions, two answers."""
    name = _decoded(initial) if initial is not None else await _ask(session, b"VXNlcm5hbWU6")
    return name, await _ask(session, b"UGFzc3dvcmQ6")


MECHANISMS: Mapping[bytes, Callable[[Session, bytes | None], Awaitable[Credentials]]] = {
    b"PLAIN": _plain,
    b"LOGIN": _login,
}


async def _ask(session: Session, question: bytes) -> bytes:
    session.say(b"+ " + question + b"\r\n")
    await session.flush()
    line = await session.line()
    if line == b"*":
        raise bad("Authentication was cancelled.")  # RFC 3501 section 6.2.2
    return _decoded(line)


def _decoded(text: bytes) -> bytes:
    if text == b"=":  # RFC 4959 section 3: an empty initial response
        return b""
    try:
        return binascii.a2b_base64(text, strict_mode=True) if text else b""
    except binascii.Error:
        raise bad("The response is not in base64.") from None


def _private(session: Session) -> None:
    if not session.wire.secure:
        session.note("login refused", peer=session.wire.peer, reason="no TLS")
        raise Refusal(Reason.ENCRYPTION_REQUIRED, "Please use TLS before you log in.")


async def _enter(session: Session, name: bytes, password: bytes) -> Answer:
    try:
        store = await session.directory.log_in(_text(name), _secret(password), session.wire.peer)
    except Refusal as refusal:
        if refusal.reason in _LATE:
            session.failed_logins += 1
            # Slows a guesser down on this connection; the directory's counters do so across them.
            await asyncio.sleep(session.limits.failed_login_seconds)
            if session.failed_logins >= session.limits.failed_logins:
                session.end()
                session.say(b"* BYE Too many failed logins.\r\n")
        raise
    session.logged_in(store)
    return ok(b"Logged in.", b"CAPABILITY " + b" ".join(capabilities.of(session)))


def _text(name: bytes) -> str:
    if not 0 < len(name) <= _LONGEST_NAME:
        raise _failed()
    try:
        text = name.decode("utf-8")
    except UnicodeDecodeError:
        raise _failed() from None
    if any(ord(character) < 0x20 for character in text):
        raise _failed()
    return text


def _secret(password: bytes) -> Secret:
    if not 0 < len(password) <= _LONGEST_PASSWORD:
        raise _failed()
    return Secret(password)


def _failed() -> Refusal:
    return Refusal(Reason.LOGIN_FAILED, "The name or the password is wrong.")
