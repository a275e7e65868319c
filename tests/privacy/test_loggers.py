"""Our own log lines reach the sysadmin, because their loggers' names say that they are ours.

The operational log keeps no words of any other logger (they may hold content), so a room that
names its logger otherwise would be silent about its faults.
"""

from __future__ import annotations

import ast
from pathlib import Path

ROOMS = ("mail", "policy", "keys", "conf", "store", "smtp_in", "imap_out", "smtp_out", "portal", "gateway")
ROOT = Path(__file__).resolve().parents[2]


def _loggers() -> list[tuple[str, str]]:
    """(file, what getLogger is asked for) in all rooms."""
    found = []
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if not (isinstance(node, ast.Call) and node.args):
                    continue
                if ast.unparse(node.func) == "logging.getLogger":
                    found.append((str(path.relative_to(ROOT)), ast.unparse(node.args[0])))
    return found


def test_every_logger_of_ours_says_so() -> None:
    libraries = {"'mail.log'"}  # aiosmtpd's, which is silenced
    named = [(file, name) for file, name in _loggers() if name not in libraries]
    assert {file.partition("/")[0] for file, _ in named} >= {"smtp_in", "imap_out", "store"}
    assert [each for each in named if not each[1].startswith("'secure_inbox.")] == []
