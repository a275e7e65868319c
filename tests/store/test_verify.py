"""The checker finds each kind of damage, and nothing where there is none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from mail.mailbox import DELETED, FlagChange
from store.mailbox import unlock
from store.verify import Fault, accounts, verify
from tests.store.house import ANN, BOB, KEEP, NOW, house, member, message


def furnished(root: Path) -> None:
    async def scenario() -> None:
        async with house(root) as there:
            box = await there.open()
            for number in range(3):
                await box.append(box.folder("Archive"), message(number, "x" * 1000), frozenset(), None)
            box.copy(box.folder("Archive"), [1], box.folder("Trash"))
            box.close()
            await there.accounts.emptied()
            await there.deliver(message(9))

    asyncio.run(scenario())


def faults(root: Path, *, keys: bool, now: int = NOW) -> list[Fault]:
    return list(verify(root, ANN, now, unlock(*member(ANN)) if keys else None))


def message_files(root: Path) -> list[Path]:
    return sorted((root / "accounts" / ANN / "cur").rglob("*S=*"))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    sealed = bytearray(path.read_bytes())
    sealed[-30] ^= 1
    path.write_bytes(sealed)


def other_day(path: Path) -> None:
    (path.parent.parent / "2026-01-01").mkdir()
    path.rename(path.parent.parent / "2026-01-01" / path.name)


def strange_name(path: Path) -> None:
    (path.parent / "README").write_text("x")


def wrong_size(path: Path) -> None:
    path.rename(path.with_name(path.name.replace(",S=1", ",S=9")))


def clear(path: Path) -> None:
    path.write_bytes(message(1, "x" * 1000))


@pytest.mark.parametrize(
    ("spoil", "keyless", "keyed"),
    [
        (cut, {"not a sealed message"}, {"not a sealed message"}),
        (clear, {"not a sealed message"}, {"not a sealed message"}),
        (flip, set(), {"does not open"}),
        (
            other_day,
            {"in the directory of another day"},
            {"in the directory of another day", "a row without a file"},
        ),
        (strange_name, {"not the name of a message"}, {"not the name of a message"}),
        (Path.unlink, set(), {"a row without a file"}),
        (
            wrong_size,
            {"not of the size that its name says"},
            {"not of the size that its name says", "a row without a file", "a file without a row"},
        ),
    ],
)
def test_each_kind_of_damage(
    tmp_path: Path, spoil: Callable[[Path], None], keyless: set[str], keyed: set[str]
) -> None:
    furnished(tmp_path)
    assert faults(tmp_path, keys=False) == [] and faults(tmp_path, keys=True) == []
    spoil(message_files(tmp_path)[1])
    for keys, expected in ((False, keyless), (True, keyed)):
        found = faults(tmp_path, keys=keys)
        assert {fault.what.partition(":")[0] for fault in found} == expected
        assert all(not fault.path.startswith("/") for fault in found)


def test_a_changed_index_is_found(tmp_path: Path) -> None:
    furnished(tmp_path)
    index = tmp_path / "accounts" / ANN / "index.sqlite"
    intact = index.read_bytes()
    for place in range(2000, len(intact), 4096):  # in every page
        index.write_bytes(intact[:place] + bytes([intact[place] ^ 1]) + intact[place + 1 :])
        whats = {fault.what for fault in faults(tmp_path, keys=True)}
        assert whats & {"the index fails its integrity check", "the index does not open"}
    index.write_bytes(b"nonsense" * 1000)
    assert "the index does not open" in {fault.what for fault in faults(tmp_path, keys=True)}


def test_expired_rows_without_their_files_are_as_they_should_be(tmp_path: Path) -> None:
    furnished(tmp_path)
    for path in message_files(tmp_path):
        path.unlink()
    assert len(faults(tmp_path, keys=True)) == 3
    assert faults(tmp_path, keys=True, now=NOW + KEEP) == []


def test_a_kill_between_row_and_rename_and_a_hold_are_no_faults(tmp_path: Path) -> None:
    furnished(tmp_path)
    first = message_files(tmp_path)[0]
    first.rename(tmp_path / "accounts" / ANN / "tmp" / first.name)
    assert faults(tmp_path, keys=True) == []

    async def expunged_under_hold() -> None:
        async with house(tmp_path) as there:
            there.held.add(ANN)
            box = await there.open()
            trash = box.folder("Archive")
            box.change_flags(trash, [1, 2, 3], FlagChange.ADD, frozenset({DELETED}))
            box.expunge(trash, [1, 2, 3])
            box.close()

    asyncio.run(expunged_under_hold())
    assert faults(tmp_path, keys=True) == []


def test_accounts_are_those_with_a_directory(tmp_path: Path) -> None:
    assert accounts(tmp_path) == []
    for name in (BOB, ANN, "lost+found"):
        (tmp_path / "accounts" / name).mkdir(parents=True)
    assert accounts(tmp_path) == [ANN, BOB]
    assert list(verify(tmp_path, BOB, NOW)) == []
