"""Deriving, wrapping and sealing with symmetric keys: the one door to `cryptography`.

Apart because every key in the house comes from another by one of these few functions, so
that which key opens what can be read off one table. Strangers send nothing here; what is
opened was stored by us and may since have been changed by whoever can write to the disk.

HKDF-SHA256 (RFC 5869) derives, AES-256-GCM (NIST SP 800-38D) wraps and seals. Nonces are
96 random bits: one key seals fewer than 2^32 things (SP 800-38D section 8.3).
"""

from __future__ import annotations

import hashlib
import hmac
import os
from enum import StrEnum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from mail.errors import Damaged
from mail.secret import Secret

KEY_OCTETS = 32
SEAL_OVERHEAD = 12 + 16
"""Octets that `seal_bytes` adds: nonce and tag."""

_VERSION = b"\x01"
_MAX_WRAPPED_OCTETS = 64


class Label(StrEnum):
    """What a derived key is for. A label is used for one thing only, for ever."""

    # from an account secret
    INDEX = "index"  # raw key of the member's SQLCipher index
    OPENPGP = "openpgp"  # passphrase of the member's OpenPGP secret key
    # from the server key
    ACCOUNTS = "accounts"  # raw key of accounts.sqlite
    AUDIT = "audit"  # lines of the audit log
    SPOOL = "spool"  # raw key of spool.sqlite
    SPOOL_FILES = "spool files"  # the spooled messages
    DELIVERY = "delivery"  # HMAC that names a delivery
    PSEUDONYM = "pseudonym"  # HMAC that stands for an address in counters


class WrongKey(Damaged):
    """The tag does not fit: another key, or a changed byte; the two cannot be told apart."""

    def __init__(self) -> None:
        super().__init__("the key does not open this")


def derive(secret: Secret, label: str, length: int = KEY_OCTETS) -> Secret:
    """HKDF-SHA256 with a label of the table above; ValueError for any other label."""
    info = b"secure-inbox 1 " + Label(label).encode()
    return Secret(HKDF(algorithm=SHA256(), length=length, salt=None, info=info).derive(secret.reveal()))


def openpgp_passphrase(account_secret: Secret) -> Secret:
    """What protects the member's stored OpenPGP secret key: 64 hex digits, 256 bits."""
    return Secret(derive(account_secret, Label.OPENPGP).reveal().hex().encode("ascii"))


def new_key() -> Secret:
    """32 random bytes from the kernel."""
    return Secret(os.urandom(KEY_OCTETS))


def wrap(kek: Secret, secret: Secret, bound_to: str) -> bytes:
    """Seal a key under a key. It opens only together with the same `bound_to` text."""
    if len(secret) > _MAX_WRAPPED_OCTETS:
        raise ValueError("only keys are wrapped")
    return _VERSION + seal_bytes(kek, secret.reveal(), _wrap_context(bound_to))


def unwrap(kek: Secret, blob: bytes, bound_to: str) -> Secret:
    """What `wrap` sealed. WrongKey when the tag does not fit, Damaged when it is no wrap at all.

    The size is bounded because AES-GCM does not commit to its key: a long ciphertext can be
    crafted to open under many passwords at once (partitioning oracle attack).
    """
    if blob[:1] != _VERSION or not 0 < len(blob) - 1 - SEAL_OVERHEAD <= _MAX_WRAPPED_OCTETS:
        raise Damaged("a wrapped key is malformed")
    return Secret(open_bytes(kek, blob[1:], _wrap_context(bound_to)))


def seal_bytes(key: Secret, data: bytes, associated: bytes) -> bytes:
    """Nonce, ciphertext, tag. `associated` is bound but not held: say what and where this is,
    so that a sealed thing cannot be moved into another's place."""
    nonce = os.urandom(12)
    return nonce + AESGCM(key.reveal()).encrypt(nonce, data, associated)


def open_bytes(key: Secret, sealed: bytes, associated: bytes) -> bytes:
    """What `seal_bytes` sealed; WrongKey when a bit, the key or the context differs."""
    try:
        return AESGCM(key.reveal()).decrypt(sealed[:12], sealed[12:], associated)
    except (InvalidTag, ValueError):  # ValueError: too short to hold a nonce
        raise WrongKey from None


def pseudonym(key: Secret, text: str) -> str:
    """A name that tells nothing without the key: 32 hex digits of HMAC-SHA256."""
    return hmac.new(key.reveal(), text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:32]


def _wrap_context(bound_to: str) -> bytes:
    return b"secure-inbox wrap 1\0" + bound_to.encode()
