"""The change bus at a short path.

Apart because a socket's name has 108 octets at most (unix(7)) while a data root may lie deeper: each
process opens the directory and names the sockets by /proc/self/fd, which is always short.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from store.changes import Bus


def change_bus(root: Path) -> Bus:
    """For the data root; the directory stays open for the life of the process."""
    return Bus(Path(f"/proc/self/fd/{_directory(root / 'run')}"))


@cache
def _directory(run: Path) -> int:
    run.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.open(run, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
