from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail.address import Address
from smtp_out.answer import Answer
from smtp_out.attempt import Connection, Timeouts, flaw, stuffed
from smtp_out.routes import Route, Tls
from tests.smtp_out.peers import DROP, HANG, Script, certificates, serving, target

MESSAGE = b"From: ann@acme.test\r\nSubject: hello\r\n\r\nOne line.\r\n"
QUICK = Timeouts(connect=5, command=5, data=5)
CLEAR = Route("127.0.0.1", 0, Tls.NONE)
IMPATIENT = Timeouts(connect=0.2, command=0.2, data=0.2)
CLAIMS = ["claims@example-health.test"]


def send(
    script: Script,
    content: bytes = MESSAGE,
    recipients: Sequence[str] = CLAIMS,
    sender: str = "ann@acme.test",
    route: Route = CLEAR,
    timeouts: Timeouts = QUICK,
    times: int = 1,
) -> list[Answer]:
    async def run() -> list[Answer]:
        async with target(script):
            to = Route("127.0.0.1", script.port, route.tls, route.ca_file)
            connection = Connection(to, "gateway.test", timeouts)
            try:
                for _ in range(times):
                    answers = await connection.send(sender, [Address.parse(r) for r in recipients], content)
                return answers
            finally:
                await connection.close()

    return asyncio.run(run())


def statuses(answers: Sequence[Answer]) -> list[str]:
    return [answer.status for answer in answers]


def test_a_message_arrives_byte_for_byte() -> None:
    script = Script()
    assert statuses(send(script)) == ["2.0.0"]
    assert script.messages == [MESSAGE]
    assert script.transcript[0] == "EHLO gateway.test"
    assert script.transcript[-1] == "QUIT"


def test_one_connection_carries_several_messages() -> None:
    script = Script()
    send(script, times=3)
    assert len(script.messages) == 3
    assert script.connections == 1
    assert script.transcript.count("RSET") == 2


def test_a_connection_that_was_lost_meanwhile_is_opened_again() -> None:
    script = Script({"RSET": DROP})
    assert statuses(send(script, times=2)) == ["2.0.0"]
    assert (script.connections, len(script.messages)) == (2, 2)


def test_a_refused_reset_opens_a_new_connection() -> None:
    script = Script({"RSET": "421 4.3.2 going down"})
    assert statuses(send(script, times=2)) == ["2.0.0"]
    assert script.connections == 2


def test_dots_are_stuffed() -> None:
    script = Script()
    body = b"Subject: dots\r\n\r\n.\r\n..\r\n.a\r\nb.\r\n"
    send(script, body)
    assert script.messages == [b"Subject: dots\r\n\r\n..\r\n...\r\n..a\r\nb.\r\n"]


@pytest.mark.parametrize("start", range(-4, 5))
def test_dots_at_the_seam_of_two_pieces(start: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smtp_out.attempt._PIECE", 16)
    content = b"A: b\r\n\r\n" + b"x" * (8 + start) + b"\r\n.\r\n..z\r\n" + b"." * 40 + b"\r\n.end"
    sent = b"".join(stuffed(content))
    assert sent.endswith(b"\r\n..end\r\n.\r\n")
    lines = sent.removesuffix(b".\r\n").split(b"\r\n")
    assert b"\r\n".join(line.removeprefix(b".") for line in lines) == content + b"\r\n"


def test_a_refusal_in_the_middle_of_data_is_heard() -> None:
    async def run() -> list[Answer]:
        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 x\r\n")
            for answer in (b"250 x", b"250 ok", b"250 ok", b"354 go on"):
                await reader.readline()
                writer.write(answer + b"\r\n")
            await reader.read(1000)
            writer.write(b"552 5.3.4 that is enough\r\n")
            while not (await reader.read(1 << 16)).endswith(b"QUIT\r\n"):
                pass

        async with serving(refuse) as port:
            connection = Connection(Route("127.0.0.1", port, Tls.NONE), "gateway.test", QUICK)
            content = MESSAGE + b"x" * 76 * 100_000 + b"\r\n"
            answers = await connection.send("", [Address.parse("a@x.test")], content)
            await connection.close()
            return answers

    assert statuses(asyncio.run(run())) == ["5.3.4"]


def test_a_peer_that_stops_reading_is_left_in_time() -> None:
    async def run() -> tuple[list[Answer], float]:
        async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 x\r\n")
            for answer in (b"250 x", b"250 ok", b"250 ok", b"354 go on"):
                await reader.readline()
                writer.write(answer + b"\r\n")
            await asyncio.sleep(60)

        async with serving(stall) as port:
            timeouts = Timeouts(connect=1, command=1, data=-152.5)  # 152.6 are for the message's size
            connection = Connection(Route("127.0.0.1", port, Tls.NONE), "gateway.test", timeouts)
            started = time.monotonic()
            answers = await connection.send("", [Address.parse("a@x.test")], MESSAGE + b"x" * 10_000_000)
            return answers, time.monotonic() - started

    answers, seconds = asyncio.run(run())
    assert statuses(answers) == ["4.4.2"]
    assert seconds < 1.5


@given(st.lists(st.binary(max_size=6).map(lambda b: b.translate(None, b"\r\n\0")), max_size=8))
def test_any_lines_get_through_dot_stuffing_unchanged(lines: list[bytes]) -> None:
    script = Script()
    content = b"A: b\r\n\r\n" + b"".join(line + b"\r\n" for line in lines)
    send(script, content)
    received = script.messages[0].split(b"\r\n")
    assert b"\r\n".join(line.removeprefix(b".") for line in received) == content


# Outbound smuggling (a lenient next hop): none of these may leave.
@pytest.mark.parametrize(
    "end",
    [b"\n.\n", b"\r\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\r", b"\r\n\0.\r\n", b"\r\r\n.\r\r\n", b"\n"],
)
def test_a_bare_cr_lf_or_nul_never_leaves(end: bytes) -> None:
    script = Script()
    answers = send(script, MESSAGE + b"x" + end + b"MAIL FROM:<evil@acme.test>\r\n")
    assert statuses(answers) == ["5.6.0"]
    assert script.connections == 0


def test_a_mail_loop_ends_here() -> None:
    hop = b"Received: from a by b\r\n"
    assert flaw(hop * 100 + MESSAGE) is None
    looping = flaw(hop * 101 + MESSAGE)
    assert looping is not None
    assert looping.status == "5.4.6"
    assert flaw(MESSAGE + hop * 101) is None


def test_each_recipient_is_judged_by_its_own_answer() -> None:
    script = Script(
        {"RCPT b@x.test": "550 5.1.1 who is that", "RCPT c@x.test": "450 4.2.1 busy", "END": "250 2.6.0 q"}
    )
    answers = send(script, recipients=["a@x.test", "b@x.test", "c@x.test"])
    assert statuses(answers) == ["2.6.0", "5.1.1", "4.2.1"]
    assert answers[1].words == "550 5.1.1 who is that"
    assert answers[1].remote == "127.0.0.1"


def test_when_all_recipients_are_refused_no_data_is_sent() -> None:
    script = Script({"RCPT": "550 5.1.1 no"})
    assert statuses(send(script, recipients=["a@x.test", "b@x.test"])) == ["5.1.1"] * 2
    assert "DATA" not in script.transcript


@pytest.mark.parametrize(
    ("step", "said", "status"),
    [
        ("MAIL", "552 5.3.4 too big", "5.3.4"),
        ("MAIL", "452 4.3.1 no room", "4.3.1"),
        ("MAIL", "421 4.3.2 closing", "4.3.2"),
        ("DATA", "554 5.7.1 no", "5.7.1"),
        ("DATA", "451 4.3.0 later", "4.3.0"),
        ("DATA", "250 what", "4.5.0"),
        ("END", "550 5.7.1 content refused", "5.7.1"),
        ("END", "452 4.3.1 disk full", "4.3.1"),
        ("END", "421 4.3.2 closing", "4.3.2"),
        ("GREETING", "554 5.7.1 go away", "4.7.1"),
        ("GREETING", "421 4.7.0 busy", "4.7.0"),
        ("GREETING", "hello", "4.0.0"),
    ],
)
def test_a_reply_to_the_whole_message_is_everyones(step: str, said: str, status: str) -> None:
    script = Script({step: said})
    assert statuses(send(script, recipients=["a@x.test", "b@x.test"])) == [status] * 2


def test_552_after_accepted_recipients_means_too_many_of_them() -> None:
    script = Script({"RCPT b@x.test": "552 too many recipients"})
    assert statuses(send(script, recipients=["a@x.test", "b@x.test"])) == ["2.0.0", "4.5.3"]
    assert statuses(send(script, recipients=["b@x.test"])) == ["5.3.4"]


def test_more_than_a_hundred_recipients_go_in_several_transactions() -> None:
    script = Script()
    answers = send(script, recipients=[f"r{i}@x.test" for i in range(230)])
    assert statuses(answers) == ["2.0.0"] * 230
    assert len(script.messages) == 3
    assert script.connections == 1


@pytest.mark.parametrize("step", ["GREETING", "MAIL", "RCPT", "DATA", "BODY", "END"])
def test_a_connection_lost_at_any_step_is_temporary(step: str) -> None:
    answers = send(Script({step: DROP}), MESSAGE + b"x\r\n" * 100_000, ["a@x.test", "b@x.test"])
    assert statuses(answers) in (["4.4.2"] * 2, ["4.4.1"] * 2)


def test_a_recipient_refused_before_the_connection_was_lost_stays_refused() -> None:
    script = Script({"RCPT a@x.test": "550 5.1.1 no", "RCPT c@x.test": DROP})
    answers = send(script, recipients=["a@x.test", "b@x.test", "c@x.test"])
    assert statuses(answers) == ["5.1.1", "4.4.2", "4.4.2"]


@pytest.mark.parametrize("step", ["GREETING", "EHLO", "MAIL", "RCPT", "DATA", "END"])
def test_silence_at_any_step_ends_in_time(step: str) -> None:
    started = time.monotonic()
    answers = send(Script({step: HANG}), timeouts=IMPATIENT)
    assert statuses(answers) in (["4.4.2"], ["4.4.1"])
    assert time.monotonic() - started < 5


def test_nobody_listening_is_temporary() -> None:
    async def run() -> list[Answer]:
        async with target(Script()) as script:
            port = script.port
        connection = Connection(Route("127.0.0.1", port, Tls.NONE), "gateway.test", QUICK)
        return await connection.send("", [Address.parse("a@x.test")], MESSAGE)

    assert statuses(asyncio.run(run())) == ["4.4.1"]


def test_an_endless_reply_is_cut() -> None:
    script = Script({"MAIL": "250-" + "x" * 100_000})
    assert statuses(send(script)) == ["4.0.0"]


def test_the_null_sender_is_an_empty_path() -> None:
    script = Script()
    send(script, sender="")
    assert any(line.startswith("MAIL FROM:<> SIZE=") for line in script.transcript)


@pytest.mark.parametrize("sender", ["a@b.test>\r\nRCPT TO:<evil@x.test", "a b@c.test", "@"])
def test_a_sender_that_is_no_address_never_reaches_a_command(sender: str) -> None:
    script = Script()
    assert statuses(send(script, sender=sender)) == ["5.1.7"]
    assert "DATA" not in script.transcript


def test_size_is_declared_and_left_out_where_unknown() -> None:
    script, plain = Script(), Script(extensions=("8BITMIME",))
    send(script)
    send(plain)
    assert f"MAIL FROM:<ann@acme.test> SIZE={len(MESSAGE)}" in script.transcript
    assert "MAIL FROM:<ann@acme.test>" in plain.transcript


def test_helo_serves_where_ehlo_is_unknown() -> None:
    script = Script({"EHLO": "502 5.5.1 what"})
    assert statuses(send(script)) == ["2.0.0"]
    assert script.transcript[:2] == ["EHLO gateway.test", "HELO gateway.test"]


EIGHT_BIT = MESSAGE + "grüße\r\n".encode()
UTF8_HEADER = "Subject: grüße\r\n\r\nhello\r\n".encode()


@pytest.mark.parametrize(
    ("content", "recipient", "offered", "status", "parameters"),
    [
        (MESSAGE, "a@x.test", (), "2.0.0", ""),
        (EIGHT_BIT, "a@x.test", ("8BITMIME",), "2.0.0", " BODY=8BITMIME"),
        (EIGHT_BIT, "a@x.test", (), "5.6.3", None),
        (UTF8_HEADER, "a@x.test", ("8BITMIME", "SMTPUTF8"), "2.0.0", " BODY=8BITMIME SMTPUTF8"),
        (UTF8_HEADER, "a@x.test", ("8BITMIME",), "5.6.7", None),
        (MESSAGE, "zoë@x.test", ("8BITMIME", "SMTPUTF8"), "2.0.0", " SMTPUTF8"),
        (MESSAGE, "zoë@x.test", ("8BITMIME",), "5.6.7", None),
        (MESSAGE, "zoë@x.test", (), "5.6.7", None),
    ],
)
def test_what_the_next_hop_cannot_carry_is_not_sent(
    content: bytes, recipient: str, offered: Sequence[str], status: str, parameters: str | None
) -> None:
    script = Script(extensions=offered)
    assert statuses(send(script, content, [recipient])) == [status]
    sent = [line for line in script.transcript if line.startswith("MAIL")]
    assert sent == ([] if parameters is None else [f"MAIL FROM:<ann@acme.test>{parameters}"])


def tls_route(tls: Tls, ca_file: str = "") -> Route:
    return Route("127.0.0.1", 0, tls, ca_file)


@pytest.mark.parametrize("tls", [Tls.MAY, Tls.ENCRYPT, Tls.VERIFY])
def test_starttls_is_used_where_it_is_offered(tmp_path: Path, tls: Tls) -> None:
    made = certificates(tmp_path)
    script = Script(tls=made.server())
    assert statuses(send(script, route=tls_route(tls, made.ca))) == ["2.0.0"]
    # RFC 3207 section 4.2: what was said in the clear is forgotten, so EHLO comes again.
    assert script.transcript[:3] == ["EHLO gateway.test", "STARTTLS", "EHLO gateway.test"]


def test_no_starttls_where_the_route_wants_none(tmp_path: Path) -> None:
    script = Script(tls=certificates(tmp_path).server())
    assert statuses(send(script, route=tls_route(Tls.NONE))) == ["2.0.0"]
    assert "STARTTLS" not in script.transcript


@pytest.mark.parametrize(
    ("tls", "status"), [(Tls.MAY, "2.0.0"), (Tls.ENCRYPT, "4.7.4"), (Tls.VERIFY, "4.7.4")]
)
def test_starttls_absent(tls: Tls, status: str) -> None:
    script = Script()
    assert statuses(send(script, route=tls_route(tls))) == [status]
    assert len(script.messages) == (1 if status == "2.0.0" else 0)


@pytest.mark.parametrize(("tls", "status"), [(Tls.ENCRYPT, "2.0.0"), (Tls.VERIFY, "4.7.5")])
def test_a_certificate_of_an_unknown_authority(tmp_path: Path, tls: Tls, status: str) -> None:
    script = Script(tls=certificates(tmp_path / "theirs").server())
    ours = certificates(tmp_path / "ours").ca
    answers = send(script, route=tls_route(tls, ours))
    assert statuses(answers) == [status]
    assert len(script.messages) == (1 if status == "2.0.0" else 0)


def test_a_certificate_for_another_name(tmp_path: Path) -> None:
    made = certificates(tmp_path, "127.0.0.2")
    answers = send(Script(tls=made.server()), route=tls_route(Tls.VERIFY, made.ca))
    assert statuses(answers) == ["4.7.5"]
    assert "127.0.0.2" not in answers[0].words


@pytest.mark.parametrize(
    ("tls", "status"), [(Tls.MAY, "2.0.0"), (Tls.ENCRYPT, "4.7.5"), (Tls.VERIFY, "4.7.5")]
)
def test_a_handshake_that_fails(tmp_path: Path, tls: Tls, status: str) -> None:
    made = certificates(tmp_path)
    script = Script({"HANDSHAKE": "what"}, tls=made.server())
    assert statuses(send(script, route=tls_route(tls, made.ca))) == [status]


def test_words_injected_behind_the_answer_to_starttls_are_dropped(tmp_path: Path) -> None:
    made = certificates(tmp_path)
    script = Script({"STARTTLS": "220 go ahead\n250 injected"}, tls=made.server())
    assert statuses(send(script, route=tls_route(Tls.VERIFY, made.ca))) == ["2.0.0"]
    assert script.messages == [MESSAGE]


def test_a_missing_ca_file_is_our_fault(tmp_path: Path) -> None:
    script = Script(tls=certificates(tmp_path).server())
    answers = send(script, route=tls_route(Tls.VERIFY, str(tmp_path / "absent.pem")))
    assert statuses(answers) == ["4.3.5"]
    assert "absent" not in answers[0].words
