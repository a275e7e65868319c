"""`secure-inbox`: the one command of the program.

Apart because it is the entry point: it names the commands and turns every refusal into one plain
sentence and exit code 1. A traceback would show paths and values, so none is ever printed.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from conf.loader import BadConfig
from gateway.commands.account import account
from gateway.commands.audit import audit
from gateway.commands.check import check
from gateway.commands.demo import demo
from gateway.commands.key import key
from gateway.commands.queue import queue
from gateway.commands.retention import retention
from gateway.commands.serve import serve
from gateway.commands.store import store
from gateway.logs import describe
from mail.errors import Damaged, MailError


class _Commands(click.Group):
    """Speaks plainly about what went wrong."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BadConfig as bad:
            for fault in bad.faults:
                click.echo(str(fault), err=True)
        except Damaged as damage:
            click.echo(f"Damaged: {damage.words}", err=True)
        except MailError as error:
            click.echo(error.words, err=True)
        except BrokenPipeError:  # `audit show | head`: the reader has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except OSError as fault:
            what = f"{fault.strerror}: {fault.filename}" if fault.filename else fault.strerror
            click.echo(f"The machine refused: {what}", err=True)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as bug:  # a bug: show where, never values
            click.echo(f"This should not have happened. Please report: {describe(bug)}", err=True)
        sys.exit(1)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="secure-inbox")
def main() -> None:
    """A mail gateway that keeps an organisation's mail with outsiders sealed on disk."""


for each in (demo, serve, check, account, key, retention, queue, store, audit):
    main.add_command(each)
