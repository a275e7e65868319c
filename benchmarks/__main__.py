"""`python -m benchmarks [--messages N] [--only TEXT]`: the whole table, ours beside the peers.

The peers run at the same time but are driven turn and turn about, so a machine that slows
down slows all of them. Every figure is the median of its rounds; "ratio" is ours to the
peer's, below 1 when ours is better.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack

from benchmarks.mails import small
from benchmarks.peers import dovecot_server
from benchmarks.servers import Server, ours
from benchmarks.smtp import deliver
from benchmarks.tasks import READING, Task, ingest
from benchmarks.wire import Wire


def main() -> None:
    """Run what was asked for, print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", default="", help="tasks whose name holds this text")
    arguments = parser.parse_args()
    print(f"{arguments.messages} messages of 4 KB, {time.strftime('%Y-%m-%d')}\n", flush=True)
    with ExitStack() as stack:
        servers = [
            stack.enter_context(ours(arguments.workers)),
            stack.enter_context(dovecot_server(encrypted=True)),
            stack.enter_context(dovecot_server(encrypted=False)),
        ]
        if _wanted(READING, arguments.only):
            _read(servers, arguments.messages, _wanted(READING, arguments.only))
    with ExitStack() as stack:
        servers = [
            stack.enter_context(ours(arguments.workers)),
            stack.enter_context(ours(1)),
            stack.enter_context(dovecot_server(encrypted=True, relay=True)),
            stack.enter_context(dovecot_server(encrypted=True)),
            stack.enter_context(dovecot_server(encrypted=False)),
        ]
        tasks = [
            Task(f"4 KB durable, {count} connections", ingest(count), "mails/s", "more", 3)
            for count in (1, 10, 50)
        ]
        _table(servers, _wanted(tasks, arguments.only), {}, 0)


def _wanted(tasks: Sequence[Task], text: str) -> list[Task]:
    return [task for task in tasks if text in task.name]


def _read(servers: Sequence[Server], count: int, tasks: Sequence[Task]) -> None:
    messages = [small(number) for number in range(count)]
    wires: dict[str, Wire] = {}
    for server in servers:
        deliver(server, messages, 10)
        wire = wires[server.name] = server.wire()
        wire.command(b"CREATE Big")
        answer = wire.command(b"SELECT INBOX")
        assert b"* %d EXISTS" % count in answer, answer
    _table(servers, tasks, wires, count)


def _table(servers: Sequence[Server], tasks: Sequence[Task], wires: dict[str, Wire], count: int) -> None:
    if not tasks:
        return
    peers = servers[1:]
    print("| work | unit | " + " | ".join(server.name for server in servers) + " | "
          + " | ".join(f"ratio to {peer.name}" for peer in peers) + " |")  # fmt: skip
    print("| --- " * (2 + len(servers) + len(peers)) + "|", flush=True)
    for task in tasks:
        figures: dict[str, list[float]] = {server.name: [] for server in servers}
        for turn in range(task.rounds + 1):
            for server in servers:
                wire = wires.get(server.name)
                taken = task.run(server, wire, count)
                if turn or task.rounds == 1:
                    figures[server.name].append(taken)
        medians = [statistics.median(figures[server.name]) for server in servers]
        ratios = [
            medians[0] / median if task.better == "less" else median / medians[0] for median in medians[1:]
        ]
        print(f"| {task.name} | {task.unit} | " + " | ".join(f"{m:.2f}" for m in medians) + " | "
              + " | ".join(f"{ratio:.2f}" for ratio in ratios) + " |", flush=True)  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
