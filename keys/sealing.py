"""Sealing messages to a member's certificate and opening them: the one door to pysequoia.

Apart because every stored message goes through here and because the library's errors hold
backtraces that must reach nobody. Certificates come from our own records; ciphertext comes
from our own files, which whoever can write to the disk may have changed: nothing is
believed until its integrity check has passed, and no partial plaintext ever leaves.

RFC 9580 (RFC 4880 for v4 keys): binary messages, PKESK then SEIPD, no compression.
Sequoia holds the GIL: 4 KB costs about 0.1 ms, so large messages go to `keys.bulk`.
"""

from __future__ import annotations

import pysequoia
from pysequoia.packet import Packet, PacketPile, SignatureType, Tag

from mail.errors import Damaged, Unavailable
from mail.secret import Secret

_PKESK, _SEIPD = 1, 18


class Certificate:
    """A member's public half, cut down to the newest encryption subkey (the current epoch).

    Sequoia encrypts to every encryption subkey that it sees. Destroying an epoch's subkey
    must destroy that epoch's mail, so exactly one may be seen here.
    """

    def __init__(self, encoded: bytes, cert: pysequoia.Cert) -> None:
        self.encoded = encoded
        self._cert = cert

    @classmethod
    def parse(cls, data: bytes) -> Certificate:
        """Binary or armored; Damaged when it is no certificate or cannot be encrypted to."""
        try:
            packets = [p for p in PacketPile.from_bytes(data) if p.tag != Tag.Trust]
        except RuntimeError:
            raise Damaged("a certificate is malformed") from None
        head, subkeys = _components(packets)
        usable = [group for group in subkeys if _encrypts(group)]
        if not head or not usable:
            raise Damaged("a certificate holds no encryption key")
        # Stable sort: of two made within one second, the later in the certificate is the newer.
        newest = sorted(usable, key=_created)[-1]
        chosen = [*head, *newest]
        try:
            cert = pysequoia.Cert.from_packets(chosen)
        except RuntimeError:
            raise Damaged("a certificate is malformed") from None
        return cls(b"".join(bytes(packet) for packet in chosen), cert)

    @property
    def fingerprint(self) -> str:
        """Of the primary key, lower-case hex."""
        return self._cert.fingerprint

    def seal(self, content: bytes) -> bytes:
        """One binary OpenPGP message; Unavailable when the key may not be used (expired)."""
        try:
            return pysequoia.encrypt(content, recipients=[self._cert], armor=False)
        except RuntimeError:
            raise Unavailable from None

    def seal_file(self, source: str, target: str) -> None:
        """As `seal`, from path to path; the target is truncated first."""
        try:
            pysequoia.encrypt_file(source, target, recipients=[self._cert], armor=False)
        except (RuntimeError, OSError):
            raise Unavailable from None


class Opener:
    """A member's secret half, unlocked while their session lasts."""

    def __init__(self, secret_key: bytes, passphrase: Secret) -> None:
        """`secret_key` is the protected transferable secret key; nothing is unlocked yet."""
        self.secret_key = secret_key
        self.passphrase = passphrase
        self._decryptors: dict[str, pysequoia.PyDecryptor] = {}

    def open(self, ciphertext: bytes) -> bytes:
        """The content; Damaged for a changed byte, another's key, or no integrity protection."""
        decryptor = self._decryptor_for(recipient(ciphertext))
        try:
            content = pysequoia.decrypt(ciphertext, decryptor).bytes
        except RuntimeError:
            raise _damaged() from None
        if content is None:
            raise _damaged()
        return content

    def open_file(self, head: bytes, source: str, target: str) -> None:
        """As `open`, from path to path. `head` is the source's first 4 KiB.

        On Damaged the target may hold plaintext that failed its check: the caller owns it
        and must throw it away unread (EFAIL).
        """
        decryptor = self._decryptor_for(recipient(head))
        try:
            pysequoia.decrypt_file(source, target, decryptor)
        except (RuntimeError, OSError):
            raise _damaged() from None

    def _decryptor_for(self, key_id: str) -> pysequoia.PyDecryptor:
        """Sequoia's decryptor knows one subkey, so each epoch gets its own, made when needed."""
        known = self._decryptors.get(key_id)
        if known is not None:
            return known
        try:
            head, subkeys = _components(list(PacketPile.from_bytes(self.secret_key)))
            epoch = next(group for group in subkeys if group[0].key_id == key_id)
            tsk = pysequoia.Tsk.from_packets([*head, *epoch])
            made = tsk.decryptor(self.passphrase.reveal().decode("ascii"))
        except (RuntimeError, StopIteration, UnicodeDecodeError):
            # The library's text is a whole backtrace; none of it may get out.
            raise _damaged() from None
        self._decryptors[key_id] = made
        return made


def recipient(message: bytes) -> str:
    """The key id that the first PKESK names; Damaged unless what follows is a SEIPD packet.

    EFAIL: tag 9 (Symmetrically Encrypted Data, no integrity protection, RFC 9580 section
    5.7) and anything else of another shape is refused before the library looks at it.
    """
    key_id, position = "", 0
    while message[position : position + 1] == bytes([0xC0 | _PKESK]):
        body, position = _short_packet(message, position)
        if not key_id:
            if body[:1] != b"\x03" or len(body) < 10:  # version 3: RFC 9580 section 5.1.1
                raise _damaged()
            key_id = body[1:9].hex()
    if not key_id or message[position : position + 1] != bytes([0xC0 | _SEIPD]):
        raise _damaged()
    return key_id


def _short_packet(message: bytes, position: int) -> tuple[bytes, int]:
    """Body and end of a packet under 8,384 octets (RFC 9580 section 4.2.1)."""
    first = message[position + 1 : position + 3]
    if len(first) == 2 and first[0] < 192:
        start, length = position + 2, first[0]
    elif len(first) == 2 and first[0] < 224 and len(message) > position + 2:
        start, length = position + 3, ((first[0] - 192) << 8) + first[1] + 192
    else:
        raise _damaged()
    return message[start : start + length], start + length


def _components(packets: list[Packet]) -> tuple[list[Packet], list[list[Packet]]]:
    """The primary key with its user ids, and each subkey with its signatures."""
    head: list[Packet] = []
    subkeys: list[list[Packet]] = []
    for packet in packets:
        if packet.tag in (Tag.PublicSubkey, Tag.SecretSubkey):
            subkeys.append([packet])
        elif subkeys:
            subkeys[-1].append(packet)
        else:
            head.append(packet)
    return head, subkeys


def _created(group: list[Packet]) -> float:
    created = group[0].key_created
    return created.timestamp() if created is not None else 0.0


def _encrypts(group: list[Packet]) -> bool:
    signatures = group[1:]
    if any(s.signature_type == SignatureType.SubkeyRevocation for s in signatures):
        return False
    flags = [s.key_flags for s in signatures if s.key_flags is not None]
    return any(f.transport_encryption or f.storage_encryption for f in flags)


def _damaged() -> Damaged:
    return Damaged("a sealed message does not open")
