"""`secure-inbox retention ...`: the sweep by hand.

Apart because each command is.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from conf.loader import load
from gateway import sweeping
from gateway.commands import options
from gateway.ledger import now, opened
from policy.retention import DAY


@click.group()
def retention() -> None:
    """Make what has expired disappear; see what will."""


@retention.command()
@options.config
@click.option("--now", "moment", default="", metavar="ISO", help="Sweep as if it were this moment.")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@options.as_json
def run(config: Path, moment: str, dry_run: bool, as_json: bool) -> None:
    """Sweep once."""
    when = options.moment(moment) if moment else now()
    with opened(load(config)) as ledger:
        report = sweeping.sweep(ledger, when, dry_run=dry_run)
    if as_json:
        options.show([asdict(report)], True, "")
        return
    verb = "Would remove" if dry_run else "Removed"
    click.echo(f"{verb} {report.removed} messages ({report.octets} octets) and {report.stale} left-overs.")
    if report.held:
        click.echo(f"{report.held} messages are due but under a legal hold.")
    if report.unknown:
        click.echo(f"{report.unknown} names in the store are no message's.")
    if report.failed:
        raise click.ClickException(f"{report.failed} files could not be removed.")


@retention.command()
@options.config
@options.as_json
def status(config: Path, as_json: bool) -> None:
    """How many messages expire on which day."""
    with opened(load(config)) as ledger:
        days: Counter[str] = Counter()
        due, at = 0, now()
        for name in sweeping.names(ledger.root):
            due += name.expires <= at
            days[datetime.fromtimestamp(name.expires - name.expires % DAY, UTC).strftime("%Y-%m-%d")] += 1
    rows = [{"day": day, "messages": count} for day, count in sorted(days.items())]
    options.show(rows, as_json, "There is no message.")
    if due and not as_json:
        click.echo(f"{due} messages are due now.")
