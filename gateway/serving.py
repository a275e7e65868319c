"""What `serve` and `demo` share: bind, supervise, release.

Apart because both are the same gateway. No stranger's bytes come here.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from conf.loader import BadConfig, load
from conf.settings import Settings
from gateway import binding, inspection, logs
from gateway.notify import notify
from gateway.supervisor import Service, Supervisor
from keys.memory import harden


def serve(
    config: Path,
    settings: Settings,
    ready: Callable[[], Awaitable[None]],
    extra: Sequence[Service] = (),
) -> None:
    """Until SIGTERM or SIGINT. BadConfig and Unavailable say why it cannot start. The caller holds
    the data root (`binding.sole`) before it changes anything there."""
    harden()
    os.umask(0o077)
    logs.configure(settings.log.level, settings.log.file, "supervisor")
    if found := inspection.faults(settings, str(config), ports=False):
        raise BadConfig(found)
    sockets = binding.bind(settings.listen)
    try:

        def plan() -> list[Service]:
            now = load(config)  # at SIGHUP the file may have changed, and may be refused
            if now.listen != settings.listen or now.storage != settings.storage:
                logs.warn("listen and storage take effect at the next start only")
            workers = now.processes.workers or os.cpu_count() or 1
            wired = {"config": str(config.absolute())}
            services = [
                Service(f"worker {number}", "gateway.worker", wired | {"name": f"worker {number}"}, sockets)
                for number in range(1, workers + 1)
            ]
            return [*extra, *services, Service("timers", "gateway.timers", wired | {"name": "timers"})]

        async def tell() -> None:
            await ready()
            notify("READY=1")

        supervisor = Supervisor(plan, settings.processes.drain_seconds)
        asyncio.run(supervisor.run(tell))
    finally:
        notify("STOPPING=1")
        binding.close(sockets)
