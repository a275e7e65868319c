"""P5: nothing readable on a disk, after a whole day of mail and in the middle of it.

Every octet under the demo's directory (index, its write-ahead log, audit and operational log
included), every file that any of its processes holds open, and whatever is new in /tmp,
/var/tmp and /dev/shm is searched for canaries. A second test watches each write system call
of all processes, so that no file may be readable for a moment either. Only the sink, which
is the other side, may and must hold what was sent to it.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.clients.gateway import Running, gateway
from tests.clients.site import Place, until
from tests.privacy.canaries import Canaries
from tests.privacy.day import Day, listener, regular_files

pytestmark = [pytest.mark.clients, pytest.mark.slow]

SCRATCH = (Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"))
LARGEST = 64 * 1024 * 1024


def _files(directory: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(directory):
        for name in names:
            path = Path(parent) / name
            if path.is_file() and not path.is_symlink():
                yield path


def _search(paths: Iterable[tuple[str, Path]], canaries: Canaries) -> tuple[int, list[str]]:
    """Octets searched, and "canary, form, file" of all that was found, names of files included."""
    octets, found = 0, []
    for name, path in paths:
        try:
            content = path.read_bytes()
        except FileNotFoundError:  # a file that came and went
            continue
        octets += len(content)
        for where, searched in ((f"in {name}", content), (f"in the name {name}", os.fsencode(name))):
            found += [f"{canary}, {form}, {where}" for canary, form in canaries.found_in(searched)]
    return octets, found


def _gateways_own(running: Running) -> Iterator[tuple[str, Path]]:
    """Everything under DIR but the sink, and what the program printed."""
    for path in _files(running.site.directory):
        if not path.is_relative_to(running.site.sink):
            yield str(path), path
    printed = running.site.directory.parent / f"{running.site.directory.name}.out"
    yield str(printed), printed


def _held_open(running: Running) -> Iterator[tuple[str, Path]]:
    """What the processes hold open, elsewhere or already without a name."""
    for pid in running.processes():
        for name, descriptor in regular_files(pid).items():
            if not name.startswith(str(running.site.sink)):
                yield name, descriptor


def _scratch(since: float) -> Iterator[tuple[str, Path]]:
    for directory in SCRATCH:
        for path in _files(directory):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            if status.st_mtime >= since and status.st_size <= LARGEST and not path.match("*/sink/*/*"):
                yield str(path), path


def _nothing_in(running: Running, canaries: Canaries, since: float) -> None:
    octets, found = _search(_gateways_own(running), canaries)
    assert octets > 1_000_000, "there should have been more to search"
    _, found_held = _search(_held_open(running), canaries)
    _, found_scratch = _search(_scratch(since), canaries)
    # Names of canaries only: the words themselves would end up in a report on a disk.
    assert not (found + found_held + found_scratch)


def _no_nameless_files(running: Running) -> None:
    """A deleted file that is still open is a temporary file on a disk."""
    names = [name for pid in running.processes() for name in regular_files(pid)]
    assert names
    assert [name for name in names if name.endswith(" (deleted)")] == []


def test_a_day_leaves_nothing_readable(tmp_path: Path) -> None:
    canaries, since = Canaries(), time.time() - 1
    with gateway(tmp_path / "data", examples=False) as running:
        day = Day(running, canaries)
        day.mail_in()
        day.mail_out()
        with day.reader() as reader:
            day.reading(reader)
            day.nonsense()
            # While a session is open, and mail waits in the queue.
            sink = listener(Place("127.0.0.1", running.site.relay_in.port + 1), running.processes())
            os.kill(sink, signal.SIGSTOP)
            try:
                waiting = day.letter("waiting", day.member.address, "claims@example-health.test")
                day.submit(waiting, "claims@example-health.test")
                _no_nameless_files(running)
                _nothing_in(running, canaries, since)
            finally:
                os.kill(sink, signal.SIGCONT)
        running.site.sunk_with(str(waiting["Subject"]))
        day.killed_in_data()
        day.killed_at_fsync(3_000)
        day.killed_at_fsync(2_000_000)
        _no_nameless_files(running)
        _nothing_in(running, canaries, since)
    _, found = _search(_gateways_own(running), canaries)
    assert not found

    # The canaries were really used, and the search really finds: the sink has those that were sent.
    _, sunk = _search(((str(p), p) for p in _files(running.site.sink)), canaries)
    seen = {line.partition(", ")[0] for line in sunk}
    parts = ("subject", "display name", "body", "header", "file name", "attachment", "HTML", "inner body")
    assert {f"sent {part}" for part in parts} | {"local part of a member", "waiting body"} <= seen
    # And it finds a single one under DIR.
    (running.site.directory / "data" / "planted").write_bytes(
        b"x" * 1000 + canaries["draft subject"].encode()
    )
    _, found = _search(_gateways_own(running), canaries)
    assert [line.partition(", ")[0] for line in found] == ["draft subject"]


def test_no_write_of_the_day_is_readable(tmp_path: Path) -> None:
    """strace sees the octets of every write to a file, however short that file's life."""
    canaries = Canaries()
    trace = tmp_path / "trace"
    with gateway(tmp_path / "data", examples=False) as running:
        command = ["strace", "-f", "-qq", "-y", "-xx", "-s", "20000000", "-o", str(trace)]
        command += ["-e", "trace=write,pwrite64,writev,pwritev,pwritev2,sendfile,copy_file_range"]
        for pid in running.processes():
            command += ["-p", str(pid)]
        tracer = subprocess.Popen(command, stderr=subprocess.PIPE)
        try:
            until("the tracer", lambda: _traced(running.processes()))
            day = Day(running, canaries)
            day.mail_in()
            day.mail_out()
            with day.reader() as reader:
                day.reading(reader)
            day.nonsense()
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.communicate(timeout=30)
        sink = str(running.site.sink)
    written = _written(trace)
    found, targets = [], set()
    for target, octets in written:
        targets.add(target)
        if not target.startswith(sink):
            found += [f"{name}, {form}, to {target}" for name, form in canaries.found_in(octets)]
    assert not found
    # The trace saw what it should: sealed files, the index and its log, audit, queue, and the sink.
    for part in ("/new/", "/index.sqlite", "/audit/", "/spool", "/tmp/", sink):
        assert any(part in target for target in targets), part
    plain = {
        name
        for target, octets in written
        if target.startswith(sink)
        for name, _ in canaries.found_in(octets)
    }
    assert {"sent body", "sent subject"} <= plain
    # Nobody writes anywhere but under DIR.
    strangers = [
        t for t in targets if not t.startswith(str(running.site.directory)) and not t.endswith("/data.out")
    ]
    assert strangers == []


def _traced(pids: list[int]) -> bool:
    return all("TracerPid:\t0\n" not in Path(f"/proc/{pid}/status").read_text() for pid in pids)


_CALL = re.compile(r"(?:write|pwrite64|writev|pwritev2?)\(\d+<((?:\\x[0-9a-f]{2})+|[^>]*)>, (.*)")
_HEX = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


def _written(trace: Path) -> list[tuple[str, bytes]]:
    """(name of the file, octets) of each write to a regular file; sockets, pipes and memory apart."""
    found = []
    with trace.open() as lines:
        for line in lines:
            match = _CALL.search(line)
            if not match:
                assert "sendfile(" not in line and "copy_file_range(" not in line, "not searched"
                continue
            target = _text(match[1]) if match[1].startswith("\\x") else match[1]
            if target.startswith("/") and not target.startswith(("/memfd:", "/dev/")):
                octets = b"".join(bytes.fromhex(part.replace("\\x", "")) for part in _HEX.findall(match[2]))
                found.append((target, octets))
    assert found
    return found


def _text(escaped: str) -> str:
    return bytes.fromhex(escaped.replace("\\x", "")).decode()
