"""`secure-inbox account ...`: members' accounts, also while the gateway runs.

Apart because each command is. Every act is a line in the audit log.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from conf.loader import load
from gateway.change_bus import change_bus
from gateway.commands import options
from gateway.ledger import Ledger, now, opened
from mail.address import Address
from mail.errors import Reason, Refusal
from store.accounts import Account, Status


@click.group()
def account() -> None:
    """Add, look at, lock and delete members' accounts."""


@account.command()
@options.config
@click.argument("address")
@click.option("--on-record", default="", help="Where notices go, outside of the gateway.")
@options.password_stdin
def add(config: Path, address: str, on_record: str, password_stdin: bool) -> None:
    """Make an account with a password."""
    settings = load(config)
    parsed = Address.parse(address)
    if parsed.domain in settings.organisation.domains:
        # Members' mail to it would leave for the organisation's server, the organisation's would not.
        raise Refusal(Reason.BAD_ADDRESS, "That is the organisation's own domain; members are outside it.")
    if on_record:
        Address.parse(on_record)
    [password] = options.passwords(password_stdin, "password")
    with opened(settings) as ledger:
        made = ledger.accounts.add(parsed, on_record, password, now())
        ledger.audit.note("account added", made.id)
    click.echo(f"Added {made.address}.")


@account.command(name="list")
@options.config
@options.as_json
def list_(config: Path, as_json: bool) -> None:
    """All accounts."""
    with opened(load(config)) as ledger:
        options.show([_row(each) for each in ledger.accounts.all()], as_json, "There is no account yet.")


@account.command()
@options.config
@click.argument("address")
@options.as_json
def show(config: Path, address: str, as_json: bool) -> None:
    """One account."""
    with opened(load(config)) as ledger:
        options.show([_row(ledger.account(address))], as_json, "")


@account.command()
@options.config
@click.argument("address")
@options.password_stdin
def passwd(config: Path, address: str, password_stdin: bool) -> None:
    """Change a password; needs the old one, because only it opens the member's mail."""
    settings = load(config)
    with opened(settings) as ledger:
        found = ledger.account(address)
        old, new = options.passwords(password_stdin, "old password", "new password")
        ledger.accounts.change_password(found, old, new, now())
        ledger.audit.note("password changed", found.id)
        change_bus(ledger.root).tell(found.id)
    click.echo(f"Changed the password of {found.address}.")


def _act(name: str, help_text: str, event: str, words: str, act: Callable[[Ledger, str], None]) -> None:
    """The commands that change one thing about one account."""

    @account.command(name=name, help=help_text)
    @options.config
    @click.argument("address")
    def command(config: Path, address: str) -> None:
        with opened(load(config)) as ledger:
            found = ledger.account(address)
            act(ledger, found.id)
            ledger.audit.note(event, found.id)
            change_bus(ledger.root).tell(found.id)
        click.echo(words.format(found.address))


_act(
    "lock",
    "Let nobody log in and nothing be delivered; the mail stays.",
    "account locked",
    "Locked {}.",
    lambda ledger, id_: ledger.accounts.set_status(id_, Status.LOCKED),
)
_act(
    "unlock",
    "Undo a lock.",
    "account unlocked",
    "Unlocked {}.",
    lambda ledger, id_: ledger.accounts.set_status(id_, Status.ACTIVE),
)
_act(
    "hold",
    "Legal hold: no mail of the account is destroyed until it is released; the member sees no difference.",
    "hold set",
    "Held {}.",
    lambda ledger, id_: ledger.accounts.set_hold(id_, True),
)
_act(
    "release",
    "Lift a legal hold; what is due goes with the next sweep.",
    "hold released",
    "Released {}.",
    lambda ledger, id_: ledger.accounts.set_hold(id_, False),
)


@account.command()
@options.config
@click.argument("address")
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(config: Path, address: str, yes: bool) -> None:
    """Destroy an account: its keys, its mail, its index."""
    with opened(load(config)) as ledger:
        found = ledger.account(address)
        if found.hold:
            raise click.ClickException(f"{found.address} is under a legal hold; release it first.")
        if not yes:
            click.confirm(f"Destroy {found.address} and all its mail for ever?", abort=True, err=True)
        # Keys first: without them what a kill in between leaves behind opens for nobody.
        ledger.accounts.delete(found.id)
        ledger.audit.note("account deleted", found.id)
        change_bus(ledger.root).tell(found.id)
        shutil.rmtree(ledger.root / "accounts" / found.id, ignore_errors=True)
    click.echo(f"Deleted {found.address}.")


def _row(each: Account) -> dict[str, Any]:
    return {
        "address": str(each.address),
        "on_record": each.on_record,
        "status": each.status.value,
        "hold": each.hold,
        "created_at": each.created,
        "id": each.id,
    }
