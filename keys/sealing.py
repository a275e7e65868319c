"""Sealing messages to a member's certificate and opening them: the one door to pysequoia.

Apart because every stored message goes through here and because the library's errors hold
backtraces that must reach nobody. Certificates come from our own records; ciphertext comes
from our own files, which whoever can write to the disk may have changed: nothing is
believed until its integrity check has passed, and no partial plaintext ever leaves.

RFC 9580 (RFC 4880 for v4 keys): binary messages, PKESK then SEIPD, no compression.
Sequoia holds the GIL: 4 KB costs about 0.1 ms, so large messages go to `keys.bulk`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pysequoia
from pysequoia.packet import Packet, PacketPile, SignatureType, Tag

from keys.outline import damaged, recipient
from mail.errors import Damaged, MailError, Unavailable
from mail.secret import Secret


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
        with _quiet(_malformed):
            packets = [p for p in PacketPile.from_bytes(data) if p.tag != Tag.Trust]
            head, subkeys = _components(packets)
            usable = [group for group in subkeys if _encrypts(group)]
            if not head or not usable:
                raise _malformed()
            # Stable sort: of two made within one second, the later in the certificate is the newer.
            chosen = [*head, *sorted(usable, key=_created)[-1]]
            cert = pysequoia.Cert.from_packets(chosen)
            return cls(b"".join(bytes(packet) for packet in chosen), cert)

    @property
    def fingerprint(self) -> str:
        """Of the primary key, lower-case hex."""
        return self._cert.fingerprint

    def seal(self, content: bytes) -> bytes:
        """One binary OpenPGP message; Unavailable when the key may not be used (expired)."""
        with _quiet(Unavailable):
            return pysequoia.encrypt(content, recipients=[self._cert], armor=False)

    def seal_file(self, source: str, target: str) -> None:
        """As `seal`, from path to path; the target is truncated first."""
        with _quiet(Unavailable):
            pysequoia.encrypt_file(source, target, recipients=[self._cert], armor=False)


class Opener:
    """A member's secret half, unlocked while their session lasts."""

    def __init__(self, secret_key: bytes, passphrase: Secret) -> None:
        """`secret_key` is the protected transferable secret key; nothing is unlocked yet."""
        self.secret_key = secret_key
        self.passphrase = passphrase
        self._decryptors: dict[str, pysequoia.PyDecryptor] = {}

    def open(self, ciphertext: bytes) -> bytes:
        """The content; Damaged for a changed byte, another's key, or no integrity protection."""
        key_id = recipient(lambda start, length: ciphertext[start : start + length], len(ciphertext))
        with self._decryptor(key_id) as decryptor:
            content = pysequoia.decrypt(ciphertext, decryptor).bytes
        # Inflated by a compressed packet, which we never write. Only a holder of the certificate could
        # have made it, and that lies sealed in accounts.sqlite; large ones are bounded in keys.bulk.
        if content is None or len(content) > len(ciphertext):
            raise damaged()
        return content

    def open_file(self, source: int, target: str) -> None:
        """As `open`, from an open file to a path.

        On Damaged the target may hold plaintext that failed its check: the caller owns it
        and must throw it away unread (EFAIL).
        """
        size = os.fstat(source).st_size
        key_id = recipient(lambda start, length: os.pread(source, length, start), size)
        with self._decryptor(key_id) as decryptor:
            pysequoia.decrypt_file(f"/proc/self/fd/{source}", target, decryptor)

    @contextmanager
    def _decryptor(self, key_id: str) -> Iterator[pysequoia.PyDecryptor]:
        """Sequoia's decryptor knows one subkey, so each epoch gets its own, made when needed.

        It is dropped when anything goes wrong: after a panic within it is locked for ever,
        and one bad file would close all of the member's mail.
        """
        with _quiet(damaged):
            try:
                yield self._decryptors.get(key_id) or self._unlock(key_id)
            except BaseException:
                self._decryptors.pop(key_id, None)
                raise

    def _unlock(self, key_id: str) -> pysequoia.PyDecryptor:
        head, subkeys = _components(list(PacketPile.from_bytes(self.secret_key)))
        epoch = next((group for group in subkeys if group[0].key_id == key_id), None)
        if epoch is None:
            raise damaged()
        tsk = pysequoia.Tsk.from_packets([*head, *epoch])
        made = self._decryptors[key_id] = tsk.decryptor(self.passphrase.reveal().decode("ascii"))
        return made


@contextmanager
def _quiet(becomes: Callable[[], MailError]) -> Iterator[None]:
    """The library's errors into ours, without their text: that is a whole backtrace."""
    try:
        yield
    except (RuntimeError, OSError, ValueError):
        raise becomes() from None
    except BaseException as error:
        # A Rust panic is no `Exception`: it would pass every handler and end the event loop.
        if type(error).__name__ != "PanicException":
            raise
        raise becomes() from None


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


def _malformed() -> Damaged:
    return Damaged("a certificate is malformed or cannot be encrypted to")
