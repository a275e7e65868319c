"""The house rules of docs/design.md, held by the machine: which room may import which, which
library is opened in which module only, and that a module says why it exists."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

MAY_IMPORT = {
    "mail": set(),
    "policy": {"mail"},
    "keys": {"mail"},
    "conf": {"mail"},
    "store": {"mail", "keys"},
    "smtp_in": {"mail", "policy"},
    "imap_out": {"mail", "policy"},
    "smtp_out": {"mail", "policy"},
    "portal": {"mail", "policy"},
    "gateway": {"mail", "policy", "keys", "conf", "store", "smtp_in", "imap_out", "smtp_out", "portal"},
}

GATEKEEPERS = {
    "pysequoia": {"keys/sealing.py"},
    "pgpy": {"keys/keyring.py"},
    "passlib": {"keys/passwords.py"},
    "argon2": {"keys/passwords.py"},
    "cryptography": {"keys/wrapping.py", "gateway/demo_ca.py"},
    "sqlcipher3": {"store/sealed_db.py"},
    "aiosmtpd": {"smtp_in/connection.py", "gateway/sink.py"},
    "aiosmtplib": {"smtp_out/attempt.py"},
    "twisted": {"imap_out/shell.py", "gateway/worker.py", "portal/"},
    "OpenSSL": {"imap_out/shell.py", "gateway/worker.py", "portal/"},
    "uvloop": {"gateway/worker.py"},
    "click": {"gateway/cli.py", "gateway/commands/"},
    "structlog": {"gateway/logs.py"},
}

FORBIDDEN = ("manager", "handler", "processor", "engine", "helper", "utils", "util", "common", "misc")

MODULES = sorted(path for room in MAY_IMPORT for path in (ROOT / room).rglob("*.py"))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), name(path))


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """(top-level name, line) of everything imported, inside functions too."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.partition(".")[0], node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name(path)}:{node.lineno}: relative import"
            yield (node.module or "").partition(".")[0], node.lineno


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_no_arrow_climbs(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    for imported, line in imports(path):
        assert imported not in MAY_IMPORT.keys() - MAY_IMPORT[room] - {room}, (
            f"{name(path)}:{line}: {room} may not import {imported}"
        )
        assert imported != "tests", f"{name(path)}:{line}: imports the tests"


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_each_library_has_its_gatekeeper(path: Path) -> None:
    for imported, line in imports(path):
        if imported in sys.stdlib_module_names or imported in MAY_IMPORT:
            continue
        keepers = GATEKEEPERS.get(imported)
        assert keepers is not None, f"{name(path)}:{line}: {imported} has no gatekeeper"
        assert any(name(path).startswith(keeper) for keeper in keepers), (
            f"{name(path)}:{line}: {imported} belongs to {', '.join(sorted(keepers))}"
        )


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_each_module_says_what_it_is(path: Path) -> None:
    text = ast.get_docstring(tree(path)) or ""
    assert len(text) > 40, f"{name(path)}: its docstring says too little"


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_names_say_something(path: Path) -> None:
    words = [path.stem, *(node.name for node in ast.walk(tree(path)) if isinstance(node, ast.ClassDef))]
    for word in words:
        assert not any(bad == word.lower() or word.lower().endswith(bad) for bad in FORBIDDEN), word


def test_gateway_is_imported_by_none() -> None:
    for path in MODULES:
        if path.relative_to(ROOT).parts[0] != "gateway":
            assert "gateway" not in {imported for imported, _ in imports(path)}, name(path)


def test_no_module_hides_one_of_pythons() -> None:
    """A top-level queue/ would break asyncio."""
    tops = [path.stem for path in ROOT.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]
    assert not set(tops) & set(sys.stdlib_module_names), tops


def test_the_walk_sees_the_rooms() -> None:
    """The tests above would pass on nothing."""
    assert {path.relative_to(ROOT).parts[0] for path in MODULES} == set(MAY_IMPORT)
    assert any(imported == "pysequoia" for path in MODULES for imported, _ in imports(path))
