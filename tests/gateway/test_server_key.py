"""The server's own key: made once, private, never guessed at."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from gateway.server_key import server_key
from mail.errors import Damaged, Unavailable


def test_it_is_made_private_and_found_again(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "server.key"
    made = server_key(path)
    assert len(made.reveal()) == 32 and path.stat().st_mode & 0o777 == 0o600
    assert server_key(path).reveal() == made.reveal()
    assert [each.name for each in path.parent.iterdir()] == ["server.key"]


def test_processes_that_start_at_once_agree(tmp_path: Path) -> None:
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(server_key(tmp_path / "k").reveal())) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1


def test_what_is_no_key_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "k"
    for octets in (b"", b"x" * 31, b"x" * 33):
        path.write_bytes(octets)
        with pytest.raises(Damaged):
            server_key(path)
        assert path.read_bytes() == octets


def test_a_key_that_cannot_be_had_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Unavailable):
        server_key(tmp_path / "file" / "server.key")
