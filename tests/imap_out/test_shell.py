"""Over a real socket with TLS: clients nobody here wrote, and everything a socket can do wrong."""

from __future__ import annotations

import asyncio
import functools
import imaplib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import aioimaplib
import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from gateway import demo_ca
from imap_out.limits import Limits
from imap_out.shell import Connections, Door, tls_options
from tests.imap_out.memory import Account, MemoryDirectory, Notes
from tests.imap_out.talk import QUICK, message


def on_the_reactor(test: Callable[..., Awaitable[None]]) -> Callable[..., Any]:
    """The test is a coroutine of asyncio's, on the loop that Twisted's reactor runs."""

    @pytest_twisted.ensureDeferred
    @functools.wraps(test)
    async def run(*args: Any, **kwargs: Any) -> None:
        await Deferred.fromFuture(asyncio.ensure_future(test(*args, **kwargs)))

    return run


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return demo_ca.ensure(tmp_path_factory.mktemp("tls"), datetime.now(UTC))


class Place:
    """A door on a port of its own, with one account behind it."""

    def __init__(self, certificates: demo_ca.Certificates, limits: Limits, *, implicit: bool) -> None:
        self.account = Account()
        self.directory = MemoryDirectory(ann=self.account)
        self.tls = ssl.create_default_context(cafile=str(certificates.ca))
        self.door = Door(
            self.directory,
            Notes(),
            limits,
            Connections(limits),
            tls_options(certificates.certificate.read_bytes(), certificates.key.read_bytes()),
            implicit_tls=implicit,
        )
        with socket.create_server(("127.0.0.1", 0)) as listening:
            listening.setblocking(False)
            self.port = listening.getsockname()[1]
            self.listening = self.door.listen(reactor, listening)

    async def close(self) -> None:
        await _settled(self.listening.stopListening())
        await self.door.stop(2)
        for _ in range(100):
            if not self.door.connections.count:
                break
            await asyncio.sleep(0.01)
        assert not self.door.connections.count
        assert not self.account.open_sessions

    async def raw(self, *, tls: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        context: dict[str, Any] = {"ssl": self.tls, "server_hostname": "localhost"} if tls else {}
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 26, **context)
        assert (await reader.readline()).startswith(b"* OK [CAPABILITY IMAP4rev1 ")
        return reader, writer


async def _settled(result: Any) -> None:
    if isinstance(result, Deferred):
        await result.asFuture(asyncio.get_running_loop())


@asynccontextmanager
async def standing(certificates, limits: Limits = QUICK, *, implicit: bool = True) -> AsyncIterator[Place]:
    place = Place(certificates, limits, implicit=implicit)
    try:
        yield place
    finally:
        await place.close()


async def until(reader: asyncio.StreamReader, tag: bytes) -> list[bytes]:
    lines = []
    async with asyncio.timeout(20):
        while True:
            line = await reader.readline()
            assert line, lines
            lines.append(line)
            if line.startswith(tag):
                return lines


async def gone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """What came before the other side closed."""
    try:
        async with asyncio.timeout(5):
            return await reader.read()
    except (ConnectionError, ssl.SSLError):
        return b""
    finally:
        writer.close()
        with suppress(ConnectionError, ssl.SSLError, OSError):
            await writer.wait_closed()


@on_the_reactor
async def test_imaplib_over_implicit_tls(certificates):
    async with standing(certificates) as place:
        content = message(1)

        def converse() -> None:
            with imaplib.IMAP4_SSL("localhost", place.port, ssl_context=place.tls) as client:
                assert client.login("ann", "sesame")[0] == "OK"
                assert client.append("INBOX", "(\\Flagged)", None, content)[0] == "OK"
                assert client.select()[1] == [b"1"]
                assert client.fetch("1", "(RFC822)")[1][0][1] == content
                assert client.uid("SEARCH", "FLAGGED", "SUBJECT", '"meeting"')[1] == [b"1"]
                assert client.store("1", "+FLAGS", "\\Deleted")[0] == "OK"
                assert client.expunge()[1] == [b"1"]
                assert client.status("INBOX", "(MESSAGES)")[1] == [b'"INBOX" (MESSAGES 0)']
                assert client.list()[0] == client.lsub()[0] == "OK"
                assert client.namespace()[1] == [b'(("" "/")) NIL NIL']
                assert client.close()[0] == "OK"

        await asyncio.to_thread(converse)


@on_the_reactor
async def test_imaplib_over_starttls(certificates):
    async with standing(certificates, implicit=False) as place:

        def converse() -> None:
            with imaplib.IMAP4("localhost", place.port) as client:
                with pytest.raises(imaplib.IMAP4.error, match="PRIVACYREQUIRED"):
                    client.login("ann", "sesame")
                assert client.starttls(place.tls)[0] == "OK"
                plain = client.authenticate("PLAIN", lambda _challenge: b"\0ann\0sesame")
                assert plain[0] == "OK"
                assert client.select("INBOX")[0] == "OK"

        await asyncio.to_thread(converse)


@on_the_reactor
async def test_aioimaplib_idles(certificates):
    async with standing(certificates) as place:
        client = aioimaplib.IMAP4_SSL("localhost", place.port, ssl_context=place.tls)
        await client.wait_hello_from_server()
        assert (await client.login("ann", "sesame")).result == "OK"
        assert (await client.select("INBOX")).result == "OK"
        idling = await client.idle_start(timeout=10)
        place.account.deliver(message(1))
        assert b"1 EXISTS" in await client.wait_server_push(5)
        client.idle_done()
        await asyncio.wait_for(idling, 5)
        found = await client.uid("fetch", "1", "(FLAGS BODY.PEEK[])")
        assert bytes(found.lines[1]) == message(1)
        assert (await client.move("1", "Trash")).result == "OK"
        assert (await client.logout()).result == "OK"


@on_the_reactor
async def test_tls_1_1_is_refused(certificates):
    async with standing(certificates) as place:
        old = ssl.create_default_context(cafile=str(certificates.ca))
        old.set_ciphers("ALL:@SECLEVEL=0")
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("127.0.0.1", place.port, ssl=old, server_hostname="localhost")


@on_the_reactor
async def test_commands_in_the_segment_of_starttls_are_never_run(certificates):
    async with standing(certificates, implicit=False) as place:
        reader, writer = await place.raw(tls=False)
        writer.write(b"a STARTTLS\r\nb LOGIN ann sesame\r\nc CAPABILITY\r\n")
        assert (await reader.readline()).startswith(b"a OK")
        await writer.start_tls(place.tls, server_hostname="localhost")
        writer.write(b"d CAPABILITY\r\n")
        lines = await until(reader, b"d ")
        assert len(lines) == 2 and b"AUTH=PLAIN" in lines[0] and b"STARTTLS" not in lines[0]
        assert place.directory.asked == []
        writer.write(b"e STARTTLS\r\nf LOGIN ann sesame\r\n")
        assert [line[:5] for line in await until(reader, b"f ")] == [b"e BAD", b"f OK "]
        writer.close()
        await gone(reader, writer)


@on_the_reactor
async def test_clear_text_on_the_tls_port_is_dropped(certificates):
    async with standing(certificates) as place:
        reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
        writer.write(b"a LOGIN ann sesame\r\n" * 10)
        assert b"OK" not in await gone(reader, writer)
        assert place.directory.asked == []


@on_the_reactor
async def test_too_many_connections_from_one_address(certificates):
    async with standing(certificates, replace(QUICK, connections_per_peer=2)) as place:
        kept = [await place.raw(tls=True) for _ in range(2)]
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", place.port, ssl=place.tls, server_hostname="localhost"
        )
        assert (await gone(reader, writer)).startswith(b"* BYE There are too many connections")
        for reader, writer in kept:
            writer.write(b"z LOGOUT\r\n")
            await until(reader, b"z OK")
            await gone(reader, writer)
        await asyncio.sleep(0.05)
        reader, writer = await place.raw(tls=True)
        writer.close()


@on_the_reactor
async def test_a_peer_that_does_not_read_is_cut_off_and_others_do_not_notice(certificates):
    async with standing(certificates, replace(QUICK, stalled_seconds=0.3)) as place:
        place.account.deliver(message(1, ("x" * 70 + "\r\n") * 200_000))
        _, writer = await place.raw(tls=True)
        writer.transport.pause_reading()
        writer.write(b"a LOGIN ann sesame\r\nb SELECT INBOX\r\n" + b"c FETCH 1 BODY.PEEK[]\r\n" * 10)
        other, other_writer = await place.raw(tls=True)
        for _ in range(10):
            other_writer.write(b"n NOOP\r\n")
            await asyncio.wait_for(until(other, b"n OK"), 1)
            await asyncio.sleep(0.1)
        assert place.account.open_sessions == 0
        other_writer.close()
        writer.transport.abort()


@on_the_reactor
async def test_a_large_message_goes_in_and_comes_out(certificates):
    async with standing(certificates) as place:
        content = message(1, ("y" * 70 + "\r\n") * 150_000)
        reader, writer = await place.raw(tls=True)
        writer.write(b"a LOGIN ann sesame\r\nb APPEND INBOX {%d+}\r\n" % len(content))
        writer.write(content + b"\r\nc SELECT INBOX\r\nd UID FETCH 1 BODY[]\r\n")
        lines = await until(reader, b"d OK")
        start = next(i for i, line in enumerate(lines) if b"BODY[] {%d}" % len(content) in line)
        assert b"".join(lines[start + 1 :]).startswith(content)
        writer.close()


@pytest.mark.parametrize("how", ["close", "abort"])
@on_the_reactor
async def test_a_client_that_vanishes_mid_literal(certificates, how):
    async with standing(certificates) as place:
        reader, writer = await place.raw(tls=True)
        writer.write(b"a LOGIN ann sesame\r\nb APPEND INBOX {100000+}\r\nSubject: half")
        await until(reader, b"a OK")
        getattr(writer.transport, how)()
        for _ in range(100):
            if not place.account.open_sessions:
                break
            await asyncio.sleep(0.01)
        assert place.account.open_sessions == 0
        assert not place.account.boxes["INBOX"].mails


@on_the_reactor
@pytest.mark.slow
async def test_stop_says_bye_to_all(certificates):
    async with standing(certificates) as place:
        reader, writer = await place.raw(tls=True)
        writer.write(b"a LOGIN ann sesame\r\nb IDLE\r\n")
        await until(reader, b"+ idling")
        silent = await asyncio.open_connection("127.0.0.1", place.port)  # never says hello to TLS
        await asyncio.sleep(0.05)
        await place.door.stop(2)
        assert b"* BYE The server is going down" in await gone(reader, writer)
        await gone(*silent)


@on_the_reactor
async def test_time_before_login_is_bounded(certificates):
    async with standing(certificates, replace(QUICK, login_seconds=0.2)) as place:
        reader, writer = await place.raw(tls=True)
        assert (await gone(reader, writer)).startswith(b"* BYE Autologout")


@on_the_reactor
async def test_a_peer_that_never_begins_tls_is_cut_off(certificates):
    async with standing(certificates, replace(QUICK, login_seconds=0.2)) as place:
        silent = await asyncio.open_connection("127.0.0.1", place.port)
        await asyncio.sleep(0.05)
        assert place.door.connections.count == 1
        assert await gone(*silent) == b""


@on_the_reactor
async def test_a_flood_of_pipelined_commands_is_answered(certificates):
    async with standing(certificates, replace(QUICK, backlog=4096)) as place:
        reader, writer = await place.raw(tls=True)
        writer.write(b"n NOOP\r\n" * 20_000 + b"z LOGOUT\r\n")
        lines = await until(reader, b"z OK")
        assert sum(line.startswith(b"n OK") for line in lines) == 20_000
        await gone(reader, writer)
