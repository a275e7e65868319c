from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from keys.wrapping import (
    SEAL_OVERHEAD,
    Label,
    WrongKey,
    derive,
    new_key,
    open_bytes,
    openpgp_passphrase,
    pseudonym,
    seal_bytes,
    unwrap,
    wrap,
)
from mail.errors import Damaged
from mail.secret import Secret

KEY = Secret(bytes(range(32)))


def test_each_label_derives_another_key_and_always_the_same() -> None:
    made = [derive(KEY, label).reveal() for label in Label]
    assert len(set(made)) == len(Label)
    assert made == [derive(KEY, label).reveal() for label in Label]
    assert all(len(key) == 32 for key in made)


def test_derivation_does_not_drift_between_versions() -> None:
    """A change here would lock every member out of their mail."""
    # HKDF-SHA256 by hand (RFC 5869): extract with 32 zero octets, expand once.
    import hashlib
    import hmac

    prk = hmac.new(bytes(32), KEY.reveal(), hashlib.sha256).digest()
    expected = hmac.new(prk, b"secure-inbox 1 index\x01", hashlib.sha256).digest()
    assert derive(KEY, "index").reveal() == expected


def test_only_labels_of_the_table_derive() -> None:
    with pytest.raises(ValueError):
        derive(KEY, "indx")


def test_openpgp_passphrase_is_256_bits_that_a_person_could_type() -> None:
    text = openpgp_passphrase(KEY).reveal().decode("ascii")
    assert len(bytes.fromhex(text)) == 32


@given(st.binary(max_size=300), st.binary(max_size=40))
def test_what_is_sealed_opens_with_the_same_context_only(data: bytes, context: bytes) -> None:
    sealed = seal_bytes(KEY, data, context)
    assert len(sealed) == len(data) + SEAL_OVERHEAD
    assert open_bytes(KEY, sealed, context) == data
    with pytest.raises(WrongKey):
        open_bytes(KEY, sealed, context + b"x")
    with pytest.raises(WrongKey):
        open_bytes(new_key(), sealed, context)


def test_no_bit_may_change() -> None:
    sealed = seal_bytes(KEY, b"content", b"")
    for position in range(len(sealed) * 8):
        changed = bytearray(sealed)
        changed[position // 8] ^= 1 << position % 8
        with pytest.raises(Damaged):
            open_bytes(KEY, bytes(changed), b"")


@pytest.mark.parametrize("length", range(SEAL_OVERHEAD))
def test_too_short_is_damaged(length: int) -> None:
    with pytest.raises(Damaged):
        open_bytes(KEY, bytes(length), b"")


def test_a_wrap_is_bound_to_its_account() -> None:
    secret = new_key()
    blob = wrap(KEY, secret, "account-a password")
    assert unwrap(KEY, blob, "account-a password") == secret
    with pytest.raises(WrongKey):
        unwrap(KEY, blob, "account-b password")
    with pytest.raises(WrongKey):
        unwrap(new_key(), blob, "account-a password")


@pytest.mark.parametrize(
    "blob", [b"", b"\x01", b"\x02" + bytes(60), b"\x01" + bytes(28), b"\x01" + bytes(200)]
)
def test_a_malformed_wrap_is_damaged_and_no_wrong_key(blob: bytes) -> None:
    with pytest.raises(Damaged) as caught:
        unwrap(KEY, blob, "a")
    assert not isinstance(caught.value, WrongKey)


def test_a_long_ciphertext_is_no_wrap() -> None:
    """Partitioning oracle: only long ciphertexts can open under many keys."""
    nonce = bytes(12)
    long = AESGCM(KEY.reveal()).encrypt(nonce, bytes(65), b"secure-inbox wrap 1\0a")
    with pytest.raises(Damaged):
        unwrap(KEY, b"\x01" + nonce + long, "a")
    with pytest.raises(ValueError):
        wrap(KEY, Secret(bytes(65)), "a")


def test_pseudonyms_are_stable_and_keyed() -> None:
    name = pseudonym(KEY, "ann@acme.test")
    assert len(name) == 32
    assert name == pseudonym(KEY, "ann@acme.test")
    assert name != pseudonym(new_key(), "ann@acme.test")
    assert pseudonym(KEY, "\udcff")  # a login name that was no UTF-8
