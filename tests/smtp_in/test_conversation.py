"""The wire: order of commands, TLS, AUTH, bounds, vanishing peers. Plain asyncio and uvloop alike."""

from __future__ import annotations

import asyncio
import base64
import logging
import ssl
import time
from collections.abc import Callable, Iterator

import pytest
import uvloop

from mail.errors import Unavailable
from smtp_in.limits import Limits
from tests.smtp_in.house import (
    ANN,
    BOB,
    CLAIMS,
    PASSWORD,
    House,
    Serving,
    Wire,
    certificate,
    relay_door,
    serving,
    submission_door,
)  # fmt: skip

LIMITS = Limits(
    recipients=3, surplus_recipients=5, errors=4, header_fields=50, header_octets=5000,
    message_octets=20_000, octets_in_flight=30_000, endless_line_octets=200_000,
    connections=4, connections_per_peer=3,
)  # fmt: skip
NewLoop = Callable[[], asyncio.AbstractEventLoop]
LOOPS: list[NewLoop] = [asyncio.new_event_loop, uvloop.new_event_loop]
PLAIN = b"AUTH PLAIN " + base64.b64encode(f"\0{ANN}\0{PASSWORD}".encode())
MESSAGE = f"From: {ANN}\r\n\r\nhello\r\n.\r\n".encode()


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture(params=LOOPS, ids=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> NewLoop:
    new: NewLoop = request.param
    return new


@pytest.fixture
def starttls(house: House, loop: NewLoop) -> Iterator[Serving]:
    with serving(submission_door(house, LIMITS, starttls=True), loop=loop()) as running:
        yield running


@pytest.fixture
def implicit(house: House, loop: NewLoop) -> Iterator[Serving]:
    with serving(submission_door(house, LIMITS, starttls=False), implicit_tls=True, loop=loop()) as running:
        yield running


@pytest.fixture
def relay(house: House, loop: NewLoop) -> Iterator[Serving]:
    with serving(relay_door(house, LIMITS), loop=loop()) as running:
        yield running


def greeted(port: int, tls: bool = False) -> Wire:
    wire = Wire(port, tls)
    assert wire.reply().startswith(b"220 inbox.example-health.test")
    wire.ask(b"EHLO client.test")
    return wire


def logged_in(port: int) -> Wire:
    wire = greeted(port, tls=True)
    assert wire.ask(PLAIN) == b"235 2.7.0 Logged in"
    return wire


# What is offered


def test_what_is_offered(starttls: Serving, implicit: Serving) -> None:
    with Wire(starttls.port) as wire:
        wire.reply()
        offered = [line[4:] for line in wire.ask(b"EHLO x").split(b"\n")][1:]
        common = [b"PIPELINING", b"SIZE 20000", b"8BITMIME", b"SMTPUTF8", b"ENHANCEDSTATUSCODES"]
        assert offered == [*common, b"STARTTLS"]
        assert wire.ask(b"STARTTLS") == b"220 2.0.0 Ready to start TLS"
        wire.start_tls()
        assert [line[4:] for line in wire.ask(b"EHLO x").split(b"\n")][1:] == [*common, b"AUTH PLAIN LOGIN"]
    with Wire(implicit.port, tls=True) as wire:
        wire.reply()
        assert [line[4:] for line in wire.ask(b"EHLO x").split(b"\n")][1:] == [*common, b"AUTH PLAIN LOGIN"]


def test_relay_offers_no_auth(relay: Serving) -> None:
    with greeted(relay.port) as wire:
        assert wire.ask(b"STARTTLS")[:3] == b"220"
        wire.start_tls()
        assert b"AUTH" not in wire.ask(b"EHLO x")
        assert wire.ask(PLAIN) == b"502 5.5.1 There is no logging in here."


def test_each_reply_has_an_enhanced_code(implicit: Serving) -> None:
    with logged_in(implicit.port) as wire:
        for command, expected in (
            (b"NOOP x", b"250 2.0.0"),
            (b"RSET", b"250 2.0.0"),
            (b"HELP", b"214 2.0.0"),
            (b"VRFY ann", b"252 2.5.0"),
            (b"MAIL FROM:<ann@acme.test> BODY=8BITMIME SIZE=10 AUTH=<> SMTPUTF8", b"250 2.1.0"),
            (b"RCPT TO:<claims@example-health.test>", b"250 2.1.5"),
            (b"DATA", b"354 "),
            (MESSAGE[:-2], b"250 2.0.0"),
            (b"EXPN x", b"500 5.5.2"),
            (b"QUIT", b"221 2.0.0"),
        ):
            assert wire.ask(command).startswith(expected)
        assert wire.line() == b""


# Order


def test_order_of_commands(implicit: Serving) -> None:
    with Wire(implicit.port, tls=True) as wire:
        wire.reply()
        assert wire.ask(b"MAIL FROM:<ann@acme.test>") == b"503 5.5.1 Say EHLO first."
        wire.ask(b"EHLO x")
        assert wire.ask(b"MAIL FROM:<ann@acme.test>") == b"530 5.7.0 Log in first."
        wire.ask(PLAIN)
        assert wire.ask(PLAIN) == b"503 5.5.1 Not now."
        assert wire.ask(b"RCPT TO:<x@example-health.test>") == b"503 5.5.1 MAIL comes first."
    with logged_in(implicit.port) as wire:
        assert wire.ask(b"DATA") == b"503 5.5.1 MAIL comes first."
        wire.ask(b"MAIL FROM:<ann@acme.test>")
        assert wire.ask(b"MAIL FROM:<ann@acme.test>") == b"503 5.5.1 One MAIL at a time."
        assert wire.ask(b"DATA") == b"554 5.5.1 There is no valid recipient."
        assert wire.ask(b"RSET")[:3] == b"250"
        assert wire.ask(b"DATA") == b"503 5.5.1 MAIL comes first."


def test_arguments_that_do_not_belong(implicit: Serving) -> None:
    with logged_in(implicit.port) as wire:
        assert wire.ask(b"QUIT now") == b"501 5.5.4 QUIT takes nothing behind it."
        assert wire.ask(b"EHLO") == b"501 5.5.4 Say your name behind it."
        assert wire.ask(b"MAIL FROM:<ann@acme.test> RET=FULL")[:9] == b"555 5.5.4"
        assert wire.ask(b"HELO x") == b"250 inbox.example-health.test"
        assert wire.ask(b"MAIL FROM:<ann@acme.test> SIZE=1")[:9] == b"555 5.5.4"


def test_recipients_take_no_parameters_unless_dsn_is_offered(implicit: Serving) -> None:
    with logged_in(implicit.port) as wire:
        wire.ask(b"MAIL FROM:<ann@acme.test>")
        assert wire.ask(b"RCPT TO:<claims@example-health.test> NOTIFY=NEVER")[:9] == b"555 5.5.4"


def test_utf8_only_where_asked_for(implicit: Serving) -> None:
    with logged_in(implicit.port) as wire:
        wire.ask(b"MAIL FROM:<ann@acme.test>")
        rcpt = "RCPT TO:<größe@example-health.test>".encode()
        assert wire.ask(rcpt)[:9] == b"553 5.1.3"
        wire.ask(b"RSET")
        wire.ask(b"MAIL FROM:<ann@acme.test> SMTPUTF8")
        assert wire.ask(rcpt)[:9] == b"250 2.1.5"


def test_pipelining(house: House, implicit: Serving) -> None:
    """RFC 2920: everything in one segment up to DATA, and the next message behind the dot."""
    group = f"MAIL FROM:<{ANN}>\r\nRCPT TO:<{CLAIMS}>\r\nRCPT TO:<{BOB}x.>\r\nDATA\r\n".encode()
    with logged_in(implicit.port) as wire:
        wire.send(group)
        assert [wire.reply()[:3] for _ in range(4)] == [b"250", b"250", b"553", b"354"]
        wire.send(MESSAGE + group)
        assert [wire.reply()[:3] for _ in range(5)] == [b"250", b"250", b"250", b"553", b"354"]
        wire.send(MESSAGE + b"QUIT\r\n")
        assert [wire.reply()[:3] for _ in range(2)] == [b"250", b"221"]
    assert len(house.outside) == 2


# TLS


def test_nothing_goes_in_clear(house: House, starttls: Serving) -> None:
    with greeted(starttls.port) as wire:
        assert wire.ask(PLAIN)[:10] == b"538 5.7.11"
        assert wire.ask(b"AUTH LOGIN")[:10] == b"538 5.7.11"
        for command in (b"MAIL FROM:<ann@acme.test>", b"VRFY ann"):
            assert wire.ask(command) == b"530 5.7.0 Issue a STARTTLS command first."
    assert house.peers == []


def test_starttls_injection(house: House, starttls: Serving) -> None:
    """Row 3: what stood behind STARTTLS in clear is never answered, and the state starts anew."""
    with greeted(starttls.port) as wire:
        wire.send(b"STARTTLS\r\nNOOP\r\nEHLO injected\r\n" + PLAIN + b"\r\n")
        assert wire.reply()[:3] == b"220"
        wire.start_tls()
        assert wire.ask(b"MAIL FROM:<ann@acme.test>") == b"503 5.5.1 Say EHLO first."
        wire.ask(b"EHLO x")
        assert wire.ask(b"MAIL FROM:<ann@acme.test>") == b"530 5.7.0 Log in first."
    assert house.peers == []


def test_second_starttls(starttls: Serving, implicit: Serving) -> None:
    with greeted(starttls.port) as wire:
        wire.ask(b"STARTTLS")
        wire.start_tls()
        wire.ask(b"EHLO x")
        assert wire.ask(b"STARTTLS") == b"503 5.5.1 TLS is active already."
    with greeted(implicit.port, tls=True) as wire:
        assert wire.ask(b"STARTTLS") == b"503 5.5.1 TLS is active already."


def test_transaction_does_not_survive_starttls(relay: Serving) -> None:
    with greeted(relay.port) as wire:
        wire.ask(b"MAIL FROM:<x@org.test>")
        wire.ask(b"STARTTLS")
        wire.start_tls()
        wire.ask(b"EHLO x")
        assert wire.ask(b"RCPT TO:<ann@acme.test>") == b"503 5.5.1 MAIL comes first."


def test_a_handshake_that_fails_is_the_end(starttls: Serving) -> None:
    with greeted(starttls.port) as wire:
        assert wire.ask(b"STARTTLS")[:3] == b"220"
        wire.send(b"MAIL FROM:<ann@acme.test>\r\n" * 20)
        assert not [line for line in wire.rest() if line.startswith((b"2", b"5"))]


def test_a_handshake_that_never_comes() -> None:
    limits = Limits(handshake_seconds=0.2)
    with serving(submission_door(House(), limits, starttls=True)) as running, greeted(running.port) as wire:
        assert wire.ask(b"STARTTLS")[:3] == b"220"
        assert wire.line() == b""


def test_tls_that_ends_in_the_middle_of_data(house: House, implicit: Serving) -> None:
    """Row 5: close_notify inside DATA, then clear octets: the session dies, no partial mail."""
    wire = logged_in(implicit.port)
    wire.ask(b"MAIL FROM:<ann@acme.test>")
    wire.ask(f"RCPT TO:<{CLAIMS}>".encode())
    wire.ask(b"DATA")
    wire.send(MESSAGE[:20])
    assert isinstance(wire.socket, ssl.SSLSocket)
    clear = wire.socket.unwrap()
    try:
        clear.sendall(MESSAGE[20:] + b"QUIT\r\n")
        assert clear.recv(1000) == b""
    except ConnectionError:
        pass
    finally:
        clear.close()
    assert house.outside == [] and house.acknowledged == []


# AUTH


@pytest.mark.parametrize("mechanism", [b"PLAIN", b"plain", b"LoGiN", b"LOGIN"])
def test_auth(starttls: Serving, implicit: Serving, mechanism: bytes) -> None:
    for wire in (greeted(starttls.port), greeted(implicit.port, tls=True)):
        if wire.socket.getpeername()[1] == starttls.port:
            wire.ask(b"STARTTLS")
            wire.start_tls()
            wire.ask(b"EHLO x")
        if mechanism.upper() == b"PLAIN":
            assert wire.ask(b"AUTH " + mechanism) == b"334 "
            assert wire.ask(PLAIN.split()[2])[:9] == b"235 2.7.0"
        else:
            assert wire.ask(b"AUTH " + mechanism) == b"334 VXNlcm5hbWU6"
            assert wire.ask(base64.b64encode(ANN.encode())) == b"334 UGFzc3dvcmQ6"
            assert wire.ask(base64.b64encode(PASSWORD.encode()))[:9] == b"235 2.7.0"
        wire.close()


def test_auth_login_with_initial_response(implicit: Serving) -> None:
    with greeted(implicit.port, tls=True) as wire:
        assert wire.ask(b"AUTH LOGIN " + base64.b64encode(ANN.encode())) == b"334 UGFzc3dvcmQ6"
        assert wire.ask(base64.b64encode(PASSWORD.encode()))[:9] == b"235 2.7.0"


def test_auth_that_fails(implicit: Serving) -> None:
    wrong = [f"\0{ANN}\0wrong", "\0nobody@acme.test\0x", "\0' OR 1=1 --\0%u*"]  # row 22
    with greeted(implicit.port, tls=True) as wire:
        answers = {wire.ask(b"AUTH PLAIN " + base64.b64encode(blob.encode())) for blob in wrong}
        assert answers == {b"535 5.7.8 The name or the password is wrong."}
        assert wire.ask(PLAIN) == b"421 4.7.0 Too many failed log-ins, closing."
        assert wire.line() == b""


def test_auth_said_wrong(implicit: Serving) -> None:
    with greeted(implicit.port, tls=True) as wire:
        assert wire.ask(b"AUTH CRAM-MD5")[:9] == b"504 5.5.4"
        wire.ask(b"AUTH PLAIN")
        assert wire.ask(b"*") == b"501 5.7.0 Logging in was cancelled."
        assert wire.ask(b"AUTH PLAIN !!!")[:9] == b"501 5.5.2"
    with greeted(implicit.port, tls=True) as wire:
        wire.ask(b"AUTH LOGIN")
        assert wire.ask(b"\xff\xfe")[:9] == b"501 5.5.2"
        wire.ask(b"AUTH LOGIN")
        assert wire.ask(b"x" * 13_000) == b"500 5.5.6 The response is too long."
        wire.ask(b"AUTH PLAIN")
        assert wire.ask(b"x" * 13_000) == b"500 5.5.6 The response is too long."
        wire.ask(b"AUTH PLAIN")
        wire.send(PLAIN.split()[2] + b"\n")
        assert wire.reply()[:9] == b"500 5.5.2"
        assert wire.ask(PLAIN)[:3] == b"235"


def test_a_login_that_we_cannot_check_is_no_wrong_password(house: House, implicit: Serving) -> None:
    house.fault = Unavailable()
    with greeted(implicit.port, tls=True) as wire:
        for _ in range(4):
            assert wire.ask(PLAIN)[:9] == b"451 4.3.0"
        house.fault = None
        assert wire.ask(PLAIN)[:3] == b"235"


# Bounds


def test_recipients(house: House, relay: Serving) -> None:
    """10,000 RCPTs: three taken, then 452s, then the end."""
    with greeted(relay.port) as wire:
        wire.send(b"MAIL FROM:<x@org.test>\r\n" + b"RCPT TO:<ann@acme.test>\r\n" * 3)
        wire.send(b"RCPT TO:<bob@acme.test>\r\nRCPT TO:<eve@other.test>\r\n")
        wire.send(b"RCPT TO:<ann@acme.test>\r\n" * 10_000)
        answers = wire.rest()
    assert [a[:3] for a in answers[:6]] == [b"250"] * 6
    assert set(answers[6:11]) == {b"452 4.5.3 One message may have 3 recipients."}
    assert answers[11:] == [b"421 4.7.0 Too many errors, closing."]


def test_errors_are_forgiven_after_a_message(house: House, relay: Serving) -> None:
    with greeted(relay.port) as wire:
        for _ in range(3):
            for _ in range(3):
                assert wire.ask(b"RCPT")[:3] == b"503"
            wire.ask(b"MAIL FROM:<x@org.test>")
            wire.ask(b"RCPT TO:<ann@acme.test>")
            wire.ask(b"DATA")
            wire.send(MESSAGE)
            assert wire.reply()[:3] == b"250"
        assert len(house.mailboxes[ANN]) == 3
        answers = [wire.ask(b"BOGUS")[:9] for _ in range(5)]
        assert answers == [b"500 5.5.2"] * 4 + [b"421 4.7.0"] and wire.line() == b""


def test_command_lines(relay: Serving) -> None:
    with greeted(relay.port) as wire:
        assert wire.ask(b"NOOP " + b"x" * 100_000) == b"500 5.5.2 The line is too long."
        wire.send(b"NOOP\n")
        assert wire.reply()[:9] == b"500 5.5.2"
        wire.send(b"NOOP\rNOOP\r\nNOOP\0\r\n")
        assert [wire.reply()[:3] for _ in range(2)] == [b"500", b"500"]
        assert wire.ask(b"NOOP")[:3] == b"250"
    with greeted(relay.port) as wire:
        wire.send(b"x" * 300_000)
        assert wire.rest() == [b"500 5.5.2 The line is too long."]  # one that never ends


def test_a_browser_is_not_talked_to(house: House, relay: Serving) -> None:
    with Wire(relay.port) as wire:
        wire.reply()
        wire.send(b"POST / HTTP/1.1\r\nEHLO x\r\nMAIL FROM:<x@y.test>\r\n")
        assert wire.rest() == [b"500 5.5.2 That is no command of this server."]


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        (b"a: b\r\n" * 100_000 + b"\r\nx", b"552 5.3.4"),
        (b"a: b\r\n" * 51 + b"\r\nx", b"552 5.3.4 The message has 51 header fields, more than 50."),
        (b"a: " + b"b" * 10_000_000 + b"\r\n\r\nx", b"421"),  # past four times the limit it is cut off
        (b"a: " + b"b" * 10_000 + b"\r\n\r\nx", b"552 5.3.4 The header of the message has more than 5000"),
        (b"a: b\r\n\r\n" + b"c" * 20_001, b"552 5.3.4 The message has 0.1 MB, 0.1 MB more than the 0.1 MB"),
        (b"a: b\r\n\r\nx\ny", b"550 5.6.0"),
    ],
    ids=["100,000 fields", "51 fields", "10 MB line", "10 KB line", "body", "bare LF"],
)  # fmt: skip
def test_content_bounds(house: House, relay: Serving, content: bytes, answer: bytes) -> None:
    with greeted(relay.port) as wire:
        wire.ask(b"MAIL FROM:<x@org.test>")
        wire.ask(b"RCPT TO:<ann@acme.test>")
        wire.ask(b"DATA")
        try:
            wire.send(content + b"\r\n.\r\nNOOP\r\n")
        except ConnectionError:
            assert answer == b"421"
        reply = wire.reply()
        if len(content) < 80_000:
            assert reply.startswith(answer)
            assert wire.reply() == b"250 2.0.0 OK"
        else:
            assert reply[:9] in (b"552 5.3.4", b"") and wire.rest() == []
    assert house.stored == 0


def test_octets_in_flight(house: House, relay: Serving) -> None:
    with greeted(relay.port) as one, greeted(relay.port) as two, greeted(relay.port) as three:
        for wire in (one, two):
            wire.ask(b"MAIL FROM:<x@org.test>")
            wire.ask(b"RCPT TO:<ann@acme.test>")
            wire.ask(b"DATA")
        one.send(b"a: b\r\n\r\n" + b"x" * 19_000)
        while relay.door.house.occupancy.octets < 19_000:
            time.sleep(0.01)
        assert three.ask(b"MAIL FROM:<x@org.test> SIZE=15000")[:9] == b"452 4.3.1"
        two.send(b"a: b\r\n\r\n" + b"x" * 15_000 + b"\r\n.\r\n")
        assert two.reply()[:9] == b"452 4.3.1"
        one.send(b"\r\n.\r\n")
        assert one.reply()[:3] == b"250"
        assert three.ask(b"MAIL FROM:<x@org.test> SIZE=15000")[:3] == b"250"


def test_connections(relay: Serving) -> None:
    wires = [greeted(relay.port) for _ in range(3)]
    with Wire(relay.port) as fourth:
        assert fourth.rest() == [
            b"421 4.7.0 Too many connections from your address, please try again later."
        ]
    wires[0].ask(b"QUIT")
    for wire in wires:
        wire.close()
    deadline = time.monotonic() + 5
    while relay.door.house.occupancy.connections and time.monotonic() < deadline:
        time.sleep(0.01)
    with greeted(relay.port) as wire:
        assert wire.ask(b"NOOP")[:3] == b"250"


# Time


def test_silence(loop: NewLoop) -> None:
    with serving(relay_door(House(), Limits(idle_seconds=0.2)), loop=loop()) as running:
        with greeted(running.port) as wire:
            assert wire.rest() == [b"421 4.4.2 Nothing came for too long, closing."]
        with greeted(running.port) as wire:
            wire.ask(b"MAIL FROM:<x@org.test>")
            wire.ask(b"RCPT TO:<ann@acme.test>")
            wire.ask(b"DATA")
            wire.send(b"half a mes")
            assert wire.rest() == [b"421 4.4.2 Nothing came for too long, closing."]


def test_a_drip_does_not_hold_a_connection() -> None:
    """Row 29: a client that stays alive an octet at a time."""
    house = House()
    with (
        serving(submission_door(house, Limits(login_seconds=0.4), False), implicit_tls=True) as running,
        greeted(running.port, tls=True) as wire,
    ):
        start, answers = time.monotonic(), []
        while (answer := wire.ask(b"NOOP")).startswith(b"250"):
            answers.append(answer)
            time.sleep(0.05)
        assert answer == b"421 4.4.2 This takes too long, closing." and time.monotonic() - start < 3
    with (
        serving(relay_door(house, Limits(message_seconds=0.3))) as running,
        greeted(running.port) as wire,
    ):
        wire.ask(b"MAIL FROM:<x@org.test>")
        wire.ask(b"RCPT TO:<ann@acme.test>")
        wire.ask(b"DATA")
        wire.socket.settimeout(0.05)
        answer = b""
        while not answer:
            wire.send(b"x")
            try:
                answer = wire.line()
            except TimeoutError:
                continue
        assert answer == b"421 4.4.2 This takes too long, closing."
    assert house.stored == 0


def test_being_slow_ourselves_is_no_silence() -> None:
    house = House()
    house.gate = asyncio.Event()
    with serving(relay_door(house, Limits(idle_seconds=0.1))) as running, greeted(running.port) as wire:
        deliver(wire)
        assert house.waiting.wait(5)
        time.sleep(0.4)
        running.loop.call_soon_threadsafe(house.gate.set)
        assert wire.reply()[:3] == b"250"
    assert len(house.acknowledged) == 1


def deliver(wire: Wire) -> None:
    wire.ask(b"MAIL FROM:<x@org.test>")
    wire.ask(b"RCPT TO:<ann@acme.test>")
    wire.ask(b"DATA")
    wire.send(MESSAGE)


# Peers that vanish


@pytest.mark.parametrize("said", [b"", b"From: x\r\n", b"From: x\r\n\r\nhello\r\n.\r", MESSAGE[:-1]])
def test_vanishing_in_the_middle_of_data(house: House, relay: Serving, said: bytes) -> None:
    with greeted(relay.port) as wire:
        wire.ask(b"MAIL FROM:<x@org.test>")
        wire.ask(b"RCPT TO:<ann@acme.test>")
        wire.ask(b"DATA")
        wire.send(said)
    with greeted(relay.port) as wire:
        assert wire.ask(b"NOOP")[:3] == b"250"
    assert house.stored == 0


def test_vanishing_before_the_answer_leaves_it_unacknowledged(house: House, relay: Serving) -> None:
    """The write goes on; the peer's repetition will be known, since nobody told it 250."""
    house.gate = asyncio.Event()
    with greeted(relay.port) as wire:
        deliver(wire)
        assert house.waiting.wait(5)
        wire.socket.setsockopt(1, 13, b"\x01\0\0\0\0\0\0\0")  # SO_LINGER 0: close by reset
    deadline = time.monotonic() + 5
    while relay.door.house.occupancy.connections and time.monotonic() < deadline:
        time.sleep(0.01)
    assert relay.door.house.occupancy.octets > 0  # still reserved: still in memory
    relay.loop.call_soon_threadsafe(house.gate.set)
    while not house.stored and time.monotonic() < deadline:
        time.sleep(0.01)
    assert house.stored == 1 and house.acknowledged == []


def test_half_closing_still_gets_answers(house: House, relay: Serving) -> None:
    with Wire(relay.port) as wire:
        wire.reply()
        wire.send(b"EHLO x\r\nMAIL FROM:<x@org.test>\r\nRCPT TO:<ann@acme.test>\r\nDATA\r\n" + MESSAGE)
        wire.socket.shutdown(1)
        assert [reply[:3] for reply in wire.rest()] == [b"250", b"250", b"250", b"354", b"250"]
    assert house.stored == 1 and len(house.acknowledged) == 1


def test_keys_are_held_until_the_delivery_has_ended(house: House, implicit: Serving) -> None:
    house.gate = asyncio.Event()
    with logged_in(implicit.port) as wire:
        wire.ask(b"MAIL FROM:<ann@acme.test>")
        wire.ask(f"RCPT TO:<{CLAIMS}>".encode())
        wire.ask(b"DATA")
        wire.send(MESSAGE)
        assert house.waiting.wait(5)
        wire.socket.setsockopt(1, 13, b"\x01\0\0\0\0\0\0\0")
    deadline = time.monotonic() + 5
    while implicit.door.house.occupancy.connections and time.monotonic() < deadline:
        time.sleep(0.01)
    assert house.open_logins[ANN] == 1
    implicit.loop.call_soon_threadsafe(house.gate.set)
    while house.open_logins[ANN] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert house.open_logins[ANN] == 0 and len(house.outside) == 1


# Shutdown and faults


def test_drain(house: House, relay: Serving) -> None:
    """Idle ones are told at once; a message under way comes to its end."""
    house.gate = asyncio.Event()
    with greeted(relay.port) as idle, greeted(relay.port) as busy:
        deliver(busy)
        assert house.waiting.wait(5)
        ended = asyncio.run_coroutine_threadsafe(relay.door.drain(5), relay.loop)
        assert idle.rest() == [b"421 4.3.2 This server is going down, please come back."]
        assert not ended.done()
        relay.loop.call_soon_threadsafe(house.gate.set)
        assert [reply[:9] for reply in busy.rest()] == [b"250 2.0.0", b"421 4.3.2"]
        ended.result(5)
    assert len(house.acknowledged) == 1


def test_drain_has_an_end(house: House, relay: Serving) -> None:
    with greeted(relay.port) as wire:
        wire.ask(b"MAIL FROM:<x@org.test>")
        relay.call(relay.door.drain(0.1))
        assert wire.rest() == []


def test_faults_are_logged_without_their_words(
    house: House, relay: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    house.fault = ConnectionResetError("a secret path")
    with caplog.at_level(logging.DEBUG), greeted(relay.port) as wire:
        deliver(wire)
        assert wire.reply() == b"451 4.3.0 Temporary failure, please try again later."
    assert "smtp command failed: Unavailable, cause ConnectionResetError, at " in caplog.text
    for word in ("secret", "acme", "org.test", "hello", "127.0.0.1"):
        assert word not in caplog.text


def test_the_library_own_way_out_is_closed(relay: Serving) -> None:
    async def ask() -> str:
        conversation = relay.door.protocol()
        return await conversation.handle_exception(ValueError("secret"))  # type: ignore[attr-defined,no-any-return]

    assert relay.call(ask()) == "451 4.3.0 Temporary failure, please try again later."


def test_certificate_is_asked_for_by_name(implicit: Serving) -> None:
    with pytest.raises(ssl.SSLError):
        certificate()[1].wrap_socket(Wire(implicit.port).socket, server_hostname="evil.test")
