"""`secure-inbox check`: everything wrong with a configuration and its machine, at once.

Apart because each command is.
"""

from __future__ import annotations

from pathlib import Path

import click

from conf.loader import BadConfig, load
from gateway import inspection
from gateway.commands import options


@click.command()
@options.config
def check(config: Path) -> None:
    """Validate configuration, certificates, permissions and ports."""
    settings = load(config)
    if found := inspection.faults(settings, str(config)):
        raise BadConfig(found)
    click.echo("The configuration is good.")
