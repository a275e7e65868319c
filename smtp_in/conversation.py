"""One SMTP connection: the commands and the order in which they may come, AUTH and DATA.

Apart from `connection`, which knows octets and time, and from the doors, which know who may write
to whom. Anyone who can connect sends bytes here. Which verb needs what stands in one table, VERBS.

RFC 5321; RFC 1870 SIZE; RFC 2034 enhanced codes; RFC 2920 PIPELINING; RFC 3207 STARTTLS; RFC 4954
AUTH; RFC 6152 8BITMIME; RFC 6531 SMTPUTF8.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mail.errors import Reason, Refusal
from policy.attachments import declared_too_large
from smtp_in import commands, sasl
from smtp_in.clerk import House, Transaction
from smtp_in.connection import Connection
from smtp_in.dot_stream import DotStream
from smtp_in.framing import Fault
from smtp_in.ports import Receipt
from smtp_in.replies import Reply, reply_to
from smtp_in.trace import Hop


class Conversation(Connection):
    """What is said on one connection."""

    def __init__(self, house: House, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(house, loop)
        self._errors = self._surplus = self._login_failures = 0
        self._locked_out = False

    async def _converse(self) -> None:
        turned_away = self._crowded or self._house.turned_away(self._peer)
        if turned_away is not None:
            await self._send(turned_away)
            return
        if self._house.login_required:
            self._limit_time(self._limits.login_seconds)
        await self._send(Reply(220, "", f"{self.hostname} ESMTP"))
        while not self._ended:
            line = await self._line(self._limits.line_octets)
            reply = self._bad_line(line) if isinstance(line, Fault) else await self._obey(line)
            if reply is not None:
                await self._send(self._counted(reply))
            if self._locked_out and not self._ended:
                await self._send(Reply(421, "4.7.0", "This session is over, closing.", closing=True))
            if self._dismissed and self._transaction is None and not self._ended:
                await self._send(Reply(421, "4.3.2", "This server is going down.", closing=True))

    async def _obey(self, line: bytes) -> Reply | None:
        """One command, one answer; None when it has answered for itself."""
        command = commands.command(line)
        if command is None:
            return await self._unknown("")
        verb = VERBS.get(command.verb, _UNKNOWN)
        self._ended = command.verb in _OTHER_PROTOCOLS
        unmet = next((need.reply for need in verb.needs if not need.met(self)), None)
        if unmet is None and command.argument and not verb.takes_argument:
            unmet = Reply(501, "5.5.4", f"{command.verb} takes nothing behind it.")
        try:
            return unmet or await verb.perform(self, command.argument)
        except Refusal as refusal:
            # Locked since the log-in: whoever holds this session has lost the right to it.
            self._locked_out = command.verb != "AUTH" and refusal.reason is Reason.LOGIN_FAILED
            override = _IN_ITS_VERB.get((command.verb, refusal.reason))
            return Reply(*override, refusal.words) if override else reply_to(refusal)
        except (EOFError, ConnectionError):
            raise
        except Exception as error:  # what is no Refusal is a fault of ours, known or not
            return self._our_fault(error)

    def _counted(self, reply: Reply) -> Reply:
        """Too many refusals, and the peer is either broken or probing. Unknown recipients are not
        counted, for they are slowed elsewhere: a server brings good ones in the same connection."""
        if (reply.code, reply.enhanced) == _SURPLUS:
            self._surplus += 1
        elif reply.code >= 500 and (reply.code, reply.enhanced) != _UNKNOWN_RECIPIENT:
            self._errors += 1
        if self._errors > self._limits.errors or self._surplus > self._limits.surplus_recipients:
            return Reply(421, "4.7.0", "Too many errors, closing.", closing=True)
        return reply

    def _bad_line(self, fault: Fault) -> Reply:
        if fault is Fault.TOO_LONG:
            return Reply(500, "5.5.2", "The line is too long.")
        # Never executed: where another server saw content, this must not become a command.
        return Reply(500, "5.5.2", "A command ends with CRLF and holds no bare CR, bare LF or NUL.")

    async def _hello(self, argument: str, extended: bool) -> Reply | None:
        assert self.session is not None
        name = commands.host(argument)
        if name is None:
            return Reply(501, "5.5.4", "Say your name behind it.")
        self._transaction = None  # RFC 5321 section 4.1.4
        self.session.host_name, self.session.extended_smtp = name, extended
        if not extended:
            return Reply(250, "", self.hostname)
        extensions = [
            self.hostname, "PIPELINING", f"SIZE {self._limits.message_octets}", "8BITMIME", "SMTPUTF8",
            "ENHANCEDSTATUSCODES",
        ]  # fmt: skip
        if self._house.tls is not None and not self._secure:
            extensions.append("STARTTLS")
        if self._house.login_required and self._secure:
            extensions.append("AUTH " + " ".join(sasl.MECHANISMS))
        lines = [f"250-{extension}\r\n" for extension in extensions[:-1]] + [f"250 {extensions[-1]}\r\n"]
        self._writer.write("".join(lines).encode("ascii"))
        await self._writer.drain()
        return None

    async def _ehlo(self, argument: str) -> Reply | None:
        return await self._hello(argument, extended=True)

    async def _helo(self, argument: str) -> Reply | None:
        return await self._hello(argument, extended=False)

    async def _starttls(self, _: str) -> Reply | None:
        assert self.session is not None
        if self._secure:
            return Reply(503, "5.5.1", "TLS is active already.")
        if self._house.tls is None:
            return Reply(502, "5.5.1", "TLS is not available here.")
        await self._begin_tls(self._house.tls)
        self._transaction = None
        self.session.host_name, self.session.extended_smtp = None, False
        return None

    async def _auth(self, argument: str) -> Reply:
        assert self.session is not None
        if not self._house.login_required:
            return Reply(502, "5.5.1", "There is no logging in here.")
        if not self._secure:  # advertised or not, a password in clear is never asked for
            raise Refusal(Reason.ENCRYPTION_REQUIRED, "Logging in needs TLS.")
        if self.session.authenticated or self._transaction is not None:
            return Reply(503, "5.5.1", "Not now.")
        if self._login_failures >= self._limits.login_failures:
            return Reply(421, "4.7.0", "Too many failed log-ins, closing.", closing=True)
        mechanism, _, initial = argument.partition(" ")
        start = sasl.MECHANISMS.get(mechanism.upper())
        if start is None:
            return Reply(504, "5.5.4", "That way of logging in is not known here.")
        credentials = await self._credentials(start(), initial)
        if isinstance(credentials, Reply):
            return credentials
        try:
            await self._uninterrupted(self._clerk.log_in(credentials.name, credentials.password))
        except Refusal:
            self._login_failures += 1
            raise
        self.session.authenticated = True
        self._limit_time(None)
        return Reply(235, "2.7.0", "Logged in")

    async def _credentials(self, exchange: sasl.Exchange, initial: str) -> sasl.Credentials | Reply:
        try:
            challenge = next(exchange)
            response = initial.encode()
            while True:
                if not response:
                    await self._send(Reply(334, "", sasl.encoded(challenge)))
                    line = await self._line(self._limits.login_line_octets)
                    if line is Fault.TOO_LONG:  # RFC 4954 section 4
                        return Reply(500, "5.5.6", "The response is too long.")
                    if isinstance(line, Fault):
                        return self._bad_line(line)
                    if line == b"*":
                        return Reply(501, "5.7.0", "Logging in was cancelled.")
                    response = line or b"="
                challenge = exchange.send(sasl.decoded(response))
                response = b""
        except StopIteration as done:
            assert isinstance(done.value, sasl.Credentials)
            return done.value

    async def _mail(self, argument: str) -> Reply:
        assert self.session is not None and self.session.host_name is not None
        known = self._house.mail_parameters if self.session.extended_smtp else frozenset()
        path = commands.path(argument, "FROM:", known)
        if isinstance(path, Reply):
            return path
        parameters = commands.mail_parameters(path.parameters)
        if isinstance(parameters, Reply):
            return parameters
        _check_ascii(path.address, parameters.utf8)
        contact = self._house.identity.contact
        declared_too_large(parameters.size, self._limits.message_octets, contact).enforce()
        if not self._house.occupancy.fits(parameters.size):
            raise Refusal(Reason.LIMIT, "Too much mail is arriving at once, please try again later.")
        await self._uninterrupted(self._clerk.sender(path.address))
        hop = Hop(self.session.host_name, self._peer, self._secure)
        self._transaction = Transaction(path.address, parameters.utf8, hop)
        return Reply(250, "2.1.0", "Sender OK")

    async def _rcpt(self, argument: str) -> Reply:
        transaction = self._transaction
        assert transaction is not None
        path = commands.path(argument, "TO:", frozenset())
        if isinstance(path, Reply):
            return path
        _check_ascii(path.address, transaction.utf8)
        if len(transaction.recipients) >= self._limits.recipients:
            limit = self._limits.recipients
            raise Refusal(Reason.TOO_MANY_RECIPIENTS, f"One message may have {limit} recipients.")
        address = await self._uninterrupted(self._clerk.recipient(transaction, path.address))
        transaction.recipients.setdefault(address.key, address)
        return Reply(250, "2.1.5", "Recipient OK")

    async def _data(self, _: str) -> Reply | None:
        transaction = self._transaction
        assert transaction is not None
        stream = DotStream(self._limits, self._house.occupancy, self._house.identity.contact)
        try:
            await self._send(Reply(354, "", "End data with <CR><LF>.<CR><LF>"))
            await self._receive(stream)
            receipt = await self._uninterrupted(self._deliver(transaction, stream))
        finally:
            self._transaction = None
            if self._work is None or self._work.done():
                stream.release()  # otherwise the delivery goes on without us, and releases
        self._errors = 0
        # Said and not said must not be mixed up: without `acknowledged` the peer's repetition
        # is known as one and not stored twice.
        await self._send(Reply(250, "2.0.0", "Stored"))
        if not self._writer.is_closing():
            receipt.acknowledged()
        return None

    async def _receive(self, stream: DotStream) -> None:
        self._limit_time(self._limits.message_seconds)
        rest = stream.feed(self._lines.take())
        while rest is None:
            if stream.endless:
                self._ended = True
                break
            rest = stream.feed(await self._more())
        else:
            self._lines.feed(rest)
        self._limit_time(None)

    async def _deliver(self, transaction: Transaction, stream: DotStream) -> Receipt:
        try:
            return await self._clerk.message(transaction, stream.content())
        finally:
            stream.release()

    async def _unknown(self, _: str) -> Reply:
        return Reply(500, "5.5.2", "That is no command of this server.")

    async def _rset(self, _: str) -> Reply:
        self._transaction = None
        return Reply(250, "2.0.0", "OK")

    async def _quit(self, _: str) -> Reply:
        return Reply(221, "2.0.0", "Bye", closing=True)

    async def _noop(self, _: str) -> Reply:
        return Reply(250, "2.0.0", "OK")

    async def _vrfy(self, _: str) -> Reply:
        return Reply(252, "2.5.0", "Send a message and see.")  # no oracle (RFC 5321 section 7.3)

    async def _help(self, _: str) -> Reply:
        return Reply(214, "2.0.0", f"Help: {self._house.identity.contact}")


@dataclass(frozen=True, slots=True)
class Need:
    """What must be true before a verb, and what is said when it is not."""

    met: Callable[[Conversation], bool]
    reply: Reply


@dataclass(frozen=True, slots=True)
class Verb:
    """A command: what it does, what it needs, in the order in which that is looked at."""

    perform: Callable[[Conversation, str], Awaitable[Reply | None]]
    needs: tuple[Need, ...] = ()
    takes_argument: bool = True


def _greeted(c: Conversation) -> bool:
    return c.session is not None and bool(c.session.host_name)


def _logged_in(c: Conversation) -> bool:
    return not c._house.login_required or (c.session is not None and bool(c.session.authenticated))


HELLO = Need(_greeted, Reply(503, "5.5.1", "Say EHLO first."))
TLS = Need(
    lambda c: c._secure or not c._house.tls_required, Reply(530, "5.7.0", "Issue a STARTTLS command first.")
)
LOGIN = Need(_logged_in, Reply(530, "5.7.0", "Log in first."))
NO_MAIL = Need(lambda c: c._transaction is None, Reply(503, "5.5.1", "One MAIL at a time."))
MAIL = Need(lambda c: c._transaction is not None, Reply(503, "5.5.1", "MAIL comes first."))
RCPT = Need(
    lambda c: c._transaction is not None and bool(c._transaction.recipients),
    Reply(554, "5.5.1", "There is no valid recipient."),
)

_UNKNOWN = Verb(Conversation._unknown)

VERBS: dict[str, Verb] = {
    "EHLO": Verb(Conversation._ehlo),
    "HELO": Verb(Conversation._helo),
    "STARTTLS": Verb(Conversation._starttls, (HELLO,), takes_argument=False),
    "AUTH": Verb(Conversation._auth, (HELLO,)),
    "MAIL": Verb(Conversation._mail, (HELLO, TLS, LOGIN, NO_MAIL)),
    "RCPT": Verb(Conversation._rcpt, (HELLO, TLS, LOGIN, MAIL)),
    "DATA": Verb(Conversation._data, (HELLO, TLS, LOGIN, MAIL, RCPT), takes_argument=False),
    "RSET": Verb(Conversation._rset, takes_argument=False),
    "NOOP": Verb(Conversation._noop),
    "QUIT": Verb(Conversation._quit, takes_argument=False),
    "VRFY": Verb(Conversation._vrfy, (TLS, LOGIN)),
    "HELP": Verb(Conversation._help),
}

_SURPLUS = (452, "4.5.3")
_UNKNOWN_RECIPIENT = (550, "5.1.1")

# A browser made to speak to a mail port says these first; nothing behind them is obeyed.
_OTHER_PROTOCOLS = frozenset({"GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT"})

# Where a reason's code differs from the table in `replies`.
_IN_ITS_VERB: dict[tuple[str, Reason], tuple[int, str]] = {
    ("MAIL", Reason.BAD_ADDRESS): (553, "5.1.7"),
    ("RCPT", Reason.THROTTLED): (450, "4.7.0"),
    ("DATA", Reason.LOGIN_FAILED): (525, "5.7.13"),  # RFC 5248's registry: account disabled
    ("AUTH", Reason.BAD_SYNTAX): (501, "5.5.2"),
}


def _check_ascii(address: str, utf8: bool) -> None:
    """RFC 6531 section 3.1: other characters only where SMTPUTF8 was asked for."""
    if not utf8 and not address.isascii():
        raise Refusal(Reason.BAD_ADDRESS, "An address with such characters needs SMTPUTF8.")
