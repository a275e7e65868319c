"""neomutt in a terminal: read, reply and send, keep and resume a draft, find the copy in Sent."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.clients.site import Account, Site, until
from tests.clients.tmux import Terminal, terminal
from tests.peers.private import directory, program

pytestmark = [pytest.mark.clients, pytest.mark.xdist_group("one demo for all clients")]

BOB = "bob@acme.test"
CLAIMS = "claims@example-health.test"

QUESTION = (
    f"From: Example Health <{CLAIMS}>\r\nTo: {BOB}\r\nSubject: A question, Zürich\r\n".replace(
        "Zürich", "=?utf-8?Q?Z=C3=BCrich?="
    )
    + "Message-ID: <question.1@example-health.test>\r\nDate: Mon, 23 Nov 2026 08:00:00 +0000\r\n"
    + "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
    + "\r\nIs the address in Zürich right?\r\n"
).encode()


def _muttrc(site: Site, account: Account, home: Path) -> Path:
    user = quote(account.address, safe="")
    editor = home / "editor.sh"
    editor.write_text('#!/bin/sh\nprintf "Written in neomutt.\\n" >> "$1"\n')
    editor.chmod(0o700)
    config = home / "muttrc"
    config.write_text(
        f"""
set from = "{account.address}"
set realname = "Bob"
set folder = "imaps://{user}@{site.imaps.host}:{site.imaps.port}/"
set imap_user = "{account.address}"
set imap_pass = "{account.password}"
set smtp_url = "smtp://{user}@{site.submission.host}:{site.submission.port}/"
set smtp_pass = "{account.password}"
set ssl_ca_certificates_file = "{site.ca}"
set ssl_force_tls = yes
set ssl_verify_host = yes
set certificate_file = "{home}/certificates"
set spool_file = "+INBOX"
set record = "+Sent"
set postponed = "+Drafts"
set editor = "{editor}"
set charset = "utf-8"
set header_cache = ""
set mail_check = 1
set timeout = 1
set imap_idle = yes
set wait_key = no
set confirm_append = no
set delete = yes
set include = yes
set recall = no
set abort_unmodified = no
set abort_nosubject = no
set sleep_time = 0
set sort = mailbox-order
set use_envelope_from = yes
set hostname = "client.test"
"""
    )
    return config


@pytest.fixture
def mutt(site: Site) -> Iterator[Terminal]:
    site.relay([BOB], QUESTION)
    with directory("neomutt") as home:
        home.chmod(0o700)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "TERM": "xterm",
            "LANG": "C.UTF-8",
            "TMPDIR": str(home),
        }
        command = [program("neomutt"), "-F", str(_muttrc(site, site.account("bob"), home))]
        with terminal(command, home, environment) as window:
            window.wait("A question")
            yield window


def _search(site: Site, folder: str, *query: str) -> list[bytes]:
    with site.reader(site.account("bob")) as reader:
        reader.select(folder, readonly=True)
        return reader.search(None, *query)[1][0].split()


def test_reads_and_replies(mutt: Terminal, site: Site) -> None:
    mutt.keys("*")  # the last entry
    mutt.keys("Enter")
    mutt.wait("Is the address in Zürich right?")
    mutt.keys("r")
    mutt.wait("\nTo:")
    mutt.keys("Enter")
    mutt.wait("\nSubject: Re: A question, Zürich")
    mutt.keys("Enter")
    mutt.wait("y:Send")
    mutt.keys("y")
    arrived = site.sunk_with("Re: A question, Zürich")
    assert arrived["In-Reply-To"] == "<question.1@example-health.test>"
    assert "Written in neomutt." in arrived.get_content()
    mutt.wait(lambda screen: "y:Send" not in screen)
    # The server's copy and neomutt's own are one.
    until("the copy in Sent", lambda: _search(site, "Sent", "SUBJECT", "question"))
    assert len(_search(site, "Sent", "SUBJECT", "question", "TO", CLAIMS)) == 1
    mutt.keys("q")  # back to the index, where the reply mark is synchronised
    mutt.keys("$")
    until("the reply mark", lambda: _search(site, "INBOX", "ANSWERED", "SUBJECT", "question"))


def test_keeps_a_draft_and_sends_it_later(mutt: Terminal, site: Site) -> None:
    mutt.keys("m")
    mutt.wait("\nTo:")
    mutt.type(CLAIMS)
    mutt.keys("Enter")
    mutt.wait("\nSubject:")
    mutt.type("Drafted in neomutt")
    mutt.keys("Enter")
    mutt.wait("y:Send")
    mutt.keys("q")  # "Save (postpone) draft message?"
    mutt.wait("ostpone")
    mutt.keys("y")
    drafts = until("the draft", lambda: _search(site, "Drafts", "SUBJECT", '"Drafted in neomutt"'))
    assert len(drafts) == 1
    mutt.wait("A question")
    mutt.keys("R")  # recall: it lists the drafts when there are several
    if "y:Send" not in mutt.wait(lambda screen: "y:Send" in screen or "Drafted in neomutt" in screen):
        mutt.keys("/")
        mutt.wait("\nSearch for:")
        mutt.type("Drafted in neomutt")
        mutt.keys("Enter")
        mutt.keys("Enter")
    assert "Subject: Drafted in neomutt" in mutt.wait("y:Send")
    mutt.keys("y")
    assert "Written in neomutt." in site.sunk_with("Drafted in neomutt").get_content()
    until("the draft gone", lambda: not _search(site, "Drafts", "SUBJECT", '"Drafted in neomutt"'))
    until("the copy in Sent", lambda: _search(site, "Sent", "SUBJECT", '"Drafted in neomutt"'))


def test_is_told_of_new_mail_and_deletes_it(mutt: Terminal, site: Site) -> None:
    site.relay([BOB], QUESTION.replace(b"A question", b"Another one").replace(b"question.1", b"another.1"))
    mutt.wait("Another one", seconds=15)
    mutt.keys("*")
    mutt.keys("d")
    mutt.keys("$")
    until("the message gone", lambda: not _search(site, "INBOX", "SUBJECT", '"Another one"'))
