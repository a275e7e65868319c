"""Kills a process at every write step of a piece of work and checks what is left.

`python -m tests.crash.harness SCENARIO ROOT`: for N = 1, 2, ... a forked child does the work
and kills itself (SIGKILL) at its Nth write step, until one runs to its end. After each kill
other forked children look, do what a peer would do, and look again. Forked from a process
of its own, without threads, because that is cheap and safe there. Prints the number of steps.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from mail.mailbox import Column, FlagChange
from store import sealed_db
from store.mailbox import Mailbox, unlock
from store.retention import sweep
from store.verify import verify
from tests.store.house import ANN, BOB, DAY, NOW, House, house, member, message

Work = Callable[[House, Callable[[bytes], None]], Coroutine[Any, Any, None]]
SAID = b"250"

_STEPS = ("open", "pwrite", "ftruncate", "fsync", "link", "rename", "unlink", "mkdir", "rmdir")


class Countdown:
    """Stands before every write step; at the Nth the process is gone, a write half done."""

    def __init__(self, until: int) -> None:
        self._left = until
        self._lock = threading.Lock()

    def arm(self) -> None:
        for name in _STEPS:
            setattr(os, name, self._guarded(name, getattr(os, name)))
        connect, step = sealed_db.sqlite.connect, self._step

        class Connection(sealed_db.sqlite.Connection):
            def execute(self, sql: str, *values: Any) -> Any:
                if not sql.startswith("COMMIT"):
                    return super().execute(sql, *values)
                step(None)
                done = super().execute(sql, *values)
                step(None)
                return done

        sealed_db.sqlite.connect = lambda *args, **kw: connect(*args, factory=Connection, **kw)

    def _guarded(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kw: Any) -> Any:
            if name == "open" and not args[1] & os.O_CREAT:
                return real(*args, **kw)

            def half() -> None:
                if name == "pwrite":
                    real(args[0], bytes(args[1])[: len(args[1]) // 2], args[2])

            self._step(half)
            return real(*args, **kw)

        return call

    def _step(self, last: Callable[[], None] | None) -> None:
        with self._lock:
            self._left -= 1
            if self._left == 0:
                if last is not None:
                    last()
                os.kill(os.getpid(), signal.SIGKILL)
                time.sleep(60)


def child(root: Path, work: Work, until: int = 0, beside: Work | None = None) -> tuple[bool, bytes]:
    """Run in a process of its own. Whether it ran to its end, and what it said on the way.
    `beside` runs in another one meanwhile and is killed, wherever it is, when this one ends."""
    if beside is not None:
        other = os.fork()
        if other == 0:
            asyncio.run(_run(root, beside, lambda _: None, 0))
            os._exit(1)
        try:
            return child(root, work, until)
        finally:
            os.kill(other, signal.SIGKILL)
            os.waitpid(other, 0)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        try:
            asyncio.run(_run(root, work, lambda said: os.write(writing, said), until))
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    os.close(writing)
    said = b""
    while more := os.read(reading, 100):
        said += more
    os.close(reading)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False, said
    assert os.waitstatus_to_exitcode(status) == 0, "a child failed"
    return True, said


async def _run(root: Path, work: Work, say: Callable[[bytes], Any], until: int) -> None:
    async with house(root) as there:
        if until:
            Countdown(until).arm()
        await work(there, say)


# What is looked at afterwards


async def held_by(there: House, account_id: str) -> list[tuple[str, bytes]]:
    """(folder, content) of every message of an account; each must open."""
    box = await there.open(account_id)
    found = []
    for folder in box.folders():
        uids = [entry.uid for entry in box.entries(folder)]
        assert [
            row[0] for row in box.rows(folder, uids, [Column.UID, Column.HEADER, Column.ENVELOPE])
        ] == uids
        found += [(folder.name, await box.content(folder, uid)) for uid in uids]
    box.close()
    await there.accounts.emptied()
    return found


async def tidy(there: House, account_id: str) -> None:
    """Nothing half there: no stray file, no stray row, every file opens; and once the left-overs
    are old enough for the sweep, nothing in tmp/ and no summary without its message."""
    assert list(verify(there.root, account_id, NOW, unlock(*member(account_id)))) == []
    sweep(there.root, int(time.time()) - 10**9, lambda _: False, stale_seconds=-(10**9) - 60)
    files = there.files(account_id)
    assert files["tmp"] == [] and files["new"] == [], files


# Scenarios: what is there before, the work that is killed, what must hold after


class Scenario:
    accounts: tuple[str, ...] = (ANN,)
    beside: Work | None = None

    async def before(self, there: House, say: Callable[[bytes], None]) -> None: ...

    async def work(self, there: House, say: Callable[[bytes], None]) -> None:
        raise AssertionError

    async def after(self, there: House, said: bool, ended: bool) -> None:
        raise AssertionError


class Deliver(Scenario):
    """To two recipients; the peer repeats it when it heard nothing."""

    accounts = (ANN, BOB)
    content = message(1)
    look_first = False

    async def work(self, there: House, say: Callable[[bytes], None]) -> None:
        receipt = await there.delivery.deliver(there.to(*self.accounts), "x@org.test", self.content)
        say(SAID)
        receipt.acknowledged()

    async def after(self, there: House, said: bool, ended: bool) -> None:
        if self.look_first or said:
            for account_id in self.accounts:
                count = len(await held_by(there, account_id))
                assert count == 1 if said else count in (0, 1), (account_id, count)
        if not said:
            await self.work(there, lambda _: None)
        for account_id in self.accounts:
            assert await held_by(there, account_id) == [("INBOX", self.content)]
        if ended:
            # Acknowledged to the end: the same once more is another message.
            there.clock.now += 1
            await self.work(there, lambda _: None)
            for account_id in self.accounts:
                assert len(await held_by(there, account_id)) == 2


class DeliverThenLook(Deliver):
    """A reader takes it in before the repetition comes."""

    look_first = True


class DeliverBesideReader(Deliver):
    """A session in another process looks all the time, until it is killed too."""

    async def beside(self, there: House, _say: Callable[[bytes], None]) -> None:
        while True:
            for account_id in self.accounts:
                await held_by(there, account_id)


class DeliverLarge(Deliver):
    """By way of the child process."""

    accounts = (ANN,)
    content = message(1, "A line of text.\r\n" * 80_000)


class Append(Scenario):
    """By a client; it cannot be told apart from another when it is repeated."""

    folder = "Archive"
    content = message(1)

    async def work(self, there: House, say: Callable[[bytes], None]) -> None:
        box = await there.open()
        await box.append(box.folder(self.folder), self.content, frozenset({"\\Seen", "$Key"}), None)
        say(SAID)
        box.close()

    async def after(self, there: House, said: bool, ended: bool) -> None:
        found = await held_by(there, ANN)
        assert found in ([(self.folder, self.content)], *([] if said else [[]])), (said, len(found))


class FileSent(Append):
    """The gateway's copy of a submission, which is made again when it heard nothing."""

    folder = "Sent"

    async def work(self, there: House, say: Callable[[bytes], None]) -> None:
        box = await there.open()
        await box.file_sent(self.content)
        say(SAID)
        box.close()

    async def after(self, there: House, said: bool, ended: bool) -> None:
        await super().after(there, said, ended)
        await self.work(there, lambda _: None)
        await there.accounts.emptied()
        assert await held_by(there, ANN) == [(self.folder, self.content)]


class AppendSent(Append):
    """The client's copy of what the gateway has filed: one stays, with the flags of both."""

    folder = "Sent"

    async def before(self, there: House, say: Callable[[bytes], None]) -> None:
        box = await there.open()
        await box.file_sent(self.content)
        box.close()

    async def after(self, there: House, said: bool, ended: bool) -> None:
        assert await held_by(there, ANN) == [(self.folder, self.content)]
        box = await there.open()
        (entry,) = box.entries(box.folder(self.folder))
        assert entry.flags in ({"\\Seen", "$Key"}, *([] if said else [{"\\Seen"}]))
        box.close()
        await there.accounts.emptied()


class AppendLarge(Append):
    content = message(1, "A line of text.\r\n" * 80_000)


class Ingest(Scenario):
    contents = (message(0), message(1), message(2))

    async def before(self, there: House, say: Callable[[bytes], None]) -> None:
        for content in self.contents:
            await there.deliver(content)

    async def work(self, there: House, say: Callable[[bytes], None]) -> None:
        box = await there.open()
        assert len(box.entries(box.folder("INBOX"))) == 3
        box.close()

    async def after(self, there: House, said: bool, ended: bool) -> None:
        found = await held_by(there, ANN)
        assert sorted(found) == sorted(("INBOX", content) for content in self.contents)


class IngestTwice(Ingest):
    """Two processes take in the same files; one is killed on the way, then the other."""

    async def beside(self, there: House, _say: Callable[[bytes], None]) -> None:
        await held_by(there, ANN)
        await asyncio.sleep(60)


class _Taken(Ingest):
    async def before(self, there: House, say: Callable[[bytes], None]) -> None:
        await super().before(there, say)
        box = await there.open()
        inbox = box.folder("INBOX")
        uids = [entry.uid for entry in box.entries(inbox)]
        box.change_flags(inbox, uids, FlagChange.ADD, frozenset({"\\Deleted"}))
        box.close()

    @staticmethod
    def _uids(box: Mailbox) -> list[int]:
        return [entry.uid for entry in box.entries(box.folder("INBOX"))]


class Move(_Taken):
    async def work(self, there: House, say: Callable[[bytes], None]) -> None:
        box = await there.open()
        box.move(box.folder("INBOX"), self._uids(box), box.folder("Trash"))
        say(SAID)
        box.close()

    async def after(self, there: House, said: bool, ended: bool) -> None:
        found = await held_by(there, ANN)
        places = {folder for folder, _ in found}
        assert places == {"Trash"} if said else places in ({"INBOX"}, {"Trash"})
        assert sorted(content for _, content in found) == sorted(self.contents)


class Expunge(_Taken):
    async def work(self, there: House, say: Callable[[bytes], None]) -> None:
        box = await there.open()
        box.expunge(box.folder("INBOX"), self._uids(box))
        say(SAID)
        box.close()
        await there.accounts.emptied()

    async def after(self, there: House, said: bool, ended: bool) -> None:
        found = len(await held_by(there, ANN))
        assert found == 0 if said else found in (0, 3)
        assert len(there.files()["cur"]) == found


class SweepAhead(_Taken):
    """As of 61 days ahead: from its mark on, none of it is seen; before, all of it."""

    async def before(self, there: House, say: Callable[[bytes], None]) -> None:
        await super().before(there, say)
        await there.deliver(message(3))

    async def work(self, there: House, say: Callable[[bytes], None]) -> None:
        sweep(there.root, NOW + 61 * DAY, lambda _: False, real=NOW)
        say(SAID)

    async def after(self, there: House, said: bool, ended: bool) -> None:
        swept = said or (there.root / "retention.json").exists()
        if swept and said:
            assert there.files() == {"tmp": [], "new": [], "cur": []}
        there.clock.now += 1
        await there.deliver(message(4))
        found = [content for _, content in await held_by(there, ANN)]
        assert found == [message(4)] if swept else len(found) == 5


SCENARIOS: dict[str, type[Scenario]] = {
    "deliver": Deliver,
    "deliver-then-look": DeliverThenLook,
    "deliver-beside-reader": DeliverBesideReader,
    "ingest-twice": IngestTwice,
    "deliver-large": DeliverLarge,
    "append": Append,
    "file-sent": FileSent,
    "append-sent": AppendSent,
    "sweep-ahead": SweepAhead,
    "append-large": AppendLarge,
    "ingest": Ingest,
    "move": Move,
    "expunge": Expunge,
}


def run(scenario: Scenario, root: Path) -> int:
    """The number of steps at which it was killed."""
    for account_id in scenario.accounts:
        member(account_id)  # before any fork: all processes must have the same keys
    until = 0
    while True:
        until += 1
        store = root / str(until)
        store.mkdir()
        child(store, scenario.before)
        ended, said = child(store, scenario.work, until, scenario.beside)

        async def afterwards(
            there: House, _say: Callable[[bytes], None], said: bytes = said, ended: bool = ended
        ) -> None:
            await scenario.after(there, SAID in said, ended)
            for account_id in scenario.accounts:
                await tidy(there, account_id)

        try:
            child(store, afterwards)
        except AssertionError:
            print(f"killed at step {until}, said {said!r}", file=sys.stderr)
            raise
        shutil.rmtree(store)
        if ended:
            return until - 1


if __name__ == "__main__":
    print(run(SCENARIOS[sys.argv[1]](), Path(sys.argv[2])))
