"""What every private server here needs: a directory its own users can reach, a free port, an end.

Apart from the servers, because both do these the same way. A server runs in the foreground
as our child and in its own session, so it is ended by its process id and takes nothing
else along. Nothing listens anywhere but on 127.0.0.1.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


class CannotRun(RuntimeError):
    """The server cannot run here; the message says why and shows the end of its log."""


def program(*candidates: str) -> str:
    """The first of these that is installed."""
    for candidate in candidates:
        found = shutil.which(candidate)
        if found:
            return found
    raise CannotRun(f"none of {', '.join(candidates)} is installed")


@contextmanager
def directory(name: str) -> Iterator[Path]:
    """A new directory that other users may pass through (pytest's own are 0700), removed at the end.

    Short, because paths of UNIX sockets end at 108 octets.
    """
    path = Path(tempfile.mkdtemp(prefix=f"{name}-", dir="/tmp"))
    path.chmod(0o711)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody holds now: taken all at once so that they differ."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def running(
    name: str, command: Sequence[str], ports: Sequence[int], log: Callable[[], str], seconds: float = 15
) -> Iterator[subprocess.Popen[bytes]]:
    """The command as a child, once it accepts on all ports; SIGTERM at the end, then SIGKILL."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + seconds
        while not all(listens(port) for port in ports):
            if process.poll() is not None:
                said = process.stderr.read().decode(errors="replace") if process.stderr else ""
                raise CannotRun(
                    f"{name} ended at once ({process.returncode}): {said[-2000:]} {log()[-2000:]}"
                )
            if time.monotonic() > deadline:
                raise CannotRun(f"{name} did not listen within {seconds} s: {log()[-2000:]}")
            time.sleep(0.02)
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and after ten seconds SIGKILL to the process group that it leads."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
    if process.stderr:
        process.stderr.close()
