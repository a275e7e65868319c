"""`secure-inbox` as a sysadmin runs it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.clients.gateway import PROGRAM


def run(config: Path, *words: str, typed: str = "", code: int = 0) -> str:
    """What it printed; the exit code must be as said. `config` goes behind the words."""
    done = subprocess.run(
        [str(PROGRAM), *words, "--config", str(config)],
        input=typed,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def rows(config: Path, *words: str) -> list[dict[str, Any]]:
    """What a command shows with --json."""
    found: list[dict[str, Any]] = json.loads(run(config, *words, "--json"))
    return found
