from __future__ import annotations

import pytest
from argon2.low_level import Type, hash_secret_raw

from keys.passwords import Cost, check_strength, kek, new_salt
from mail.errors import Reason, Refusal, Unavailable
from mail.secret import Secret

CHEAP = Cost(8, 1, 1)
SALT = b"0123456789abcdef"


def test_the_default_is_argon2id_as_argon2_cffi_computes_it() -> None:
    expected = hash_secret_raw(b"correct horse", SALT, 2, 19456, 1, 32, Type.ID)
    assert kek(Secret(b"correct horse"), SALT, Cost()).reveal() == expected


def test_password_salt_and_cost_each_matter() -> None:
    made = [
        kek(Secret(b"correct horse"), SALT, CHEAP),
        kek(Secret(b"correct horsf"), SALT, CHEAP),
        kek(Secret(b"correct horse"), SALT[::-1], CHEAP),
        kek(Secret(b"correct horse"), SALT, Cost(8, 2, 1)),
        kek(Secret(b"correct horse"), SALT, Cost(16, 1, 1)),
    ]
    assert len({secret.reveal() for secret in made}) == len(made)
    assert new_salt() != new_salt()


def test_a_password_typed_on_a_mac_is_the_one_typed_on_a_pc() -> None:
    """RFC 8265 section 4.2.2: NFC, and every space is U+0020."""
    composed, decomposed = "caf\u00e9 au lait", "cafe\u0301\u00a0au\u3000lait"
    assert kek(Secret(composed.encode()), SALT, CHEAP) == kek(Secret(decomposed.encode()), SALT, CHEAP)


@pytest.mark.parametrize("raw", [b"", b"\0", b"a\0b", b"\xff\xfe", b"x" * 1024])
def test_any_octets_are_a_password(raw: bytes) -> None:
    assert len(kek(Secret(raw), SALT, CHEAP)) == 32


def test_a_megabyte_is_refused_without_hashing_it() -> None:
    with pytest.raises(Refusal) as caught:
        kek(Secret(b"x" * 1025), SALT, CHEAP)
    assert caught.value.reason is Reason.LOGIN_FAILED


def test_no_memory_is_our_fault() -> None:
    with pytest.raises(Unavailable):
        kek(Secret(b"x"), SALT, Cost(memory_kib=1 << 31, passes=1, lanes=1))


@pytest.mark.parametrize("raw", [b"", b"seven77", b"e\xcc\x81" * 7, b"x" * 1025])
def test_weak_passwords_are_refused_with_a_reason(raw: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        check_strength(Secret(raw))
    assert caught.value.reason is Reason.WEAK_PASSWORD
    assert any(character.isdigit() for character in caught.value.words)


@pytest.mark.parametrize("raw", [b"eight888", "pässwörd".encode(), b"x" * 1024])
def test_the_bounds_themselves_are_allowed(raw: bytes) -> None:
    check_strength(Secret(raw))
