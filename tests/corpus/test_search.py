"""SEARCH TEXT, BODY and SUBJECT find what Dovecot's find; the contract suite holds us to it."""

from __future__ import annotations

from tests.corpus.reading import Reading
from tests.imap_out import searched
from tests.peers.dovecot import dovecot


def test_dovecot_finds_the_same() -> None:
    with dovecot(users={"ann": "secret"}) as peer:
        reading = Reading(peer.host, peer.imap, "ann", "secret")
        try:
            reading.append([searched.MESSAGE])

            def finds(field: bytes, word: str) -> bool:
                octets = word.encode()
                command = b"SEARCH CHARSET UTF-8 %b {%d+}\r\n%b" % (field, len(octets), octets)
                return b"* SEARCH 1\r\n" in reading.command(command)

            assert {word: finds(b"TEXT", word) for word in searched.TEXT} == searched.TEXT
            assert {word: finds(b"BODY", word) for word in searched.BODY} == searched.BODY
            assert {word: finds(b"SUBJECT", word) for word in searched.SUBJECT} == searched.SUBJECT
            assert not any(finds(b"TEXT", word) for word in searched.OURS_ALONE)
        finally:
            reading.close()
