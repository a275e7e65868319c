"""Thunderbird, as a member uses it: read, save, reply, draft, and be told of new mail at once."""

from __future__ import annotations

import email
import email.policy
import imaplib
import os
import random
import time
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from tests.clients.site import Site, until
from tests.clients.thunderbird import Thunderbird, thunderbird

pytestmark = [pytest.mark.clients, pytest.mark.xdist_group("one demo for all clients")]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the README's two pictures go: docs/screenshots when they are to be made anew with
    `SECURE_INBOX_SCREENSHOTS=docs/screenshots pytest tests/clients/test_thunderbird.py`."""
    wanted = os.environ.get("SECURE_INBOX_SCREENSHOTS")
    return Path(wanted).absolute() if wanted else tmp_path_factory.mktemp("pictures")


@pytest.fixture(scope="module")
def bird(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Thunderbird]:
    with thunderbird(site, site.account("ann"), tmp_path_factory.mktemp("thunderbird")) as running:
        running.get_mail()
        running.wait("the folders", "return ['Sent', 'Drafts', 'Trash'].every(name => folder(name))")
        yield running


def _letter(subject: str, attachment: bytes | None = None) -> EmailMessage:
    message = EmailMessage(email.policy.SMTP)
    message["From"] = "Example Health Claims <claims@example-health.test>"
    message["To"] = "ann@acme.test"
    message["Subject"] = subject
    message["Message-ID"] = f"<{subject.replace(' ', '.').lower()}@example-health.test>"
    message["Date"] = "Mon, 23 Nov 2026 09:00:00 +0000"
    message.set_content(
        "Dear Ann,\n\nplease fill in the form and send it back to us.\n\nYour claims team\n"
    )
    if attachment is not None:
        message.add_attachment(
            attachment, maintype="application", subtype="octet-stream", filename="Claim form ü.bin"
        )
    return message


def _inbox_subjects(site: Site) -> list[str]:
    with site.reader(site.account("ann")) as reader:
        reader.select("INBOX", readonly=True)
        numbers = reader.search(None, "ALL")[1][0].split()
        return [_subject(reader, number) for number in numbers]


def _subject(reader: imaplib.IMAP4, number: bytes) -> str:
    block = reader.fetch(number.decode(), "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1][0][1]
    return str(email.message_from_bytes(block, policy=email.policy.default)["Subject"])


def test_shows_the_folders_and_every_message(bird: Thunderbird, site: Site) -> None:
    wanted = _inbox_subjects(site)
    assert wanted
    bird.open_folder("INBOX")
    bird.wait("all messages", "return subjects().length >= args[0]", len(wanted))
    assert sorted(bird.subjects()) == sorted(wanted)
    # nsMsgFolderFlags: the folders are known by their special use, not guessed by their names.
    for name, bit in {"INBOX": 0x1000, "Sent": 0x200, "Drafts": 0x400, "Trash": 0x100}.items():
        assert bird.js("return folder(args[0]).flags", name) & bit, name


def test_shows_a_demo_message(bird: Thunderbird, pictures: Path) -> None:
    bird.open_folder("INBOX")
    bird.open_message("Your statement for October")
    assert "your statement and the figures behind it are attached" in bird.text()
    names = "return message().currentAttachments.map(one => one.name)"
    assert bird.js(names) == ["figures October.csv", "Übersicht Oktober.pdf"]
    bird.screenshot(pictures / "thunderbird-inbox.png")


def test_is_told_of_new_mail_by_idle_and_saves_its_attachment(
    bird: Thunderbird, site: Site, tmp_path: Path
) -> None:
    bird.open_folder("INBOX")
    bird.wait("all messages", "return subjects().length >= args[0]", len(_inbox_subjects(site)))
    form = random.Random(2).randbytes(200_000)
    began = time.monotonic()
    site.relay(["ann@acme.test"], bytes(_letter("Told by IDLE", form)))
    bird.wait("the new message", "return subjects().includes('Told by IDLE')", seconds=15)
    assert time.monotonic() - began < 10
    bird.open_message("Told by IDLE")
    assert "please fill in the form" in bird.text()
    target = tmp_path / "saved.bin"
    bird.wait("the attachment", "return message().currentAttachments.length == 1")
    name = bird.js(
        "const [one] = message().currentAttachments; await one.saveToFile(args[0]); return one.name",
        str(target),
    )
    assert name == "Claim form ü.bin"
    assert target.read_bytes() == form


def test_sends_a_reply_with_an_attachment(
    bird: Thunderbird, site: Site, tmp_path: Path, pictures: Path
) -> None:
    bird.open_folder("INBOX")
    original = _letter("Form to return")
    site.relay(["ann@acme.test"], bytes(original))
    bird.open_message("Form to return")
    scan = tmp_path / "scan.pdf"
    scan.write_bytes(b"%PDF-1.4\n" + random.Random(3).randbytes(100_000))
    bird.js("message().document.getElementById('hdrReplyButton').click()")
    bird.composing()
    bird.write("Here it is, filled in.\n")
    bird.attach(scan)
    bird.screenshot(pictures / "thunderbird-reply.png")
    bird.send()
    arrived = site.sunk_with("Re: Form to return")
    assert arrived["In-Reply-To"] == original["Message-ID"]
    assert [part.get_content() for part in arrived.iter_attachments()] == [scan.read_bytes()]
    assert "Here it is, filled in." in arrived.get_body(("plain", "html")).get_content()
    # The server files the copy and so does Thunderbird; the member sees one.
    assert _found(site, "Sent", "Re: Form to return") == 1
    until("the reply mark", lambda: _flagged(site, "Form to return", "ANSWERED"))


def test_keeps_a_draft(bird: Thunderbird, site: Site) -> None:
    bird.js("pane().document.getElementById('folderPaneWriteMessage').click()")
    bird.composing()
    bird.address("claims@example-health.test", "Half a thought")
    bird.write("To be continued")
    bird.save_draft()
    assert _found(site, "Drafts", "Half a thought") == 1
    bird.open_folder("Drafts")
    bird.open_message("Half a thought")
    assert "To be continued" in bird.text()


def test_deleting_moves_to_the_trash(bird: Thunderbird, site: Site) -> None:
    bird.open_folder("INBOX")
    site.relay(["ann@acme.test"], bytes(_letter("No longer wanted")))
    bird.open_message("No longer wanted")
    bird.js("main.goDoCommand('cmd_delete')")
    until("the message gone from the inbox", lambda: not _found(site, "INBOX", "No longer wanted"))
    until("the message in the trash", lambda: _found(site, "Trash", "No longer wanted") == 1)


def _found(site: Site, folder: str, subject: str) -> int:
    with site.reader(site.account("ann")) as reader:
        reader.select(folder, readonly=True)
        return len(reader.search(None, "SUBJECT", f'"{subject}"')[1][0].split())


def _flagged(site: Site, subject: str, flag: str) -> bool:
    with site.reader(site.account("ann")) as reader:
        reader.select("INBOX", readonly=True)
        return bool(reader.search(None, flag, "SUBJECT", f'"{subject}"')[1][0].split())
