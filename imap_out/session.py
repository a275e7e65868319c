"""One client's conversation: the loop that takes events, runs commands and tells what is new.

Apart from the shell, which owns the socket: a session is fed bytes and writes to a `Wire`,
so tests hold whole conversations without one. Anybody can send bytes here. Standards:
RFC 3501 (states in section 3, tags and order in section 5.5), RFC 9051 section 5.4.
Which command is allowed when is `table`'s to say.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from imap_out import capabilities
from imap_out.codes import BAD, SERVER_BUG, Answer, answer_to, plain
from imap_out.faults import trail
from imap_out.framing import Abuse, Continue, Event, Frame, Framer, Line, Refused
from imap_out.grammar import Arguments
from imap_out.limits import Budget, Limits
from imap_out.ports import Directory, Journal, Mailstore
from imap_out.states import Enabled, State, Tell
from imap_out.table import SELECTED, TABLE, Row
from imap_out.view import View
from imap_out.wire import Wire
from mail.errors import MailError, Reason, Refusal

_log = logging.getLogger("secure_inbox.imap_out")
_TAG = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\+]+')
_CHUNK = 64 * 1024  # octets written before the peer must have taken some


class Farewell(Exception):
    """The session is over; its words go into the BYE."""

    def __init__(self, words: bytes) -> None:
        super().__init__()
        self.words = words


class Session:
    """`feed` bytes in, `run` until it is over. `lost` and `stop` end it from outside."""

    def __init__(
        self,
        wire: Wire,
        directory: Directory,
        journal: Journal,
        limits: Limits,
        budget: Budget | None = None,
    ) -> None:
        self.wire: Wire = wire
        self.directory = directory
        self.journal = journal
        self.limits = limits
        self.state = State.NOT_AUTHENTICATED
        self.view: View | None = None
        self.enabled = Enabled()
        self.asked_for: set[bytes] = set()  # by ENABLE
        self.failed_logins = 0
        self.tag = b""  # of the command under way
        self._store: Mailstore | None = None
        self._framer = Framer(limits.before_login, budget or Budget(limits.in_flight))
        self._stirred = asyncio.Event()
        self._out: list[bytes] = []
        self._bad_in_a_row = 0
        self._upgrading = False
        self._paused = self._lost = self._stopping = self._changed = self._barred = False
        self._deadline = self._fed = 0.0

    # -- from the shell -------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """Bytes from the peer. The transport is paused when too many wait."""
        self._framer.feed(data)
        self._fed = self._time()
        if self.state is not State.NOT_AUTHENTICATED:
            self._deadline = self._fed + self.limits.idle_seconds
        if self._framer.buffered > self.limits.backlog and not self._paused:
            self._paused = True
            self.wire.pause()
        self._stirred.set()

    def lost(self) -> None:
        """The peer is gone. A command under way ends by itself, at its next write or sooner."""
        self._lost = True
        self._stirred.set()

    def stop(self) -> None:
        """Say BYE as soon as the command under way is done."""
        self._stopping = True
        self._stirred.set()

    def _bar(self) -> None:
        self._barred = True
        self._stirred.set()

    async def run(self) -> None:
        """The whole conversation; returns when it is over, whatever happens in it."""
        try:
            greeting = b"* OK [CAPABILITY %b] Secure Inbox ready.\r\n"
            self.say(greeting % b" ".join(capabilities.of(self)))
            self._renew()
            await self.flush()
            while self.state is not State.LOGOUT:
                await self._take(await self.event())
        except Farewell as farewell:
            await self._bye(farewell.words)
        except ConnectionError:
            pass  # nobody is left to be told anything
        except Exception as error:
            _log.error("imap session failed: %s", trail(error))
            await self._bye(b"Something went wrong here. It has been noted.")
        finally:
            self._close()

    # -- for the commands -----------------------------------------------------------------

    @property
    def store(self) -> Mailstore:
        """The member's mail; only for commands whose row demands a login."""
        assert self._store is not None
        return self._store

    @property
    def selected(self) -> View:
        """The selected folder; only for commands whose row demands one."""
        assert self.view is not None
        return self.view

    def say(self, data: bytes) -> None:
        """Put into the next flush."""
        self._out.append(data)

    async def flush(self) -> None:
        """Send what was said, in pieces of about 64 KiB, no faster than the peer reads."""
        out, self._out = self._out, []
        waiting: list[bytes] = []
        size = 0
        for data in out:
            if len(data) <= _CHUNK:
                waiting.append(data)
                size += len(data)
            else:  # a message: sliced, never copied whole
                self.wire.write(b"".join(waiting))
                waiting, size = [], 0
                with memoryview(data) as view:
                    for start in range(0, len(view), _CHUNK):
                        self.wire.write(bytes(view[start : start + _CHUNK]))
                        await self.wire.drained()
            if size >= _CHUNK:
                self.wire.write(b"".join(waiting))
                waiting, size = [], 0
                await self.wire.drained()
        if waiting:
            self.wire.write(b"".join(waiting))
        await self.wire.drained()

    async def turn(self) -> None:
        """Flush in the middle of a long answer, and let the other sessions have the loop."""
        await self.flush()
        await asyncio.sleep(0)

    async def line(self) -> bytes:
        """The peer's answer to a `+` of ours."""
        self._framer.expect_line()
        event = await self.event()
        if isinstance(event, Abuse):
            raise Farewell(event.words)
        assert isinstance(event, Line)
        return event.text

    async def line_or_change(self) -> bytes | None:
        """In IDLE: a line, or None when something may have changed (or nothing for a while)."""
        self._framer.expect_line()
        beat = self._time() + self.limits.beat_seconds
        event = await self.event(until=beat)
        if isinstance(event, Abuse):
            raise Farewell(event.words)
        if event is None and self._time() >= beat:
            self.say(b"* OK Still here.\r\n")
        return event.text if isinstance(event, Line) else None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """While inside, changes made elsewhere wake `line_or_change`."""
        cancel = self.store.watch(self._heard)
        try:
            yield
        finally:
            cancel()

    def _heard(self) -> None:
        self._changed = True  # kept until looked at: it may come while something is being sent
        self._stirred.set()

    def catch_up(self, *, expunges: bool) -> None:
        """Say what happened to the selected folder."""
        if self.view is None:
            return
        try:
            self.view.refresh()
        except Refusal:
            # Another session deleted it. There is no way to say so but to part (RFC 2180 section 3.3).
            raise Farewell(b"The selected folder was deleted.") from None
        lines = self.view.tell(expunges=expunges)
        self.say_new_keywords()
        if lines:
            self.say(b"".join(lines))

    def say_new_keywords(self) -> None:
        """The flags that may be met in the selected folder, when a keyword joined them."""
        if self.selected.new_keywords:
            self.say(self.selected.flag_lists())

    def logged_in(self, store: Mailstore) -> None:
        """From here on the bounds are a member's. Without an audit line nobody comes in."""
        try:
            self.journal.note("login", store.account_id, peer=self.wire.peer)
        except Exception:
            store.close()
            raise
        self._store = store
        self.state = State.AUTHENTICATED
        self._framer.limits = self.limits.after_login
        store.when_barred(self._bar)

    def note(self, event: str, **facts: str | int | Iterable[int]) -> None:
        """A line of the audit log about something that is done already: a failure undoes nothing,

        and must not tell the client that it did. Facts are numbers, never names.
        """
        try:
            self.journal.note(event, self._account_id(), **facts)
        except MailError as error:
            _log.error("imap audit: %s", trail(error))

    def select(self, view: View | None) -> None:
        """Select a folder, or none."""
        self.view = view
        self.state = State.AUTHENTICATED if view is None else State.SELECTED

    def end(self) -> None:
        """This command is the last one."""
        self.state = State.LOGOUT

    def start_tls(self) -> None:
        """Change over as soon as the answer to this command has been written."""
        self._upgrading = True

    # -- the loop -------------------------------------------------------------------------

    async def event(self, until: float | None = None) -> Event | None:
        """The next event; None only when `until` is given and it, or a change, came first."""
        while True:
            if self._barred:  # before what is waiting: who pipelines without end must not stay
                raise Farewell(b"This login is not valid any more.")
            event = self._framer.next()
            if self._paused and self._framer.buffered <= self.limits.backlog:
                self._paused = False
                self.wire.resume()
            if event is not None:
                return event
            if self._lost:
                raise ConnectionResetError
            if self._stopping:
                raise Farewell(b"The server is going down, please connect again.")
            if until is not None and self._changed:
                self._changed = False
                return None
            deadline = self._deadline
            if self._framer.midway:  # half a command holds memory, an idle client does not
                deadline = min(deadline, self._fed + self.limits.stalled_seconds)
            if self._time() >= deadline:
                raise Farewell(b"Autologout; idle for too long.")  # RFC 9051 section 5.4
            self._stirred.clear()
            deadline = deadline if until is None else min(until, deadline)
            try:
                async with asyncio.timeout_at(deadline):
                    await self._stirred.wait()
            except TimeoutError:
                pass
            if until is not None and not self._barred:
                return self._framer.next()

    async def _take(self, event: Event | None) -> None:
        match event:
            case Continue():
                self.say(b"+ OK\r\n")
            case Frame(parts):
                await self._execute(Arguments(parts))
                self._framer.release()
                self._renew()
                if self._upgrading:
                    self._upgrade()
            case Refused(tag, answer):
                self.say(tag + b" " + answer + b"\r\n")
                self._count(bad=True)
            case Abuse(words):
                raise Farewell(words)
            case _:
                raise AssertionError("a line nobody asked for")
        await self.flush()
        if self._framer.buffered:
            await asyncio.sleep(0)  # a thousand pipelined commands are a thousand turns, not one

    def _upgrade(self) -> None:
        """Answer in clear, forget what came in clear behind the command, and change over.

        All in one go: what an attacker put behind STARTTLS in the same segment must not be
        executed inside TLS as if the client had said it (CVE-2021-33515, CVE-2021-38542).
        """
        self._upgrading = False
        self.wire.write(b"".join(self._out))
        self._out.clear()
        self._framer.clear()
        self.wire.start_tls()

    async def _execute(self, arguments: Arguments) -> None:
        found = arguments.optional(_TAG)
        tag = self.tag = found[0] if found else b"*"
        name, row = b"", None
        try:
            name, row = self._row(arguments, tagged=found is not None)
            answer = await self._answer(row, arguments)
        except MailError as error:
            if not isinstance(error, Refusal):
                _log.error("imap command %s: %s", name.decode("ascii"), trail(error))
            answer = answer_to(error, row.codes if row else None)
        except (Farewell, ConnectionError):
            raise
        except Exception as error:
            _log.error("imap command %s: %s", name.decode("ascii"), trail(error))
            answer = SERVER_BUG
        if row is not None and row.tell is not Tell.NOTHING:
            answer = self._tell(row.tell, answer)
        self.say(answer.render(tag))
        self._count(bad=answer.status == BAD)

    def _row(self, arguments: Arguments, *, tagged: bool) -> tuple[bytes, Row]:
        if not tagged:
            raise Refusal(Reason.BAD_SYNTAX, "A command starts with a tag.")
        arguments.space()
        name = arguments.word()
        if name == b"UID":
            arguments.space()
            name += b" " + arguments.word()
        row = TABLE.get(name)
        if row is None:
            raise Refusal(Reason.BAD_SYNTAX, "There is no such command.")
        if self.state not in row.states:
            raise Refusal(Reason.BAD_SYNTAX, "The command is not allowed now.")
        return name, row

    async def _answer(self, row: Row, arguments: Arguments) -> Answer:
        if row.states is SELECTED:
            self.catch_up(expunges=False)  # so that no number is used before its EXISTS
        return await row.run(self, arguments)

    def _tell(self, tell: Tell, answer: Answer) -> Answer:
        """The updates, and for those held back the hint of RFC 5530: EXPUNGEISSUED."""
        try:
            self.catch_up(expunges=tell is Tell.ALL)
        except MailError as error:
            _log.error("imap updates: %s", trail(error))
            return answer
        if self.view is not None and self.view.gone and not answer.code:
            return Answer(answer.status, b"EXPUNGEISSUED", answer.words)
        return answer

    def _count(self, *, bad: bool) -> None:
        """Somebody who only ever gets BAD is not reading: a web browser, a port scanner, a fuzzer."""
        self._bad_in_a_row = self._bad_in_a_row + 1 if bad else 0
        if self._bad_in_a_row >= self.limits.bad_commands:
            self.note("refused", peer=self.wire.peer, reason="too many bad commands")
            raise Farewell(b"Too many bad commands.")

    def _renew(self) -> None:
        outside = self.state is State.NOT_AUTHENTICATED
        seconds = self.limits.login_seconds if outside else self.limits.idle_seconds
        self._deadline = self._time() + seconds

    async def _bye(self, words: bytes) -> None:
        """What was said before it goes out first; a peer that is gone is no error."""
        self.say(b"* BYE " + plain(words.decode("ascii")) + b"\r\n")
        try:
            await self.flush()
        except ConnectionError:
            self._out.clear()

    def _account_id(self) -> str:
        return self._store.account_id if self._store else ""

    def _close(self) -> None:
        self.select(None)
        self.state = State.LOGOUT
        self._framer.clear()
        if self._store is not None:
            self.note("logout", peer=self.wire.peer)
            self._store.close()
            self._store = None

    @staticmethod
    def _time() -> float:
        return asyncio.get_running_loop().time()
