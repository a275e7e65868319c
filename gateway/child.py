"""What every supervised process does first and last: its wiring, its readiness, its end.

Apart because workers, timers and the demo's sink begin alike. The wiring is one JSON argument
from the supervisor: names, paths, inherited socket numbers, and two pipes: `life`, whose
end-of-file says that the supervisor is gone, and `ready`, into which one octet says that we
serve. No stranger's bytes come here.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conf.loader import load
from conf.settings import Settings
from gateway import logs
from gateway.supervisor import RETIRE
from keys.memory import harden


@dataclass(frozen=True, slots=True)
class Child:
    """This process as the supervisor started it."""

    name: str
    sockets: dict[str, list[int]]
    wiring: dict[str, Any]

    @classmethod
    def begin(cls) -> Child:
        """Read the wiring; close the doors through which memory could leak to a disk."""
        harden()
        os.umask(0o077)
        wiring = json.loads(sys.argv[1])
        return cls(wiring["name"], wiring["sockets"], wiring)

    def settings(self) -> Settings:
        """Read the configuration and let the log begin."""
        settings = load(Path(self.wiring["config"]))
        logs.configure(settings.log.level, settings.log.file, self.name)
        return settings

    def attend(
        self,
        loop: asyncio.AbstractEventLoop,
        stop: Callable[[], None],
        retire: Callable[[], None] | None = None,
    ) -> None:
        """Call `stop` when told to end or when the supervisor is gone, `retire` when replaced."""

        def orphaned() -> None:
            loop.remove_reader(self.wiring["life"])
            stop()

        loop.add_reader(self.wiring["life"], orphaned)
        loop.add_signal_handler(signal.SIGTERM, stop)
        loop.add_signal_handler(RETIRE, retire or stop)

    def ready(self) -> None:
        """Say that we serve."""
        os.write(self.wiring["ready"], b"+")
        os.close(self.wiring["ready"])
        logs.note("serving")
