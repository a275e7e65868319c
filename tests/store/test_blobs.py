"""Names, directories and durable writes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mail.errors import Unavailable
from store.blobs import AccountDirectory, BlobName, LockedFile, ours, read_file, write_file

NAME = BlobName(1_795_000_000, "0" * 32, 1_800_000_000, 4096)


def directory(root: Path) -> AccountDirectory:
    made = AccountDirectory(root, "a" * 32)
    made.make()
    return made


def test_a_name_reads_back_and_tells_its_day() -> None:
    assert str(NAME) == f"1795000000.{'0' * 32},E=1800000000,S=4096"
    assert BlobName.parse(str(NAME)) == NAME
    assert NAME.day == "2027-01-15"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "0" * 32,
        str(NAME) + ".summary",
        str(NAME) + "\n",
        "../" + str(NAME),
        str(NAME).replace("E=", "E=-"),
        str(NAME).replace("0" * 32, "0" * 31),
        str(NAME).replace("0" * 32, "A" * 32),
        str(NAME).replace("4096", "٤"),
    ],
)
def test_what_is_no_message_name_is_none(text: str) -> None:
    assert BlobName.parse(text) is None


@pytest.mark.parametrize(
    "account_id", ["", "a", "../" + "a" * 29, "A" * 32, "a" * 32 + "/", "a" * 32 + "\n"]
)
def test_an_account_id_cannot_climb(tmp_path: Path, account_id: str) -> None:
    with pytest.raises(ValueError):
        AccountDirectory(tmp_path, account_id)


def test_directories_are_for_the_owner_only_and_made_once(tmp_path: Path) -> None:
    made = directory(tmp_path)
    made.make()
    for path in (made.path, made.tmp, made.new, made.cur):
        assert os.stat(path).st_mode & 0o777 == 0o700


def test_settling_makes_the_day_and_a_lost_race_is_no_error(tmp_path: Path) -> None:
    made = directory(tmp_path)
    source = f"{made.new}/{NAME}"
    write_file(source, b"sealed")
    assert made.settle(NAME, source)
    assert not made.settle(NAME, source)
    assert read_file(made.place(NAME)) == b"sealed"
    assert os.stat(made.place(NAME)).st_mode & 0o777 == 0o600


@pytest.mark.parametrize("where", ["new", "tmp"])
def test_finding_mends_a_rename_that_is_due(tmp_path: Path, where: str) -> None:
    made = directory(tmp_path)
    assert made.find(NAME) is None
    write_file(f"{getattr(made, where)}/{NAME}", b"sealed")
    assert made.find(NAME) == made.place(NAME)
    assert os.listdir(getattr(made, where)) == []


def test_removing_takes_every_name_and_the_marker(tmp_path: Path) -> None:
    made = directory(tmp_path)
    write_file(f"{made.tmp}/{NAME.unique}", b"sealed")
    os.link(f"{made.tmp}/{NAME.unique}", f"{made.new}/{NAME}")
    made.settle(NAME, f"{made.new}/{NAME}")
    made.remove(NAME)
    made.remove(NAME)
    assert os.listdir(made.tmp) == [] and not os.path.exists(made.place(NAME))


def test_a_lock_excludes_and_ends_with_its_holder(tmp_path: Path) -> None:
    path = str(tmp_path / "marker")
    first = LockedFile.claim(path)
    assert first is not None and LockedFile.claim(path) is None
    first.let_go()
    first.let_go()
    second = LockedFile.claim(path)
    assert second is not None
    second.drop()
    assert not os.path.exists(path)
    assert LockedFile.claim(path, create=False) is None and not os.path.exists(path)


def test_a_lock_forgotten_is_a_lock_let_go(tmp_path: Path) -> None:
    path = str(tmp_path / "marker")
    lock = LockedFile.claim(path)
    del lock
    again = LockedFile.claim(path)
    assert again is not None
    again.let_go()


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "secret")
    for act in (read_file, LockedFile.claim):
        with pytest.raises(OSError):
            act(str(link))
    with pytest.raises(OSError):
        write_file(str(link), b"overwritten")
    assert (tmp_path / "secret").read_text() == "x"


def test_writing_again_leaves_nothing_of_the_longer_one(tmp_path: Path) -> None:
    lock = LockedFile.claim(str(tmp_path / "marker"))
    assert lock is not None
    lock.write(b"longer than the other")
    lock.write(b"short")
    assert read_file(lock.path) == b"short"
    lock.let_go()


def test_a_full_device_is_ours() -> None:
    with pytest.raises(Unavailable), ours():
        write_file("/dev/full", b"x")
