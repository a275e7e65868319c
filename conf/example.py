"""The annotated example file, written from `conf.settings` so that the two cannot differ.

Apart because only `python -m conf.example` and a test run it. No stranger's bytes come here.
"""

from __future__ import annotations

import json
import textwrap
import typing
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import date
from pathlib import Path
from typing import Any

from conf.settings import Settings

_TOP = """\
# Secure Inbox: every setting there is, written from conf/settings.py by `python -m conf.example`.
# A line that is commented out shows the default; the others must be set. Sizes in MB of 1,048,576
# octets. `secure-inbox check --config FILE` names everything that is wrong with a file.
"""


def render() -> str:
    """The whole example file."""
    return _TOP + "".join(_section(each) for each in fields(Settings))


def toml(value: Any) -> str:
    """A value as TOML; tuples become lists, what is no number, day or bool becomes text."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case date():
            return value.isoformat()
        case tuple():
            return "[" + ", ".join(toml(item) for item in value) + "]"
        case dict():
            return "{ " + ", ".join(f"{key} = {toml(item)}" for key, item in value.items()) + " }"
        case _:
            return json.dumps(str(value), ensure_ascii=False)  # TOML basic strings escape like JSON's


def _section(about: Field[Any]) -> str:
    kind = typing.get_type_hints(Settings)[about.name]
    return f"\n\n# {about.metadata['prose']}\n[{about.name}]\n" + "".join(_lines(kind, about.name, ""))


def _lines(kind: type, name: str, mark: str) -> Iterator[str]:
    hints = typing.get_type_hints(kind)
    tables = []
    for each in fields(kind):
        table = _table_of(hints[each.name])
        if table is None:
            yield _setting(each, mark)
        else:
            tables.append((each, table))
    for each, table in tables:
        yield f"\n# {each.metadata['why']} As many as you need:\n# [[{name}.{each.name}]]\n"
        yield from _lines(table, f"{name}.{each.name}", "# ")


def _table_of(kind: Any) -> type | None:
    """The class of the items when the field is a list of tables."""
    item = next(iter(typing.get_args(kind)), None)
    documented = is_dataclass(item) and all("prose" in each.metadata for each in fields(item))
    return typing.cast(type, item) if documented else None


def _setting(each: Field[Any], mark: str) -> str:
    about = each.metadata
    note = f"{about['prose']} {about['why']}"
    if about["least"] is not None:
        note += f" From {about['least']} to {about['most']}."
    optional = each.default is not MISSING or each.default_factory is not MISSING
    comment = textwrap.fill(note, 100, initial_indent=mark + "# ", subsequent_indent=mark + "# ")
    line = f"{each.name} = {toml(about['example'])}"
    if optional or mark:
        wrapped = textwrap.fill(
            line, 100, initial_indent="# ", subsequent_indent="#   ", break_long_words=False
        )
        return f"{comment}\n{wrapped}\n"
    return f"{comment}\n{line}\n"


if __name__ == "__main__":
    Path(__file__).with_name("gateway.example.toml").write_text(render(), "utf-8")
