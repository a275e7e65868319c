"""A conversation with a session that has no socket: send, read, and nothing lost between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from imap_out.limits import Limits
from imap_out.session import Session
from tests.imap_out.memory import Account, MemoryDirectory, Notes

QUICK = replace(Limits(), failed_login_seconds=0.0)


async def turns(enough: Callable[[], bool]) -> None:
    """Let the loop go round until it is so; no event could tell without changing what is tested."""
    while not enough():  # noqa: ASYNC110
        await asyncio.sleep(0)


class Pipe:
    """The session's Wire: keeps what is written."""

    def __init__(self, secure: bool) -> None:
        self.secure = secure
        self.can_start_tls = not secure
        self.peer = "192.0.2.7"
        self.written = bytearray()
        self.writes = 0
        self.paused = False
        self.blocked: asyncio.Event | None = None
        self.gone = False

    def write(self, data: bytes) -> None:
        self.written += data
        self.writes += 1

    async def drained(self) -> None:
        if self.blocked is not None:
            await self.blocked.wait()
        if self.gone:
            raise ConnectionResetError

    def start_tls(self) -> None:
        self.secure, self.can_start_tls = True, False

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False


class Talk:
    """One client's end."""

    def __init__(self, directory: MemoryDirectory, limits: Limits = QUICK, *, secure: bool = True) -> None:
        self.pipe = Pipe(secure)
        self.notes = Notes()
        self.session = Session(self.pipe, directory, self.notes, limits)
        self.task = asyncio.create_task(self.session.run())
        self._count = 0

    def send(self, data: bytes) -> None:
        self.session.feed(data)

    async def settle(self) -> bytes:
        """Everything written until the session has nothing to do."""
        while True:
            before = len(self.pipe.written)
            for _ in range(30):
                await asyncio.sleep(0)
            if len(self.pipe.written) == before or self.pipe.blocked is not None:
                break
        said = bytes(self.pipe.written)
        self.pipe.written.clear()
        return said

    async def until(self, text: bytes, seconds: float = 5) -> bytes:
        """Everything written up to a line that holds the text."""
        async with asyncio.timeout(seconds):
            await turns(lambda: text in self.pipe.written or self.task.done())
        return await self.settle()

    async def ask(self, command: bytes) -> bytes:
        """A command and its whole answer; `b"OK"` and so on are in it."""
        self._count += 1
        tag = b"t%d" % self._count
        self.send(tag + b" " + command + b"\r\n")
        return await self.until(b"\r\n" + tag + b" " if b"\r\n" in self.pipe.written else tag + b" ")

    async def ok(self, command: bytes) -> bytes:
        answer = await self.ask(command)
        assert b"t%d OK" % self._count in answer, answer
        return answer

    async def end(self) -> None:
        self.pipe.gone = True
        self.session.lost()
        await asyncio.wait_for(self.task, 5)


@asynccontextmanager
async def talking(
    account: Account | None = None, limits: Limits = QUICK, *, secure: bool = True, login: bool = True
) -> AsyncIterator[Talk]:
    directory = MemoryDirectory(ann=account or Account())
    talk = Talk(directory, limits, secure=secure)
    await talk.settle()
    if login:
        await talk.ok(b"LOGIN ann sesame")
    try:
        yield talk
    finally:
        await talk.end()


def run(conversation: Any) -> None:
    """Run a coroutine function to its end."""
    asyncio.run(conversation())


def message(number: int = 1, body: str = "Hello.\r\n", **fields: str) -> bytes:
    header = {
        "Date": "Mon, 7 Feb 1994 21:52:25 -0800",
        "From": "Fred Foobar <foobar@Blurdybloop.example>",
        "Subject": f"afternoon meeting {number}",
        "To": "mooch@owatagu.example",
        "Message-Id": f"<B27397-{number}@Blurdybloop.example>",
    } | {name.replace("_", "-"): value for name, value in fields.items()}
    return ("".join(f"{k}: {v}\r\n" for k, v in header.items() if v) + "\r\n" + body).encode()
