from __future__ import annotations

import asyncio
import os
import signal
import smtplib
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.sink import Settings, main, start
from tests.smtp_out.peers import certificates

MESSAGE = b"Subject: hello\r\n\r\n.One\r\n..\r\n" + b"x" * 5000 + b"\r\n"
ANN = "ann@acme.test"


def settings(maildir: Path, **more: object) -> Settings:
    accept = frozenset({"claims@example-health.test"})
    return Settings(maildir, "example-health.test", accept, **more)  # type: ignore[arg-type]


def visit(what: Settings, client: Callable[[smtplib.SMTP], None]) -> list[bytes]:
    """Run a client against the sink; the messages kept, oldest first."""

    def converse(port: int) -> None:
        with smtplib.SMTP("127.0.0.1", port, timeout=10) as smtp:
            client(smtp)

    async def run() -> None:
        server = await start(what)
        try:
            await asyncio.to_thread(converse, server.sockets[0].getsockname()[1])
        finally:
            server.close()

    asyncio.run(run())
    assert not list((what.maildir / "tmp").iterdir())
    return [path.read_bytes() for path in sorted((what.maildir / "new").iterdir())]


def test_bytes_are_kept_exactly_behind_the_envelope(tmp_path: Path) -> None:
    to = ["claims@example-health.test", "someone@elsewhere.test"]
    kept = visit(settings(tmp_path), lambda smtp: smtp.sendmail(ANN, to, MESSAGE) and None)
    envelope = (
        b"Return-Path: <ann@acme.test>\r\n"
        b"X-Envelope-To: <claims@example-health.test>\r\nX-Envelope-To: <someone@elsewhere.test>\r\n"
    )
    assert kept == [envelope + MESSAGE]


def test_the_null_sender_is_shown_as_such(tmp_path: Path) -> None:
    kept = visit(settings(tmp_path), lambda smtp: smtp.sendmail("", "a@b.test", MESSAGE) and None)
    assert kept[0].startswith(b"Return-Path: <>\r\n")


def test_non_ascii_addresses_and_headers(tmp_path: Path) -> None:
    content = "Subject: grüße\r\n\r\n".encode()

    def client(smtp: smtplib.SMTP) -> None:
        smtp.ehlo()
        smtp.sendmail(ANN, "zoë@b.test", content, ["SMTPUTF8", "BODY=8BITMIME"])

    kept = visit(settings(tmp_path), client)
    assert kept[0].endswith("X-Envelope-To: <zoë@b.test>\r\n".encode() + content)


@pytest.mark.parametrize(
    ("recipient", "code"),
    [
        ("nobody@example-health.test", 550),
        ("claims@EXAMPLE-HEALTH.test", 250),
        ("Claims@example-health.test", 250),
        ("claims@sub.example-health.test", 250),
        ("busy@example-health.test", 452),
        ("gone@elsewhere.test", 551),
        ("not an address", 553),
    ],
)
def test_who_is_accepted(tmp_path: Path, recipient: str, code: int) -> None:
    what = settings(tmp_path, fail={"busy@example-health.test": 452, "gone@elsewhere.test": 551})

    def client(smtp: smtplib.SMTP) -> None:
        smtp.ehlo()
        smtp.mail(ANN)
        assert smtp.docmd("RCPT", f"TO:<{recipient}>")[0] == code

    assert visit(what, client) == []


def test_a_message_above_the_limit_is_refused_at_mail_and_at_data(tmp_path: Path) -> None:
    def client(smtp: smtplib.SMTP) -> None:
        smtp.ehlo()
        assert smtp.esmtp_features["size"] == "1000"
        assert smtp.mail(ANN, ["SIZE=1001"])[0] == 552
        smtp.mail(ANN)
        smtp.rcpt("a@b.test")
        assert smtp.data(b"x" * 500 + b"\r\n" + b"x" * 600)[0] == 552

    assert visit(settings(tmp_path, size_limit=1000), client) == []


@pytest.mark.parametrize("body", [b"a\nb\r\n", b"a\rb\r\n", b"a\r\r\n", b"\n.\nMAIL FROM:<x@y.test>\r\n"])
def test_bare_line_ends_are_refused(tmp_path: Path, body: bytes) -> None:
    def client(smtp: smtplib.SMTP) -> None:
        smtp.ehlo()
        smtp.mail(ANN)
        smtp.rcpt("a@b.test")
        assert smtp.docmd("DATA")[0] == 354
        smtp.send(body + b".\r\n")
        assert smtp.getreply()[0] == 554

    assert visit(settings(tmp_path), client) == []


def test_a_maildir_that_cannot_be_written_is_temporary_and_says_nothing_of_it(tmp_path: Path) -> None:
    def client(smtp: smtplib.SMTP) -> None:
        smtp.ehlo()
        smtp.mail(ANN)
        smtp.rcpt("a@b.test")
        (tmp_path / "tmp").rmdir()
        code, words = smtp.data(MESSAGE)
        assert code == 451
        assert str(tmp_path).encode() not in words
        (tmp_path / "tmp").mkdir()

    assert visit(settings(tmp_path), client) == []


def test_starttls(tmp_path: Path) -> None:
    made = certificates(tmp_path / "ca")

    def client(smtp: smtplib.SMTP) -> None:
        smtp._host = "127.0.0.1"  # type: ignore[attr-defined]
        smtp.starttls(context=ssl.create_default_context(cafile=made.ca))
        smtp.sendmail(ANN, "a@b.test", MESSAGE)

    assert len(visit(settings(tmp_path / "mail", tls=made.server()), client)) == 1


@pytest.fixture
def program(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    words = ["--port", "0", "--maildir", str(tmp_path), "--domain", "example-health.test"]
    words += ["--accept", "claims@example-health.test", "--fail", "x@y.test=452"]
    command = [sys.executable, "-m", "gateway.sink", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process
        if process.poll() is None:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_program_ends_cleanly_with_a_client_connected(
    program: subprocess.Popen[str], tmp_path: Path, number: signal.Signals
) -> None:
    assert program.stdout is not None
    port = int(program.stdout.readline().rpartition(":")[2])
    with smtplib.SMTP("127.0.0.1", port, timeout=10) as smtp:
        smtp.sendmail(ANN, "claims@example-health.test", MESSAGE)
        smtp.mail(ANN)
        assert smtp.rcpt("x@y.test")[0] == 452
        os.kill(program.pid, number)
        assert program.wait(10) == 0
        smtp.close()
    assert len(list((tmp_path / "new").iterdir())) == 1


@pytest.mark.parametrize(
    "words",
    [["--accept", "nobody"], ["--fail", "a@b.test"], ["--fail", "a@b.test=250"], ["--fail", "a@b.test=x"]],
)
def test_nonsense_on_the_command_line_is_named(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--port", "0", "--maildir", "unused", "--domain", "b.test", *words])
    assert ended.value.code == 2
    assert "--fail takes" in capsys.readouterr().err
