"""The change bus: every process hears at once whose mail changed.

Apart because a member's sessions are spread over workers and IDLE promises to tell within
milliseconds. Only processes of this gateway can send here (the directory is 0700), and all
that a datagram can do is make a reader look at its own index once more.

ROOT/run/<pid>.<random>.sock: each process binds one datagram socket and sends account ids to
all others. Nothing is durable and nothing is relied on: a lost datagram is found at the
session's next command, since every look at a folder looks into new/ and the index itself.
"""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import socket
import time
from collections.abc import Callable
from pathlib import Path

from store.blobs import ACCOUNT_ID, discard

_SUFFIX = ".sock"
_MAX_DATAGRAMS = 256
"""Read at one wake-up, so that a burst cannot starve the sessions."""

_RETRY_SECONDS = 0.01
_INSIST_SECONDS = 2.0


class Bus:
    """One per process. Without `start` it can only tell (a command-line process)."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._loop: asyncio.AbstractEventLoop | None = None
        self._socket: socket.socket | None = None
        self._path = ""
        self._listeners: dict[str, list[Callable[[], None]]] = {}
        self._changed: set[str] = set()
        self._untold: set[str] = set()
        self._behind: dict[str, set[str]] = {}
        self._retry: asyncio.TimerHandle | None = None
        self._deaf: set[str] = set()

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Bind and listen on the loop."""
        self._run.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._loop = loop
        self._socket = _datagram_socket()
        self._path = str(self._run / f"{os.getpid()}.{secrets.token_hex(4)}{_SUFFIX}")
        self._socket.bind(self._path)
        loop.add_reader(self._socket.fileno(), self._hear)

    def close(self) -> None:
        """Stop; idempotent."""
        if self._socket is not None:
            if self._loop is not None:
                self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None
            discard(self._path)
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def listen(self, account_id: str, told: Callable[[], None]) -> Callable[[], None]:
        """Call `told` on the loop soon after a change of the account, bursts as one. Returns
        what stops it (idempotent)."""
        listeners = self._listeners.setdefault(account_id, [])
        listeners.append(told)

        def stop() -> None:
            if told in listeners:
                listeners.remove(told)
            if not listeners and self._listeners.get(account_id) is listeners:
                del self._listeners[account_id]

        return stop

    def tell(self, account_id: str) -> None:
        """Something of this account changed; from the loop's thread. Never fails: the change
        is durable already, and who misses this learns of it at its next look."""
        self._note(account_id)
        if self._loop is None:
            with _datagram_socket() as sender:
                for peer in self._peers():
                    self._insist(sender, peer, account_id)
            return
        if not self._untold:
            self._loop.call_soon(self._tell_peers)
        self._untold.add(account_id)

    def _insist(self, sender: socket.socket, peer: str, account_id: str) -> None:
        """Without a loop: wait while the peer's queue is full, since what a command has to say (a
        lock) nobody says again. Who does not listen at all is waited for once."""
        deadline = time.monotonic() + (0 if peer in self._deaf else _INSIST_SECONDS)
        while not _send(sender, peer, account_id):
            if time.monotonic() >= deadline:
                self._deaf.add(peer)
                return
            time.sleep(_RETRY_SECONDS)

    def _tell_peers(self) -> None:
        """Once for all that this turn of the loop changed."""
        untold, self._untold = self._untold, set()
        if self._socket is not None:
            for peer in self._peers():
                self._behind.setdefault(peer, set()).update(untold)
            self._catch_up()

    def _catch_up(self) -> None:
        """Send what peers have not been told; a full queue (10 datagrams) is tried again soon."""
        if self._socket is None or self._loop is None:
            return
        for peer, accounts in list(self._behind.items()):
            for account_id in list(accounts):
                if not _send(self._socket, peer, account_id):
                    break
                accounts.discard(account_id)
            if not accounts:
                del self._behind[peer]
        if self._behind and self._retry is None:
            self._retry = self._loop.call_later(_RETRY_SECONDS, self._catch_up_again)

    def _catch_up_again(self) -> None:
        self._retry = None
        self._catch_up()

    def _peers(self) -> list[str]:
        try:
            with os.scandir(self._run) as entries:
                paths = [entry.path for entry in entries if entry.name.endswith(_SUFFIX)]
        except OSError:
            return []
        return [path for path in paths if path != self._path]

    def _hear(self) -> None:
        for _ in range(_MAX_DATAGRAMS):
            if self._socket is None:
                return
            try:
                heard = self._socket.recv(64).decode("ascii", "replace")
            except OSError:  # BlockingIOError: that was all
                return
            if ACCOUNT_ID.fullmatch(heard):
                self._note(heard)

    def _note(self, account_id: str) -> None:
        if account_id in self._listeners and self._loop is not None:
            if not self._changed:
                self._loop.call_soon(self._pass_on)
            self._changed.add(account_id)

    def _pass_on(self) -> None:
        changed, self._changed = self._changed, set()
        for account_id in changed:
            for told in list(self._listeners.get(account_id, ())):
                told()


def _send(sender: socket.socket, peer: str, account_id: str) -> bool:
    """False when the peer's queue is full. A peer that is no more is as good as told."""
    try:
        sender.sendto(account_id.encode(), peer)
    except (BlockingIOError, InterruptedError):
        return False
    except ConnectionRefusedError:  # its process died without tidying up
        discard(peer)
    except OSError as error:
        return error.errno != errno.ENOBUFS
    return True


def _datagram_socket() -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    return made
