from __future__ import annotations

import subprocess

import pytest

from keys import keyring
from keys.keyring import Keypair
from keys.sealing import Certificate
from keys.wrapping import WrongKey
from mail.errors import Damaged, Reason, Refusal
from mail.secret import Secret


def test_the_profile_is_ed25519_and_x25519_version_4(pair: Keypair, gpg: list[str]) -> None:
    subprocess.run([*gpg, "--import"], input=pair.certificate, check=True, capture_output=True)
    listed = subprocess.run([*gpg, "--with-colons", "--list-keys"], check=True, capture_output=True).stdout
    rows = [line.split(":") for line in listed.decode().splitlines()]
    (primary,) = [row for row in rows if row[0] == "pub"]
    (subkey,) = [row for row in rows if row[0] == "sub"]
    (uid,) = [row for row in rows if row[0] == "uid"]
    assert (primary[3], primary[11].lower()[:2], primary[16]) == ("22", "sc", "ed25519")
    assert (subkey[3], subkey[11], subkey[16]) == ("18", "e", "cv25519")
    assert uid[9] == "ann@acme.test"


def test_the_secret_half_is_protected_and_hardly_stretched(pair: Keypair, gpg: list[str]) -> None:
    listed = subprocess.run(
        [*gpg, "--list-packets"], input=pair.secret_key, check=True, capture_output=True
    ).stdout.decode()
    assert listed.count("iter+salt S2K, algo: 9, SHA1 protection, hash: 10") == 2
    assert listed.count("protect count: 1024 (0)") == 2


def test_an_exported_key_is_stretched_in_full(pair: Keypair, passphrase: Secret, gpg: list[str]) -> None:
    armored = keyring.export_secret(pair.secret_key, passphrase, Secret(b"correct horse battery"))
    assert armored.startswith("-----BEGIN PGP PRIVATE KEY BLOCK-----")
    listed = subprocess.run(
        [*gpg, "--list-packets"], input=armored.encode(), check=True, capture_output=True
    ).stdout.decode()
    assert listed.count("protect count: 65011712 (255)") == 2
    # and the stored one is as it was
    assert keyring.export_secret(pair.secret_key, passphrase, Secret(b"another password"))


@pytest.mark.slow
def test_only_the_members_password_opens_an_exported_key(
    pair: Keypair, passphrase: Secret, certificate: Certificate, gpg: list[str]
) -> None:
    armored = keyring.export_secret(pair.secret_key, passphrase, Secret("pässwörd".encode()))
    sealed = certificate.seal(b"hello")
    subprocess.run([*gpg, "--import"], input=armored.encode(), check=True, capture_output=True)
    for word, opens in (("passwort", False), ("pässwörd", True)):
        decrypt = [*gpg, "--passphrase", word, "--decrypt"]
        done = subprocess.run(decrypt, input=sealed, capture_output=True, check=False)
        assert (done.returncode == 0) == opens
        assert (done.stdout == b"hello") == opens


def test_many_epochs_reach_gpg(pair: Keypair, passphrase: Secret, gpg: list[str]) -> None:
    grown = keyring.add_epoch(keyring.add_epoch(pair, passphrase), passphrase)
    subprocess.run([*gpg, "--import"], input=grown.certificate, check=True, capture_output=True)
    listed = subprocess.run([*gpg, "--with-colons", "--list-keys"], check=True, capture_output=True).stdout
    assert sum(line.startswith(b"sub:") for line in listed.splitlines()) == 3


def test_the_wrong_passphrase_exports_nothing(pair: Keypair) -> None:
    with pytest.raises(WrongKey):
        keyring.export_secret(pair.secret_key, Secret(b"0" * 64), Secret(b"correct horse"))
    with pytest.raises(WrongKey):
        keyring.add_epoch(pair, Secret(b"0" * 64))


def test_a_password_that_gpg_could_not_take_is_refused(pair: Keypair, passphrase: Secret) -> None:
    with pytest.raises(Refusal) as caught:
        keyring.export_secret(pair.secret_key, passphrase, Secret(b"\xff" * 10))
    assert caught.value.reason is Reason.WEAK_PASSWORD


def test_armored_certificate(pair: Keypair) -> None:
    text = keyring.armored(pair.certificate)
    assert text.startswith("-----BEGIN PGP PUBLIC KEY BLOCK-----")


@pytest.mark.parametrize("data", [b"", b"x", b"\xc6\x01\x04", b"\xff" * 50])
def test_no_key(data: bytes) -> None:
    with pytest.raises(Damaged):
        keyring.armored(data)
