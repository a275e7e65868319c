"""What is timed. Each task checks its answer: a fast wrong answer is no result.

A task is given a server with `COUNT` messages in INBOX and returns milliseconds (or mails
per second for ingest).
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.mails import large, small
from benchmarks.servers import Server, proportional_kib, shared_kib, tree
from benchmarks.smtp import deliver
from benchmarks.wire import Wire, literal_of

THUNDERBIRD = (
    b"UID FETCH 1:* (UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS (From To Cc Bcc Subject Date "
    b"Message-ID Priority X-Priority References Newsgroups In-Reply-To Content-Type Reply-To "
    b"Received)])"
)


@dataclass(frozen=True)
class Task:
    """`rounds` timed runs after one warm-up, the median is quoted. `better` is "less" or "more"."""

    name: str
    run: Callable[[Server, Wire, int], float]
    unit: str = "ms"
    better: str = "less"
    rounds: int = 5


def _timed(wire: Wire, text: bytes, count: int, marker: bytes) -> float:
    start = time.perf_counter()
    answer = wire.command(text)
    taken = (time.perf_counter() - start) * 1000
    assert answer.count(marker) == count, (text, answer.count(marker), count)
    return taken


def login(server: Server, _wire: Wire, _count: int) -> float:
    """Connect with TLS, log in."""
    start = time.perf_counter()
    server.wire().close()
    return (time.perf_counter() - start) * 1000


def noop(_server: Server, wire: Wire, _count: int) -> float:
    """One round trip, the mean of 50."""
    start = time.perf_counter()
    for _ in range(50):
        wire.command(b"NOOP")
    return (time.perf_counter() - start) * 20


def select(_server: Server, wire: Wire, count: int) -> float:
    """SELECT INBOX."""
    start = time.perf_counter()
    answer = wire.command(b"SELECT INBOX")
    taken = (time.perf_counter() - start) * 1000
    assert b"* %d EXISTS" % count in answer
    return taken


def flags(_server: Server, wire: Wire, count: int) -> float:
    """FLAGS of all."""
    return _timed(wire, b"FETCH 1:* (FLAGS)", count, b" FETCH (")


def envelopes(_server: Server, wire: Wire, count: int) -> float:
    """ENVELOPE, BODYSTRUCTURE, size and date of all."""
    text = b"FETCH 1:* (ENVELOPE BODYSTRUCTURE RFC822.SIZE INTERNALDATE)"
    return _timed(wire, text, count, b"BODYSTRUCTURE (")


def thunderbird(_server: Server, wire: Wire, count: int) -> float:
    """Thunderbird's header set of all."""
    return _timed(wire, THUNDERBIRD, count, b"Subject: ")


def body(_server: Server, wire: Wire, count: int) -> float:
    """One 4 KB body, another one each time: no cache of ours helps."""
    number = random.randint(1, count)
    start = time.perf_counter()
    answer = wire.command(b"FETCH %d BODY.PEEK[]" % number)
    taken = (time.perf_counter() - start) * 1000
    assert b"Message-ID: <bench." in literal_of(answer)
    return taken


def bodies(_server: Server, wire: Wire, count: int) -> float:
    """500 bodies in one command, from anywhere in the mailbox."""
    first = random.randint(1, count - 500)
    start = time.perf_counter()
    answer = wire.command(b"FETCH %d:%d BODY.PEEK[]" % (first, first + 499))
    taken = (time.perf_counter() - start) * 1000
    assert answer.count(b"Message-ID: <bench.") == 500
    return taken


def search_subject(_server: Server, wire: Wire, count: int) -> float:
    """SEARCH SUBJECT that matches about a quarter."""
    start = time.perf_counter()
    answer = wire.command(b"SEARCH SUBJECT pharmacy")
    taken = (time.perf_counter() - start) * 1000
    found = len(answer.split(b"\r\n", 1)[0].split()) - 2
    assert count // 10 < found < count // 2, found
    return taken


LARGE = large(1)


def append_large(server: Server, _wire: Wire, _count: int) -> float:
    """APPEND 25 MB, durable."""
    wire = server.wire()
    start = time.perf_counter()
    wire.append(b"Big", LARGE)
    taken = (time.perf_counter() - start) * 1000
    wire.close()
    return taken


def fetch_large(server: Server, _wire: Wire, _count: int) -> float:
    """One 25 MB body on a new connection."""
    wire = server.wire()
    wire.command(b"SELECT Big")
    start = time.perf_counter()
    answer = wire.command(b"FETCH 1 BODY.PEEK[]")
    taken = (time.perf_counter() - start) * 1000
    assert literal_of(answer) == LARGE
    wire.command(b"LOGOUT")
    wire.close()
    return taken


def slice_large(server: Server, _wire: Wire, _count: int) -> float:
    """64 KiB out of the middle, once opened."""
    wire = server.wire()
    wire.command(b"SELECT Big")
    wire.command(b"FETCH 1 BODY.PEEK[]<0.1024>")
    start = time.perf_counter()
    answer = wire.command(b"FETCH 1 BODY.PEEK[]<12000000.65536>")
    taken = (time.perf_counter() - start) * 1000
    assert literal_of(answer) == LARGE[12000000 : 12000000 + 65536]
    wire.close()
    return taken


def ingest(connections: int, total: int = 1000) -> Callable[[Server, Wire, int], float]:
    """4 KB messages over so many connections, mails a second, each durable in the mailbox."""

    def run(server: Server, _wire: Wire, _count: int) -> float:
        stamp = int(time.time() * 1000) % 10**9
        mails = [small(10**6 + stamp + number) for number in range(total)]
        taken = deliver(server, mails, connections)
        start = time.perf_counter()
        while server.waiting():  # Postfix says 250 when its queue has it, not the mailbox
            time.sleep(0.005)
        return total / (taken + time.perf_counter() - start)

    return run


def idle_memory(server: Server, _wire: Wire, _count: int) -> float:
    """KiB (proportional) that one more idle session costs, from 90 of them."""
    before = proportional_kib(tree(server.pid))
    wires = [server.wire() for _ in range(90)]
    for wire in wires:
        wire.command(b"SELECT Drafts")
        wire.send(b"i IDLE\r\n")
        wire.wait_for(b"+ ")
    after = proportional_kib(tree(server.pid))
    for wire in wires:
        wire.close()
    return (after - before) / 90


def peak_memory(server: Server, _wire: Wire, _count: int) -> float:
    """MiB above its rest that the server needs while 25 MB come in and go out once: proportional
    set sizes and anonymous shared memory (our memfds), sampled every 5 ms."""
    before = proportional_kib(tree(server.pid)) + shared_kib()
    highest, done = before, threading.Event()

    def watch() -> None:
        nonlocal highest
        while not done.wait(0.005):
            highest = max(highest, proportional_kib(tree(server.pid)) + shared_kib())

    watcher = threading.Thread(target=watch)
    watcher.start()
    wire = server.wire()
    wire.append(b"Big", LARGE)
    wire.command(b"SELECT Big")
    assert literal_of(wire.command(b"FETCH 1 BODY.PEEK[]")) == LARGE
    wire.close()
    done.set()
    watcher.join()
    return (highest - before) / 1024


READING = (
    # First: later tasks leave free memory in the processes, and a session would seem to cost nothing.
    Task("memory of an idle session", idle_memory, unit="KiB", rounds=1),
    Task("login", login),
    Task("NOOP", noop),
    Task("SELECT 10k", select),
    Task("FETCH 1:* FLAGS", flags),
    Task("FETCH 1:* ENVELOPE BODYSTRUCTURE SIZE DATE", envelopes),
    Task("Thunderbird's header set, 1:*", thunderbird),
    Task("one 4 KB body", body),
    Task("500 bodies of 4 KB", bodies),
    Task("SEARCH SUBJECT", search_subject),
    Task("25 MB in (APPEND)", append_large, rounds=3),
    Task("25 MB out (FETCH BODY[])", fetch_large, rounds=3),
    Task("64 KB slice in its middle", slice_large),
    Task("memory at the peak of 25 MB in and out", peak_memory, unit="MiB", rounds=1),
)
