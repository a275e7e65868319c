"""Python's own imaplib and smtplib go through what a client does, command by command."""

from __future__ import annotations

import imaplib
import random
import smtplib
from collections.abc import Iterator
from email.message import EmailMessage

import pytest

from tests.clients.site import Site

pytestmark = [pytest.mark.clients, pytest.mark.xdist_group("one demo for all clients")]

CLAIMS = "claims@example-health.test"


@pytest.fixture
def ann(site: Site) -> Iterator[imaplib.IMAP4_SSL]:
    with site.reader(site.account("ann")) as client:
        yield client


def _message(subject: str, size: int = 0) -> EmailMessage:
    message = EmailMessage()
    message["From"] = "ann@acme.test"
    message["To"] = CLAIMS
    message["Subject"] = subject
    message["Message-ID"] = f"<{subject.replace(' ', '.')}@acme.test>"
    message.set_content("Text.\n")
    if size:
        message.add_attachment(
            random.Random(size).randbytes(size),
            maintype="application",
            subtype="octet-stream",
            filename="data.bin",
        )
    return message


def test_a_folder_from_its_making_to_its_end(ann: imaplib.IMAP4_SSL) -> None:
    assert ann.create('"Plans/Next year"')[0] == "OK"
    assert ann.subscribe('"Plans/Next year"')[0] == "OK"
    assert any(b"Plans/Next year" in line for line in ann.lsub()[1])
    content = b"Subject: plan\r\n\r\nThe plan.\r\n"
    answer = ann.append('"Plans/Next year"', "(\\Seen $Important)", '"17-Jul-2026 02:44:25 +0200"', content)
    assert answer[0] == "OK" and b"APPENDUID" in answer[1][0]
    assert ann.rename('"Plans/Next year"', "Done")[0] == "OK"
    assert ann.select("Done") == ("OK", [b"1"])
    (answer,) = [
        a for a in ann.fetch("1", "(FLAGS INTERNALDATE RFC822.SIZE BODY[])")[1] if isinstance(a, tuple)
    ]
    assert answer[1] == content
    assert b"\\Seen" in answer[0] and b"$Important" in answer[0]
    assert b'"17-Jul-2026 02:44:25 +0200"' in answer[0] or b'"17-Jul-2026 00:44:25 +0000"' in answer[0]
    assert ann.copy("1", "Drafts")[0] == "OK"
    assert ann.uid("MOVE", "1", "Trash")[0] == "OK"
    assert ann.search(None, "ALL")[1] == [b""]
    ann.close()
    assert ann.delete("Done")[0] == "OK"
    assert ann.unsubscribe('"Plans/Next year"')[0] == "OK"
    assert not any(b"Done" in line for line in ann.list()[1])
    ann.delete("Plans")


def test_flags_search_and_expunge(ann: imaplib.IMAP4_SSL) -> None:
    ann.create("Sorting")
    for number in range(5):
        content = (
            f"From: a{number}@b.test\r\nSubject: number {number}\r\n\r\nword{number} zwölf\r\n".encode()
        )
        assert ann.append("Sorting", None, None, content)[0] == "OK"
    assert ann.select("Sorting") == ("OK", [b"5"])
    ann.store("2,4", "+FLAGS", "(\\Deleted)")
    assert ann.search(None, "DELETED")[1] == [b"2 4"]
    assert ann.search(None, "OR", "SUBJECT", '"number 1"', "BODY", "word4")[1] == [b"2 5"]
    assert ann.search(None, "NOT", "FROM", "a0@", "UNDELETED")[1] == [b"3 5"]
    assert ann.expunge()[0] == "OK"
    assert ann.search(None, "ALL")[1] == [b"1 2 3"]
    ann.unselect()
    (status,) = ann.status("Sorting", "(MESSAGES UIDNEXT UNSEEN)")[1]
    assert status.replace(b'"', b"") == b"Sorting (MESSAGES 3 UIDNEXT 6 UNSEEN 3)"
    ann.delete("Sorting")


def test_search_in_utf8_with_a_literal(ann: imaplib.IMAP4_SSL) -> None:
    ann.create("Letters")
    ann.append(
        "Letters",
        None,
        None,
        "Subject: x\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nzwölf\r\n".encode(),
    )
    ann.select("Letters")
    ann.literal = "zwölf".encode()
    assert ann.uid("SEARCH", "CHARSET", "UTF-8", "TEXT")[1] == [b"1"]
    ann.close()
    ann.delete("Letters")


def test_starttls_then_login(site: Site) -> None:
    account = site.account("ann")
    with imaplib.IMAP4(site.imap.host, site.imap.port, timeout=30) as client:
        assert "LOGINDISABLED" in client.capabilities
        with pytest.raises(imaplib.IMAP4.error):
            client.login(account.address, account.password)
        client.starttls(site.tls())
        assert "LOGINDISABLED" not in client.capabilities
        assert client.login(account.address, account.password)[0] == "OK"


def test_wrong_password_and_unknown_account_get_the_same_words(site: Site) -> None:
    said = []
    for name in ("bob@acme.test", "nobody@acme.test"):
        with imaplib.IMAP4_SSL(
            site.imaps.host, site.imaps.port, ssl_context=site.tls(), timeout=30
        ) as client:
            with pytest.raises(imaplib.IMAP4.error) as refused:
                client.login(name, "incorrect horse")
            said.append(str(refused.value))
    assert said[0] == said[1] and "AUTHENTICATIONFAILED" in said[0]


@pytest.mark.parametrize("door", ["submission", "submissions"])
def test_smtplib_sends_and_the_copy_is_in_sent_once(site: Site, ann: imaplib.IMAP4_SSL, door: str) -> None:
    account, message = site.account("ann"), _message(f"smtplib {door}", 300_000)
    if door == "submission":
        client = site.submitter(account)
    else:
        client = smtplib.SMTP_SSL(
            site.submissions.host, site.submissions.port, context=site.tls(), timeout=30
        )
        client.login(account.address, account.password)
    with client:
        assert client.send_message(message) == {}
    arrived = site.sunk_with(f"smtplib {door}")
    (attachment,) = arrived.iter_attachments()
    assert attachment.get_content() == random.Random(300_000).randbytes(300_000)
    ann.append("Sent", "(\\Seen)", None, bytes(message).replace(b"\n", b"\r\n"))  # as most clients do
    ann.select("Sent", readonly=True)
    assert len(ann.search(None, "SUBJECT", f'"smtplib {door}"')[1][0].split()) == 1


def test_the_answers_have_enhanced_codes_and_extensions(site: Site) -> None:
    with site.submitter(site.account("ann")) as client:
        client.ehlo()
        for word in ("size", "8bitmime", "pipelining", "enhancedstatuscodes", "auth"):
            assert client.has_extn(word), word
        assert client.noop()[0] == 250
        code, words = client.mail("ann@acme.test", ["SIZE=99999999999"])
        assert code == 552 and words.startswith(b"5.3.4")


def test_semicolons_between_recipients_are_mended(site: Site) -> None:
    content = (
        b"From: ann@acme.test\r\nTo: claims@example-health.test; support@example-health.test\r\n"
        b"Subject: semicolons\r\nMessage-ID: <semi@acme.test>\r\n\r\nBoth of you.\r\n"
    )
    with site.submitter(site.account("ann")) as client:
        assert client.sendmail("ann@acme.test", list(site.internal), content) == {}
    assert (
        str(site.sunk_with("semicolons")["To"]) == "claims@example-health.test, support@example-health.test"
    )
