"""The courier on the real spool: what is queued is sent or comes back, whatever is killed when."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.sink import Settings as SinkSettings
from gateway.sink import start
from mail.address import Address
from mail.outbound import Outcome
from tests.smtp_out.child import courier, opened
from tests.smtp_out.peers import HANG, Script, target
from tests.smtp_out.test_courier import MESSAGE, eventually

CANARY = b"canary"


async def queue(root: Path, *addresses: str) -> None:
    spool = opened(root)
    await spool.add(
        "ann@acme.test", "a" * 32, [Address.parse(a) for a in addresses], MESSAGE, int(time.time())
    )
    spool.close()


async def drain(root: Path, port: int, inbox: Path) -> None:
    """Run a courier in this process until the queue is empty."""
    spool = opened(root)
    runner = courier(spool, port, inbox)
    running = asyncio.ensure_future(runner.run())
    await eventually(lambda: not spool.list())
    runner.stop(grace=5)
    await running
    spool.close()


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    (tmp_path / "inbox").mkdir()
    (tmp_path / "root").mkdir()
    return tmp_path / "inbox"


def test_into_the_sink_and_back_with_nothing_left(tmp_path: Path, inbox: Path) -> None:
    async def run() -> None:
        accept = frozenset({"claims@example-health.test"})
        server = await start(SinkSettings(tmp_path / "sink", "example-health.test", accept))
        root = tmp_path / "root"
        await queue(root, "claims@example-health.test", "nobody@example-health.test")
        await drain(root, server.sockets[0].getsockname()[1], inbox)
        server.close()

    asyncio.run(run())
    (kept,) = (tmp_path / "sink/new").iterdir()
    assert kept.read_bytes().endswith(MESSAGE)
    (bounce,) = inbox.iterdir()
    assert b"Final-Recipient: rfc822; nobody@example-health.test" in bounce.read_bytes()
    left = {path.name for path in (tmp_path / "root/spool").iterdir()}
    assert left <= {"spool.sqlite", "spool.sqlite-wal", "spool.sqlite-shm"}


def test_a_deferral_is_on_record_and_survives_the_process(tmp_path: Path, inbox: Path) -> None:
    async def run() -> None:
        async with target(Script({"RCPT b@x.test": "450 4.2.1 busy"})) as script:
            root = tmp_path / "root"
            await queue(root, "a@x.test", "b@x.test")
            spool = opened(root)
            runner = courier(spool, script.port, inbox)
            running = asyncio.ensure_future(runner.run())
            await eventually(lambda: spool.list()[0].recipients[1].attempts == 1)
            runner.stop(grace=5)
            await running
            spool.close()
            spool = opened(root)
            a, b = spool.list()[0].recipients
            assert (a.outcome, a.status) == (Outcome.DELIVERED, "2.0.0")
            assert (b.outcome, b.status, b.diagnostic) == (Outcome.WAITING, "4.2.1", "450 4.2.1 busy")
            assert b.next_attempt >= int(time.time()) + 50
            assert not spool.due(int(time.time()))
            spool.flush(int(time.time()))
            spool.close()
            script.replies.clear()
            await drain(root, script.port, inbox)
            assert len(script.messages) == 2
            assert script.transcript.count("RCPT TO:<a@x.test>") == 1

    asyncio.run(run())


async def killed(root: Path, script: Script, inbox: Path, when: str, *more: str) -> None:
    """Start the child, kill it with SIGKILL once the dialogue or the inbox has come to `when`."""
    words = [str(root), str(script.port), str(inbox), *more]
    child = subprocess.Popen([sys.executable, "-m", "tests.smtp_out.child", *words])  # noqa: ASYNC220
    try:
        await eventually(
            lambda: (
                any(line.startswith(when) for line in script.transcript)
                or (when == "END" and script.messages)
                or (when == "BOUNCE" and list(inbox.iterdir()))
            )
        )
        await asyncio.sleep(0.05)
    finally:
        os.kill(child.pid, signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL


@pytest.mark.parametrize("step", ["EHLO", "MAIL", "RCPT", "DATA", "END"])
def test_killed_in_mid_delivery_nothing_is_lost(tmp_path: Path, inbox: Path, step: str) -> None:
    async def run() -> None:
        root = tmp_path / "root"
        await queue(root, "a@x.test")
        async with target(Script({step: HANG})) as script:
            await killed(root, script, inbox, step)
            script.replies.clear()
            script.messages.clear()
            await drain(root, script.port, inbox)
            assert script.messages == [MESSAGE]

    asyncio.run(run())
    assert not list(inbox.iterdir())


def test_killed_between_the_bounce_and_its_record_it_bounces_again(tmp_path: Path, inbox: Path) -> None:
    async def run() -> None:
        root = tmp_path / "root"
        await queue(root, "a@x.test", "b@x.test")
        async with target(Script({"RCPT b@x.test": "550 5.1.1 no"})) as script:
            await killed(root, script, inbox, "BOUNCE", "hang")
            await drain(root, script.port, inbox)
            # The delivered one was on record before: nobody gets the mail twice.
            assert len(script.messages) == 1

    asyncio.run(run())
    assert len(list(inbox.iterdir())) == 2


def test_nothing_readable_lies_in_the_spool_meanwhile(tmp_path: Path, inbox: Path) -> None:
    async def run() -> None:
        root = tmp_path / "root"
        await queue(root, "canary@x.test")
        async with target(Script({"END": HANG})) as script:
            await killed(root, script, inbox, "END")
        assert not any(CANARY in path.read_bytes() for path in root.rglob("*") if path.is_file())

    asyncio.run(run())
