"""From a password to a key: the one door to libpass (passlib's API) and argon2-cffi.

Apart because this is the only work in the house that is slow on purpose. Anyone can send
bytes here (a login). Argon2id, RFC 9106; the password is never stored, not even as a hash:
it is right when the key made from it opens the account's wrap.

libpass has no call for a raw key, but its parsed hash holds the tag as bytes, and that tag
is Argon2's output, so no second library call is needed.
"""

from __future__ import annotations

import os
import unicodedata
from dataclasses import dataclass

from passlib.hash import argon2

from mail.errors import Reason, Refusal, Unavailable
from mail.secret import Secret

MIN_CHARACTERS = 8
MAX_OCTETS = 1024
"""NIST SP 800-63B-4 section 3.1.1.2 wants at least 64 characters accepted; the upper bound is there
because hashing megabytes for strangers is a way to keep us busy."""

_SALT_OCTETS = 16


@dataclass(frozen=True, slots=True)
class Cost:
    """Argon2id's parameters; they travel with each wrap, so they can be raised later.

    The default (19 MiB, 2 passes) is OWASP's first choice and costs 26 ms here.
    """

    memory_kib: int = 19456
    passes: int = 2
    lanes: int = 1


def kek(password: Secret, salt: bytes, cost: Cost) -> Secret:
    """32 octets by Argon2id. Blocks for `cost` and releases the GIL: call it on a thread.

    Refusal(LOGIN_FAILED) for a password longer than `MAX_OCTETS` (whoever has an account or
    not); Unavailable when there is no memory for it.
    """
    text = _prepared(password.reveal())
    if len(text) > MAX_OCTETS:
        raise Refusal(Reason.LOGIN_FAILED, "The address or the password is wrong.")
    algorithm = argon2.using(
        type="ID",
        salt=salt,
        memory_cost=cost.memory_kib,
        rounds=cost.passes,
        parallelism=cost.lanes,
        digest_size=32,
    )
    try:
        encoded = algorithm.hash(text)
    except (MemoryError, ValueError):  # libpass words "no memory" as a malformed hash
        raise Unavailable from None
    return Secret(argon2.from_string(encoded).checksum)


def new_salt() -> bytes:
    """16 random bytes (RFC 9106 section 3.1)."""
    return os.urandom(_SALT_OCTETS)


def check_strength(password: Secret) -> None:
    """Refusal(WEAK_PASSWORD) for what no one may choose; the words say how to choose better."""
    text = _prepared(password.reveal())
    if len(text.decode("utf-8", "replace")) < MIN_CHARACTERS:
        raise Refusal(Reason.WEAK_PASSWORD, f"A password needs at least {MIN_CHARACTERS} characters.")
    if len(text) > MAX_OCTETS:
        raise Refusal(Reason.WEAK_PASSWORD, f"A password may have at most {MAX_OCTETS} octets.")


def _prepared(raw: bytes) -> bytes:
    """OpaqueString of RFC 8265 section 4.2.2: any space becomes U+0020, then NFC, so that a
    password typed on a Mac is the one typed on a PC. What is no UTF-8 stays as it is."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw
    spaced = "".join(" " if unicodedata.category(c) == "Zs" else c for c in text)
    return unicodedata.normalize("NFC", spaced).encode("utf-8")
