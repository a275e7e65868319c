"""`secure-inbox queue ...`: the outbound queue, also while the gateway runs.

Apart because each command is. Addresses are shown to the sysadmin and written nowhere.
"""

from __future__ import annotations

from pathlib import Path

import click

from conf.loader import load
from gateway.change_bus import change_bus
from gateway.commands import options
from gateway.house import COURIER
from gateway.ledger import now, opened
from store.spool import Spool


@click.group()
def queue() -> None:
    """Mail that waits to leave."""


@queue.command(name="list")
@options.config
@options.as_json
def list_(config: Path, as_json: bool) -> None:
    """Every queued message and recipient, oldest first."""
    with opened(load(config)) as ledger:
        spool = Spool(ledger.root, ledger.key, now)
        rows = [
            {
                "id": item.item_id,
                "queued_at": item.queued_at,
                "sender": item.sender,
                "recipient": str(recipient.address),
                "outcome": recipient.outcome.name.lower(),
                "attempts": recipient.attempts,
                "next_attempt_at": recipient.next_attempt,
                "last_answer": f"{recipient.status} {recipient.diagnostic}".strip(),
            }
            for item in spool.list()
            for recipient in item.recipients
        ]
        spool.close()
    options.show(rows, as_json, "The queue is empty.")


@queue.command()
@options.config
def flush(config: Path) -> None:
    """Try everything again now."""
    with opened(load(config)) as ledger:
        spool = Spool(ledger.root, ledger.key, now)
        count = spool.flush(now())
        spool.close()
        ledger.audit.note("queue flushed", "", recipients=count)
        change_bus(ledger.root).tell(COURIER)
    click.echo(f"{count} recipients will be tried now.")


@queue.command()
@options.config
@click.argument("item_id", metavar="ID")
def drop(config: Path, item_id: str) -> None:
    """Destroy a queued message unsent; its sender is not told."""
    with opened(load(config)) as ledger:
        spool = Spool(ledger.root, ledger.key, now)
        spool.drop(item_id)
        spool.close()
        ledger.audit.note("queue dropped", "", item=item_id)
    click.echo(f"Dropped {item_id}.")
