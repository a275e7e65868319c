"""The example file is what conf.settings says, and it loads."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from conf import example
from conf.loader import load
from conf.settings import Listen, Settings

FILE = Path(example.__file__).with_name("gateway.example.toml")


def test_the_example_file_is_generated_from_the_settings() -> None:
    assert FILE.read_text("utf-8") == example.render(), "run: python -m conf.example"


def test_the_example_file_loads_as_it_stands() -> None:
    assert load(FILE).listen == Listen()


def test_every_commented_line_is_a_setting_that_loads(tmp_path: Path) -> None:
    """Whoever takes the comment signs away gets a file that is accepted."""
    lines = []
    for line in FILE.read_text("utf-8").splitlines():
        bare = line.removeprefix("# ")
        if re.match(r"[a-z_]+ = |\[\[|  \"", bare):
            lines.append(bare)
        elif re.match(r"\[", line):
            lines.append(line)
    changed = tmp_path / "gateway.toml"
    changed.write_text("\n".join(lines), "utf-8")
    settings = load(changed)
    assert settings.outbound.route[0].relay.port == 25
    assert settings.retention.folder_days == {"junk": 30}


def test_every_section_and_every_field_is_in_the_example() -> None:
    text = FILE.read_text("utf-8")
    for section in fields(Settings):
        assert f"[{section.name}]" in text
