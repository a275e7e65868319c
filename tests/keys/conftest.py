from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator

import pytest

from keys import keyring
from keys.keyring import Keypair
from keys.sealing import Certificate, Opener
from keys.wrapping import new_key, openpgp_passphrase
from mail.secret import Secret


@pytest.fixture(scope="session")
def passphrase() -> Secret:
    return openpgp_passphrase(new_key())


@pytest.fixture(scope="session")
def pair(passphrase: Secret) -> Keypair:
    return keyring.generate("ann@acme.test", passphrase)


@pytest.fixture(scope="session")
def certificate(pair: Keypair) -> Certificate:
    return Certificate.parse(pair.certificate)


@pytest.fixture
def opener(pair: Keypair, passphrase: Secret) -> Opener:
    return Opener(pair.secret_key, passphrase)


@pytest.fixture
def gpg() -> Iterator[list[str]]:
    """The real gpg with a home of its own, its agent ended afterwards."""
    # A socket's path may have 107 octets, which pytest's own directories use up.
    with tempfile.TemporaryDirectory(prefix="gpg") as home:
        yield ["gpg", "--homedir", home, "--batch", "--pinentry-mode", "loopback", "--quiet"]
        subprocess.run(["gpgconf", "--homedir", home, "--kill", "gpg-agent"], check=True)
