"""Keep what is in memory out of core dumps, debuggers and swap.

Apart because every process that ever holds an account secret calls it first, before it
holds one. Nobody sends bytes here. Linux; see prctl(2), mlockall(2).
"""

from __future__ import annotations

import ctypes
import os
import resource
from dataclasses import dataclass
from pathlib import Path

_PR_SET_DUMPABLE = 4
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4
_CAP_IPC_LOCK = 14


@dataclass(frozen=True, slots=True)
class Hardening:
    """What the kernel granted."""

    no_core: bool
    not_dumpable: bool
    locked: bool  # pages stay out of swap


def harden() -> Hardening:
    """No core dump, no ptrace by the same user, no swap where that is permitted; never raises."""
    libc = ctypes.CDLL(None, use_errno=True)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    not_dumpable = libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) == 0
    # With a finite limit MCL_FUTURE would make a later allocation fail: better swap than that.
    locked = _may_lock_all() and libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) == 0
    return Hardening(True, not_dumpable, locked)


def _may_lock_all() -> bool:
    soft, _hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    return soft == resource.RLIM_INFINITY or bool(_effective_capabilities() >> _CAP_IPC_LOCK & 1)


def _effective_capabilities() -> int:
    try:
        status = Path(f"/proc/{os.getpid()}/status").read_text("ascii", "replace")
    except OSError:
        return 0
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return int(fields.get("CapEff", "0"), 16)
