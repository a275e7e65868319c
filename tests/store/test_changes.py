"""The change bus between processes."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from store import changes
from store.changes import Bus

ONE, TWO = "1" * 32, "2" * 32
REPOSITORY = Path(__file__).parents[2]


async def heard(calls: list[Any]) -> float:
    """How long it took until the list was filled."""
    start = time.monotonic()
    for _ in range(5000):
        if calls:
            break
        await asyncio.sleep(0.001)
    assert calls
    return time.monotonic() - start


def test_everyone_who_listens_is_told_bursts_as_one_and_others_are_not(tmp_path: Path) -> None:
    async def scenario() -> None:
        here, there = Bus(tmp_path / "run"), Bus(tmp_path / "run")
        for bus in (here, there):
            bus.start(asyncio.get_running_loop())
        calls: list[str] = []
        here.listen(ONE, lambda: calls.append("here"))
        there.listen(ONE, lambda: calls.append("there"))
        there.listen(TWO, lambda: calls.append("two"))
        for _ in range(100):
            here.tell(ONE)
        took = await heard(calls)
        await asyncio.sleep(0.05)
        assert sorted(calls) == ["here", "there"]
        assert took < 0.5
        here.close()
        there.close()
        here.close()
        assert list((tmp_path / "run").iterdir()) == []

    asyncio.run(scenario())


def test_who_stopped_listening_is_not_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        bus = Bus(tmp_path / "run")
        bus.start(asyncio.get_running_loop())
        calls: list[int] = []
        stop = bus.listen(ONE, lambda: calls.append(1))
        bus.listen(ONE, lambda: calls.append(2))
        stop()
        stop()
        bus.tell(ONE)
        await heard(calls)
        assert calls == [2]
        bus.close()

    asyncio.run(scenario())


def test_a_process_without_a_loop_can_tell(tmp_path: Path) -> None:
    async def scenario() -> None:
        bus = Bus(tmp_path / "run")
        bus.start(asyncio.get_running_loop())
        calls: list[int] = []
        bus.listen(ONE, lambda: calls.append(1))
        code = (
            "import sys; from pathlib import Path; from store.changes import Bus\n"
            "Bus(Path(sys.argv[1])).tell('1' * 32)"
        )
        await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", code, str(tmp_path / "run")], cwd=REPOSITORY, check=True
        )
        await heard(calls)
        bus.close()

    asyncio.run(scenario())


def test_a_dead_process_leaves_no_socket_for_long(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys; from pathlib import Path; from store.changes import Bus\n"
        "async def main():\n"
        "    Bus(Path(sys.argv[1])).start(asyncio.get_running_loop()); print('up', flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "run")], cwd=REPOSITORY, stdout=subprocess.PIPE
    )
    assert process.stdout is not None and process.stdout.readline() == b"up\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert len(list((tmp_path / "run").iterdir())) == 1
    Bus(tmp_path / "run").tell(ONE)
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.slow
def test_a_full_queue_is_tried_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        here, there = Bus(tmp_path / "run"), Bus(tmp_path / "run")
        loop = asyncio.get_running_loop()
        here.start(loop)
        there.start(loop)
        assert there._socket is not None
        loop.remove_reader(there._socket.fileno())  # it is busy
        calls: list[int] = []
        there.listen(TWO, lambda: calls.append(1))
        for number in range(5000):
            here.tell(f"{number:032x}")
        here.tell(TWO)
        await asyncio.sleep(0.05)
        loop.add_reader(there._socket.fileno(), there._hear)
        await heard(calls)
        here.close()
        there.close()
        await asyncio.sleep(0.05)  # what was still to be tried again finds a closed bus

    asyncio.run(scenario())


@pytest.mark.parametrize("datagram", [b"", b"x", b"1" * 31, b"1" * 33, b"\xff" * 32, b"../" + b"1" * 29])
def test_strange_datagrams_are_nobodys_change(tmp_path: Path, datagram: bytes) -> None:
    async def scenario() -> None:
        bus = Bus(tmp_path / "run")
        bus.start(asyncio.get_running_loop())
        calls: list[int] = []
        bus.listen(ONE, lambda: calls.append(1))
        sender = Bus(tmp_path / "run")
        sender.tell(datagram.decode("latin-1"))
        await asyncio.sleep(0.01)
        assert not calls
        sender.tell(ONE)
        await heard(calls)
        bus.close()

    asyncio.run(scenario())


def test_without_a_run_directory_telling_is_no_error(tmp_path: Path) -> None:
    Bus(tmp_path / "nowhere").tell(ONE)
    assert not (tmp_path / "nowhere").exists()


def test_a_command_says_what_it_has_to_say_to_a_full_queue_too(tmp_path: Path) -> None:
    async def scenario() -> None:
        bus, teller = Bus(tmp_path / "run"), Bus(tmp_path / "run")
        bus.start(asyncio.get_running_loop())
        accounts = [f"{number:032x}" for number in range(1500)]
        calls: list[str] = []
        for each in accounts:
            bus.listen(each, partial(calls.append, each))
        telling = asyncio.ensure_future(asyncio.to_thread(lambda: [teller.tell(each) for each in accounts]))
        await asyncio.sleep(0)
        time.sleep(0.3)  # noqa: ASYNC251 (the process that should hear is busy meanwhile)
        await telling
        await asyncio.sleep(0.05)
        assert sorted(calls) == accounts
        bus.close()

    asyncio.run(scenario())


def test_who_never_listens_is_waited_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "_INSIST_SECONDS", 0.2)
    (tmp_path / "run").mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(str(tmp_path / "run" / "1.deaf.sock"))
        teller = Bus(tmp_path / "run")
        start = time.monotonic()
        for number in range(1500):
            teller.tell(f"{number:032x}")
        assert 0.2 <= time.monotonic() - start < 5
