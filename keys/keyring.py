"""Making, protecting and exporting members' OpenPGP keys: the one door to PGPy.

Apart because keys are made rarely and must open everywhere (gpg 2.2, Sequoia, Thunderbird),
while `keys.sealing` must be fast. Strangers send nothing here: keys are made by us, and a
uid is an address that was parsed strictly.

RFC 4880 v4 keys: Ed25519 primary (certify, sign), X25519 encryption subkeys (RFC 6637 ECDH
on Curve25519). Each subkey is an epoch: new mail goes to the newest one, and destroying a
subkey destroys its epoch's mail wherever copies of it lie.

Creation times are PGPy's own reading of the clock, not an argument: Sequoia compares them
with its own reading, and a key from the future cannot be encrypted to.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import pgpy
    from pgpy.constants import (
        CompressionAlgorithm,
        EllipticCurveOID,
        HashAlgorithm,
        KeyFlags,
        PubKeyAlgorithm,
        SymmetricKeyAlgorithm,
    )
    from pgpy.errors import PGPDecryptionError

from keys.wrapping import WrongKey
from mail.errors import Damaged, Reason, Refusal
from mail.secret import Secret

# PGPy still names ciphers and modules that are on their way out, at import and in each use.
warnings.filterwarnings("ignore", module=r"pgpy\.")

# PGPy takes the S2K iteration count from the hash algorithm (RFC 4880 section 3.7.1.3: 0 codes 1,024
# octets, 255 codes 65,011,712). So each use has a hash of its own and no shared state ever changes:
# stored keys have a passphrase of 256 random bits, which stretching cannot make any stronger, and
# a session opens in 0.4 ms instead of 37; an exported key has a human password and the full count.
_UNSTRETCHED, _STRETCHED = HashAlgorithm.SHA512, HashAlgorithm.SHA256
_UNSTRETCHED._tuned_count = 0


@dataclass(frozen=True, slots=True)
class Keypair:
    """Both halves, binary. `secret_key` is protected; `certificate` holds every epoch."""

    certificate: bytes
    secret_key: bytes


def generate(uid: str, passphrase: Secret) -> Keypair:
    """A key with its first epoch; about 6 ms. `passphrase`: ASCII with 256 bits of entropy."""
    key = pgpy.PGPKey.new(PubKeyAlgorithm.EdDSA, EllipticCurveOID.Ed25519)
    key.add_uid(
        pgpy.PGPUID.new(uid),
        usage={KeyFlags.Sign, KeyFlags.Certify},
        hashes=[HashAlgorithm.SHA512, HashAlgorithm.SHA256],
        ciphers=[SymmetricKeyAlgorithm.AES256],
        compression=[CompressionAlgorithm.Uncompressed],
    )
    _add_subkey(key)
    return _protected(key, passphrase)


def add_epoch(keypair: Keypair, passphrase: Secret) -> Keypair:
    """The same key with one more encryption subkey, to which mail goes from now on."""
    key = _parse(keypair.secret_key)
    with _unlocked(key, passphrase):
        _add_subkey(key)
        return _protected(key, passphrase)


def export_secret(secret_key: bytes, passphrase: Secret, new_password: Secret) -> str:
    """Armored, for gpg and Thunderbird, protected with the member's password (full S2K)."""
    try:
        password = new_password.reveal().decode("utf-8")
    except UnicodeDecodeError:
        raise Refusal(Reason.WEAK_PASSWORD, "The password is not valid UTF-8 text.") from None
    key = _parse(secret_key)
    with _unlocked(key, passphrase):
        key.protect(password, SymmetricKeyAlgorithm.AES256, _STRETCHED)
    return str(key)


def armored(certificate: bytes) -> str:
    """The public half as text."""
    return str(_parse(certificate))


def _add_subkey(key: Any) -> None:
    key.add_subkey(
        pgpy.PGPKey.new(PubKeyAlgorithm.ECDH, EllipticCurveOID.Curve25519),
        usage={KeyFlags.EncryptCommunications, KeyFlags.EncryptStorage},
    )


def _protected(key: Any, passphrase: Secret) -> Keypair:
    key.protect(passphrase.reveal().decode("ascii"), SymmetricKeyAlgorithm.AES256, _UNSTRETCHED)
    return Keypair(bytes(key.pubkey), bytes(key))


@contextmanager
def _unlocked(key: Any, passphrase: Secret) -> Iterator[None]:
    """PGPy wipes the private fields at the end of the block."""
    try:
        with key.unlock(passphrase.reveal().decode("ascii")):
            yield
    except PGPDecryptionError:
        raise WrongKey from None


def _parse(data: bytes) -> Any:
    try:
        key, _others = pgpy.PGPKey.from_blob(data)
    except (pgpy.errors.PGPError, ValueError, LookupError, TypeError, AttributeError, NotImplementedError):
        raise Damaged("an OpenPGP key is malformed") from None
    if key._key is None:  # PGPy skips what it does not know
        raise Damaged("an OpenPGP key is malformed")
    return key
