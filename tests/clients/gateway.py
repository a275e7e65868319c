"""`secure-inbox demo` as a child process, in a directory and on ports of the test's choosing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.clients.site import Site

OFFSETS = (25, 26, 43, 65, 80, 87, 93)
PROGRAM = Path(sys.executable).with_name("secure-inbox")


@dataclass(frozen=True)
class Running:
    """A demo that is ready to serve."""

    site: Site
    process: subprocess.Popen[bytes]

    def processes(self) -> list[int]:
        """The supervisor and all that descend from it."""
        found = [self.process.pid]
        for pid in found:
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                try:
                    found += [int(child) for child in task.read_text().split()]
                except OSError:  # ended meanwhile
                    continue
        return found


def port_base() -> int:
    """A base whose ports are all free now; each process starts its search elsewhere."""
    for step in range(400):
        base = 20_000 + (os.getpid() * 7 + step) % 400 * 100
        if all(_free(base + offset) for offset in OFFSETS):
            return base
    raise OSError("no free block of ports on 127.0.0.1")


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return probe.connect_ex(("127.0.0.1", port)) != 0 and _binds(probe, port)


def _binds(probe: socket.socket, port: int) -> bool:
    try:
        probe.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True


@contextmanager
def gateway(
    directory: Path, *, examples: bool = True, workers: int = 2, seconds: float = 60
) -> Iterator[Running]:
    """From ready to cleanly ended: that SIGTERM ends it with status 0 is part of the contract."""
    command = [str(PROGRAM), "demo", "--dir", str(directory), "--port-base", str(port_base())]
    command += ["--workers", str(workers)] + ["--no-examples"] * (not examples)
    told = directory / "demo.json"
    directory.mkdir(parents=True, exist_ok=True)
    told.unlink(missing_ok=True)
    with (directory.parent / f"{directory.name}.out").open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    try:
        deadline = time.monotonic() + seconds
        while not told.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                said = Path(output.name).read_text(errors="replace")
                raise AssertionError(f"the demo did not start ({process.returncode}): {said[-3000:]}")
            time.sleep(0.05)
        yield Running(Site.read(told), process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
