"""OpenPGP messages made by hand, of shapes that no honest program makes."""

from __future__ import annotations

import hashlib
import os
import zlib

import pgpy
from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from pgpy.constants import SymmetricKeyAlgorithm
from pgpy.packet.packets import PKESessionKeyV3

LITERAL, COMPRESSED, SED, SEIPD = 11, 8, 9, 18


def packet(tag: int, body: bytes) -> bytes:
    """New format, five-octet length (RFC 9580 section 4.2.1.3)."""
    return bytes([0xC0 | tag, 0xFF]) + len(body).to_bytes(4, "big") + body


def literal(content: bytes) -> bytes:
    return packet(LITERAL, b"b\0\0\0\0\0" + content)


def compressed(inner: bytes) -> bytes:
    """ZLIB, RFC 9580 section 5.6."""
    return packet(COMPRESSED, b"\x02" + zlib.compress(inner, 9))


class ToCertificate:
    """Encrypts any packets to the certificate's first encryption subkey."""

    def __init__(self, certificate: bytes) -> None:
        key, _ = pgpy.PGPKey.from_blob(certificate)
        self._subkey = next(iter(key.subkeys.values()))
        self._session_key = os.urandom(32)

    def pkesk(self) -> bytes:
        made = PKESessionKeyV3()
        made.encrypter = bytearray(bytes.fromhex(self._subkey.fingerprint.keyid))
        made.pkalg = self._subkey.key_algorithm
        made.encrypt_sk(self._subkey._key, SymmetricKeyAlgorithm.AES256, self._session_key)
        made.update_hlen()
        return bytes(made)

    def protected(self, inner: bytes) -> bytes:
        """PKESK, SEIPD version 1 with a right modification detection code (section 5.13.1)."""
        prefix = os.urandom(16)
        plain = prefix + prefix[-2:] + inner + b"\xd3\x14"
        plain += hashlib.sha1(plain).digest()
        return self.pkesk() + packet(SEIPD, b"\x01" + self._cfb(bytes(16), plain))

    def unprotected(self, inner: bytes) -> bytes:
        """PKESK, Symmetrically Encrypted Data: no integrity protection (section 5.7), as EFAIL used it."""
        prefix = os.urandom(16)
        head = self._cfb(bytes(16), prefix + prefix[-2:])
        return self.pkesk() + packet(SED, head + self._cfb(head[2:18], inner))

    def _cfb(self, iv: bytes, plain: bytes) -> bytes:
        encryptor = Cipher(AES(self._session_key), CFB(iv)).encryptor()
        return encryptor.update(plain) + encryptor.finalize()
