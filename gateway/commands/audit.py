"""`secure-inbox audit ...`: read the audit log; prove it unbroken.

Apart because each command is.
"""

from __future__ import annotations

from pathlib import Path

import click

from conf.loader import load
from gateway.commands import options
from gateway.ledger import opened
from keys.wrapping import Label, derive
from mail.errors import Damaged
from store import audit as log


@click.group()
def audit() -> None:
    """Who did what and when, without any content."""


@audit.command()
@options.config
@click.option("--account", default="", metavar="ADDRESS", help="Only what concerns this account.")
@click.option("--since", default="", metavar="ISO", help="Only from this moment on.")
@options.as_json
def show(config: Path, account: str, since: str, as_json: bool) -> None:
    """Print the log, oldest first."""
    first = options.moment(since) if since else 0
    with opened(load(config)) as ledger:
        # A deleted account is known by its id only.
        account_id = account if "@" not in account else ledger.account(account).id
        key = derive(ledger.key, Label.AUDIT)
        lines = [
            line
            for line in log.read(ledger.root, key)
            if line.at >= first and account_id in ("", line.account_id)
        ]
        names = {each.id: str(each.address) for each in ledger.accounts.all()}
    if as_json:
        rows = [
            {"at": each.at, "event": each.event, "account": each.account_id} | each.facts for each in lines
        ]
        options.show(rows, True, "")
        return
    if not lines:
        click.echo("Nothing has happened yet.")
    for line in lines:
        who = names.get(line.account_id, line.account_id)  # for the sysadmin's own eyes
        facts = " ".join(f"{name}={value}" for name, value in line.facts.items())
        click.echo(f"{options.iso(line.at)}  {line.event}  {who}  {facts}".rstrip())


@audit.command()
@options.config
def verify(config: Path) -> None:
    """Check that no line was changed, moved or taken out."""
    with opened(load(config)) as ledger:
        findings = log.verify(ledger.root, derive(ledger.key, Label.AUDIT))
    for finding in findings:
        click.echo(f"{finding.place}: {finding.words}")
    if any(finding.fault for finding in findings):
        raise Damaged("the audit log does not hold together.")
    click.echo("The audit log is unbroken.")
