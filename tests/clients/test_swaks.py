"""swaks at the three SMTP doors: each mechanism over each kind of TLS, and each refusal."""

from __future__ import annotations

import subprocess

import pytest

from tests.clients.site import Place, Site
from tests.peers.private import program

pytestmark = [pytest.mark.clients, pytest.mark.xdist_group("one demo for all clients")]

CLAIMS = "claims@example-health.test"
# swaks' exit codes
MAIL_REFUSED, RCPT_REFUSED, DATA_REFUSED, NO_AUTH = 23, 24, 26, 28


def _swaks(place: Place, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [program("swaks"), "--server", place.host, "--port", str(place.port), "--timeout", "30"]
    command += ["--helo", "client.test", *arguments]
    return subprocess.run(
        command, check=False, capture_output=True, timeout=60, text=True, errors="replace"
    )


def _login(site: Site, mechanism: str = "PLAIN", password: str = "") -> list[str]:
    bob = site.account("bob")
    login = ["--auth", mechanism, "--auth-user", bob.address, "--auth-password", password or bob.password]
    return [*login, "--from", bob.address]


def _verified(site: Site) -> list[str]:
    return ["--tls-verify", "--tls-ca-path", str(site.ca)]


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("door", ["submission", "submissions"])
def test_sends_with_each_mechanism_over_each_tls(site: Site, door: str, mechanism: str) -> None:
    tls = "--tls" if door == "submission" else "--tlsc"
    subject = f"swaks {door} {mechanism}"
    done = _swaks(
        getattr(site, door), tls, *_verified(site), *_login(site, mechanism), "--to", CLAIMS,
        "--header", f"Subject: {subject}", "--body", "By swaks.",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "250 2.0.0" in done.stdout
    assert site.sunk_with(subject)["From"] == "bob@acme.test"


def test_pipelining(site: Site) -> None:
    done = _swaks(
        site.submission,
        "--tls",
        "--pipeline",
        *_login(site),
        "--to",
        CLAIMS,
        "--header",
        "Subject: in one go",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    site.sunk_with("in one go")


def test_login_is_not_offered_in_clear(site: Site) -> None:
    done = _swaks(site.submission, *_login(site), "--to", CLAIMS)
    assert done.returncode == NO_AUTH
    assert "250-AUTH" not in done.stdout and "250 AUTH" not in done.stdout
    assert "Y29ycmVjdCBob3JzZSBiYXR0ZXJ5" not in done.stdout  # the password in base64


REFUSALS = {
    "wrong password": (["--auth-password", "incorrect"], ["--to", CLAIMS], NO_AUTH, "535 5.7.8"),
    "another's From in the envelope": (["--from", "ann@acme.test"], ["--to", CLAIMS], MAIL_REFUSED, "5.7."),
    "another's From in the header": (
        [],
        ["--to", CLAIMS, "--h-From", "ann@acme.test"],
        DATA_REFUSED,
        "550 5.7.1",
    ),
    "a stranger as recipient": ([], ["--to", "x@elsewhere.test"], RCPT_REFUSED, "550 5.7.1"),
    "another company's member": ([], ["--to", "eve@other.test"], RCPT_REFUSED, "550 5.7.1"),
    "a colleague without a reply": ([], ["--to", "ann@acme.test"], DATA_REFUSED, "550 5.7.1"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(site: Site, case: str) -> None:
    login, rest, code, words = REFUSALS[case]
    done = _swaks(
        site.submission, "--tls", *_login(site), *login, *rest, "--header", "Subject: not to pass"
    )
    assert (done.returncode, words in done.stdout) == (code, True), done.stdout + done.stderr
    assert all(message["Subject"] != "not to pass" for message in site.sunk())


def test_relay_in_takes_members_only(site: Site) -> None:
    done = _swaks(site.relay_in, "--tls", *_verified(site), "--from", CLAIMS, "--to", "nobody@acme.test")
    assert (done.returncode, "550 5.1.1" in done.stdout) == (RCPT_REFUSED, True), done.stdout
    done = _swaks(
        site.relay_in, "--tls", *_verified(site), "--from", CLAIMS, "--to", "bob@acme.test",
        "--header", "Subject: relayed by swaks",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    with site.reader(site.account("bob")) as reader:
        reader.select("INBOX", readonly=True)
        assert len(reader.search(None, "SUBJECT", '"relayed by swaks"')[1][0].split()) == 1


def test_a_reply_to_a_colleague_passes(site: Site) -> None:
    """P8: it answers a message that lies in the sender's own mailbox."""
    bob = site.account("bob")
    question = (
        b"From: claims@example-health.test\r\nTo: bob@acme.test\r\nCc: ann@acme.test\r\n"
        b"Subject: to both\r\nMessage-ID: <both.1@example-health.test>\r\n\r\nHello both.\r\n"
    )
    site.relay([bob.address], question)
    done = _swaks(
        site.submission, "--tls", *_login(site), "--to", "ann@acme.test",
        "--header", "Subject: Re: to both", "--add-header", "In-Reply-To: <both.1@example-health.test>",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    with site.reader(site.account("ann")) as reader:
        reader.select("INBOX", readonly=True)
        assert len(reader.search(None, "SUBJECT", '"Re: to both"')[1][0].split()) == 1
