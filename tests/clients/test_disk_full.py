"""A full disk: nothing is lost or half stored, everybody is told to try again, all works afterwards.

The demo's whole directory, its log and audit included, lies on a small tmpfs. Mounting needs
root; without it the test says so and fails, since it has then shown nothing.
"""

from __future__ import annotations

import contextlib
import imaplib
import smtplib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.gateway import Running, gateway
from tests.clients.site import Site, until

pytestmark = pytest.mark.clients

ANN = "ann@acme.test"
CLAIMS = "claims@example-health.test"
SIZE_MB = 16


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    mounted = tmp_path / "disk"
    mounted.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "tmpfs", str(mounted)],
        check=False,
        capture_output=True,
    )
    if done.returncode:
        pytest.fail(
            f"this test must mount a tmpfs, which needs root: {done.stderr.decode(errors='replace')}"
        )
    try:
        yield mounted
    finally:
        subprocess.run(["umount", "--lazy", str(mounted)], check=True)


@pytest.fixture
def running(small_disk: Path) -> Iterator[Running]:
    with gateway(small_disk / "data", examples=False) as started:
        yield started


def _letter(subject: str, size: int) -> bytes:
    head = f"From: {CLAIMS}\r\nTo: {ANN}\r\nSubject: {subject}\r\n"
    head += f"Message-ID: <{subject.replace(' ', '.')}@x.test>"
    return head.encode() + b"\r\n\r\n" + b"Some text that fills the line, and a CRLF.\r\n" * (size // 44)


def _fill(disk: Path) -> Path:
    """Until not one octet more can be written."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    return ballast


def _count(reader: imaplib.IMAP4, folder: str, subject: str) -> int:
    assert reader.select(folder)[0] == "OK"
    return len(reader.search(None, "SUBJECT", f'"{subject}"')[1][0].split())


def _relay(site: Site, content: bytes) -> int:
    """The code of the answer after DATA, or of whatever refused before."""
    try:
        site.relay([ANN], content)
    except smtplib.SMTPResponseException as refused:
        assert b"/" not in refused.smtp_error, "an answer must not hold a path"
        return refused.smtp_code
    except smtplib.SMTPRecipientsRefused as refused:
        return next(iter(refused.recipients.values()))[0]
    return 250


def _submit(site: Site, subject: str) -> int:
    message = _letter(subject, 200_000).replace(b"From: claims@", b"From: ann@acme.test\r\nX-Was: claims@")
    try:
        with site.submitter(site.account("ann")) as door:
            door.sendmail(ANN, [CLAIMS], message)
    except smtplib.SMTPResponseException as refused:
        return refused.smtp_code
    return 250


def test_full_then_freed(running: Running, small_disk: Path) -> None:
    site = running.site
    processes = set(running.processes())
    before = _letter("before", 100_000)
    site.relay([ANN], before)
    with site.reader(site.account("ann")) as reader:
        assert _count(reader, "INBOX", "before") == 1
        ballast = _fill(small_disk)

        # What must be stored is refused for now.
        late = _letter("late", 300_000)
        assert 400 <= _relay(site, late) < 500
        assert 400 <= _submit(site, "sent late") < 500
        status, said = reader.append("Drafts", None, None, _letter("draft", 300_000))
        assert (status, said[0][:13]) == ("NO", b"[UNAVAILABLE]")
        # What needs no room still works: the mail that is there can be read.
        assert reader.noop()[0] == "OK"
        assert reader.fetch("1", "(BODY.PEEK[])")[1][0][1].endswith(before)
        assert _count(reader, "INBOX", "late") == 0
        # A change of flags may fit into the index's log or not; but it must be one of the two.
        status, said = reader.store("1", "+FLAGS", "(\\Flagged)")
        assert status == "OK" or b"UNAVAILABLE" in said[0]

        ballast.unlink()
        # The peers try again, with the same octets; each message is there once.
        until("room for a delivery", lambda: _relay(site, late) == 250)
        until("room for a submission", lambda: _submit(site, "sent late") == 250)
        assert reader.append("Drafts", None, None, _letter("draft", 300_000))[0] == "OK"
        assert _count(reader, "INBOX", "late") == 1
        assert _count(reader, "Sent", "sent late") == 1
        assert _count(reader, "Drafts", "draft") == 1
        assert reader.store("1", "+FLAGS", "(\\Flagged)")[0] == "OK"
    with site.reader(site.account("ann")) as reader:
        assert _count(reader, "INBOX", "before") == 1
    site.sunk_with("sent late")
    assert processes == set(running.processes()), "a process has died"
    assert not list((site.directory / "data").rglob("accounts/*/tmp/*"))


def test_log_in_while_full(small_disk: Path) -> None:
    """Logging in needs no room either; if it does, it is for now."""
    with gateway(small_disk / "data", examples=False) as running:
        running.site.relay([ANN], _letter("before", 100_000))
        ballast = _fill(small_disk)
        try:
            with running.site.reader(running.site.account("ann")) as reader:
                assert _count(reader, "INBOX", "before") in (0, 1)
        except imaplib.IMAP4.error as refused:
            assert "UNAVAILABLE" in str(refused)
        ballast.unlink()
        with running.site.reader(running.site.account("ann")) as reader:
            assert _count(reader, "INBOX", "before") == 1
