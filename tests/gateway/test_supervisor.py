"""The supervisor: starts, restarts, reloads and ends real processes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.supervisor import EARLY_DEATHS, Service, Supervisor
from mail.errors import Unavailable

ROOT = Path(__file__).resolve().parents[2]
Step = Callable[["Watched"], Awaitable[None]]


class Watched:
    """A supervisor at work, and what its processes wrote."""

    def __init__(self, journal: Path) -> None:
        self.journal = journal

    def lines(self, word: str) -> list[tuple[str, int]]:
        text = self.journal.read_text() if self.journal.exists() else ""
        split = [line.split(" ") for line in text.splitlines()]
        return [(name, int(pid)) for what, name, pid in split if what == word]

    async def until(self, word: str, count: int) -> list[tuple[str, int]]:
        deadline = time.monotonic() + 10
        while len(found := self.lines(word)) < count:
            assert time.monotonic() < deadline, f"no {count} x {word}: {self.journal.read_text()}"
            await asyncio.sleep(0.02)
        return found


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return Watched(tmp_path / "journal")


def service(watched: Watched, name: str, mode: str = "good") -> Service:
    return Service(
        name, "tests.gateway.toy_service", {"journal": str(watched.journal), "name": name, "mode": mode}
    )


def run(watched: Watched, plan: Callable[[], Sequence[Service]], step: Step, drain: float = 5) -> None:
    """Supervise until the step is through, then end as SIGTERM would."""

    async def main() -> None:
        supervisor = Supervisor(plan, drain)

        async def ready() -> None:
            await step(watched)
            os.kill(os.getpid(), signal.SIGTERM)

        await asyncio.wait_for(supervisor.run(ready), 30)

    asyncio.run(main())


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_ready_comes_when_all_serve_and_sigterm_ends_them_all(watched: Watched) -> None:
    async def step(watched: Watched) -> None:
        assert len(watched.lines("began")) == 2

    run(watched, lambda: [service(watched, "a"), service(watched, "b")], step)
    assert len(watched.lines("ended")) == 2
    assert not any(alive(pid) for _, pid in watched.lines("began"))


def test_a_killed_process_is_replaced(watched: Watched) -> None:
    async def step(watched: Watched) -> None:
        [(_, pid)] = watched.lines("began")
        os.kill(pid, signal.SIGKILL)
        await watched.until("began", 2)

    run(watched, lambda: [service(watched, "a")], step)
    assert len(watched.lines("ended")) == 1


def test_a_process_that_never_serves_is_given_up(watched: Watched) -> None:
    async def step(_: Watched) -> None:
        raise AssertionError("ready without serving")

    with pytest.raises(Unavailable, match="does not start"):
        run(watched, lambda: [service(watched, "good"), service(watched, "bad", "broken")], step)
    assert [name for name, _ in watched.lines("began")].count("bad") == EARLY_DEATHS
    assert [name for name, _ in watched.lines("ended")] == ["good"]


@pytest.mark.slow
def test_who_will_not_end_is_killed(watched: Watched) -> None:
    async def step(_: Watched) -> None:
        return

    run(watched, lambda: [service(watched, "a", "stubborn")], step, drain=0.1)
    assert not alive(watched.lines("began")[0][1])


def test_reload_starts_a_new_generation_and_then_retires_the_old(watched: Watched) -> None:
    async def step(watched: Watched) -> None:
        [(_, old)] = watched.lines("began")
        os.kill(os.getpid(), signal.SIGHUP)
        assert await watched.until("retired", 1) == [("a", old)]
        assert len(watched.lines("began")) == 2

    run(watched, lambda: [service(watched, "a")], step)
    assert len(watched.lines("ended")) == 1


def test_what_does_not_reload_stays(watched: Watched) -> None:
    async def step(watched: Watched) -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        assert [name for name, _ in await watched.until("retired", 1)] == ["a"]
        assert sorted(name for name, _ in watched.lines("began")) == ["a", "a", "b"]

    stays = replace(service(watched, "b"), reloads=False)
    run(watched, lambda: [service(watched, "a"), stays], step)
    assert sorted(name for name, _ in watched.lines("ended")) == ["a", "b"]


@pytest.mark.parametrize("fault", ["refused", "broken"])
def test_a_reload_that_fails_leaves_the_old_generation_at_work(watched: Watched, fault: str) -> None:
    plans = 0

    def plan() -> list[Service]:
        nonlocal plans
        plans += 1
        if plans > 1 and fault == "refused":
            raise Unavailable
        return [service(watched, "a", "good" if plans == 1 else "broken")]

    async def step(watched: Watched) -> None:
        [(_, old)] = watched.lines("began")
        os.kill(os.getpid(), signal.SIGHUP)
        await watched.until("began", 1 if fault == "refused" else 1 + EARLY_DEATHS)
        await asyncio.sleep(0.3)
        assert plans == 2
        assert alive(old)
        assert watched.lines("retired") == []

    run(watched, plan, step)


@pytest.mark.slow
def test_children_end_when_the_supervisor_is_killed(watched: Watched, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import asyncio\n"
        "from pathlib import Path\n"
        "from gateway.supervisor import Service, Supervisor\n"
        f"wiring = {{'journal': {str(watched.journal)!r}, 'name': 'a', 'mode': 'good'}}\n"
        "async def ready(): pass\n"
        "plan = lambda: [Service('a', 'tests.gateway.toy_service', wiring)]\n"
        "asyncio.run(Supervisor(plan, 1).run(ready))\n"
    )
    parent = subprocess.Popen([sys.executable, str(program)], stdout=subprocess.DEVNULL)
    try:
        [(_, child)] = asyncio.run(watched.until("began", 1))
    finally:
        parent.kill()
        parent.wait()
    asyncio.run(watched.until("orphaned", 1))
    deadline = time.monotonic() + 5
    while alive(child):
        assert time.monotonic() < deadline
        time.sleep(0.02)
