"""A supervised process for the supervisor's tests: does what its wiring says."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time

wiring = json.loads(sys.argv[1])


def note(word: str) -> None:
    with open(wiring["journal"], "a") as file:
        file.write(f"{word} {wiring['name']} {os.getpid()}\n")


def end(number: int, _frame: object) -> None:
    if wiring["mode"] == "stubborn":
        return
    note("retired" if number == signal.SIGUSR1 else "ended")
    sys.exit(0)


signal.signal(signal.SIGTERM, end)
signal.signal(signal.SIGUSR1, end)
note("began")
if wiring["mode"] == "broken":
    sys.exit(3)
os.write(wiring["ready"], b"+")
while True:
    readable, _, _ = select.select([wiring["life"]], [], [], 60)
    if readable:
        note("orphaned")
        sys.exit(0)
    time.sleep(0.01)
