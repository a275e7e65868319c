"""SASL PLAIN and LOGIN as conversations, sans-IO: yield a challenge, be sent the response.

Apart because it has no socket, and because a bad octet here took down other people's logins
elsewhere (Dovecot CVE-2025-59028, CVE-2019-10691). Anyone who can connect sends bytes here.
SCRAM is not offered: the password itself opens the member's key.

RFC 4954 (AUTH), RFC 4616 (PLAIN), draft-murchison-sasl-login (LOGIN).
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Callable, Generator
from dataclasses import dataclass

from mail.errors import Reason, Refusal
from mail.secret import Secret

_LONGEST_NAME = 320  # 64 + "@" + 255


@dataclass(frozen=True, slots=True)
class Credentials:
    """What somebody says they are, and their proof."""

    name: str
    password: Secret


Exchange = Generator[bytes, bytes, Credentials]
"""Yields challenges, takes responses (both without base64), returns credentials or raises Refusal."""


def plain() -> Exchange:
    """`[authzid] NUL authcid NUL passwd`."""
    parts = (yield b"").split(b"\0")
    if len(parts) != 3:
        raise _malformed()
    # Acting for somebody else is not offered; naming oneself is the same as naming nobody.
    if parts[0] not in (b"", parts[1]):
        raise Refusal(Reason.LOGIN_FAILED, "Logging in for somebody else is not possible.")
    return _credentials(parts[1], parts[2])


def login() -> Exchange:
    """Name and password, a line each."""
    name = yield b"Username:"
    password = yield b"Password:"
    return _credentials(name, password)


MECHANISMS: dict[str, Callable[[], Exchange]] = {"PLAIN": plain, "LOGIN": login}


def decoded(line: bytes) -> bytes:
    """base64, strictly. "=" is the empty initial response (RFC 4954 section 4)."""
    if line == b"=":
        return b""
    try:
        return b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        raise _malformed() from None


def encoded(challenge: bytes) -> str:
    """A challenge as it goes behind 334."""
    return b64encode(challenge).decode("ascii")


def _credentials(name: bytes, password: bytes) -> Credentials:
    try:
        text = name.decode("utf-8")
        password.decode("utf-8")
    except UnicodeDecodeError:
        raise _malformed() from None
    if not text or len(name) > _LONGEST_NAME or not text.isprintable() or b"\0" in password or not password:
        raise _malformed()
    return Credentials(text, Secret(password))


def _malformed() -> Refusal:
    return Refusal(Reason.BAD_SYNTAX, "That is not a valid response.")
