"""A screen of our own for programs that want one: Xvfb on a free display, ended with the test."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.peers.private import CannotRun, end, program


@contextmanager
def display(width: int, height: int) -> Iterator[str]:
    """The DISPLAY of a fresh X server, 24 bits deep, that listens on its UNIX socket only."""
    reader, writer = os.pipe()
    command = [program("Xvfb"), "-displayfd", str(writer), "-screen", "0", f"{width}x{height}x24"]
    command += ["-nolisten", "tcp", "-noreset"]
    process = subprocess.Popen(
        command,
        pass_fds=[writer],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    os.close(writer)
    try:
        with open(reader, "rb") as numbers:
            number = numbers.readline().strip()  # empty when Xvfb has ended
        if not number:
            _, said = process.communicate(timeout=10)
            raise CannotRun(f"Xvfb did not start: {said.decode(errors='replace')[-1000:]}")
        yield f":{number.decode()}"
    finally:
        end(process)
