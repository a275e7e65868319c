"""A courier with the real spool as a process of its own, for tests that kill it.

    python -m tests.smtp_out.child ROOT PORT INBOX [hang]

Bounces become files in INBOX; with `hang`, it stops for ever once one is durable there.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from pathlib import Path

from mail.secret import Secret
from smtp_out.attempt import Timeouts
from smtp_out.bounce import Reporter
from smtp_out.courier import Courier, Settings
from smtp_out.routes import Route, Routes, Tls
from store.spool import Spool
from tests.smtp_out.peers import Notes

SERVER_KEY = Secret(b"k" * 32)


class Files:
    """Returns that end up in a directory."""

    def __init__(self, directory: Path, hang: bool) -> None:
        self._directory, self._hang = directory, hang

    async def bounce(self, account_id: str, content: bytes) -> None:
        (self._directory / f"{account_id}.{secrets.token_hex(8)}").write_bytes(content)
        if self._hang:
            await asyncio.sleep(60)


def opened(root: Path) -> Spool:
    return Spool(root, SERVER_KEY, clock=time.time)


def courier(spool: Spool, port: int, inbox: Path, *, hang: bool = False) -> Courier:
    settings = Settings(
        routes=Routes(Route("127.0.0.1", port, Tls.NONE)),
        reporter=Reporter("gateway.test", "support"),
        timeouts=Timeouts(connect=30, command=30, data=30),
        poll=0.05,
    )
    return Courier(
        settings,
        spool,
        Files(inbox, hang),
        Notes(),
        clock=time.time,
        chance=lambda: 0.0,
        token=lambda: secrets.token_hex(16),
    )


if __name__ == "__main__":
    root, port, inbox = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    asyncio.run(courier(opened(root), port, inbox, hang="hang" in sys.argv).run())
