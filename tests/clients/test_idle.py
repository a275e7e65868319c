"""aioimaplib is pushed what happens elsewhere while it idles (RFC 2177)."""

from __future__ import annotations

import asyncio
import time

import aioimaplib
import pytest

from tests.clients.site import Site

pytestmark = [pytest.mark.clients, pytest.mark.xdist_group("one demo for all clients")]

MAIL = (
    "From: claims@example-health.test\r\nTo: eve@other.test\r\nSubject: {0}\r\n"
    "Message-ID: <{0}@example-health.test>\r\n\r\n{0}\r\n"
)


async def _client(site: Site) -> aioimaplib.IMAP4_SSL:
    client = aioimaplib.IMAP4_SSL(site.imaps.host, site.imaps.port, ssl_context=site.tls(), timeout=30)
    await client.wait_hello_from_server()
    eve = site.account("eve")
    assert (await client.login(eve.address, eve.password)).result == "OK"
    assert (await client.select("INBOX")).result == "OK"
    return client


async def _pushed(client: aioimaplib.IMAP4_SSL, word: bytes) -> float:
    """Seconds until a push with the word."""
    began = time.monotonic()
    while True:
        lines = await client.wait_server_push(timeout=10)
        if any(word in line for line in lines):
            return time.monotonic() - began


def test_a_delivery_is_pushed_to_every_idling_session(site: Site) -> None:
    async def conversation() -> list[float]:
        clients = [await _client(site) for _ in range(6)]  # enough that both workers hold some
        waits = [await client.idle_start(timeout=60) for client in clients]
        delivery = asyncio.to_thread(site.relay, ["eve@other.test"], MAIL.format("pushed").encode())
        seconds = await asyncio.gather(*(_pushed(client, b"EXISTS") for client in clients), delivery)
        for client, wait in zip(clients, waits, strict=True):
            client.idle_done()
            await asyncio.wait_for(wait, 10)
            assert (await client.fetch("*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")).result == "OK"
            await client.logout()
        return [second for second in seconds if second is not None]

    assert max(asyncio.run(conversation())) < 5


def test_flags_and_expunges_are_pushed(site: Site) -> None:
    site.relay(["eve@other.test"], MAIL.format("flagged-elsewhere").encode())

    async def conversation() -> None:
        watcher, actor = await _client(site), await _client(site)
        last = (await actor.search("ALL")).lines[0].split()[-1].decode()
        wait = await watcher.idle_start(timeout=60)
        await actor.store(last, "+FLAGS", "(\\Flagged \\Deleted)")
        await _pushed(watcher, b"\\Flagged")
        await actor.expunge()
        await _pushed(watcher, b"EXPUNGE")
        watcher.idle_done()
        await asyncio.wait_for(wait, 10)
        for client in (watcher, actor):
            await client.logout()

    asyncio.run(conversation())
