"""`secure-inbox key ...`: members' OpenPGP keys (P21: each stored file opens with gpg, without us).

Apart because each command is.
"""

from __future__ import annotations

from pathlib import Path

import click

from conf.loader import load
from gateway.commands import options
from gateway.ledger import opened
from keys import keyring
from keys.wrapping import openpgp_passphrase


@click.group()
def key() -> None:
    """Members' OpenPGP keys."""


@key.command()
@options.config
@click.argument("address")
@click.option("--secret", is_flag=True, help="The secret key, protected with the member's password.")
@options.password_stdin
def export(config: Path, address: str, secret: bool, password_stdin: bool) -> None:
    """Print a member's certificate, or secret key, armored."""
    with opened(load(config)) as ledger:
        found = ledger.account(address)
        if not secret:
            click.echo(keyring.armored(found.certificate), nl=False)
            return
        [password] = options.passwords(password_stdin, "password")
        account_secret = ledger.accounts.open_secret(found, password)
        ledger.audit.note("key exported", found.id)
        armored = keyring.export_secret(found.secret_key, openpgp_passphrase(account_secret), password)
        click.echo(armored, nl=False)
