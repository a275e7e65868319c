"""Every event that any room notes has its place in the audit log's vocabulary."""

from __future__ import annotations

import ast
from pathlib import Path

from gateway.journal import RENAMED, UNTOLD, Journal
from keys.wrapping import new_key
from store.audit import EVENTS, AuditLog, read

ROOT = Path(__file__).resolve().parents[2]


def noted() -> set[str]:
    """The literal first argument of every `.note(` and `._note(` in the rooms."""
    found = set()
    for room in ("smtp_in", "imap_out", "smtp_out", "store", "gateway"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    owner = ast.unparse(node.func.value)
                    first = node.args[0] if node.args else None
                    if node.func.attr in ("note", "_note") and owner != "logs":
                        found |= words(first)
    return found


def words(node: ast.expr | None) -> set[str]:
    """A literal, or both of a conditional."""
    if isinstance(node, ast.IfExp):
        return words(node.body) | words(node.orelse)
    return {node.value} if isinstance(node, ast.Constant) else set()


def test_every_event_has_its_place() -> None:
    events = noted()
    assert {"relay.refused", "logout", "delivered", "account added"} <= events  # the walk sees them
    assert {RENAMED.get(event, event) for event in events - UNTOLD} <= set(EVENTS)


def test_no_row_is_left_over() -> None:
    assert RENAMED.keys() | UNTOLD <= noted()
    assert set(RENAMED.values()) <= set(EVENTS)


def test_a_doors_event_is_written_in_the_logs_words(tmp_path: Path) -> None:
    key = new_key()
    audit = AuditLog(tmp_path, key, lambda: 1_800_000_000)
    journal = Journal(audit, "relay-in")
    journal.note("relay.refused", "a" * 32, reason="MAIL_LOOP or so", peer="127.0.0.1")
    journal.note("relay.accepted", "", members=1)
    audit.close()
    [line] = read(tmp_path, key)
    assert (line.event, line.account_id) == ("refused", "a" * 32)
    assert line.facts == {"door": "relay-in", "reason": "MAIL_LOOP-or-so", "peer": "127.0.0.1"}
