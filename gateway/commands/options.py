"""Options and output that several commands share.

Apart so that every command spells them alike. The sysadmin types here; passwords come from
standard input only, because arguments can be read by everyone on the machine.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from mail.secret import Secret

config = click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    metavar="FILE",
    help="The gateway's TOML file.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
password_stdin = click.option(
    "--password-stdin", is_flag=True, help="Read passwords from standard input, one on each line."
)


def passwords(from_stdin: bool, *prompts: str) -> list[Secret]:
    """One password for each prompt: lines of standard input, or typed unseen (the last one twice)."""
    if from_stdin:
        stream = sys.stdin.buffer
        lines = [stream.readline().removesuffix(b"\n").removesuffix(b"\r") for _ in prompts]
        if not all(lines):
            count = "one line" if len(prompts) == 1 else f"{len(prompts)} lines"
            raise click.ClickException(f"Standard input must have {count}: {', '.join(prompts)}.")
        return [Secret(line) for line in lines]
    typed = [
        click.prompt(
            prompt.capitalize(), hide_input=True, confirmation_prompt=prompt == prompts[-1], err=True
        )
        for prompt in prompts
    ]
    return [Secret(text.encode()) for text in typed]


def show(rows: Sequence[Mapping[str, Any]], as_json: bool, empty: str) -> None:
    """A table for people, or a JSON list; moments (keys ending in _at) become ISO 8601 for people."""
    if as_json:
        click.echo(json.dumps(list(rows), ensure_ascii=False, indent=2))
        return
    if not rows:
        click.echo(empty)
        return
    shown = [{key: _cell(key, value) for key, value in row.items()} for row in rows]
    widths = {key: max(len(key), *(len(row[key]) for row in shown)) for key in shown[0]}
    for row in [{key: key.replace("_", " ") for key in shown[0]}, *shown]:
        click.echo("  ".join(row[key].ljust(width) for key, width in widths.items()).rstrip())


def moment(text: str) -> int:
    """An ISO 8601 moment as epoch seconds; without a zone it is UTC."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter("must be an ISO 8601 moment such as 2026-11-23T12:00:00Z") from None
    return int((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp())


def iso(at: int) -> str:
    """Epoch seconds as ISO 8601, UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _cell(key: str, value: Any) -> str:
    if key.endswith("_at") and isinstance(value, int):
        return iso(value) if value else "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return str(value)
