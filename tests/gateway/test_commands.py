"""The commands, while the gateway runs."""

from __future__ import annotations

import imaplib
import json
import shutil
import smtplib
import subprocess
import time
from pathlib import Path

import pytest

from tests.clients.gateway import PROGRAM
from tests.clients.site import Site, until
from tests.gateway.command import rows, run
from tests.gateway.test_roads import ODD, found

pytestmark = pytest.mark.slow


def logs_in(site: Site, address: str, password: str) -> bool:
    at = site.imaps
    with imaplib.IMAP4_SSL(at.host, at.port, ssl_context=site.tls(), timeout=30) as client:
        try:
            client.login(address, password)
        except imaplib.IMAP4.error as refused:
            assert "AUTHENTICATIONFAILED" in str(refused)
            return False
        return True


def test_an_account_from_its_making_to_its_end(site: Site) -> None:
    carl, first, second = "carl@acme.test", "a very first password", "a much better password"
    words = run(
        site.config,
        "account",
        "add",
        carl,
        "--on-record",
        "c@mail.test",
        "--password-stdin",
        typed=first + "\n",
    )
    assert words == f"Added {carl}.\n"
    assert logs_in(site, carl, first)
    assert carl in [row["address"] for row in rows(site.config, "account", "list")]
    [shown] = rows(site.config, "account", "show", carl)
    assert (shown["status"], shown["hold"], shown["on_record"]) == ("active", False, "c@mail.test")
    site.relay([carl], ODD % (b"for carl", b"carl"))

    run(site.config, "account", "passwd", carl, "--password-stdin", typed=f"{first}\n{second}\n")
    assert not logs_in(site, carl, first)
    assert logs_in(site, carl, second)

    run(site.config, "account", "lock", carl)
    assert not logs_in(site, carl, second)
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        site.relay([carl], ODD % (b"while locked", b"locked"))
    run(site.config, "account", "unlock", carl)
    assert logs_in(site, carl, second)

    run(site.config, "account", "hold", carl)
    assert rows(site.config, "account", "show", carl)[0]["hold"] is True
    assert "legal hold" in run(site.config, "account", "delete", carl, "--yes", code=1)
    run(site.config, "account", "release", carl)
    directory = site.directory / "data" / "accounts" / shown["id"]
    assert any(directory.rglob("*,E=*"))
    run(site.config, "account", "delete", carl, "--yes")
    assert not directory.exists()
    assert not logs_in(site, carl, second)
    events = [row["event"] for row in rows(site.config, "audit", "show", "--account", shown["id"])]
    assert [event for event in events if event.startswith(("account", "hold", "password"))] == [
        "account added", "password changed", "account locked", "account unlocked", "hold set",
        "hold released", "account deleted",
    ]  # fmt: skip


def test_a_refusal_is_one_plain_sentence_and_exit_code_1(site: Site) -> None:
    for words, typed, said in [
        (["account", "show", "nobody@acme.test"], "", "There is no account nobody@acme.test.\n"),
        (["account", "show", "no address"], "", "That is not a valid e-mail address.\n"),
        (["account", "add", "ann@acme.test", "--password-stdin"], "long enough words\n", "already"),
        (["account", "add", "new@acme.test", "--password-stdin"], "short\n", "at least"),
        (["account", "add", "new@acme.test", "--password-stdin"], "", "must have one line"),
        (["account", "passwd", "ann@acme.test", "--password-stdin"], "wrong\nanother long one\n", "wrong"),
        (["queue", "drop", "0" * 32], "", "no such message"),
    ]:
        answer = run(site.config, *words, typed=typed, code=1)
        assert said in answer and answer.count("\n") == 1


def test_every_stored_file_opens_with_gpg_and_the_exported_key(site: Site, tmp_path: Path) -> None:
    site.relay(["ann@acme.test"], ODD % (b"for gpg", b"gpg"))
    assert found(site, "ann", "INBOX", "for gpg")
    password = site.account("ann").password
    secret = run(
        site.config, "key", "export", "ann@acme.test", "--secret", "--password-stdin", typed=password + "\n"
    )
    assert "BEGIN PGP PRIVATE KEY BLOCK" in secret
    public = run(site.config, "key", "export", "ann@acme.test")
    assert "BEGIN PGP PUBLIC KEY BLOCK" in public
    home = tmp_path / "gnupg"
    home.mkdir(mode=0o700)
    gpg = [
        "gpg",
        "--homedir",
        str(home),
        "--batch",
        "--quiet",
        "--pinentry-mode",
        "loopback",
        "--passphrase",
        password,
    ]
    subprocess.run([*gpg, "--import"], input=secret, text=True, check=True, capture_output=True, timeout=60)
    [ann] = rows(site.config, "account", "show", "ann@acme.test")
    files = sorted((site.directory / "data" / "accounts" / ann["id"]).glob("cur/*/*"))
    assert files
    opened = [
        subprocess.run([*gpg, "--decrypt", str(file)], check=True, capture_output=True, timeout=60).stdout
        for file in files
    ]
    assert any(b"Subject: for gpg" in message for message in opened)
    assert all(f",S={len(message)}" in file.name for file, message in zip(files, opened, strict=True))
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False, timeout=30)


def test_a_wrong_password_exports_nothing(site: Site) -> None:
    answer = run(
        site.config,
        "key",
        "export",
        "ann@acme.test",
        "--secret",
        "--password-stdin",
        typed="nope nope\n",
        code=1,
    )
    assert "PRIVATE" not in answer


def test_retention_by_hand_removes_what_is_due_and_spares_a_hold(site: Site) -> None:
    for name in ("dora", "hans"):
        typed = "a password for this\n"
        run(site.config, "account", "add", f"{name}@late.test", "--password-stdin", typed=typed)
        site.relay([f"{name}@late.test"], ODD % (b"will expire", name.encode()))
    run(site.config, "account", "hold", "hans@late.test")
    by_day = rows(site.config, "retention", "status")
    assert sum(row["messages"] for row in by_day) >= 2
    ids = {row["address"]: row["id"] for row in rows(site.config, "account", "list")}
    accounts = site.directory / "data" / "accounts"
    later = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 61 * 86_400))
    [dry] = rows(site.config, "retention", "run", "--now", later, "--dry-run")
    assert dry["removed"] >= 1 and any((accounts / ids["dora@late.test"]).rglob("*,E=*"))
    assert "Removed 0 messages" in run(site.config, "retention", "run")
    # Only a copy may be swept as of then: the other tests' mail is in this store too.
    copied = site.directory.parent / "copied"
    shutil.copytree(site.directory, copied, ignore=shutil.ignore_patterns("*.sock", "gateway.lock"))
    config = copied / "gateway.toml"
    config.write_text(config.read_text().replace(str(site.directory), str(copied)))
    [swept] = rows(config, "retention", "run", "--now", later)
    assert swept["removed"] == dry["removed"] and swept["held"] >= 1
    assert not any((copied / "data" / "accounts" / ids["dora@late.test"]).rglob("*,E=*"))
    assert any((copied / "data" / "accounts" / ids["hans@late.test"]).rglob("*,E=*"))
    events = [row["event"] for row in rows(config, "audit", "show", "--account", ids["dora@late.test"])]
    assert "expired" in events


def test_an_empty_queue_says_so(site: Site) -> None:
    until("an empty queue", lambda: run(site.config, "queue", "list") == "The queue is empty.\n")
    assert run(site.config, "queue", "flush") == "0 recipients will be tried now.\n"


def test_store_and_audit_verify(site: Site) -> None:
    site.relay(["bob@acme.test"], ODD % (b"to verify", b"verify"))
    assert found(site, "bob", "INBOX", "to verify")
    assert "as it should be" in run(site.config, "store", "verify")
    password = site.account("bob").password
    words = ["store", "verify", "--account", "bob@acme.test", "--open", "--password-stdin"]
    assert "as it should be" in run(site.config, *words, typed=password + "\n")
    assert "unbroken" in run(site.config, "audit", "verify")
    events = {row["event"] for row in rows(site.config, "audit", "show")}
    assert {"login", "delivered", "read", "started"} <= events


def test_check_is_content_with_a_running_gateway_and_names_faults(site: Site, tmp_path: Path) -> None:
    assert run(site.config, "check") == "The configuration is good.\n"
    text = site.config.read_text()
    bad = tmp_path / "bad.toml"
    bad.write_text(
        text.replace("[processes]", "[proceses]").replace(str(site.ca.parent / "server.pem"), "/none.pem")
    )
    answer = run(bad, "check", code=1)
    assert "proceses: is no setting; did you mean `processes`?" in answer
    bad.write_text(text.replace(str(site.ca.parent / "server.pem"), "/none.pem"))
    assert "tls.certificate: cannot be read" in run(bad, "check", code=1)


def test_a_second_gateway_on_the_same_data_is_refused(site: Site) -> None:
    assert "Another gateway is running" in run(site.config, "serve", code=1)


def test_a_second_demo_in_the_same_directory_spoils_nothing(site: Site) -> None:
    files = [site.directory / name for name in ("demo.json", "gateway.toml")]
    before = [file.read_text() for file in files]
    done = subprocess.run(
        [str(PROGRAM), "demo", "--dir", str(site.directory), "--port-base", "20000"],
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, "Another gateway is running" in done.stderr) == (1, True)
    assert [file.read_text() for file in files] == before


def test_demo_json_has_what_the_contract_names(site: Site) -> None:
    facts = json.loads((site.directory / "demo.json").read_text())
    assert set(facts) == {
        "ca", "portal", "relay_in", "submission", "submissions", "imap", "imaps", "sink", "config",
        "accounts", "internal",
    }  # fmt: skip
    assert [set(account) for account in facts["accounts"]] == [{"address", "password", "on_record"}] * 3
    assert {account["address"] for account in facts["accounts"]} == {
        "ann@acme.test",
        "bob@acme.test",
        "eve@other.test",
    }
    assert facts["internal"] == ["claims@example-health.test", "support@example-health.test"]
    base = facts["imap"][1] - 43
    offsets = {"relay_in": 25, "submission": 87, "submissions": 65, "imaps": 93}
    assert {name: facts[name] for name in offsets} == {
        n: ["127.0.0.1", base + o] for n, o in offsets.items()
    }


def test_an_open_session_sees_what_a_command_does(site: Site) -> None:
    """A lock from outside holds at once for the next login, in every worker."""
    run(site.config, "account", "add", "gus@acme.test", "--password-stdin", typed="a password for gus\n")
    until("a login", lambda: logs_in(site, "gus@acme.test", "a password for gus"))
    run(site.config, "account", "lock", "gus@acme.test")
    assert not any(logs_in(site, "gus@acme.test", "a password for gus") for _ in range(2))


def test_the_organisations_own_addresses_are_no_members(site: Site) -> None:
    words = run(
        site.config, "account", "add", "clerk@Example-Health.test", "--password-stdin",
        typed="a long enough password\n", code=1,
    )  # fmt: skip
    assert "own domain" in words
    assert "clerk@example-health.test" not in run(site.config, "account", "list")
