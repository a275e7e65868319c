"""The private Dovecot is really there: mail goes in by APPEND and LMTP and comes out as it was."""

from __future__ import annotations

import imaplib
import smtplib
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.demo_ca import ensure
from tests.peers.dovecot import dovecot

pytestmark = pytest.mark.clients

MESSAGE = b"From: a@b.test\r\nTo: ann@acme.test\r\nSubject: visible\r\n\r\nHello canary-in-the-mine\r\n"
ANN = "ann@acme.test"


def test_append_comes_back_byte_for_byte() -> None:
    with dovecot({ANN: "secret word"}) as peer, imaplib.IMAP4(peer.host, peer.imap) as client:
        client.login(ANN, "secret word")
        assert client.append("INBOX", None, None, MESSAGE)[0] == "OK"
        client.select()
        assert client.fetch("1", "(BODY.PEEK[])")[1][0][1] == MESSAGE
        folders = b" ".join(client.list()[1])
        assert b"\\Drafts" in folders and b"\\Sent" in folders


def test_wrong_password_is_refused() -> None:
    with (
        dovecot({ANN: "right"}) as peer,
        imaplib.IMAP4(peer.host, peer.imap) as client,
        pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"),
    ):
        client.login(ANN, "wrong")


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "mail_crypt"])
def test_lmtp_delivers_and_only_mail_crypt_seals(encrypted: bool) -> None:
    with dovecot({ANN: "secret"}, encrypted=encrypted, lmtp=True) as peer:
        with smtplib.LMTP(peer.host, peer.lmtp) as door:
            assert door.sendmail("a@b.test", [ANN], MESSAGE) == {}
        with imaplib.IMAP4(peer.host, peer.imap) as client:
            client.login(ANN, "secret")
            client.select()
            content = client.fetch("1", "(BODY.PEEK[])")[1][0][1]
        assert content.endswith(MESSAGE)
        stored = b"".join(p.read_bytes() for p in peer.maildir(ANN).glob("*/*") if "S=" in p.name)
        assert stored
        assert (b"canary-in-the-mine" in stored) is not encrypted


def test_tls_with_the_callers_certificate(tmp_path: Path) -> None:
    made = ensure(tmp_path, datetime.now(UTC))
    context = ssl.create_default_context(cafile=str(made.ca))
    with (
        dovecot({ANN: "secret"}, tls=(made.certificate, made.key)) as peer,
        imaplib.IMAP4_SSL(peer.host, peer.imaps, ssl_context=context) as client,
    ):
        assert client.login(ANN, "secret")[0] == "OK"
