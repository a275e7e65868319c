"""Every write step of delivery, APPEND, ingest, MOVE and EXPUNGE is a place to die."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

LEAST_STEPS = {
    "deliver": 25,
    "deliver-then-look": 25,
    "deliver-beside-reader": 15,  # the reader may do some of the steps
    "deliver-large": 12,
    "append": 15,
    "file-sent": 15,
    "append-sent": 2,
    "sweep-ahead": 8,
    "append-large": 15,
    "ingest": 10,
    "ingest-twice": 1,  # whoever comes second finds less to do
    "move": 2,
    "expunge": 8,
}


@pytest.mark.slow
@pytest.mark.parametrize("scenario", LEAST_STEPS)
def test_nothing_acknowledged_is_lost_or_doubled_and_nothing_half_stays(
    scenario: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.crash.harness", scenario, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= LEAST_STEPS[scenario]
