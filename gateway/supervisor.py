"""The parent of all processes: hands out sockets, starts again what dies, ends them together.

Apart because it must outlive every fault in the rest: it parses nothing, holds no key, opens
no connection; no stranger's bytes come here. Children inherit the listening sockets, so a
worker that dies takes only its own connections with it: those that wait in the kernel's queue
go to its twins.

    SIGTERM, SIGINT   the children finish what they are at, then all end
    SIGHUP            a new generation is started; once it is ready, the old takes no new
                      connections and ends when its last one has gone
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from socket import socket

from gateway import logs
from mail.errors import Unavailable

FIRST_PAUSE, LONGEST_PAUSE, STEADY = 0.1, 10.0, 30.0
"""Seconds: back-off after a death doubles from the first to the longest; whoever lived for
`STEADY` starts over at the first."""

EARLY_DEATHS = 3
"""So many deaths before the first readiness mean that it cannot work at all."""

RETIRE = signal.SIGUSR1
"""Tells a child: take no new connection, end when the last one has gone."""


@dataclass(frozen=True, slots=True)
class Service:
    """One process to keep alive: `python -m module`, told its wiring as one JSON argument."""

    name: str
    module: str
    wiring: Mapping[str, object]
    sockets: Mapping[str, Sequence[socket]] = field(default_factory=dict)
    reloads: bool = True  # at SIGHUP a new one takes over; otherwise it stays


class Supervisor:
    """Keeps a set of services alive until it is told to stop."""

    def __init__(self, plan: Callable[[], Sequence[Service]], drain_seconds: float) -> None:
        """`plan` says what should run; it is asked again at SIGHUP and may raise to refuse."""
        self._plan = plan
        self._drain = drain_seconds
        self._stopping = asyncio.Event()
        self._keepers: list[_Keeper] = []
        self._retired: set[_Keeper] = set()

    async def run(self, ready: Callable[[], Awaitable[None]]) -> None:
        """Until SIGTERM or SIGINT. Calls `ready` once everything serves; Unavailable if it never will."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        reloads: set[asyncio.Task[None]] = set()

        def reload() -> None:
            task = loop.create_task(self._reload())
            reloads.add(task)
            task.add_done_callback(reloads.discard)

        try:
            self._keepers = [_Keeper(service, self._drain) for service in self._plan()]
            if await self._all_ready(self._keepers):
                loop.add_signal_handler(signal.SIGHUP, reload)
                await ready()
                logs.note("ready", processes=len(self._keepers))
                await self._stopping.wait()
        finally:
            logs.note("stopping")
            await asyncio.gather(*(each.end() for each in (*self._keepers, *self._retired)))
            for task in reloads:
                task.cancel()

    async def _all_ready(self, keepers: Sequence[_Keeper]) -> bool:
        """True when all serve, False when told to stop before that."""
        stop = asyncio.ensure_future(self._stopping.wait())
        try:
            all_of_them = asyncio.gather(*(each.serving() for each in keepers))
            await asyncio.wait((stop, all_of_them), return_when=asyncio.FIRST_COMPLETED)
            if not all_of_them.done():
                all_of_them.cancel()
                with suppress(asyncio.CancelledError):
                    await all_of_them
                return False
            all_of_them.result()
            return not self._stopping.is_set()
        finally:
            stop.cancel()

    async def _reload(self) -> None:
        """A fault in the new plan leaves the old generation at work."""
        logs.note("reloading")
        try:
            fresh = [_Keeper(service, self._drain) for service in self._plan() if service.reloads]
        except Exception as error:  # whatever is wrong with it, what runs must go on
            logs.failure("reload refused", error)
            return
        try:
            await self._all_ready(fresh)
        except Unavailable as error:
            logs.failure("reload failed", error)
            await asyncio.gather(*(each.end() for each in fresh))
            return
        old = [keeper for keeper in self._keepers if keeper.reloads]
        self._keepers = [keeper for keeper in self._keepers if not keeper.reloads] + fresh
        for keeper in old:
            self._retired.add(keeper)
            keeper.retire().add_done_callback(partial(self._forget, keeper))
        logs.note("reloaded")

    def _forget(self, keeper: _Keeper, _: asyncio.Task[None]) -> None:
        self._retired.discard(keeper)


class _Keeper:
    """One service's life: start, wait, start again."""

    def __init__(self, service: Service, drain_seconds: float) -> None:
        self._service = service
        self.reloads = service.reloads
        self._drain = drain_seconds
        self._process: asyncio.subprocess.Process | None = None
        self._wanted = True
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ready.add_done_callback(_heard)
        self._task = asyncio.create_task(self._keep())

    async def serving(self) -> None:
        """Returns when the process has said that it serves; Unavailable when it cannot start."""
        await asyncio.shield(self._ready)

    def retire(self) -> asyncio.Task[None]:
        """Let the process end when its last connection has gone."""
        self._wanted = False
        self._signal(RETIRE)
        return self._task

    async def end(self) -> None:
        """Ask it to finish, then insist."""
        self._wanted = False
        self._signal(signal.SIGTERM)
        if self._process is None:
            self._task.cancel()  # in its pause between two lives
        done, _ = await asyncio.wait((self._task,), timeout=self._drain + 2)
        if not done:
            logs.warn("killed a process that would not end", service=self._service.name)
            self._signal(signal.SIGKILL)
        with suppress(asyncio.CancelledError):
            await self._task

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        pause, deaths = FIRST_PAUSE, 0
        while not self._unwanted():
            started = loop.time()
            code = await self._live()
            if self._unwanted():
                break
            logs.warn("process died", service=self._service.name, code=code)
            deaths += 1
            if not self._ready.done() and deaths >= EARLY_DEATHS:
                self._ready.set_exception(
                    Unavailable(f"The {self._service.name} process does not start; the log says why.")
                )
                return
            pause = FIRST_PAUSE if loop.time() - started >= STEADY else min(pause * 2, LONGEST_PAUSE)
            await asyncio.sleep(pause)

    def _unwanted(self) -> bool:
        return not self._wanted

    async def _live(self) -> int:
        """One life of the process; its exit code."""
        # The child reads end-of-file on `life` when we are gone, however we went: no orphan goes
        # on serving with an old configuration. It writes one octet to `ready` when it serves.
        life_read, life_write = os.pipe()
        ready_read, ready_write = os.pipe()
        sockets = {name: [each.fileno() for each in many] for name, many in self._service.sockets.items()}
        wiring = {**self._service.wiring, "sockets": sockets, "life": life_read, "ready": ready_write}
        fds = [life_read, ready_write, *(number for many in sockets.values() for number in many)]
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # nothing is imported from whatever directory we were started in
                "-m",
                self._service.module,
                json.dumps(wiring),
                pass_fds=fds,
                stdin=asyncio.subprocess.DEVNULL,
                process_group=0,  # Ctrl-C in a terminal reaches us alone
            )
            os.close(ready_write)
            ready_write = -1
            if not self._wanted:  # told to end while it was being started
                self._signal(signal.SIGTERM)
            hear = asyncio.get_running_loop()
            hear.add_reader(ready_read, self._hear, ready_read)
            try:
                return await self._process.wait()
            finally:
                hear.remove_reader(ready_read)
        finally:
            self._process = None
            for number in (life_read, life_write, ready_read, ready_write):
                if number >= 0:
                    os.close(number)

    def _hear(self, ready_read: int) -> None:
        asyncio.get_running_loop().remove_reader(ready_read)
        if os.read(ready_read, 1) and not self._ready.done():
            self._ready.set_result(None)


def _heard(ready: asyncio.Future[None]) -> None:
    """An end before readiness is told to whoever waits; that nobody does is no fault of its own."""
    if not ready.cancelled():
        ready.exception()
