"""The private Postfix relays: what goes in by SMTP comes out of Dovecot, and its queue is empty then."""

from __future__ import annotations

import imaplib
import smtplib
import time

import pytest

from tests.peers.dovecot import dovecot
from tests.peers.postfix import postfix

pytestmark = pytest.mark.clients

MESSAGE = b"From: a@b.test\r\nTo: ann@acme.test\r\nSubject: relayed\r\n\r\nThrough two programs.\r\n"
ANN = "ann@acme.test"


def test_relays_by_lmtp_into_dovecot() -> None:
    with dovecot({ANN: "secret"}, lmtp=True) as store, postfix(("lmtp", store.host, store.lmtp)) as relay:
        with smtplib.SMTP(relay.host, relay.smtp) as door:
            assert door.sendmail("claims@example-health.test", [ANN], MESSAGE) == {}
        deadline = time.monotonic() + 20
        with imaplib.IMAP4(store.host, store.imap) as client:
            client.login(ANN, "secret")
            while client.select()[1] != [b"1"]:
                assert time.monotonic() < deadline, relay.log()
                time.sleep(0.05)
            assert client.fetch("1", "(BODY.PEEK[TEXT])")[1][0][1] == b"Through two programs.\r\n"
        while relay.waiting():
            assert time.monotonic() < deadline, relay.log()
            time.sleep(0.05)


def test_keeps_what_the_target_does_not_take() -> None:
    with postfix(("smtp", "127.0.0.1", 9)) as relay:
        with smtplib.SMTP(relay.host, relay.smtp) as door:
            door.sendmail("claims@example-health.test", [ANN], MESSAGE)
        deadline = time.monotonic() + 20
        while "status=deferred" not in relay.log():
            assert time.monotonic() < deadline, relay.log()
            time.sleep(0.05)
        assert relay.waiting() >= 1
