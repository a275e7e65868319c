"""Mail from the organisation: who may hand it in, for whom, and what is written before it."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

import pytest

from policy.rate import Pace
from smtp_in.limits import Limits
from smtp_in.relay_in import Probes, allowed
from tests.smtp_in.house import ANN, BOB, CLAIMS, House, Serving, Wire, relay_door, serving

POSTMASTER = ("postmaster", "Postmaster@inbox.example-health.test")
MESSAGE = b"From: claims@example-health.test\r\n\r\nhello\r\n"


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
def relay(house: House) -> Iterator[Serving]:
    with serving(relay_door(house, Limits(errors=1000))) as running:
        yield running


def hand_in(wire: Wire, content: bytes = MESSAGE, sender: bytes = CLAIMS.encode(), *to: str) -> bytes:
    wire.ask(b"EHLO mail.example-health.test")
    assert wire.ask(b"MAIL FROM:<" + sender + b">")[:3] == b"250"
    for recipient in to or (ANN,):
        assert wire.ask(f"RCPT TO:<{recipient}>".encode())[:3] == b"250"
    assert wire.ask(b"DATA")[:3] == b"354"
    wire.send(content + b".\r\n")
    return wire.reply()


def test_content_and_trace_are_given_apart(house: House, relay: Serving) -> None:
    with Wire(relay.port) as wire:
        wire.reply()
        assert hand_in(wire, MESSAGE, CLAIMS.encode(), ANN, BOB) == b"250 2.0.0 Stored"
        assert wire.ask(b"QUIT")[:3] == b"221"
    assert house.mailboxes == {ANN: [MESSAGE], BOB: [MESSAGE]}
    assert house.return_paths == [CLAIMS]
    assert house.traces == [
        b"Return-Path: <claims@example-health.test>\r\n"
        b"Received: from mail.example-health.test ([127.0.0.1])\r\n"
        b"\tby inbox.example-health.test with ESMTP id r1;\r\n\tFri, 15 Jan 2027 08:00:00 +0000\r\n"
    ]
    assert len(house.acknowledged) == 1
    facts = {"members": 2, "postmaster": 0, "octets": len(MESSAGE)}
    assert house.notes[-1] == ("relay.accepted", "", facts)


def test_over_tls(house: House) -> None:
    with serving(relay_door(house, Limits(), tls_required=True)) as running, Wire(running.port) as wire:
        wire.reply()
        wire.ask(b"EHLO x")
        assert wire.ask(b"MAIL FROM:<>") == b"530 5.7.0 Issue a STARTTLS command first."
        wire.ask(b"STARTTLS")
        wire.start_tls()
        assert hand_in(wire)[:3] == b"250"
    assert b"with ESMTPS id" in house.traces[0]


def test_only_allowed_networks(house: House) -> None:
    with serving(relay_door(house, Limits(), ["192.0.2.0/24"])) as running, Wire(running.port) as wire:
        wire.send(b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<ann@acme.test>\r\n")
        assert wire.rest() == [b"554 5.7.1 No service here."]
    assert house.notes == []


@pytest.mark.parametrize(
    ("peer", "answer"),
    [("192.0.2.9", True), ("192.0.3.1", False), ("::ffff:192.0.2.9", True), ("2001:db8::1", True),
     ("2001:db9::1", False), ("fe80::1%eth0", False), ("", False), ("x", False)],
)  # fmt: skip
def test_allowed(peer: str, answer: bool) -> None:
    assert allowed(peer, [ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")]) is answer


@pytest.mark.parametrize("recipient", ["nobody@acme.test", CLAIMS, "ann@x.acme.test", "x@gmail.com"])
def test_members_only(house: House, relay: Serving, recipient: str) -> None:
    with Wire(relay.port) as wire:
        wire.reply()
        wire.ask(b"EHLO x")
        wire.ask(b"MAIL FROM:<>")
        assert wire.ask(f"RCPT TO:<{recipient}>".encode()) == b"550 5.1.1 There is no such user here."
        assert wire.ask(b"RCPT TO:<>") == b"553 5.1.3 That is not a valid e-mail address."
        assert wire.ask(b"DATA")[:3] == b"554"


def test_case_does_not_matter(house: House, relay: Serving) -> None:
    with Wire(relay.port) as wire:
        wire.reply()
        assert hand_in(wire, MESSAGE, b"", "ANN@Acme.Test")[:3] == b"250"
    assert house.return_paths == [""] and b"Return-Path: <>\r\n" in house.traces[0]


def test_probing_gets_slower_and_is_put_off(house: House) -> None:
    pace = Pace(steps=((2, 0.0), (4, 1.5)))
    with serving(relay_door(house, Limits(), pace=pace)) as running:
        answers = []
        for _ in range(2):  # a new connection is the same prober
            with Wire(running.port) as wire:
                wire.reply()
                wire.ask(b"EHLO x")
                wire.ask(b"MAIL FROM:<>")
                assert wire.ask(b"RCPT TO:<ann@acme.test>")[:3] == b"250"
                answers += [wire.ask(b"RCPT TO:<a%d@acme.test>" % n)[:9] for n in range(2)]
        with Wire(running.port) as wire:
            wire.reply()
            wire.ask(b"EHLO x")
            wire.ask(b"MAIL FROM:<>")
            assert wire.ask(b"RCPT TO:<x@acme.test>")[:9] == b"450 4.7.0"
            assert wire.ask(b"RCPT TO:<ann@acme.test>")[:3] == b"250"
    assert answers == [b"550 5.1.1"] * 4 and house.slept == [1.5, 1.5, 1.0]
    assert [facts for _, _, facts in house.notes] == [{"reason": "UNKNOWN_RECIPIENT"}] * 5


def test_good_recipients_are_never_affected(house: House) -> None:
    """A hundred and fifty old addresses, and in the same transaction a member."""
    with serving(relay_door(house, Limits())) as running, Wire(running.port) as wire:
        wire.reply()
        wire.ask(b"EHLO x")
        wire.ask(b"MAIL FROM:<>")
        answers = [wire.ask(b"RCPT TO:<a%d@acme.test>" % n)[:9] for n in range(150)]
        assert answers == [b"550 5.1.1"] * 30 + [b"450 4.7.0"] * 120
        assert wire.ask(b"RCPT TO:<ann@acme.test>") == b"250 2.1.5 Recipient OK"
        assert wire.ask(b"DATA")[:3] == b"354"
        wire.send(MESSAGE + b".\r\n")
        assert wire.reply()[:3] == b"250"
        assert hand_in(wire)[:3] == b"250"
    assert house.mailboxes == {ANN: [MESSAGE, MESSAGE]}


def test_other_errors_still_end_the_connection(house: House) -> None:
    with serving(relay_door(house, Limits(errors=3))) as running, Wire(running.port) as wire:
        wire.reply()
        assert [wire.ask(b"BOGUS")[:3] for _ in range(4)] == [b"500"] * 3 + [b"421"]


@pytest.mark.parametrize("path", ["postmaster", "PostMaster", "POSTMASTER@Inbox.Example-Health.TEST"])
def test_postmaster(house: House, relay: Serving, path: str) -> None:
    """RFC 5321 section 4.5.1. Passed on with no Return-Path, which the last server writes."""
    with Wire(relay.port) as wire:
        wire.reply()
        assert hand_in(wire, MESSAGE, CLAIMS.encode(), path) == b"250 2.0.0 Stored"
        wire.ask(b"NOOP")
    ((return_path, content, trace),) = house.postmaster
    assert (return_path, content) == (CLAIMS, MESSAGE)
    assert trace.startswith(b"Received: from ") and b"Return-Path" not in trace
    assert house.stored == 0 and len(house.acknowledged) == 1
    assert house.notes[-1][2] == {"members": 0, "postmaster": 1, "octets": len(MESSAGE)}


def test_postmaster_beside_members(house: House, relay: Serving) -> None:
    with Wire(relay.port) as wire:
        wire.reply()
        assert hand_in(wire, MESSAGE, b"", ANN, *POSTMASTER)[:3] == b"250"
        wire.ask(b"NOOP")
    assert len(house.postmaster) == 1 and house.mailboxes == {ANN: [MESSAGE]}
    assert len(house.acknowledged) == 2


def test_postmaster_elsewhere_is_nobody(relay: Serving) -> None:
    with Wire(relay.port) as wire:
        wire.reply()
        wire.ask(b"EHLO x")
        wire.ask(b"MAIL FROM:<>")
        for path in (b"postmaster@acme.test", b"postmaster@x.inbox.example-health.test"):
            assert wire.ask(b"RCPT TO:<" + path + b">")[:9] == b"550 5.1.1"
        assert wire.ask(b"RCPT TO:<abuse>")[:9] == b"553 5.1.3"


def test_probers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smtp_in.relay_in._MOST_PEERS", 3)
    probes, pace = Probes(), Pace(leak_per_second=0, steps=((1, 0.0),))
    assert [probes.another(str(n), 0, pace) for n in range(4)] == [0.0] * 4
    assert probes.another("3", 0, pace) is None and probes.another("0", 0, pace) == 0.0


@pytest.mark.parametrize(
    ("path", "code"),
    [('"john doe"@x.test', b"250"), ("a@[192.0.2.1]", b"250"), ("a%b@x.test", b"250"), ("a@x@y", b"553"),
     ('"a\\"b"@x.test', b"250"), ('"a<b>"@x.test', b"553"), ("a", b"553"), ("@x.test", b"553")],
)  # fmt: skip
def test_reverse_paths(relay: Serving, path: str, code: bytes) -> None:
    with Wire(relay.port) as wire:
        wire.reply()
        wire.ask(b"EHLO x")
        answer = wire.ask(f"MAIL FROM:<{path}>".encode())
        assert answer[:3] == code
        assert code == b"250" or answer[4:9] == b"5.1.7"


def test_loops(house: House, relay: Serving) -> None:
    hop = b"Received: from x by y; date\r\n"
    with Wire(relay.port) as wire:
        wire.reply()
        assert hand_in(wire, hop * 50 + MESSAGE)[:3] == b"250"
        answer = hand_in(wire, hop * 51 + MESSAGE)
        assert answer == b"554 5.4.6 The message has passed too many servers: a mail loop."
        assert hand_in(wire, MESSAGE + hop * 60)[:3] == b"250"  # in the body it is text
    assert len(house.mailboxes[ANN]) == 2


def test_deep_nesting_is_not_lost(house: House, relay: Serving) -> None:
    """Real mail must not be lost: what is nested 10,000 deep is stored as it came."""
    deep = b"".join(
        b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (n, n) for n in range(10_000)
    )
    with Wire(relay.port) as wire:
        wire.reply()
        assert hand_in(wire, deep + b"\r\n")[:3] == b"250"
    assert house.mailboxes[ANN] == [deep + b"\r\n"]


SMUGGLED = b"MAIL FROM:<evil@x.test>\r\nRCPT TO:<bob@acme.test>\r\nDATA\r\nsmuggled\r\n.\r\n"


@pytest.mark.parametrize(
    "end",
    [b"\n.\n", b"\r\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n", b"\0\r\n.\0\r\n", b"\r\n\0.\r\n"],
)
def test_smuggling(house: House, relay: Serving, end: bytes) -> None:
    """Rows 1 and 2: counted in deliveries. The smuggled commands are content, and the whole is refused."""
    with Wire(relay.port) as wire:
        wire.reply()
        assert hand_in(wire, b"a: b\r\n\r\nx" + end + SMUGGLED[:-3]) == (
            b"550 5.6.0 The message has a line end that is not CRLF, or a NUL character."
        )
        assert wire.ask(b"NOOP") == b"250 2.0.0 OK"
    assert house.stored == 0


def test_hello_names_cannot_start_a_header_line(house: House, relay: Serving) -> None:
    with Wire(relay.port) as wire:
        wire.reply()
        assert wire.ask(b"EHLO x) (evil")[:9] == b"501 5.5.4"
        assert wire.ask(b"EHLO x\rBcc: y")[:9] == b"500 5.5.2"
