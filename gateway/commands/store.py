"""`secure-inbox store ...`: integrity of every stored file and index.

Apart because each command is. Without a member's password only names, places, sizes and framing can
be judged, because nobody can open the mail.
"""

from __future__ import annotations

from pathlib import Path

import click

from conf.loader import load
from gateway.commands import options
from gateway.ledger import now, opened
from mail.errors import Damaged
from store import verify as checker
from store.mailbox import unlock


@click.group()
def store() -> None:
    """The sealed store."""


@store.command()
@options.config
@click.option("--account", default="", metavar="ADDRESS", help="Only this account.")
@click.option("--open", "deep", is_flag=True, help="Also open every message; needs --account's password.")
@options.password_stdin
@options.as_json
def verify(config: Path, account: str, deep: bool, password_stdin: bool, as_json: bool) -> None:
    """Check every file; with --account and --open also every message and the index."""
    if deep and not account:
        raise click.UsageError("--open needs --account.")
    with opened(load(config)) as ledger:
        keys = None
        ids = checker.accounts(ledger.root)
        known = {each.id for each in ledger.accounts.all()}
        if account:
            found = ledger.account(account)
            ids = [found.id]
            if deep:
                [password] = options.passwords(password_stdin, "password")
                keys = unlock(found, ledger.accounts.open_secret(found, password))
        faults = [
            {"path": fault.path, "what": fault.what}
            for account_id in ids
            for fault in checker.verify(ledger.root, account_id, now(), keys)
        ]
        faults += [
            {"path": f"accounts/{each}", "what": "belongs to no account"}
            for each in ids
            if each not in known
        ]
    if faults:
        options.show(faults, as_json, "")
        raise Damaged(f"{len(faults)} faults in {len(ids)} accounts.")
    options.show([], as_json, f"Every file of {len(ids)} accounts is as it should be.")
