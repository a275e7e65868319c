"""What opens and what does not: always the whole content or Damaged, and never a word of the library's."""

from __future__ import annotations

import os
import subprocess
import time

import pytest

from keys import keyring, outline, sealing
from keys.keyring import Keypair
from keys.sealing import Certificate, Opener
from mail.errors import Damaged, MailError, Unavailable
from mail.secret import Secret
from tests.keys.openpgp import ToCertificate, compressed, literal, packet


def recipient(message: bytes) -> str:
    return outline.recipient(lambda start, length: message[start : start + length], len(message))


CONTENT = b"Subject: x\r\n\r\n" + bytes(range(256)) * 20


@pytest.mark.parametrize("content", [b"", b"x", CONTENT, os.urandom(1 << 20)], ids=len)
def test_round_trip(content: bytes, certificate: Certificate, opener: Opener) -> None:
    sealed = certificate.seal(content)
    assert len(content) < 8 or content not in sealed
    assert opener.open(sealed) == content


def test_the_same_content_never_looks_the_same(certificate: Certificate) -> None:
    assert certificate.seal(CONTENT) != certificate.seal(CONTENT)


def test_a_message_made_by_hand_opens(pair: Keypair, opener: Opener) -> None:
    """So that the refusals below are refused for what they are, not for how we made them."""
    assert opener.open(ToCertificate(pair.certificate).protected(literal(CONTENT))) == CONTENT


def test_no_integrity_protection_is_refused(pair: Keypair, opener: Opener) -> None:
    """EFAIL: a Symmetrically Encrypted Data packet, however well made."""
    with pytest.raises(Damaged):
        opener.open(ToCertificate(pair.certificate).unprotected(literal(CONTENT)))


def test_sequoia_itself_refuses_it_too(pair: Keypair, passphrase: Secret) -> None:
    """Our own check of the shape is the second lock, not the only one."""
    import pysequoia

    message = ToCertificate(pair.certificate).unprotected(literal(CONTENT))
    decryptor = pysequoia.Tsk.from_bytes(pair.secret_key).decryptor(passphrase.reveal().decode())
    with pytest.raises(RuntimeError):
        pysequoia.decrypt(message, decryptor)


@pytest.mark.parametrize("hidden", [b"", literal(b"x")])
def test_a_stripped_detection_code_is_refused(pair: Keypair, opener: Opener, hidden: bytes) -> None:
    """EFAIL: SEIPD version 1 without its last 22 octets, and something in clear behind it."""
    whole = ToCertificate(pair.certificate).protected(literal(CONTENT))
    pkesk = whole[: whole.index(b"\xd2\xff")]
    body = whole[len(pkesk) + 6 : -22]
    with pytest.raises(Damaged):
        opener.open(pkesk + packet(18, body) + hidden)


def test_no_flipped_byte_opens(certificate: Certificate, opener: Opener) -> None:
    sealed = certificate.seal(CONTENT)
    positions = {*range(160), *range(len(sealed) - 60, len(sealed)), *range(160, len(sealed), 37)}
    changed_nothing = []
    for position in sorted(positions):
        for bit in (0x01, 0x80):
            changed = bytearray(sealed)
            changed[position] ^= bit
            try:
                assert opener.open(bytes(changed)) == CONTENT
                changed_nothing.append((position, bit))
            except Damaged as error:
                assert error.words == "a sealed message does not open"
                assert error.__suppress_context__ or error.__context__ is None
    # The top bit of the sender's X25519 point, which RFC 7748 section 5 says to ignore.
    assert changed_nothing == [(46, 0x80)]


def test_no_truncation_opens(certificate: Certificate, opener: Opener) -> None:
    sealed = certificate.seal(CONTENT)
    for length in [*range(200), *range(200, len(sealed), 101), len(sealed) - 1]:
        with pytest.raises(Damaged):
            opener.open(sealed[:length])


def test_no_truncation_with_mended_lengths_opens(certificate: Certificate, opener: Opener) -> None:
    """Sequoia panics for some of these, which is no `Exception` and would end the worker."""
    sealed = certificate.seal(b"x" * 40)
    start = sealed.index(b"\xd2", 96) + 2
    for length in range(len(sealed) - start):
        with pytest.raises(Damaged):
            opener.open(sealed[: start - 2] + packet(18, sealed[start : start + length]))


def test_a_panic_in_the_library_is_damaged_and_does_not_lock_the_key(
    certificate: Certificate, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With our own check of the shape taken away, so that the panic is the real one."""
    good = certificate.seal(CONTENT)
    assert opener.open(good) == CONTENT
    with monkeypatch.context() as without_check:
        without_check.setattr(sealing, "recipient", lambda read, size: recipient(good))
        for length in range(96, 140):
            with pytest.raises(Damaged):
                opener.open(good[:length])
    assert opener.open(good) == CONTENT


@pytest.mark.parametrize("tail", [b"\0", literal(b"clear"), b"\xd2\x01"], ids=["nul", "literal", "seipd"])
def test_nothing_may_follow(certificate: Certificate, opener: Opener, tail: bytes) -> None:
    """EFAIL: what was sealed is never joined with what was not."""
    with pytest.raises(Damaged):
        opener.open(certificate.seal(CONTENT) + tail)


def test_clear_text_before_is_refused(certificate: Certificate, opener: Opener) -> None:
    with pytest.raises(Damaged):
        opener.open(literal(b"clear") + certificate.seal(CONTENT))


def test_compressed_content_is_refused(pair: Keypair, opener: Opener) -> None:
    """Compression bomb: our own messages are never compressed, so content is no longer than its
    ciphertext. (The bound of memory for large ones is in test_bulk.)"""
    bomb = ToCertificate(pair.certificate).protected(compressed(literal(bytes(5_000_000))))
    assert len(bomb) < 10_000
    with pytest.raises(Damaged):
        opener.open(bomb)


def test_a_wrong_passphrase_says_nothing(pair: Keypair, certificate: Certificate) -> None:
    sealed = certificate.seal(CONTENT)
    for wrong in (b"0" * 64, b"", b"\xff"):
        with pytest.raises(Damaged) as caught:
            Opener(pair.secret_key, Secret(wrong)).open(sealed)
        assert "backtrace" not in str(caught.value).lower()
        assert caught.value.__suppress_context__


def test_anothers_message_does_not_open(opener: Opener, passphrase: Secret) -> None:
    other = Certificate.parse(keyring.generate("eve@other.test", passphrase).certificate)
    with pytest.raises(Damaged):
        opener.open(other.seal(CONTENT))


@pytest.mark.parametrize("data", [b"", b"x", b"\xc6\x01\x04", b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n"])
def test_no_certificate(data: bytes) -> None:
    with pytest.raises(Damaged):
        Certificate.parse(data)


def test_no_flip_in_a_certificate_breaks_the_parser(pair: Keypair) -> None:
    for position in range(len(pair.certificate)):
        changed = bytearray(pair.certificate)
        changed[position] ^= 0x01
        try:
            Certificate.parse(bytes(changed)).seal(b"x")
        except MailError as error:
            assert isinstance(error, Damaged | Unavailable)


def test_every_epoch_opens_and_new_mail_goes_to_the_newest_only(pair: Keypair, passphrase: Secret) -> None:
    epochs = [pair]
    for _ in range(2):
        epochs.append(keyring.add_epoch(epochs[-1], passphrase))
    sealed = [Certificate.parse(each.certificate).seal(b"%d" % n) for n, each in enumerate(epochs)]
    assert len({recipient(message) for message in sealed}) == 3
    newest = Opener(epochs[-1].secret_key, passphrase)
    assert [newest.open(message) for message in sealed] == [b"0", b"1", b"2"]
    with pytest.raises(Damaged):
        Opener(pair.secret_key, passphrase).open(sealed[-1])


def test_what_the_bulk_child_gets_is_the_newest_epoch_only(pair: Keypair, passphrase: Secret) -> None:
    two = Certificate.parse(keyring.add_epoch(pair, passphrase).certificate)
    again = Certificate.parse(two.encoded)
    assert recipient(again.seal(b"x")) == recipient(two.seal(b"x"))
    assert again.fingerprint == two.fingerprint


def test_opening_a_session_is_cheap(pair: Keypair, passphrase: Secret, certificate: Certificate) -> None:
    """The passphrase is random, so its S2K is not stretched: 0.5 ms, not 37."""
    sealed = certificate.seal(CONTENT)
    best = 1.0
    for _ in range(5):
        fresh = Opener(pair.secret_key, passphrase)
        start = time.perf_counter()
        fresh.open(sealed)
        best = min(best, time.perf_counter() - start)
    assert best < 0.005


def test_sealed_file_opens_with_gpg(
    pair: Keypair, passphrase: Secret, certificate: Certificate, gpg: list[str]
) -> None:
    """P21: no lock-in. The member's password opens the exported key, the key opens the file."""
    armored = keyring.export_secret(pair.secret_key, passphrase, Secret(b"correct horse battery"))
    word = [*gpg, "--passphrase", "correct horse battery"]
    subprocess.run([*word, "--import"], input=armored.encode(), check=True, capture_output=True)
    sealed = certificate.seal(CONTENT)
    done = subprocess.run([*word, "--decrypt"], input=sealed, check=True, capture_output=True)
    assert done.stdout == CONTENT
