"""`secure-inbox serve`: production, in the foreground.

Apart because each command is. Systemd or a person at a terminal starts it.
"""

from __future__ import annotations

from pathlib import Path

import click

from conf.loader import load
from gateway import binding, serving
from gateway.commands import options


@click.command()
@options.config
def serve(config: Path) -> None:
    """Run the gateway in the foreground until SIGTERM; SIGHUP reloads the configuration."""
    settings = load(config)
    with binding.sole(settings.storage.data_root):
        serving.serve(config, settings, _quietly)


async def _quietly() -> None:
    """Readiness is told by sd_notify and the log."""
