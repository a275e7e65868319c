"""What a member may send, and in which shape it goes on."""

from __future__ import annotations

import base64
import smtplib
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from mail.errors import Unavailable
from smtp_in.limits import Limits
from tests.smtp_in.house import (
    ANN,
    BOB,
    CLAIMS,
    EVE,
    PASSWORD,
    RULES,
    House,
    Serving,
    certificate,
    serving,
    submission_door,
)  # fmt: skip

LIMITS = Limits()


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
def door(house: House) -> Iterator[Serving]:
    with serving(submission_door(house, LIMITS, starttls=False), implicit_tls=True) as running:
        yield running


def login(door: Serving, name: str = ANN) -> smtplib.SMTP_SSL:
    client = smtplib.SMTP_SSL("localhost", door.port, context=certificate()[1], timeout=20)
    client.login(name, PASSWORD)
    return client


def message(*fields: str, body: str = "hello", sender: str = ANN) -> bytes:
    lines = [f"From: Ann <{sender}>", *fields, "", body, ""]
    return "\r\n".join(lines).encode()


def send(door: Serving, recipients: list[str], content: bytes, sender: str = ANN) -> tuple[int, bytes]:
    """The answer after DATA, or the first refusal before it."""
    with login(door, sender) as client:
        client.ehlo_or_helo_if_needed()
        code, words = client.mail(sender)
        assert code == 250, words
        for recipient in recipients:
            code, words = client.rcpt(recipient)
            if code != 250:
                return code, words
        return client.data(content)


def test_to_the_organisation(house: House, door: Serving) -> None:
    assert send(door, [CLAIMS], message("Subject: x", "Date: d", "Message-ID: <m@x>")) == (
        250,
        b"2.0.0 Stored",
    )
    address, content = house.outside[0]
    assert address == CLAIMS
    received, rest = content.split(b"From: ", 1)
    assert received.startswith(b"Received: by inbox.example-health.test with ESMTPSA id t1;\r\n\t")
    assert b"127.0.0.1" not in content and b"localhost" not in content
    assert rest.endswith(b"\r\n\r\nhello\r\n")
    assert house.sent[ANN] == [content]
    assert len(house.acknowledged) == 1 and house.stored == 0
    assert house.notes[-1][0] == "submission.accepted"


def test_date_and_message_id_are_added_when_absent(house: House, door: Serving) -> None:
    send(door, [CLAIMS], message("Subject: x"))
    content = house.outside[0][1]
    assert b"\r\nDate: Fri, 15 Jan 2027 08:00:00 +0000\r\n" in content
    assert b"\r\nMessage-ID: <t1@inbox.example-health.test>\r\n" in content


def test_no_second_date_or_message_id(house: House, door: Serving) -> None:
    send(door, [CLAIMS], message("dAte: Fri, 15 Jan 2027 08:00:00 +0000", "MESSAGE-id: <own@x>"))
    content = house.outside[0][1].lower()
    assert content.count(b"date:") == 1 and content.count(b"message-id:") == 1


def test_bcc_is_the_senders_only(house: House, door: Serving) -> None:
    content = message("bCC: secret@example-health.test,", "\tother@example-health.test", "Subject: s",
                      "Resent-Bcc: third@example-health.test")  # fmt: skip
    assert send(door, [CLAIMS], content)[0] == 250
    relayed, kept = house.outside[0][1], house.sent[ANN][0]
    assert (
        b"bcc" not in relayed.lower() and b"other@" not in relayed and b"Subject: s\r\n\r\nhello" in relayed
    )
    assert b"bCC: secret@example-health.test,\r\n\tother@" in kept and b"third@" in kept


def test_semicolons_are_mended(house: House, door: Serving) -> None:
    send(door, [CLAIMS], message(f"To: {CLAIMS}; support@example-health.test;x@example-health.test"))
    for content in (house.outside[0][1], house.sent[ANN][0]):
        assert f"To: {CLAIMS}, support@example-health.test,x@".encode() in content


@pytest.mark.parametrize("path", [BOB, "", "ann@acme.test.evil.test", "x@acme.test", EVE])
def test_mail_from_must_be_the_account(door: Serving, path: str) -> None:
    with login(door) as client:
        client.ehlo()
        assert client.docmd(f"MAIL FROM:<{path}>")[0] == 550
        assert client.docmd(f"MAIL FROM:<{path}>")[1].startswith(b"5.7.1 ")


def test_an_address_behind_a_group(house: House, door: Serving) -> None:
    """P9 and RFC 5322 section 3.4: the header grows by a comma, and nothing behind it moves wrongly."""
    to = "To: Team: a@example-health.test, b@example-health.test; claims@example-health.test"
    assert send(door, [CLAIMS], message(to, "Bcc: x@example-health.test", "Subject: s"))[0] == 250
    mended = to.replace(";", ";,").encode()
    assert mended + b"\r\nSubject: s\r\n\r\nhello\r\n" in house.outside[0][1]
    assert mended + b"\r\nBcc: x@example-health.test\r\n" in house.sent[ANN][0]


def test_mail_from_without_case(door: Serving) -> None:
    with login(door) as client:
        client.ehlo()
        assert client.docmd("MAIL FROM:<ANN@Acme.TEST>") == (250, b"2.1.0 Sender OK")


@pytest.mark.parametrize(
    ("header", "code", "enhanced"),
    [
        (f"From: {BOB}", 550, b"5.7.1"),
        (f"From: {ANN}\r\nFrom: {BOB}", 550, b"5.6.0"),
        (f"From: {ANN}\r\nSender: {BOB}", 550, b"5.7.1"),
        (f"From: {ANN}\r\nSender: {ANN}\r\nSender: {ANN}", 550, b"5.6.0"),
        (f"From: {ANN}, {BOB}", 550, b"5.7.1"),
        (f"From: {ANN} <{BOB}>", 550, b"5.7.1"),
        (f"From: {BOB} <{ANN}>", 550, b"5.7.1"),
        ("Subject: nothing else", 550, b"5.6.0"),
        (f"From: {ANN}\r\nno header field\r\nX: y", 550, b"5.6.0"),
        (f"From : {ANN}", 550, b"5.6.0"),
        (f"From: {ANN}\r\nSender: Ann <{ANN}>", 250, b"2.0.0"),
        (f'From: "Boss, claims@example-health.test" <{ANN}>', 250, b"2.0.0"),
    ],
)
def test_from_must_be_the_account(
    house: House, door: Serving, header: str, code: int, enhanced: bytes
) -> None:
    answer, words = send(door, [CLAIMS], f"{header}\r\n\r\nhello\r\n".encode())
    assert (answer, words[:5]) == (code, enhanced)
    assert len(house.outside) == (code == 250)


def with_original(house: House, owner: str = ANN) -> None:
    house.mailboxes[owner] = [b"Message-ID: <original@org>\r\n\r\nold\r\n"]


@pytest.mark.parametrize(
    "fields",
    [
        ("In-Reply-To: <original@org>",),
        ("References: <other@x> <original@org>",),
        ("X-Forwarded-Message-Id: <original@org>",),
    ],
)
def test_reply_to_a_colleague(house: House, door: Serving, fields: tuple[str, ...]) -> None:
    with_original(house)
    assert send(door, [BOB, CLAIMS], message(*fields))[0] == 250
    assert len(house.mailboxes[BOB]) == 1 and house.outside[0][0] == CLAIMS


def test_forward_of_an_attached_original(house: House, door: Serving) -> None:
    with_original(house)
    content = message(
        'Content-Type: multipart/mixed; boundary="b"',
        body="--b\r\n\r\nsee\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n"
        "Message-ID: <original@org>\r\n\r\nold\r\n--b--",
    )
    assert send(door, [BOB], content)[0] == 250


def test_a_header_alone_proves_nothing(house: House, door: Serving) -> None:
    with_original(house, owner=EVE)
    code, words = send(door, [BOB, CLAIMS], message("In-Reply-To: <original@org>"))
    assert code == 550 and words.startswith(b"5.7.1 ") and BOB.encode() in words
    assert CLAIMS.encode() not in words and b"support@example-health.test" in words
    assert house.outside == [] and house.sent == {} and BOB not in house.mailboxes


def test_unregistered_and_not_a_reply_sound_the_same(house: House, door: Serving) -> None:
    with_original(house)
    unregistered = send(door, ["nobody@acme.test"], message("In-Reply-To: <original@org>"))
    no_reply = send(door, [BOB], message())
    neither = send(door, ["nobody@acme.test"], message())
    bob = BOB.encode()
    assert unregistered == neither == (550, no_reply[1].replace(bob, b"nobody@acme.test"))


def test_refusal_names_all_whom_it_refuses(house: House, door: Serving) -> None:
    with_original(house)
    _, words = send(door, [BOB, "x@acme.test", "y@acme.test"], message("In-Reply-To: <original@org>"))
    assert b"x@acme.test, y@acme.test" in words and BOB.encode() not in words


def test_oneself_only_under_the_same_rule(house: House, door: Serving) -> None:
    assert send(door, [ANN], message())[0] == 550
    with_original(house)
    assert send(door, [ANN], message("In-Reply-To: <original@org>"))[0] == 250


@pytest.mark.parametrize("recipient", [EVE, "bob@x.acme.test", "bob@acme.test.evil.test", "x@gmail.com"])
def test_strangers_are_refused_at_rcpt(house: House, door: Serving, recipient: str) -> None:
    with_original(house)
    code, words = send(door, [recipient], message("In-Reply-To: <original@org>"))
    assert code == 550 and words.startswith(f"5.7.1 You cannot write to {recipient}".encode())
    assert house.notes[-1][:1] == ("submission.refused",)
    assert not any("@" in str(fact) for _, _, facts in house.notes for fact in facts.values())


def test_no_neighbours_at_a_public_provider() -> None:
    one, two = "one@gmail.com", "two@gmail.com"
    for groups, code in (((), 550), ((frozenset({one, two}),), 250)):
        house = House(members={one: PASSWORD, two: PASSWORD})
        with_original(house, one)
        door = submission_door(house, LIMITS, False, replace(RULES, groups=groups))
        with serving(door, implicit_tls=True) as running:
            content = message("In-Reply-To: <original@org>", sender=one)
            assert send(running, [two], content, sender=one)[0] == code


def attached(sizes: list[int]) -> bytes:
    parts = "".join(
        f"--b\r\nContent-Disposition: attachment; filename=f{n}\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\n"
        + base64.encodebytes(b"x" * size).decode().replace("\n", "\r\n")
        for n, size in enumerate(sizes)
    )
    return message('Content-Type: multipart/mixed; boundary="b"', body=f"{parts}--b--")


@pytest.mark.parametrize(("sizes", "code"), [([1] * 10, 250), ([1] * 11, 550)])
def test_number_of_attachments(door: Serving, sizes: list[int], code: int) -> None:
    answer, words = send(door, [CLAIMS], attached(sizes))
    assert answer == code
    if code == 550:
        assert words == (
            b"5.7.1 The message has 11 attachments, 1 more than the 10 you may send. "
            b"Questions: support@example-health.test"
        )


@pytest.mark.parametrize(
    "kind",
    [
        "Content-Type: application/octet-stream",
        "Content-Type: image/png\r\nContent-ID: <a>",
        "Content-Type: application/pdf\r\nContent-Disposition: inline",
        "Content-Type: message/rfc822",
        "Content-Transfer-Encoding: x-unknown",
    ],
)
def test_parts_without_a_name_count(house: House, door: Serving, kind: str) -> None:
    for number, code in ((10, 250), (11, 550)):
        body = "--b\r\n\r\ntext\r\n" + f"--b\r\n{kind}\r\n\r\nx\r\n" * number + "--b--"
        answer, words = send(
            door, [CLAIMS], message("Content-Type: multipart/mixed; boundary=b", body=body)
        )
        assert answer == code
    assert words.startswith(b"5.7.1 The message has 11 attachments") and len(house.outside) == 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["application/pdf", "application/x\r\nContent-Disposition: inline"])
def test_octets_without_a_name_count(house: House, door: Serving, kind: str) -> None:
    body = ("x" * 78 + "\r\n") * (57 * 1_048_576 // 80)
    code, words = send(door, [CLAIMS], message(f"Content-Type: {kind}", body=body))
    assert (code, words[:5]) == (552, b"5.3.4") and not house.outside


@pytest.mark.parametrize(
    "content",
    [
        message("Content-Type: multipart/mixed; boundary*=us-ascii''%42", body="--B\r\n\r\nx\r\n--B--"),
        message("Content-Type: text/plain", "Content-Type: text/html"),
        message("Content-Type: message/partial; id=x; number=1"),
        message("Content-Type: multipart/mixed; boundary=b", body="--b\r\n\r\nx\r\n--b--x\r\n--b--"),
    ],
)
def test_what_has_two_readings_is_refused(house: House, door: Serving, content: bytes) -> None:
    code, words = send(door, [CLAIMS], content)
    assert (code, words[:5]) == (550, b"5.6.0") and b"so it was not sent" in words
    assert not house.outside and house.notes[-1][2] == {"reason": "BAD_MESSAGE"}


@pytest.mark.parametrize("reply", [False, True], ids=["at submit", "at holds"])
def test_a_member_locked_meanwhile(house: House, door: Serving, reply: bool) -> None:
    with_original(house)
    with login(door) as client:
        client.ehlo()
        client.mail(ANN)
        client.rcpt(BOB if reply else CLAIMS)
        house.locked.add(ANN)
        assert client.data(message("In-Reply-To: <original@org>")) == (
            525,
            b"5.7.13 This account is locked.",
        )
        assert client.getreply() == (421, b"4.7.0 This session is over, closing.")
        with pytest.raises(smtplib.SMTPServerDisconnected):
            client.noop()
    assert not house.outside and not house.sent and BOB not in house.mailboxes
    assert house.notes[-1][2] == {"reason": "LOGIN_FAILED"}


@pytest.mark.slow
@pytest.mark.parametrize(("size", "code"), [(52_428_800, 250), (52_428_801, 552)])
def test_size_of_attachments(house: House, door: Serving, size: int, code: int) -> None:
    answer, words = send(door, [CLAIMS], attached([size]))
    assert answer == code
    if code == 552:
        assert words.startswith(b"5.3.4 The attachments have 50.1 MB together, 0.1 MB more than the 50 MB")
    assert len(house.outside) == (code == 250)


def test_declared_size_is_refused_at_mail_from(door: Serving) -> None:
    with login(door) as client:
        client.ehlo()
        assert client.esmtp_features["size"] == str(LIMITS.message_octets)
        code, words = client.docmd(f"MAIL FROM:<{ANN}> SIZE={LIMITS.message_octets + 1_048_576}")
        assert code == 552 and words.startswith(
            b"5.3.4 The message has 81 MB, 1 MB more than the 80 MB that one message may have. Questions: "
        )
        assert client.docmd(f"MAIL FROM:<{ANN}> SIZE={LIMITS.message_octets}")[0] == 250


def test_too_many_parts_are_refused(house: House, door: Serving) -> None:
    body = "--b\r\n\r\nx\r\n" * 1200 + "--b--"
    answer, words = send(door, [CLAIMS], message("Content-Type: multipart/mixed; boundary=b", body=body))
    assert (answer, words[:5]) == (550, b"5.6.0") and not house.outside


def test_a_fault_of_ours_is_temporary_and_stores_nothing(house: House, door: Serving) -> None:
    for fault in (Unavailable(), OSError(28, "secret path"), ValueError("secret content")):
        house.fault = None
        with login(door) as client:
            house.fault = fault
            client.ehlo()
            client.mail(ANN)
            client.rcpt(CLAIMS)
            assert client.data(message()) == (451, b"4.3.0 Temporary failure, please try again later.")
            assert client.noop()[0] == 250
    assert not house.acknowledged and not house.outside


def test_the_fingerprint_is_of_what_the_client_sent(house: House, door: Serving) -> None:
    for _ in range(2):
        send(door, [CLAIMS], message("Subject: same"))
    assert house.fingerprints[0] == house.fingerprints[1]
    assert house.outside[0][1] != house.outside[1][1]


def test_keys_are_dropped_with_the_connection(house: House, door: Serving) -> None:
    with login(door) as client:
        assert house.open_logins[ANN] == 1
        client.ehlo()
    door.call(door.door.drain(5))
    assert house.open_logins[ANN] == 0


def test_recipients_given_twice_get_it_once(house: House, door: Serving) -> None:
    send(door, [CLAIMS, CLAIMS.upper(), CLAIMS], message())
    assert len(house.outside) == 1


def test_a_header_of_forty_thousand_addresses(house: House, door: Serving) -> None:
    """Row 8: it is answered in time, and nobody else waits for it."""
    crowd = ";\r\n ".join(f"a{n}@x.test" for n in range(40_000))
    with login(door) as busy, login(door, BOB) as other:
        busy.ehlo()
        busy.mail(ANN)
        busy.rcpt(CLAIMS)
        busy.docmd("DATA")
        busy.send(message(f"To: {crowd}") + b".\r\n")
        waits = []
        for _ in range(20):
            start = time.perf_counter()
            assert other.noop()[0] == 250
            waits.append(time.perf_counter() - start)
        assert busy.getreply()[0] == 250
    assert sorted(waits)[10] < 0.25
    assert b"a39998@x.test,\r\n a39999@x.test\r\n" in house.outside[0][1]
