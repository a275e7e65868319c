"""A terminal that a program believes in, driven by keys and read by eye: a private tmux."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.peers.private import program


class Terminal:
    """One window of 120 by 40 characters."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    def _tmux(self, *arguments: str) -> str:
        command = [program("tmux"), "-S", str(self._socket), *arguments]
        done = subprocess.run(command, check=True, capture_output=True, timeout=20)
        return done.stdout.decode(errors="replace")

    def screen(self) -> str:
        return self._tmux("capture-pane", "-p")

    def keys(self, *names: str) -> None:
        """tmux's names for keys: Enter, Escape, C-u, or a character."""
        self._tmux("send-keys", *names)

    def type(self, text: str) -> None:
        self._tmux("send-keys", "-l", text)

    def wait(self, wanted: str | Callable[[str], bool], seconds: float = 20) -> str:
        """Until the screen shows the text (or satisfies the test); returns the screen."""
        shows = (lambda screen: wanted in screen) if isinstance(wanted, str) else wanted
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            screen = self.screen()
            if shows(screen):
                return screen
            time.sleep(0.05)
        raise AssertionError(f"waited {seconds} s in vain for {wanted!r}; the screen:\n{self.screen()}")


@contextmanager
def terminal(command: Sequence[str], home: Path, environment: Mapping[str, str]) -> Iterator[Terminal]:
    """The command in a tmux server of its own, which ends with the block."""
    socket = home / "tmux"
    assert len(str(socket)) < 100, "a UNIX socket's path ends at 108 octets"
    base = [program("tmux"), "-S", str(socket), "-f", "/dev/null"]
    start = [*base, "new-session", "-d", "-x", "120", "-y", "40", "-s", "test", *command]
    subprocess.run(start, check=True, capture_output=True, timeout=20, env=dict(environment), cwd=home)
    subprocess.run([*base, "set-option", "-g", "remain-on-exit", "on"], check=True, timeout=20)
    try:
        yield Terminal(socket)
    finally:
        subprocess.run([*base, "kill-server"], check=False, capture_output=True, timeout=20)
