"""Clients nobody here wrote: smtplib, swaks and curl, on both submission ports and relay-in."""

from __future__ import annotations

import smtplib
import subprocess
from collections.abc import Iterator
from email.message import EmailMessage

import pytest

from smtp_in.limits import Limits
from tests.smtp_in.house import (
    ANN,
    BOB,
    CLAIMS,
    PASSWORD,
    House,
    Serving,
    certificate,
    relay_door,
    serving,
    submission_door,
)

pytestmark = pytest.mark.clients


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture(params=["STARTTLS", "implicit"])
def door(house: House, request: pytest.FixtureRequest) -> Iterator[tuple[Serving, bool]]:
    starttls = request.param == "STARTTLS"
    with serving(submission_door(house, Limits(), starttls), implicit_tls=not starttls) as running:
        yield running, starttls


@pytest.mark.parametrize("mechanism", ["auth_plain", "auth_login"])
def test_smtplib(house: House, door: tuple[Serving, bool], mechanism: str) -> None:
    running, starttls = door
    context = certificate()[1]
    client: smtplib.SMTP
    if starttls:
        client = smtplib.SMTP("localhost", running.port, timeout=10)
        client.starttls(context=context)
    else:
        client = smtplib.SMTP_SSL("localhost", running.port, context=context, timeout=10)
    with client:
        client.ehlo()
        client.user, client.password = ANN, PASSWORD
        code, _ = client.auth(mechanism.removeprefix("auth_").upper(), getattr(client, mechanism))
        assert code == 235
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = ANN, CLAIMS, "Größe"
        message.set_content("..dots\n.\nend\n")
        message.add_attachment(b"\0\1\2" * 1000, maintype="image", subtype="png", filename="größe.png")
        assert client.send_message(message) == {}
    assert b"\r\n..dots\r\n.\r\nend\r\n" in house.outside[0][1]


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_swaks(house: House, door: tuple[Serving, bool], mechanism: str) -> None:
    running, starttls = door
    done = subprocess.run(
        [
            "swaks",
            "--server",
            "127.0.0.1",
            "--port",
            str(running.port),
            "--tls" if starttls else "--tls-on-connect",
            "--auth",
            mechanism,
            "--auth-user",
            ANN,
            "--auth-password",
            PASSWORD,
            "--from",
            ANN,
            "--to",
            CLAIMS,
            "--pipeline",
            "--timeout",
            "10",
        ],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [to for to, _ in house.outside] == [CLAIMS] and len(house.acknowledged) == 1


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_curl(house: House, door: tuple[Serving, bool], mechanism: str) -> None:
    running, starttls = door
    scheme = "smtp" if starttls else "smtps"
    done = subprocess.run(
        [
            "curl",
            "-sSv",
            f"{scheme}://localhost:{running.port}/client.test",
            "--ssl-reqd",
            "--cacert",
            certificate()[2],
            "--user",
            f"{ANN}:{PASSWORD}",
            "--login-options",
            f"AUTH={mechanism}",
            "--mail-from",
            ANN,
            "--mail-rcpt",
            CLAIMS,
            "--upload-file",
            "-",
            "--max-time",
            "20",
        ],
        input=f"From: {ANN}\r\nTo: {CLAIMS}\r\n\r\nhello\r\n".encode(),
        check=False,
        capture_output=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    assert [to for to, _ in house.outside] == [CLAIMS]


def test_swaks_relays(house: House) -> None:
    with serving(relay_door(house, Limits(), tls_required=True)) as running:
        done = subprocess.run(
            [
                "swaks",
                "--server",
                "127.0.0.1",
                "--port",
                str(running.port),
                "--tls",
                "--from",
                CLAIMS,
                "--to",
                f"{ANN},{BOB},nobody@acme.test",
                "--timeout",
                "10",
            ],
            check=False,
            capture_output=True,
            text=True,
            timeout=30,
        )
    assert "550 5.1.1" in done.stdout
    assert sorted(house.mailboxes) == [ANN, BOB]
