"""`secure-inbox demo`: a complete gateway on this machine, with a throw-away CA and a mail sink.

Apart because each command is; the demo itself is `gateway.demo`.
"""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
from pathlib import Path

import click

from gateway.demo import Demo


@click.command()
@click.option(
    "--dir",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Keep the data here; a second start finds everything again. Otherwise it is thrown away.",
)
@click.option(
    "--port-base",
    type=click.IntRange(1024, 65535 - 93),
    default=10000,
    show_default=True,
    metavar="N",
    help="Ports: N+43 imap, N+93 imaps, N+87 submission, N+65 submissions, N+25 relay-in, N+26 sink.",
)
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True, metavar="K")
@click.option("--no-examples", is_flag=True, help="Start with empty mailboxes.")
def demo(directory: Path | None, port_base: int, workers: int, no_examples: bool) -> None:
    """Run a complete gateway on 127.0.0.1, ready for your mail client."""
    for number in (signal.SIGTERM, signal.SIGINT):  # until the supervisor takes over: leave nothing
        signal.signal(number, _leave)
    named = directory is not None
    place = directory if directory is not None else Path(tempfile.mkdtemp(prefix="secure-inbox-"))
    try:
        Demo(place, port_base, workers, examples=not no_examples, say=click.echo).run()
    finally:
        if not named:
            shutil.rmtree(place, ignore_errors=True)


def _leave(_number: int, _frame: object) -> None:
    sys.exit(0)
