from __future__ import annotations

import email
import email.policy
from dataclasses import replace
from email.message import EmailMessage, Message

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail.address import Address
from mail.outbound import Item, Outcome, Recipient
from smtp_out.bounce import Reporter, notification
from tests.smtp_out.peers import item

REPORTER = Reporter("gateway.test", "support, 1 800 555 0100")
NOW = 1_795_000_000
ORIGINAL = (
    "From: ann@acme.test\r\nTo: claims@example-health.test\r\nMessage-ID: <one@acme.test>\r\n"
    "Subject: my claim\r\nMIME-Version: 1.0\r\n"
    'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
    "--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    "Grüße, see the bill.\r\n"
    "--b\r\nContent-Type: application/pdf\r\n"
    'Content-Disposition: attachment; filename="bill.pdf"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
    "AAECAwQF\r\n--b--\r\n"
).encode()
NO_SUCH_USER = Recipient(
    Address.parse("claims@example-health.test"),
    Outcome.FAILED,
    attempts=1,
    status="5.1.1",
    diagnostic="550 5.1.1 no such user",
    remote="mx.example-health.test",
)


def report(
    *failed: Recipient, content: bytes = ORIGINAL, of: Item | None = None, now: int = NOW
) -> tuple[bytes, EmailMessage]:
    of = of or item("claims@example-health.test", queued_at=NOW - 7300)
    made = notification(REPORTER, of, failed or [NO_SUCH_USER], content, now=now, token="0" * 32)
    parsed = email.message_from_bytes(made, policy=email.policy.default)
    assert not parsed.defects
    assert isinstance(parsed, EmailMessage)
    return made, parsed


def groups(parsed: EmailMessage) -> list[Message]:
    status = list(parsed.iter_parts())[1]
    payload = status.get_payload()
    assert isinstance(payload, list)
    return payload


def words(parsed: EmailMessage) -> str:
    text = next(iter(parsed.iter_parts()))
    assert isinstance(text, EmailMessage)
    return str(text.get_content())


def test_it_is_a_multipart_report_with_its_three_parts() -> None:
    made, parsed = report()
    assert parsed.get_content_type() == "multipart/report"
    assert parsed.get_param("report-type") == "delivery-status"
    assert [p.get_content_type() for p in parsed.iter_parts()] == [
        "text/plain",
        "message/delivery-status",
        "text/rfc822-headers",
    ]
    assert parsed["To"] == "ann@acme.test"
    assert parsed["From"] == "Secure Inbox <postmaster@gateway.test>"
    assert parsed["Auto-Submitted"] == "auto-replied"
    assert parsed["Message-ID"] == "<00000000000000000000000000000000@gateway.test>"
    assert parsed["In-Reply-To"] == parsed["References"] == "<one@acme.test>"
    assert b"\n" not in made.replace(b"\r\n", b"")
    assert max(len(line) for line in made.split(b"\r\n")) <= 998
    assert made.isascii()


def test_the_fields_of_the_status_part() -> None:
    _, parsed = report()
    message, recipient = groups(parsed)
    assert dict(message.items()) == {
        "Reporting-MTA": "dns; gateway.test",
        "Arrival-Date": "Wed, 18 Nov 2026 09:05:00 +0000",
    }
    assert dict(recipient.items()) == {
        "Final-Recipient": "rfc822; claims@example-health.test",
        "Action": "failed",
        "Status": "5.1.1",
        "Remote-MTA": "dns; mx.example-health.test",
        "Diagnostic-Code": "smtp; 550 5.1.1 no such user",
        "Last-Attempt-Date": "Wed, 18 Nov 2026 11:06:40 +0000",
    }


def test_a_person_can_read_who_why_what_and_whom_to_ask() -> None:
    text = words(report()[1])
    for wanted in (
        "claims@example-health.test", "The server mx.example-health.test said:", "no such user",
        "bill.pdf", "> Grüße, see the bill.", "support, 1 800 555 0100",
    ):  # fmt: skip
        assert wanted in text
    assert "AAECAwQF" not in text


def test_the_headers_come_along_as_they_were_and_the_body_does_not() -> None:
    _, parsed = report()
    headers = list(parsed.iter_parts())[2].get_payload(decode=True)
    assert headers == ORIGINAL.partition(b"\r\n\r\n")[0] + b"\r\n"


def test_several_recipients_have_a_group_each() -> None:
    late = replace(
        NO_SUCH_USER, address=Address.parse("b@x.test"), status="4.4.1", attempts=9,
        diagnostic="no connection to the server",
    )  # fmt: skip
    _, parsed = report(NO_SUCH_USER, late)
    assert [g["Status"] for g in groups(parsed)[1:]] == ["5.1.1", "4.4.1"]
    # Not an SMTP reply, so not of the type "smtp" (RFC 3464 section 2.3.6).
    assert groups(parsed)[2]["Diagnostic-Code"] == "x-secure-inbox; no connection to the server"
    assert "It was tried 9 times in 2 hours." in words(parsed)


def test_our_own_finding_names_no_server() -> None:
    _, parsed = report(replace(NO_SUCH_USER, remote="", diagnostic=""))
    assert "Remote-MTA" not in groups(parsed)[1]
    assert "Diagnostic-Code" not in groups(parsed)[1]
    assert "said:" not in words(parsed)


@pytest.mark.parametrize(
    ("address", "typed"),
    [
        ("a@x.test", "rfc822; a@x.test"),
        ("zoë@x.test", "utf-8; zo\\x{EB}@x.test"),
        ("zoë+a=b@x.test", "utf-8; zo\\x{EB}\\x{2B}a\\x{3D}b@x.test"),
        ("𝛼@x.test", "utf-8; \\x{1D6FC}@x.test"),
    ],
)
def test_a_recipient_is_written_by_its_type(address: str, typed: str) -> None:
    made, parsed = report(replace(NO_SUCH_USER, address=Address.parse(address)))
    assert groups(parsed)[1]["Final-Recipient"] == typed
    assert address in words(parsed)
    assert made.isascii()


# Header injection (row 13): what a remote server says must not become a line of ours.
@given(st.text(), st.text())
def test_a_servers_words_stay_in_their_field(diagnostic: str, remote: str) -> None:
    evil = replace(
        NO_SUCH_USER, diagnostic=diagnostic + "\r\nAction: delivered\r\n\r\nBcc: x", remote=remote
    )
    _, parsed = report(evil)
    assert len(groups(parsed)) == 2
    assert groups(parsed)[1].get_all("Action") == ["failed"]
    assert len(list(parsed.iter_parts())) == 3


@pytest.mark.parametrize(
    "message_id",
    ["<a@b>\r\n Bcc: <x@y>", "<a@b\x00c>", "<a b@c>", "<" + "x" * 300 + "@y>", "", "<é@b>", "<a@b> <c@d>"],
)
def test_a_hostile_message_id_makes_no_header(message_id: str) -> None:
    _, parsed = report(content=f"Message-ID: {message_id}\r\nSubject: x\r\n\r\n".encode())
    assert parsed["Bcc"] is None
    assert parsed["References"] in (None, "<a@b>", "<ab@c>")


@pytest.mark.parametrize("sender", ["a@b.test>\r\nBcc: <x@y.test", "a@b.test, c@d.test", "\ud800@b.test"])
def test_a_hostile_sender_makes_no_header(sender: str) -> None:
    _, parsed = report(of=item("a@b.test", sender=sender))
    assert parsed["Bcc"] is None
    assert len(parsed["To"].addresses) == 1


@given(st.binary(max_size=300))
def test_any_original_is_reported_in_three_parts(content: bytes) -> None:
    _, parsed = report(content=content)
    assert [p.get_content_type() for p in parsed.iter_parts()][1:] == [
        "message/delivery-status",
        "text/rfc822-headers",
    ]


def test_the_boundary_cannot_be_closed_by_the_original_unless_it_is_guessed() -> None:
    _, parsed = report(content=b"A: b\r\n--report-1--\r\n\r\n--report-1--\r\n")
    assert len(list(parsed.iter_parts())) == 3


def test_large_originals_are_cut() -> None:
    lines = b"".join(b"X-%d: %s\r\n" % (i, b"y" * 60) for i in range(5000))
    made, parsed = report(content=lines + b"\r\n" + b"word " * 100_000)
    assert len(made) < 150_000
    headers = list(parsed.iter_parts())[2].get_payload(decode=True)
    assert isinstance(headers, bytes)
    assert lines.startswith(headers)
    assert words(parsed).rstrip().endswith("> [...]")


def test_a_header_line_of_ten_megabytes() -> None:
    made, _ = report(content=b"Subject: " + b"x" * 10_000_000 + b"\r\n\r\n")
    assert len(made) < 150_000
    assert max(len(line) for line in made.split(b"\r\n")) <= 998


def test_a_message_that_cannot_be_read_any_more_is_reported_still() -> None:
    _, parsed = report(content=b"")
    assert "could not be read any more" in words(parsed)
    assert list(parsed.iter_parts())[2].get_payload(decode=True) == b""
