"""The server's own key: 32 random octets in a file of mode 0600, outside the data root.

Apart because every process reads it and the first start makes it. The file may be a systemd
credential. Nobody sends bytes here.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from mail.errors import Damaged, Unavailable
from mail.secret import Secret

OCTETS = 32


def server_key(path: Path) -> Secret:
    """Read it, or make it durably; Unavailable when it cannot be had, Damaged when it is no key."""
    try:
        if not path.exists():
            _make(path)
        octets = path.read_bytes()
    except OSError as fault:
        raise Unavailable(f"storage.server_key: {fault.strerror}.") from fault
    if len(octets) != OCTETS:
        raise Damaged("storage.server_key does not hold 32 octets.")
    return Secret(octets)


def _make(path: Path) -> None:
    """By link, so that two processes that start at once agree on one key."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(OCTETS))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
        # What is sealed under a key that a power cut then takes away is lost for good.
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    finally:
        draft.unlink(missing_ok=True)
