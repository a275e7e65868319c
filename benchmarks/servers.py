"""The servers under test as one shape: where to connect, how to deliver, which processes.

Ours runs as its users run it (`secure-inbox demo`), the peers from tests/peers. All speak
TLS, since we do not speak anything else.
"""

from __future__ import annotations

import json
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.wire import Wire


@dataclass
class Server:
    """`ingest` speaks SMTP or LMTP ("EHLO" or "LHLO"); `pid` is the root of its processes."""

    name: str
    imap: tuple[str, int]
    context: ssl.SSLContext
    user: str
    password: str
    ingest: tuple[str, int]
    hello: bytes
    recipient: str
    pid: int
    ingest_context: ssl.SSLContext | None = None
    tls_by_starttls: bool = False
    waiting: Callable[[], int] = lambda: 0  # accepted, but not yet in the mailbox

    def wire(self) -> Wire:
        """A logged-in connection."""
        wire = Wire(self.imap, self.context)
        wire.command(b'LOGIN "%s" "%s"' % (self.user.encode(), self.password.encode()))
        return wire


def free_port_base() -> int:
    """A base N such that N+25 … N+93 are free now."""
    for base in range(21000, 60000, 100):
        if all(_is_free(base + offset) for offset in (25, 26, 43, 65, 80, 87, 93)):
            return base
    raise OSError("no free block of ports")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


@contextmanager
def ours(workers: int = 1) -> Iterator[Server]:
    """`secure-inbox demo` in a fresh directory."""
    directory = Path(tempfile.mkdtemp(prefix="bench-ours-"))
    command = [str(Path(sys.executable).with_name("secure-inbox")), "demo", "--dir", str(directory)]
    command += ["--port-base", str(free_port_base()), "--workers", str(workers), "--no-examples"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        facts = _wait_for_json(directory / "demo.json", process)
        context = ssl.create_default_context(cafile=facts["ca"])
        account = facts["accounts"][0]
        yield Server(
            name=f"ours, {workers} worker" + ("s" if workers > 1 else ""),
            imap=(facts["imaps"][0], facts["imaps"][1]),
            context=context,
            user=account["address"],
            password=account["password"],
            ingest=(facts["relay_in"][0], facts["relay_in"][1]),
            hello=b"EHLO",
            recipient=account["address"],
            pid=process.pid,
            ingest_context=context,
            tls_by_starttls=True,
        )
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        shutil.rmtree(directory, ignore_errors=True)


def _wait_for_json(path: Path, process: subprocess.Popen[bytes]) -> dict:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if path.exists():
            return json.loads(path.read_text())
        if process.poll() is not None:
            raise RuntimeError("the demo ended before it was ready")
        time.sleep(0.05)
    raise RuntimeError("the demo was not ready within a minute")


def tree(pid: int) -> list[int]:
    """The process and all its descendants."""
    found = [pid]
    for parent in found:
        children = Path(f"/proc/{parent}/task/{parent}/children")
        if children.exists():
            found += [int(child) for child in children.read_text().split()]
    return found


def proportional_kib(pids: Sequence[int]) -> int:
    """Proportional set size (shared pages divided among their users), KiB."""
    total = 0
    for pid in pids:
        try:
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total


def shared_kib() -> int:
    """Shared memory of the whole machine (memfds are in no process's own figures), KiB."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("Shmem:"):
            return int(line.split()[1])
    raise OSError("no Shmem in /proc/meminfo")
