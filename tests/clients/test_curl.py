"""curl speaks to all four doors for members: list, fetch, append and search mail, and send."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.clients.site import Account, Place, Site
from tests.peers.private import program

pytestmark = [pytest.mark.clients, pytest.mark.xdist_group("one demo for all clients")]

CLAIMS = "claims@example-health.test"
NOT_TRUSTED, LOGIN_DENIED, SEND_ERROR = 60, 67, 55  # curl's exit codes


def _curl(
    site: Site, *arguments: str, account: Account | None = None
) -> subprocess.CompletedProcess[bytes]:
    account = account or site.account("bob")
    command = [program("curl"), "--silent", "--show-error", "--verbose", "--max-time", "30"]
    command += ["--cacert", str(site.ca), "--user", f"{account.address}:{account.password}", *arguments]
    return subprocess.run(command, check=False, capture_output=True, timeout=60)


def _ok(done: subprocess.CompletedProcess[bytes]) -> bytes:
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout


@pytest.fixture(params=["imaps", "imap"])
def door(request: pytest.FixtureRequest, site: Site) -> list[str]:
    """The URL's beginning, and what makes curl insist on TLS."""
    place: Place = getattr(site, request.param)
    return [f"{request.param}://{place.host}:{place.port}", "--ssl-reqd"]


def _message(subject: str, body: str = "By curl.") -> bytes:
    return (
        f"From: bob@acme.test\r\nTo: {CLAIMS}\r\nSubject: {subject}\r\n"
        f"Message-ID: <{subject.replace(' ', '.')}@acme.test>\r\n\r\n{body}\r\n"
    ).encode()


def test_append_list_search_fetch(site: Site, door: list[str], tmp_path: Path) -> None:
    url, tls = door
    subject = f"curl at the {url.partition(':')[0]} door"
    draft = tmp_path / "draft.eml"
    draft.write_bytes(_message(subject))
    _ok(_curl(site, tls, "--upload-file", str(draft), f"{url}/Drafts"))
    folders = _ok(_curl(site, tls, f"{url}/")).decode()
    assert "INBOX" in folders and "\\Drafts" in folders
    quoted = f"%22{subject.replace(' ', '%20')}%22"
    found = (
        _ok(_curl(site, tls, f"{url}/Drafts?SUBJECT%20{quoted}")).decode().partition("SEARCH")[2].split()
    )
    assert len(found) == 1
    assert _ok(_curl(site, tls, f"{url}/Drafts;MAILINDEX={found[0]}")) == draft.read_bytes()
    command = f'UID SEARCH SUBJECT "{subject}"'
    (uid,) = (
        _ok(_curl(site, tls, f"{url}/Drafts", "--request", command)).decode().partition("SEARCH")[2].split()
    )
    assert _ok(_curl(site, tls, f"{url}/Drafts;UID={uid}")) == draft.read_bytes()
    assert _ok(_curl(site, tls, f"{url}/Drafts;UID={uid};SECTION=TEXT")) == b"By curl.\r\n"
    _ok(_curl(site, tls, f"{url}/Drafts", "--request", f"UID STORE {uid} +FLAGS.SILENT (\\Flagged)"))
    assert b"\\Flagged" in _ok(_curl(site, tls, f"{url}/Drafts", "--request", f"UID FETCH {uid} FLAGS"))


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_both_mechanisms_open_the_mailbox(site: Site, mechanism: str) -> None:
    url = f"imaps://{site.imaps.host}:{site.imaps.port}/"
    done = _curl(site, "--login-options", f"AUTH={mechanism}", url)
    assert b"INBOX" in _ok(done)
    assert f"AUTHENTICATE {mechanism}".encode() in done.stderr


def test_wrong_password_is_denied(site: Site) -> None:
    wrong = Account("bob@acme.test", "incorrect horse")
    done = _curl(site, f"imaps://{site.imaps.host}:{site.imaps.port}/", account=wrong)
    assert done.returncode == LOGIN_DENIED


def test_without_the_authority_nothing_is_said(site: Site) -> None:
    """curl refuses a server it cannot verify: the certificate is really the demo's own."""
    done = _curl(
        site,
        "--cacert",
        "/etc/ssl/certs/ca-certificates.crt",
        f"imaps://{site.imaps.host}:{site.imaps.port}/",
    )
    assert done.returncode == NOT_TRUSTED


@pytest.mark.parametrize("scheme", ["smtps", "smtp"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_send(site: Site, scheme: str, mechanism: str, tmp_path: Path) -> None:
    place = site.submissions if scheme == "smtps" else site.submission
    subject = f"curl sends {scheme} {mechanism}"
    mail = tmp_path / "mail.eml"
    mail.write_bytes(_message(subject, "Größe\r\n.dot at the start\r\n..two"))
    _ok(
        _curl(
            site, "--ssl-reqd", "--login-options", f"AUTH={mechanism}", "--mail-from", "bob@acme.test",
            "--mail-rcpt", CLAIMS, "--upload-file", str(mail), f"{scheme}://{place.host}:{place.port}/client.test",
        )
    )  # fmt: skip
    arrived = site.sunk_with(subject)
    assert arrived.get_payload().splitlines()[1:] == [".dot at the start", "..two"]


def test_a_stranger_is_refused_as_recipient(site: Site, tmp_path: Path) -> None:
    mail = tmp_path / "mail.eml"
    mail.write_bytes(_message("to a stranger"))
    done = _curl(
        site, "--ssl-reqd", "--mail-from", "bob@acme.test", "--mail-rcpt", "x@elsewhere.test",
        "--upload-file", str(mail), f"smtp://{site.submission.host}:{site.submission.port}",
    )  # fmt: skip
    assert done.returncode == SEND_ERROR
    assert b"550 5.7.1" in done.stderr
