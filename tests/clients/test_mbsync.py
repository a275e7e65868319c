"""mbsync keeps a Maildir and the gateway the same, both ways: mail, flags, deletions, folders."""

from __future__ import annotations

import imaplib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.site import Account, Site
from tests.peers.private import program

pytestmark = [pytest.mark.clients, pytest.mark.xdist_group("one demo for all clients")]

MESSAGE = (
    "From: Bob <bob@acme.test>\r\nTo: bob@acme.test\r\nSubject: {0}\r\n"
    "Message-ID: <{0}@acme.test>\r\n\r\n{0}\r\n"
)


class Mbsync:
    """One account, two sides, as a person would configure it."""

    def __init__(self, site: Site, account: Account, home: Path) -> None:
        self.local = home / "Mail"
        self.local.mkdir()
        self._config = home / "mbsyncrc"
        self._config.write_text(
            f"""
IMAPAccount gateway
Host localhost
Port {site.imaps.port}
User {account.address}
Pass "{account.password}"
SSLType IMAPS
CertificateFile {site.ca}

IMAPStore far
Account gateway

MaildirStore near
Path {self.local}/
Inbox {self.local}/INBOX
SubFolders Verbatim

Channel both
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState *
CopyArrivalDate yes
"""
        )
        self._config.chmod(0o600)

    def sync(self) -> str:
        done = subprocess.run(
            [program("mbsync"), "-c", str(self._config), "-a", "-V"],
            check=False,
            capture_output=True,
            timeout=60,
        )
        said = (done.stdout + done.stderr).decode(errors="replace")
        assert done.returncode == 0, said
        return said

    def files(self, folder: str) -> dict[str, Path]:
        """By subject."""
        found = {}
        for path in sorted((self.local / folder).glob("*/*")):
            if path.parent.name in ("cur", "new"):
                found[_subject(path.read_bytes())] = path
        return found


def _subject(content: bytes) -> str:
    return content.partition(b"Subject: ")[2].split(b"\n")[0].strip().decode()


@pytest.fixture
def bob(site: Site) -> Iterator[imaplib.IMAP4_SSL]:
    with site.reader(site.account("bob")) as client:
        yield client


def _put(client: imaplib.IMAP4, folder: str, *subjects: str) -> None:
    for subject in subjects:
        assert client.append(folder, None, None, MESSAGE.format(subject).encode())[0] == "OK"


def _there(client: imaplib.IMAP4, folder: str) -> dict[str, str]:
    """Subject -> flags on the server."""
    assert client.select(folder, readonly=True)[0] == "OK"
    found = {}
    for answer in client.fetch("1:*", "(FLAGS BODY.PEEK[])")[1] if client.search(None, "ALL")[1][0] else []:
        if isinstance(answer, tuple):
            found[_subject(answer[1])] = answer[0].decode()
    return found


def test_both_ways(site: Site, bob: imaplib.IMAP4_SSL, tmp_path: Path) -> None:
    mbsync = Mbsync(site, site.account("bob"), tmp_path)
    folder = "Taken along"
    bob.create(f'"{folder}"')
    bob.subscribe(f'"{folder}"')
    quoted = f'"{folder}"'
    _put(bob, quoted, "kept", "flagged far", "deleted far", "deleted near", "flagged near")

    mbsync.sync()
    near = mbsync.files(folder)
    assert set(near) == {"kept", "flagged far", "deleted far", "deleted near", "flagged near"}
    # A Maildir has the system's line ends and mbsync's own mark; every other octet is the same.
    kept = re.sub(rb"X-TUID: \S+\n", b"", near["kept"].read_bytes())
    assert kept == MESSAGE.format("kept").replace("\r\n", "\n").encode()

    # Far: a flag and a deletion. Near: a flag, a deletion, a new message, a new folder.
    bob.select(quoted)
    (number,) = bob.search(None, "SUBJECT", '"flagged far"')[1][0].split()
    bob.store(number.decode(), "+FLAGS", "(\\Flagged \\Answered)")
    (number,) = bob.search(None, "SUBJECT", '"deleted far"')[1][0].split()
    bob.store(number.decode(), "+FLAGS", "(\\Deleted)")
    bob.expunge()
    near["deleted near"].unlink()
    marked = near["flagged near"]
    marked.rename(marked.parent.parent / "cur" / (marked.name.partition(":")[0] + ":2,FS"))
    new = "From: bob@acme.test\nSubject: written near\nMessage-ID: <near@acme.test>\n\nnear\n"
    (mbsync.local / folder / "new" / "1700000000.1_1.host").write_text(new)
    for part in ("cur", "new", "tmp"):
        (mbsync.local / "Made near" / part).mkdir(parents=True)

    mbsync.sync()
    near, far = mbsync.files(folder), _there(bob, quoted)
    assert set(near) == set(far) == {"kept", "flagged far", "flagged near", "written near"}
    assert set(near["flagged far"].name.partition(":2,")[2]) >= {"F", "R"}
    assert "\\Flagged" in far["flagged near"] and "\\Seen" in far["flagged near"]
    assert any(b"Made near" in line for line in bob.list()[1])

    # Nothing left to do: a third run changes no file and no flag.
    before = {
        path: path.read_bytes() for path in mbsync.local.rglob("*") if path.parent.name in ("cur", "new")
    }
    mbsync.sync()
    after = {
        path: path.read_bytes() for path in mbsync.local.rglob("*") if path.parent.name in ("cur", "new")
    }
    assert after == before
    assert _there(bob, quoted) == far


def test_takes_the_whole_mailbox_along(site: Site, bob: imaplib.IMAP4_SSL, tmp_path: Path) -> None:
    mbsync = Mbsync(site, site.account("bob"), tmp_path)
    _put(bob, "INBOX", "one of many", "another of many")
    mbsync.sync()
    assert set(mbsync.files("INBOX")) == set(_there(bob, "INBOX"))
    for special in ("Drafts", "Sent", "Trash"):
        assert (mbsync.local / special / "cur").is_dir()
