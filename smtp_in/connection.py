"""One SMTP connection: its beginning and end, its octets, its time, its TLS.

The gatekeeper of aiosmtpd: its protocol class lends streams, session and timer. Its command loop,
verbs and DATA are replaced (in `smtp_in.conversation`), because they take a bare LF for a line end,
log addresses, hold a message in memory three times, share size limits between sessions, withhold
AUTH on implicit TLS, answer without enhanced codes and send an exception's text to the peer.

Anyone who can connect sends bytes here. RFC 5321 sections 4.5.3.2 (time) and 3.8 (ending); RFC 3207.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import traceback
from collections.abc import Coroutine
from typing import Any, TypeVar

from aiosmtpd.smtp import SMTP

from mail.errors import Unavailable
from smtp_in.clerk import House, Transaction
from smtp_in.framing import Fault, Lines
from smtp_in.replies import TEMPORARY_FAILURE, Reply

# aiosmtpd logs peers, addresses and commands here; no address may reach a log.
logging.getLogger("mail.log").disabled = True
_log = logging.getLogger("secure_inbox.smtp_in")

_CHUNK = 65_536
_LINGER_SECONDS = 1.0
_T = TypeVar("_T")


class Connection(SMTP):
    """One connection of one door; a subclass says what is said on it in `_converse`."""

    line_length_limit = _CHUNK  # aiosmtpd hands it to the StreamReader; our bounds are `Limits`

    def __init__(self, house: House, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            None,
            hostname=house.identity.hostname,
            enable_SMTPUTF8=True,
            timeout=house.limits.idle_seconds,
            loop=loop,
        )
        self._house = house
        self._limits = house.limits
        self._lines = Lines()
        self._transaction: Transaction | None = None
        self._work: asyncio.Future[Any] | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._ended = self._lingers = self._dismissed = self._entered = False
        self._secure = False
        self._peer = ""

    async def _converse(self) -> None:
        """The whole conversation, from the greeting on."""
        raise AssertionError("a subclass converses")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it in; aiosmtpd then starts `_handle_client` as a task."""
        peername = transport.get_extra_info("peername")
        self._peer = str(peername[0]) if isinstance(peername, tuple) else ""
        self._secure = transport.get_extra_info("ssl_object") is not None
        self._clerk = self._house.clerk(self._peer)
        self._crowded = self._house.occupancy.enter(self._peer)
        self._entered = True
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """Ends the task too."""
        self._leave()
        super().connection_lost(error)

    def eof_received(self) -> bool:
        """The task reads what came before, answers it and ends; aiosmtpd would cancel it, and
        with it a delivery under way. False closes a TLS transport at once: a peer that ends TLS
        and goes on in clear (row 5) is not heard."""
        self._reader.feed_eof()
        return not self._secure

    def _timeout_cb(self) -> None:
        if self._work is not None and not self._work.done():
            self._reset_timeout()  # it is we who are slow
        else:
            self._expel(Reply(421, "4.4.2", "Nothing came for too long, closing."))

    def _expel(self, farewell: Reply) -> None:
        """Say so and close, without waiting for a peer that does not read."""
        transport = self._writer.transport
        if self._lingers and self._ended:
            transport.abort()  # it has been told already
        elif not transport.is_closing():
            transport.write(farewell.encoded())
            transport.close()
            self.loop.call_later(_LINGER_SECONDS, transport.abort)
        if self._handler_coroutine is not None:
            self._handler_coroutine.cancel()

    def dismiss(self) -> None:
        """For a shutdown: end between messages, and now if nothing is under way."""
        self._dismissed = True
        if self._entered and self._transaction is None and (self._work is None or self._work.done()):
            self._expel(Reply(421, "4.3.2", "This server is going down, please come back."))

    def unfinished(self) -> list[asyncio.Future[Any]]:
        """What a shutdown has to wait for: the conversation, and a delivery that outlives it."""
        tasks: list[asyncio.Future[Any] | None] = [self._handler_coroutine, self._work]
        return [task for task in tasks if task is not None and not task.done()]

    def cut_off(self) -> None:
        """For the end of a shutdown's patience."""
        if self._entered:
            self._writer.transport.abort()

    def _leave(self) -> None:
        """Give everything back, once; keys only when no delivery needs them any more."""
        if not self._entered:
            return
        self._entered = False
        self._house.occupancy.leave(self._peer)
        self._limit_time(None)
        if self._work is not None and not self._work.done():
            self._work.add_done_callback(lambda _: self._clerk.close())
        else:
            self._clerk.close()

    def _limit_time(self, seconds: float | None) -> None:
        """End the connection in so many seconds, however alive it seems (row 29)."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if seconds is not None:
            farewell = Reply(421, "4.4.2", "This takes too long, closing.")
            self._deadline = self.loop.call_later(seconds, self._expel, farewell)

    async def _handle_client(self) -> None:
        """The task that aiosmtpd starts; its own loop is replaced."""
        try:
            await self._converse()
            if self._lingers:
                await self._linger()
        except (EOFError, ConnectionError):
            pass  # the peer is gone, and nobody is left to tell
        except Exception as error:
            self._our_fault(error)
        finally:
            self._leave()
            self._writer.transport.close()

    def _our_fault(self, error: Exception) -> Reply:
        """Types and places for the log, fixed words for the peer: the text of an exception may
        hold content, a path or a key."""
        places = [
            f"{f.filename.rpartition('/')[2]}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__)
        ]
        cause = type(error.__cause__).__name__ if error.__cause__ is not None else "none"
        expected = isinstance(error, Unavailable)
        _log.log(
            logging.WARNING if expected else logging.ERROR,
            "smtp command failed: %s, cause %s, at %s", type(error).__name__, cause, " ".join(places[-6:]),
        )  # fmt: skip
        return TEMPORARY_FAILURE

    async def handle_exception(self, error: Exception) -> str:
        """aiosmtpd's own way here; its default sends the exception's text, as a permanent 500."""
        return self._our_fault(error).encoded().decode("ascii").rstrip("\r\n")

    # Octets

    async def _more(self) -> bytes:
        self._reset_timeout()
        data = await self._reader.read(_CHUNK)
        if not data:
            raise EOFError
        return data

    async def _line(self, limit: int) -> bytes | Fault:
        while (line := self._lines.next_line(limit)) is None:
            if self._lines.skipped > self._limits.endless_line_octets:
                self._ended = True
                return Fault.TOO_LONG  # a line that never ends
            self._lines.feed(await self._more())
        return line

    async def _send(self, reply: Reply) -> None:
        self._ended = self._ended or reply.closing or reply.code == 421
        self._lingers = self._ended and reply.code != 221
        self._writer.write(reply.encoded())
        await self._writer.drain()

    async def _linger(self) -> None:
        """Let the peer read our last word: closing a socket with unread input resets it, and the
        reset overtakes the word."""
        if not self._secure and self._writer.can_write_eof():
            self._writer.write_eof()
        try:
            async with asyncio.timeout(_LINGER_SECONDS):
                while await self._reader.read(_CHUNK):
                    pass
        except TimeoutError:
            return

    async def _uninterrupted(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Ask the house. A connection that dies does not stop a write half way, the idle timer
        waits as well, and a ConnectionError of theirs is not taken for the peer's."""
        task = self.loop.create_task(_asked(work))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._work = task
        return await asyncio.shield(task)

    async def _begin_tls(self, context: ssl.SSLContext) -> None:
        """Say 220 and shake hands; EOFError when that fails, for nobody is left to talk to.

        Whatever came behind STARTTLS came in clear, perhaps from somebody in between: it is
        thrown away (RFC 3207 section 4.2; CVE-2021-38542, CVE-2021-33515). Reading stops first, so
        that what comes after our 220 is the TLS layer's alone.
        """
        plain = self._writer.transport
        plain.pause_reading()  # type: ignore[attr-defined]
        self._lines.clear()
        self._reader._buffer.clear()  # type: ignore[attr-defined]
        await self._send(Reply(220, "2.0.0", "Ready to start TLS"))
        try:
            await self._writer.start_tls(context, ssl_handshake_timeout=self._limits.handshake_seconds)
        except (OSError, ssl.SSLError):
            plain.abort()
            raise EOFError from None
        self.transport = self._reader._transport = self._writer.transport  # type: ignore[attr-defined]
        self._secure = True


async def _asked(work: Coroutine[Any, Any, _T]) -> _T:
    try:
        return await work
    except (EOFError, OSError) as error:
        raise Unavailable from error
