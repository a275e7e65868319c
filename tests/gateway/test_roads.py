"""The main road, end to end, on a running gateway: in, out, back, and what may not pass."""

from __future__ import annotations

import imaplib
import json
import smtplib
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from tests.clients.site import Site, until

pytestmark = pytest.mark.slow

CLAIMS = "claims@example-health.test"
ODD = (
    b"From: =?utf-8?q?Ann=C3=A9?= <claims@example-health.test>\r\nTo: ann@acme.test\r\n"
    b"Subject: %s\r\nMessage-ID: <%s@example-health.test>\r\nX-Raw: \xff\xfe\r\n\r\n"
    b"..leading dots\r\n.\x80 eight bit \r\n\ttabs\t\r\n\r\nlast line without end"
)


@contextmanager
def reading(site: Site, who: str, folder: str = "INBOX") -> Iterator[imaplib.IMAP4_SSL]:
    with site.reader(site.account(who)) as client:
        client.select(folder, readonly=True)
        yield client


def found(site: Site, who: str, folder: str, subject: str) -> list[bytes]:
    """The whole messages with that subject."""
    with reading(site, who, folder) as client:
        numbers = client.search(None, "SUBJECT", f'"{subject}"')[1][0].split()
        return [client.fetch(number.decode(), "(BODY.PEEK[])")[1][0][1] for number in numbers]


def send(site: Site, who: str, to: list[str], subject: str, *, header: str = "") -> None:
    account = site.account(who)
    content = (
        f"From: {account.address}\r\nTo: {', '.join(to)}\r\nSubject: {subject}\r\n"
        f"Message-ID: <{subject.replace(' ', '.')}@acme.test>\r\n{header}\r\nText.\r\n"
    )
    with site.submitter(account) as client:
        assert client.sendmail(account.address, to, content) == {}


def refusal(site: Site, who: str, to: list[str], subject: str, *, header: str = "") -> tuple[int, str]:
    with pytest.raises(smtplib.SMTPException) as caught:
        send(site, who, to, subject, header=header)
    if isinstance(caught.value, smtplib.SMTPRecipientsRefused):
        code, words = next(iter(caught.value.recipients.values()))
    else:
        assert isinstance(caught.value, smtplib.SMTPResponseException)
        code, words = caught.value.smtp_code, caught.value.smtp_error
    return code, words.decode() if isinstance(words, bytes) else words


def test_what_the_organisation_sends_is_read_byte_for_byte(site: Site) -> None:
    content = ODD % (b"byte for byte", b"exact")
    site.relay(["ann@acme.test"], content)
    [seen] = found(site, "ann", "INBOX", "byte for byte")
    trace, same, rest = seen.partition(content)
    assert same and rest in (b"", b"\r\n")
    assert trace.startswith(b"Return-Path: <claims@example-health.test>\r\nReceived: ")
    assert all(line.startswith((b"Return-Path:", b"Received:", b"\t")) for line in trace.splitlines())


def test_one_message_to_two_members_comes_to_both(site: Site) -> None:
    site.relay(["ann@acme.test", "eve@other.test"], ODD % (b"for both", b"both"))
    assert len(found(site, "ann", "INBOX", "for both")) == len(found(site, "eve", "INBOX", "for both")) == 1


def test_the_same_message_sent_twice_is_two_messages(site: Site) -> None:
    for _ in range(2):
        site.relay(["bob@acme.test"], ODD % (b"said twice", b"twice"))
    assert len(found(site, "bob", "INBOX", "said twice")) == 2


def test_a_submission_goes_out_and_lies_in_sent_once(site: Site) -> None:
    send(site, "ann", [CLAIMS], "to the organisation")
    assert site.sunk_with("to the organisation")["Return-Path"] == "<ann@acme.test>"
    [copy] = found(site, "ann", "Sent", "to the organisation")
    with reading(site, "ann") as client:  # the client files its own copy too, as most do
        client.append("Sent", "(\\Seen)", None, copy)
    assert len(found(site, "ann", "Sent", "to the organisation")) == 1


def test_a_reply_to_a_colleague_arrives_and_a_new_message_does_not(site: Site) -> None:
    site.relay(["bob@acme.test"], ODD % (b"please discuss", b"discuss"))
    found(site, "bob", "INBOX", "please discuss")
    header = "In-Reply-To: <discuss@example-health.test>\r\n"
    send(site, "bob", ["ann@acme.test", CLAIMS], "re discuss", header=header)
    assert len(found(site, "ann", "INBOX", "re discuss")) == 1
    assert site.sunk_with("re discuss")
    code, words = refusal(site, "bob", ["ann@acme.test"], "out of the blue")
    assert (code, words[:5]) == (550, "5.7.1") and "ann@acme.test" in words
    # A header alone proves nothing: eve's message is not in bob's mailbox.
    site.relay(["eve@other.test"], ODD % (b"for eve only", b"eve-only"))
    header = "In-Reply-To: <eve-only@example-health.test>\r\n"
    assert refusal(site, "bob", ["ann@acme.test"], "pretended reply", header=header)[0] == 550
    assert found(site, "ann", "INBOX", "out of the blue") == []
    assert found(site, "bob", "Sent", "out of the blue") == []


def test_nobody_else_can_be_written_to_not_even_in_a_reply(site: Site) -> None:
    site.relay(["eve@other.test"], ODD % (b"eve has this", b"eve-has"))
    header = "In-Reply-To: <eve-has@example-health.test>\r\n"
    for stranger in ("ann@acme.test", "somebody@elsewhere.test"):
        code, words = refusal(site, "eve", [stranger], "to a stranger", header=header)
        assert (code, words[:5]) == (550, "5.7.1")


def test_registered_or_not_a_colleague_gets_the_same_words(site: Site) -> None:
    said = [refusal(site, "bob", [who], "oracle")[1] for who in ("ann@acme.test", "zoe@acme.test")]
    assert said[0].replace("ann@", "X@") == said[1].replace("zoe@", "X@")


def test_the_sender_must_be_the_account(site: Site) -> None:
    account = site.account("ann")
    with site.submitter(account) as client:
        assert client.mail("bob@acme.test")[0] == 550
        client.rset()
        with pytest.raises(smtplib.SMTPDataError) as caught:
            client.sendmail(
                account.address, [CLAIMS], "From: bob@acme.test\r\nSubject: not me\r\n\r\nx\r\n"
            )
    assert caught.value.smtp_code == 550


def test_relay_in_takes_members_only_and_only_with_tls(site: Site) -> None:
    with smtplib.SMTP(site.relay_in.host, site.relay_in.port, timeout=30) as door:
        door.ehlo()
        assert door.mail(CLAIMS)[0] == 530
        door.starttls(context=site.tls())
        door.ehlo()
        assert door.mail(CLAIMS)[0] == 250
        code, words = door.rcpt("nobody@acme.test")
        assert code == 550 and words.startswith(b"5.1.1")
        assert door.rcpt("ANN@ACME.test")[0] == 250


def test_what_the_organisation_refuses_comes_back_as_a_notification(site: Site) -> None:
    send(site, "eve", ["nobody@example-health.test"], "to nobody")
    subject = "could not be delivered"
    [report] = until("a notification", lambda: found(site, "eve", "INBOX", subject))
    assert b"multipart/report" in report and b"nobody@example-health.test" in report


def test_every_session_hears_of_new_mail_within_a_second(demo: object, site: Site) -> None:
    """Sessions in both workers, told by one delivery in either."""
    clients = [site.reader(site.account("ann")) for _ in range(8)]
    try:
        for client in clients:
            client.select("INBOX")
            client.send(b"x IDLE\r\n")
            assert client.readline().startswith(b"+")
            client.sock.settimeout(5)
        site.relay(["ann@acme.test"], ODD % (b"while idling", b"idling"))
        begun = time.monotonic()
        for client in clients:
            lines = []
            while not any(b"EXISTS" in line for line in lines):
                lines.append(client.readline())
        assert time.monotonic() - begun < 1
    finally:
        for client in clients:
            client.sock.close()
            client.file.close()


def test_a_large_message_goes_in_and_out_whole(site: Site) -> None:
    content = b"From: claims@example-health.test\r\nSubject: large\r\nMessage-ID: <large@x>\r\n\r\n"
    content += b"".join(b"%076d\r\n" % number for number in range(60_000))
    site.relay(["eve@other.test"], content)
    [seen] = found(site, "eve", "INBOX", "large")
    assert seen.endswith(content)


def test_the_portal_shows_how_to_begin(site: Site) -> None:
    url = json.loads((site.directory / "demo.json").read_text())["portal"]
    with closing(urllib.request.urlopen(url, context=site.tls(), timeout=10)) as page:
        assert page.status == 200 and str(site.imaps.port).encode() in page.read()
