from __future__ import annotations

import multiprocessing
import statistics
import time
from dataclasses import replace
from pathlib import Path

import pytest

from keys.passwords import Cost
from keys.sealing import Certificate, Opener
from keys.wrapping import openpgp_passphrase
from mail.address import Address
from mail.errors import Damaged, Reason, Refusal
from mail.secret import Secret
from store.accounts import Account, Accounts, Status
from store.throttle import Limits
from store.wraps import Kind

SERVER_KEY = Secret(b"s" * 32)
CHEAP = Cost(8, 1, 1)
PASSWORD, OTHER = Secret(b"correct horse battery"), Secret(b"another battery")
ANN = Address.parse("ann@acme.test")
NOW, PEER = 1_800_000_000, "192.0.2.1"


def opened(root: Path, cost: Cost = CHEAP, limits: Limits | None = None) -> Accounts:
    return Accounts(root, SERVER_KEY, cost, limits)


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    return opened(tmp_path)


@pytest.fixture
def ann(accounts: Accounts) -> Account:
    return accounts.add(ANN, "ann@home.example", PASSWORD, NOW)


def refused(reason: Reason, call, *arguments) -> Refusal:  # type: ignore[no-untyped-def]
    with pytest.raises(Refusal) as caught:
        call(*arguments)
    assert caught.value.reason is reason
    return caught.value


def test_an_account_is_found_again_by_address_and_id(tmp_path: Path, ann: Account) -> None:
    again = opened(tmp_path)
    assert again.find(ANN) == again.find(Address.parse("Ann@ACME.test")) == again.get(ann.id) == ann
    assert (ann.on_record, ann.status, ann.hold, ann.created) == (
        "ann@home.example", Status.ACTIVE, False, NOW,
    )  # fmt: skip
    assert len(bytes.fromhex(ann.id)) == 16
    assert again.find(Address.parse("bob@acme.test")) is None
    refused(Reason.NO_SUCH_ACCOUNT, again.get, "0" * 32)


def test_all_are_listed_in_order(accounts: Accounts, ann: Account) -> None:
    for text in ("eve@other.test", "bob@acme.test"):
        accounts.add(Address.parse(text), "", PASSWORD, NOW)
    assert [str(each.address) for each in accounts.all()] == [
        "ann@acme.test",
        "bob@acme.test",
        "eve@other.test",
    ]


def test_an_address_has_one_account(accounts: Accounts, ann: Account) -> None:
    refused(Reason.ACCOUNT_EXISTS, accounts.add, Address.parse("ANN@acme.test"), "", PASSWORD, NOW)
    assert accounts.all() == [ann]


def test_a_weak_password_makes_no_account(accounts: Accounts) -> None:
    refused(Reason.WEAK_PASSWORD, accounts.add, ANN, "", Secret(b"short"), NOW)
    assert accounts.all() == []


def test_the_password_opens_the_mail_and_nothing_else_does(accounts: Accounts, ann: Account) -> None:
    sealed = Certificate.parse(ann.certificate).seal(b"hello")
    secret = accounts.open_secret(ann, PASSWORD)
    assert Opener(ann.secret_key, openpgp_passphrase(secret)).open(sealed) == b"hello"
    refused(Reason.LOGIN_FAILED, accounts.open_secret, ann, OTHER)


def test_no_secret_lies_on_the_disk_in_clear(tmp_path: Path, accounts: Accounts, ann: Account) -> None:
    secret = accounts.open_secret(ann, PASSWORD)
    for file in tmp_path.iterdir():
        data = file.read_bytes()
        for canary in (
            secret.reveal(),
            PASSWORD.reveal(),
            b"ann@",
            b"acme.test",
            openpgp_passphrase(secret).reveal(),
        ):
            assert canary not in data


def test_another_server_key_opens_nothing(tmp_path: Path, ann: Account) -> None:
    with pytest.raises(Damaged):
        Accounts(tmp_path, Secret(b"t" * 32), CHEAP)


def test_changing_the_password_changes_no_key(accounts: Accounts, ann: Account) -> None:
    before = accounts.open_secret(ann, PASSWORD)
    refused(Reason.LOGIN_FAILED, accounts.change_password, ann, OTHER, PASSWORD, NOW)
    refused(Reason.WEAK_PASSWORD, accounts.change_password, ann, PASSWORD, Secret(b"short"), NOW)
    accounts.change_password(ann, PASSWORD, OTHER, NOW)
    assert accounts.open_secret(ann, OTHER) == before
    refused(Reason.LOGIN_FAILED, accounts.open_secret, ann, PASSWORD)
    assert accounts.get(ann.id) == replace(ann, password_no=1)


def test_app_passwords_open_but_do_not_change_the_password(accounts: Accounts, ann: Account) -> None:
    secret = accounts.open_secret(ann, PASSWORD)
    for name in ("phone", "laptop"):
        accounts.add_app_password(ann, name, Secret(name.encode() * 3), secret, NOW)
    for name in ("phone", "laptop"):
        word = Secret(name.encode() * 3)
        assert accounts.open_secret(ann, word) == secret
        refused(Reason.LOGIN_FAILED, accounts.change_password, ann, word, OTHER, NOW)
        refused(Reason.LOGIN_FAILED, accounts.open_secret, ann, word, (Kind.RECOVERY,))
    accounts.change_password(ann, PASSWORD, OTHER, NOW)
    assert accounts.open_secret(ann, Secret(b"phone" * 3)) == secret


def test_outdated_parameters_are_renewed_at_login(tmp_path: Path, ann: Account) -> None:
    secret = opened(tmp_path).open_secret(ann, PASSWORD)
    dearer = opened(tmp_path, Cost(16, 1, 1))
    assert dearer.open_secret(ann, PASSWORD) == secret
    rows = dearer._db.execute("SELECT memory_kib, created FROM wraps")
    assert [row[0] for row in rows] == [16]
    assert opened(tmp_path).open_secret(ann, PASSWORD) == secret  # and a worker still on the old ones works


def test_wraps_are_bound_to_their_account(accounts: Accounts, ann: Account) -> None:
    """Somebody with the server key moves a wrap of a password they know to another's account."""
    eve = accounts.add(Address.parse("eve@other.test"), "", OTHER, NOW)
    accounts._db.change("UPDATE accounts SET salt = (SELECT salt FROM accounts WHERE id = ?)", (eve.id,))
    accounts._db.change("UPDATE wraps SET account_id = ? WHERE account_id = ?", (ann.id, eve.id))
    refused(Reason.LOGIN_FAILED, accounts.open_secret, ann, OTHER)


def test_locked_unknown_and_wrong_look_the_same(accounts: Accounts, ann: Account) -> None:
    bob = accounts.add(Address.parse("bob@acme.test"), "", PASSWORD, NOW)
    accounts.set_status(bob.id, Status.LOCKED)
    words = {
        refused(Reason.LOGIN_FAILED, accounts.log_in, name, password, PEER, NOW).words
        for name, password in [
            ("ann@acme.test", OTHER),
            ("bob@acme.test", PASSWORD),
            ("nobody@acme.test", PASSWORD),
            ("not an address", PASSWORD),
            ("", PASSWORD),
            ("\udcff@\0", PASSWORD),
        ]
    }
    assert len(words) == 1
    accounts.set_status(bob.id, Status.ACTIVE)
    assert accounts.log_in("bob@acme.test", PASSWORD, PEER, NOW)[0].id == bob.id


def test_locked_unknown_and_wrong_cost_the_same_work(tmp_path: Path) -> None:
    accounts = opened(tmp_path, Cost(4096, 2, 1))
    accounts.add(ANN, "", PASSWORD, NOW)
    bob = accounts.add(Address.parse("bob@acme.test"), "", PASSWORD, NOW)
    accounts.set_status(bob.id, Status.LOCKED)

    def cost(address: Address | None, password: Secret) -> float:
        times = []
        for _ in range(7):
            start = time.process_time()
            with pytest.raises(Refusal):
                accounts.open_secret_for(address, password)
            times.append(time.process_time() - start)
        return statistics.median(times)

    wrong = cost(ANN, OTHER)
    for other in (
        cost(Address.parse("no@acme.test"), OTHER),
        cost(None, OTHER),
        cost(bob.address, PASSWORD),
    ):
        assert 0.5 < other / wrong < 2


def test_status_and_hold_are_seen_by_other_processes(
    tmp_path: Path, accounts: Accounts, ann: Account
) -> None:
    other = opened(tmp_path)
    accounts.set_status(ann.id, Status.LOCKED)
    accounts.set_hold(ann.id, True)
    assert (other.get(ann.id).status, other.get(ann.id).hold, other.held(ann.id)) == (
        Status.LOCKED,
        True,
        True,
    )
    accounts.set_hold(ann.id, False)
    assert not other.held(ann.id)
    assert not other.held("0" * 32)
    refused(Reason.NO_SUCH_ACCOUNT, accounts.set_status, "0" * 32, Status.LOCKED)
    refused(Reason.NO_SUCH_ACCOUNT, accounts.set_hold, "0" * 32, True)


def test_a_deleted_account_is_gone_with_its_wraps(tmp_path: Path, accounts: Accounts, ann: Account) -> None:
    secret = accounts.open_secret(ann, PASSWORD)
    accounts.delete(ann.id)
    assert accounts.all() == []
    assert accounts._db.execute("SELECT count(*) FROM wraps") == [(0,)]
    assert (tmp_path / "accounts.sqlite-wal").stat().st_size == 0
    refused(Reason.NO_SUCH_ACCOUNT, accounts.delete, ann.id)
    refused(Reason.LOGIN_FAILED, accounts.open_secret, ann, PASSWORD)
    refused(Reason.NO_SUCH_ACCOUNT, accounts.add_app_password, ann, "x", OTHER, secret, NOW)
    again = accounts.add(ANN, "", PASSWORD, NOW)
    assert again.id != ann.id
    assert accounts.open_secret(again, PASSWORD) != secret


def test_guessing_is_throttled_and_the_wait_grows_and_ends(accounts: Accounts, ann: Account) -> None:
    for _ in range(10):
        refused(Reason.LOGIN_FAILED, accounts.log_in, str(ANN), OTHER, PEER, NOW)
    for now in (NOW, NOW + 29):
        refused(Reason.THROTTLED, accounts.log_in, str(ANN), PASSWORD, PEER, now)
    refused(Reason.LOGIN_FAILED, accounts.log_in, str(ANN), OTHER, PEER, NOW + 30)
    refused(Reason.THROTTLED, accounts.log_in, str(ANN), PASSWORD, PEER, NOW + 30 + 59)
    assert accounts.log_in(str(ANN), PASSWORD, PEER, NOW + 30 + 60)[0] == ann


def test_a_lock_never_lasts_longer_than_the_window(accounts: Accounts, ann: Account) -> None:
    now = NOW
    for _ in range(40):  # a guesser who always waits as told
        try:
            accounts.log_in(str(ANN), OTHER, PEER, now)
        except Refusal as refusal:
            now += 15 if refusal.reason is Reason.THROTTLED else 1
    assert accounts.log_in(str(ANN), PASSWORD, PEER, now + 900)[0] == ann


def test_a_guesser_does_not_shut_out_the_owner_elsewhere(accounts: Accounts, ann: Account) -> None:
    for _ in range(12):
        with pytest.raises(Refusal):
            accounts.log_in(str(ANN), OTHER, "203.0.113.9", NOW)
    assert accounts.log_in(str(ANN), PASSWORD, PEER, NOW)[0] == ann


def test_many_guessers_at_one_account_are_slowed_down_together(accounts: Accounts, ann: Account) -> None:
    for n in range(30):
        refused(Reason.LOGIN_FAILED, accounts.log_in, str(ANN), OTHER, f"203.0.113.{n}", NOW)
    refused(Reason.THROTTLED, accounts.log_in, str(ANN), OTHER, "203.0.113.200", NOW)
    assert accounts.log_in(str(ANN), PASSWORD, PEER, NOW + 30)[0] == ann


def test_nobody_keeps_the_owner_out_of_the_places_that_they_use(accounts: Accounts, ann: Account) -> None:
    accounts.log_in(str(ANN), PASSWORD, PEER, NOW)
    for n in range(30):
        refused(Reason.LOGIN_FAILED, accounts.log_in, str(ANN), OTHER, f"203.0.113.{n}", NOW + 1)
    assert accounts.log_in(str(ANN), PASSWORD, PEER, NOW + 2)[0] == ann
    refused(Reason.THROTTLED, accounts.log_in, str(ANN), PASSWORD, "203.0.113.200", NOW + 2)
    for _ in range(10):  # the place itself may guess no more than any other
        refused(Reason.LOGIN_FAILED, accounts.log_in, str(ANN), OTHER, PEER, NOW + 3)
    refused(Reason.THROTTLED, accounts.log_in, str(ANN), PASSWORD, PEER, NOW + 3)


def test_one_address_guessing_at_many_accounts_is_throttled(accounts: Accounts, ann: Account) -> None:
    for n in range(30):
        refused(Reason.LOGIN_FAILED, accounts.log_in, f"n{n}@acme.test", OTHER, PEER, NOW)
    refused(Reason.THROTTLED, accounts.log_in, str(ANN), PASSWORD, PEER, NOW)
    # an own account does not wash the guesses off
    assert accounts.log_in(str(ANN), PASSWORD, PEER, NOW + 30)[0] == ann
    refused(Reason.LOGIN_FAILED, accounts.log_in, "n1@acme.test", OTHER, PEER, NOW + 30)
    refused(Reason.THROTTLED, accounts.log_in, "n2@acme.test", OTHER, PEER, NOW + 31)


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::1%eth1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("nonsense", "nonsense", True),
    ],
)
def test_what_counts_as_one_peer(accounts: Accounts, ann: Account, one: str, two: str, same: bool) -> None:
    for _ in range(10):
        refused(Reason.LOGIN_FAILED, accounts.log_in, str(ANN), OTHER, one, NOW)
    if same:
        refused(Reason.THROTTLED, accounts.log_in, str(ANN), PASSWORD, two, NOW)
    else:
        assert accounts.log_in(str(ANN), PASSWORD, two, NOW)[0] == ann


def test_unknown_accounts_are_throttled_alike_and_the_spelling_is_no_way_round(accounts: Accounts) -> None:
    for n in range(10):
        name = "Nobody@Acme.test" if n % 2 else "nobody@acme.test"
        refused(Reason.LOGIN_FAILED, accounts.log_in, name, OTHER, PEER, NOW)
    refused(Reason.THROTTLED, accounts.log_in, "NOBODY@ACME.TEST", OTHER, PEER, NOW)


def test_success_forgets_the_pairs_failures(accounts: Accounts, ann: Account) -> None:
    for _ in range(2):
        for _ in range(9):
            refused(Reason.LOGIN_FAILED, accounts.log_in, str(ANN), OTHER, PEER, NOW)
        accounts.log_in(str(ANN), PASSWORD, PEER, NOW)


def test_a_burst_learns_no_more_than_the_limit(accounts: Accounts, ann: Account) -> None:
    """All were allowed before any had failed: past the limit right and wrong get one answer."""
    for _ in range(12):
        accounts.throttle.allowed(ANN.key, PEER, NOW)
    for _ in range(10):
        accounts.throttle.failed(ANN.key, PEER, NOW)
    right = refused(Reason.THROTTLED, accounts.throttle.succeeded, ANN.key, PEER, NOW)
    wrong = refused(Reason.THROTTLED, accounts.throttle.failed, ANN.key, PEER, NOW)
    assert right.words == wrong.words


def test_counters_name_nobody_and_die_with_the_window(accounts: Accounts, ann: Account) -> None:
    for _ in range(3):
        refused(Reason.LOGIN_FAILED, accounts.log_in, str(ANN), OTHER, PEER, NOW)
    rows = accounts._db.execute("SELECT scope FROM failures")
    assert len(rows) == 9
    assert not any("acme" in scope or "192" in scope for (scope,) in rows)
    refused(Reason.LOGIN_FAILED, accounts.log_in, "bob@acme.test", OTHER, PEER, NOW + 900)
    assert len(accounts._db.execute("SELECT scope FROM failures")) == 3


def guess(root: str, times: int, answers) -> None:  # type: ignore[no-untyped-def]
    accounts = opened(Path(root))
    for _ in range(times):
        try:
            accounts.log_in(str(ANN), OTHER, PEER, NOW)
        except Refusal as refusal:
            answers.put(refusal.reason.name)


def test_processes_count_together(tmp_path: Path, accounts: Accounts, ann: Account) -> None:
    spawn = multiprocessing.get_context("spawn")
    answers = spawn.Queue()
    workers = [spawn.Process(target=guess, args=(str(tmp_path), 8, answers)) for _ in range(2)]
    for worker in workers:
        worker.start()
    got = [answers.get(timeout=60) for _ in range(16)]
    for worker in workers:
        worker.join()
    assert got.count("LOGIN_FAILED") == 10
    assert got.count("THROTTLED") == 6
    refused(Reason.THROTTLED, accounts.log_in, str(ANN), PASSWORD, PEER, NOW)


def test_who_has_logged_in_is_admitted_until_lock_new_password_or_end(
    accounts: Accounts, ann: Account
) -> None:
    def come_in(password: Secret) -> Account:
        return accounts.log_in(str(ann.address), password, "192.0.2.1", NOW)[0]

    inside = come_in(PASSWORD)
    assert accounts.admits(inside)
    accounts.set_hold(ann.id, True)
    assert accounts.admits(inside)
    accounts.set_status(ann.id, Status.LOCKED)
    assert not accounts.admits(inside)
    accounts.set_status(ann.id, Status.ACTIVE)
    assert accounts.admits(inside)
    accounts.change_password(ann, PASSWORD, OTHER, NOW)
    again = come_in(OTHER)
    assert accounts.admits(again) and not accounts.admits(inside)
    accounts.delete(ann.id)
    assert not accounts.admits(again)
