"""P21, no lock-in: every stored file of a member opens with `gpg` and the exported key, without us."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.gateway import PROGRAM
from tests.clients.site import Account, Site
from tests.peers.private import directory, program

pytestmark = [pytest.mark.clients, pytest.mark.xdist_group("one demo for all clients")]

EVE = "eve@other.test"


def _export(site: Site, account: Account) -> bytes:
    done = _key_export(site, account.address, account.password)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout


def _key_export(site: Site, address: str, password: str) -> subprocess.CompletedProcess[bytes]:
    command = [str(PROGRAM), "key", "export", address, "--secret", "--password-stdin"]
    command += ["--config", str(site.config)]
    return subprocess.run(
        command, input=f"{password}\n".encode(), check=False, capture_output=True, timeout=60
    )


class Gpg:
    """gpg with a home of its own; its agent is told to end with it."""

    def __init__(self, home: Path) -> None:
        self._home = home
        home.chmod(0o700)
        self._environment = {"PATH": os.environ["PATH"], "GNUPGHOME": str(home), "LANG": "C.UTF-8"}

    def run(self, *arguments: str, password: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        secret = self._home / "passphrase"
        secret.write_text(password)
        command = [
            program("gpg"),
            "--batch",
            "--pinentry-mode",
            "loopback",
            "--passphrase-file",
            str(secret),
        ]
        return subprocess.run(
            [*command, *arguments],
            input=stdin,
            check=False,
            capture_output=True,
            timeout=60,
            env=self._environment,
        )

    def end(self) -> None:
        subprocess.run(
            [program("gpgconf"), "--kill", "all"],
            check=False,
            capture_output=True,
            timeout=20,
            env=self._environment,
        )


@pytest.fixture
def gpg() -> Iterator[Gpg]:
    with directory("gpg") as home:  # short: the agent's socket lies in it
        gnupg = Gpg(home)
        yield gnupg
        gnupg.end()


def _stored(site: Site, gpg: Gpg, password: str) -> list[bytes]:
    """The plaintext of every message file of the account whose files this key opens."""
    accounts = [
        path for path in site.directory.rglob("accounts/*") if re.fullmatch(r"[0-9a-f]{32}", path.name)
    ]
    assert len(accounts) == len(site.accounts)
    opened: list[bytes] = []
    for account in accounts:
        files = [p for p in account.rglob("*") if p.is_file() and re.search(r",S=\d+$", p.name)]
        assert files
        outcomes = [gpg.run("--decrypt", str(path), password=password) for path in files]
        worked = [done.stdout for done in outcomes if done.returncode == 0]
        # All of one member's files open with their key, and no one else's does.
        assert len(worked) in (0, len(files)), [done.stderr for done in outcomes if done.returncode]
        opened += worked
    return opened


def test_every_stored_file_opens(site: Site, gpg: Gpg) -> None:
    account = site.account("eve")
    mail = b"From: claims@example-health.test\r\nTo: eve@other.test\r\nSubject: for gpg\r\n\r\n\xff raw\r\n"
    site.relay([EVE], mail)
    with site.reader(account) as reader:
        reader.append("Drafts", None, None, b"Subject: a draft for gpg\r\n\r\nDraft.\r\n")
        served = set()
        for folder in [line.decode().rpartition(' "/" ')[2] for line in reader.list()[1]]:
            reader.select(folder, readonly=True)
            if reader.search(None, "ALL")[1][0]:
                served |= {
                    answer[1]
                    for answer in reader.fetch("1:*", "(BODY.PEEK[])")[1]
                    if isinstance(answer, tuple)
                }

    imported = gpg.run("--import", password=account.password, stdin=_export(site, account))
    assert imported.returncode == 0, imported.stderr.decode()
    assert b"secret keys imported: 1" in imported.stderr
    opened = _stored(site, gpg, account.password)
    assert set(opened) == served
    assert any(content.endswith(mail) for content in opened)
    assert b"Subject: a draft for gpg\r\n\r\nDraft.\r\n" in opened


def test_the_exported_key_is_protected_by_the_password(site: Site, gpg: Gpg) -> None:
    account = site.account("eve")
    gpg.run("--import", password=account.password, stdin=_export(site, account))
    a_file = b"sealed to eve"
    sealed = gpg.run("--trust-model", "always", "--encrypt", "--recipient", EVE, password="", stdin=a_file)
    assert sealed.returncode == 0, sealed.stderr.decode()
    wrong = gpg.run("--decrypt", password="not the password", stdin=sealed.stdout)
    assert wrong.returncode != 0 and wrong.stdout == b""
    right = gpg.run("--decrypt", password=account.password, stdin=sealed.stdout)
    assert (right.returncode, right.stdout) == (0, a_file)


def test_the_export_needs_the_password(site: Site) -> None:
    done = _key_export(site, EVE, "incorrect horse")
    assert done.returncode != 0
    assert b"PRIVATE KEY" not in done.stdout
