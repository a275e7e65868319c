"""SORT and THREAD put the collected messages in the order that Dovecot gives them."""

from __future__ import annotations

import asyncio
import re

from imap_out.sort_keys import KEYS
from tests.corpus.collect import samples
from tests.corpus.reading import Reading
from tests.imap_out.memory import Account
from tests.imap_out.talk import talking
from tests.peers.dovecot import dovecot

ASKED = [b"SORT (%b)" % key for key in sorted(KEYS)] + [b"THREAD ORDEREDSUBJECT", b"THREAD REFERENCES"]
# What Dovecot reads otherwise in these:
LEFT_OUT = {
    # a Date before 1970 is one to us
    "pypi-mailbits-0.2.3/emails/groups.eml",
    # a year of three digits counts from 1900 (RFC 5322 section 4.3)
    "pypi-flufl.bounce-6.0.0/data/smtp32_01.txt",
    # a display name that is an address
    "pypi-mail-parser-4.8.0/mails/mail_test_15",
    "pypi-mail-parser-4.8.0/mails/mail_test_19",
    # raw octets that are no UTF-8 are text to us
    "pypi-django-mailbox-4.10.1/messages/message_with_single_byte_extended_subject_encoding.eml",
    "pypi-flufl.bounce-6.0.0/data/sina_01.txt",
}
_SAID = re.compile(rb"\* (?:SORT|THREAD) ?(.*)\r\n")


def _said(lines: bytes) -> bytes:
    found = _SAID.search(lines)
    assert found is not None
    return found[1]


def theirs(contents: list[bytes]) -> dict[bytes, bytes]:
    with dovecot(users={"ann": "secret"}) as peer:
        reading = Reading(peer.host, peer.imap, "ann", "secret")
        try:
            reading.append(contents)
            return {asked: _said(b"".join(reading.command(asked + b" UTF-8 ALL"))) for asked in ASKED}
        finally:
            reading.close()


async def ours(contents: list[bytes]) -> dict[bytes, bytes]:
    account = Account()
    for content in contents:
        account.deliver(content)
    async with talking(account) as talk:
        await talk.ok(b"SELECT INBOX")
        return {asked: _said(await talk.ok(asked + b" UTF-8 ALL")) for asked in ASKED}


def test_as_dovecot_does() -> None:
    assert {sample.short for sample in samples()} >= LEFT_OUT
    contents = [sample.content for sample in samples() if sample.short not in LEFT_OUT]
    expected, found = theirs(contents), asyncio.run(ours(contents))
    differing = {
        asked: (found[asked], expected[asked]) for asked in ASKED if found[asked] != expected[asked]
    }
    assert not differing
