"""One SMTP connection to a next hop, kept for several messages.

Apart because it is the gatekeeper of aiosmtplib. What can reach us here: any reply from
the next hop, silence, a broken connection at any byte, a false certificate. All of it
becomes an `Answer` per recipient; only cancellation leaves `send` as an exception.

Ours to keep: no bare CR or LF ever leaves (outbound SMTP smuggling), a command holds only
addresses that were read strictly, and TLS is never quietly given up where a route asks
for it. RFC 5321, 1870 (SIZE), 3207 (STARTTLS), 6152 (8BITMIME), 6531 (SMTPUTF8).
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import aiosmtplib

from mail.address import Address
from mail.errors import Refusal
from smtp_out.answer import Answer, reply
from smtp_out.routes import Route, Tls

_RECEIVED = re.compile(rb"(?im)^received[ \t]*:")
_MOST_HOPS = 100  # RFC 5321 section 6.3: at least 100 before it is called a loop
_RECIPIENTS_AT_ONCE = 100  # RFC 5321 section 4.5.3.1.8: what every server must take
_PIECE = 256 * 1024
_SLOWEST = 64 * 1024  # octets a second that still count as progress


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. The defaults are RFC 5321 section 4.5.3.2's, but for `connect`."""

    connect: float = 30.0
    command: float = 300.0
    data: float = 600.0  # from the final dot; time to send the message comes on top


def flaw(content: bytes) -> Answer | None:
    """Why this message may never leave, or None."""
    # SMTP smuggling, outbound leg (CVE-2023-51764 and its family): a lenient next hop could
    # read `\n.\n` as the end of DATA and what follows as a second message.
    # Counting is the quick way to see that each CR has its LF and the other way round.
    pairs = content.count(b"\r\n")
    if content.count(b"\r") != pairs or content.count(b"\n") != pairs or b"\0" in content:
        return Answer("5.6.0", "the message holds a bare CR, a bare LF or a NUL")
    if len(_RECEIVED.findall(header_of(content))) > _MOST_HOPS:
        return Answer("5.4.6", "mail loop: the message has too many Received lines")
    return None


def header_of(content: bytes) -> bytes:
    """The header block with its last CRLF, without the empty line."""
    if content.startswith(b"\r\n"):
        return b""
    end = content.find(b"\r\n\r\n")
    return content if end < 0 else content[: end + 2]


def stuffed(content: bytes) -> Iterator[bytes]:
    """What goes over the wire after 354: dots stuffed (RFC 5321 section 4.5.2), the final dot."""
    start, at_line_start = 0, True
    while start < len(content):
        end = content.rfind(b"\n", start, start + _PIECE) + 1 or start + _PIECE
        piece = content[start:end].replace(b"\n.", b"\n..")
        yield b"." + piece if at_line_start and piece.startswith(b".") else piece
        start, at_line_start = end, piece.endswith(b"\n")
    yield b".\r\n" if at_line_start else b"\r\n.\r\n"


class Connection:
    """Opens when first needed, again when it was lost; not for two tasks at once."""

    def __init__(self, route: Route, hostname: str, timeouts: Timeouts) -> None:
        self._route = route
        self._hostname = hostname
        self._timeouts = timeouts
        self._smtp: aiosmtplib.SMTP | None = None

    async def send(self, sender: str, recipients: Sequence[Address], content: bytes) -> list[Answer]:
        """Hand over one message; an answer for each recipient, in their order.

        `sender` is "" for the null reverse-path. A connection lost after the final dot counts
        as temporary: the next hop may get the message twice, never not at all.
        """
        bad = flaw(content)
        if bad:
            return [bad] * len(recipients)
        try:
            smtp = await self._ready()
        except (aiosmtplib.SMTPException, OSError) as error:
            return [self._broken(error)] * len(recipients)
        mail = self._mail_command(smtp, sender, recipients, content)
        if isinstance(mail, Answer):
            return [mail] * len(recipients)
        answers: list[Answer] = []
        try:
            for start in range(0, len(recipients), _RECIPIENTS_AT_ONCE):
                batch = recipients[start : start + _RECIPIENTS_AT_ONCE]
                answers += await self._transaction(smtp, mail, batch, content)
        except asyncio.CancelledError:
            smtp.close()  # in the middle of a dialogue: nothing polite can be said any more
            raise
        return answers

    async def close(self) -> None:
        """QUIT, without waiting long for the answer."""
        smtp, self._smtp = self._smtp, None
        if smtp is None:
            return
        try:
            if smtp.is_connected:
                await smtp.quit(timeout=min(2.0, self._timeouts.command))
        except (aiosmtplib.SMTPException, OSError):
            pass  # it is gone already, which is what QUIT is for
        finally:
            smtp.close()

    async def _ready(self) -> aiosmtplib.SMTP:
        """The open connection, cleared of any half-made transaction, or a new one."""
        if self._smtp is not None and self._smtp.is_connected:
            # Also finds out whether the peer has left meanwhile, while nothing is at stake.
            try:
                if (await self._smtp.execute_command(b"RSET")).code == 250:
                    return self._smtp
            except (aiosmtplib.SMTPException, OSError):
                self._smtp.close()
        await self.close()
        tls = self._route.tls
        try:
            self._smtp = await self._open(upgrade=tls is not Tls.NONE)
        except ssl.SSLError:
            if tls is not Tls.MAY:
                raise
            self._smtp = await self._open(upgrade=False)  # RFC 7435: some protection, most of the time
        return self._smtp

    async def _open(self, *, upgrade: bool) -> aiosmtplib.SMTP:
        route, timeouts = self._route, self._timeouts
        smtp = aiosmtplib.SMTP(
            hostname=route.host,
            port=route.port,
            local_hostname=self._hostname,
            timeout=timeouts.command,
            start_tls=False,
        )
        try:
            await smtp.connect(timeout=timeouts.connect)
            await self._greet(smtp)
            offered = smtp.supports_extension("starttls")
            if upgrade and not offered and route.tls is not Tls.MAY:
                # Stripping the word STARTTLS from the EHLO answer is the oldest downgrade.
                raise _TlsAbsent("STARTTLS is not offered")
            if upgrade and offered:
                await smtp.starttls(tls_context=_context(route), timeout=timeouts.connect)
                await self._greet(smtp)  # RFC 3207 section 4.2: forget what was said in the clear
        except BaseException:
            smtp.close()
            raise
        return smtp

    async def _greet(self, smtp: aiosmtplib.SMTP) -> None:
        try:
            await smtp.ehlo()
        except aiosmtplib.SMTPHeloError:
            await smtp.helo()  # RFC 5321 section 3.2: an old server gets the old greeting

    def _mail_command(
        self, smtp: aiosmtplib.SMTP, sender: str, recipients: Sequence[Address], content: bytes
    ) -> bytes | Answer:
        """MAIL FROM's argument, or why this next hop cannot take the message (RFC 6531, 6152)."""
        if sender:
            try:
                sender = str(Address.parse(sender))
            except Refusal:
                return Answer("5.1.7", "the sender's address is not valid")
        international = not (
            sender.isascii()
            and all(recipient.local.isascii() for recipient in recipients)
            and header_of(content).isascii()
        )
        eight_bit = smtp.supports_extension("8bitmime")
        if international and not (smtp.supports_extension("smtputf8") and eight_bit):
            words = "the next server takes no non-ASCII addresses or header fields (SMTPUTF8)"
            return Answer("5.6.7", words, self._route.host)
        if not eight_bit and not content.isascii():
            return Answer("5.6.3", "the next server takes 7-bit messages only", self._route.host)
        argument = f"FROM:<{sender}>"
        if smtp.supports_extension("size"):
            argument += f" SIZE={len(content)}"
        if eight_bit and not content.isascii():
            argument += " BODY=8BITMIME"
        if international:
            argument += " SMTPUTF8"
        return argument.encode()

    async def _transaction(
        self, smtp: aiosmtplib.SMTP, mail: bytes, recipients: Sequence[Address], content: bytes
    ) -> list[Answer]:
        answers: list[Answer] = []
        try:
            opened = await self._ask(smtp, b"MAIL", mail)
            if not opened.accepted:
                return [opened] * len(recipients)
            for recipient in recipients:
                answer = await self._ask(smtp, b"RCPT", f"TO:<{recipient}>".encode())
                if answer.words.startswith("552 ") and any(other.accepted for other in answers):
                    # RFC 5321 section 4.5.3.1.10: "too many recipients", in older servers' words.
                    answer = Answer("4.5.3", answer.words, answer.remote)
                answers.append(answer)
            if any(answer.accepted for answer in answers):
                final = await self._data(smtp, content)
                answers = [final if answer.accepted else answer for answer in answers]
            elif smtp.is_connected:
                await self._ask(smtp, b"RSET")
        except (aiosmtplib.SMTPException, OSError) as error:
            lost = self._broken(error)
            smtp.close()
            answers = [lost if answer.accepted else answer for answer in answers]
            answers += [lost] * (len(recipients) - len(answers))
        return answers

    async def _ask(self, smtp: aiosmtplib.SMTP, *words: bytes) -> Answer:
        code, text = await smtp.execute_command(*words)
        return reply(code, text, self._route.host)

    async def _data(self, smtp: aiosmtplib.SMTP, content: bytes) -> Answer:
        """DATA, the message piece by piece, the verdict.

        Not by `smtp.data`: that makes four copies of the message, and 50 MB in one write.
        """
        host = self._route.host
        code, text = await smtp.execute_command(b"DATA")
        protocol = smtp.protocol
        if code != 354 or protocol is None:
            if code // 100 == 2:
                # "250" where 354 is due: nothing was sent, so nothing was accepted.
                smtp.close()
                return Answer("4.5.0", "the server did not follow the protocol", host)
            return reply(code, text, host)
        # Listening from the first piece on: a server may refuse in the middle and hang up.
        verdict = asyncio.ensure_future(protocol.read_response())
        try:
            async with asyncio.timeout(self._timeouts.data + len(content) / _SLOWEST):
                with contextlib.suppress(ConnectionError):  # then the verdict knows, or fails likewise
                    for piece in stuffed(content):
                        protocol.write(piece)
                        await protocol._drain_helper()
                code, text = await verdict
        except BaseException:
            smtp.close()  # never reused in the middle of a message
            raise
        finally:
            verdict.cancel()
            await asyncio.gather(verdict, return_exceptions=True)
        return reply(code, text, host)

    def _broken(self, error: aiosmtplib.SMTPException | OSError) -> Answer:
        """Our own words for a failure of the connection: always temporary."""
        if isinstance(error, aiosmtplib.SMTPResponseException):
            # Also a 5yz greeting: a server in trouble must not make us bounce everything.
            answer = reply(error.code, error.message, self._route.host)
            status = "4" + answer.status[1:] if answer.status[0] != "4" else answer.status
            return Answer(status, answer.words, answer.remote)
        for kinds, status, words in _FAULTS:
            if isinstance(error, kinds):
                return Answer(status, words, self._route.host)
        return Answer("4.4.0", "the connection failed", self._route.host)


class _TlsAbsent(aiosmtplib.SMTPException):
    """The route demands TLS and the next hop does not offer it."""


_FAULTS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str, str], ...] = (
    (_TlsAbsent, "4.7.4", "TLS is required here, but the server does not offer it"),
    (FileNotFoundError, "4.3.5", "our own list of trusted authorities is missing"),
    (ssl.SSLCertVerificationError, "4.7.5", "the server's certificate could not be verified"),
    (ssl.SSLError, "4.7.5", "the TLS negotiation failed"),
    (aiosmtplib.SMTPConnectTimeoutError, "4.4.1", "the server did not answer in time"),
    (aiosmtplib.SMTPConnectError, "4.4.1", "no connection to the server"),
    (TimeoutError, "4.4.2", "the server fell silent"),
    (ConnectionError, "4.4.2", "the connection was lost"),
)


@lru_cache(maxsize=64)
def _context(route: Route) -> ssl.SSLContext:
    """TLS 1.2 and up; identity and chain are checked for VERIFY only."""
    context = ssl.create_default_context(cafile=route.ca_file or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if route.tls is not Tls.VERIFY:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
