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
from collections.abc import Callable
from pathlib import Path

from store.blobs import ACCOUNT_ID, discard

_SUFFIX = ".sock"
_MAX_DATAGRAMS = 256
"""Read at one wake-up, so that a burst cannot starve the sessions."""

_RETRY_SECONDS = 0.01
_MAX_RETRIES = 50


class Bus:
    """One per process. Without `start` it can only tell (a command-line process)."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._loop: asyncio.AbstractEventLoop | None = None
        self._socket: socket.socket | None = None
        self._path = ""
        self._listeners: dict[str, list[Callable[[], None]]] = {}
        self._changed: set[str] = set()

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
        try:
            peers = [entry.path for entry in os.scandir(self._run) if entry.name.endswith(_SUFFIX)]
        except OSError:
            return
        sender = self._socket or _datagram_socket()
        try:
            for peer in peers:
                if peer != self._path:
                    self._send(sender, peer, account_id, _MAX_RETRIES)
        finally:
            if sender is not self._socket:
                sender.close()

    def _send(self, sender: socket.socket, peer: str, account_id: str, retries: int) -> None:
        try:
            sender.sendto(account_id.encode(), peer)
        except OSError as error:
            if error.errno == errno.ECONNREFUSED:  # its process died without tidying up
                discard(peer)
            elif error.errno in (errno.EAGAIN, errno.ENOBUFS) and self._loop and retries:
                # Its queue is full: it is busy, so it will look soon, but not at this account.
                self._loop.call_later(_RETRY_SECONDS, self._send_again, peer, account_id, retries - 1)

    def _send_again(self, peer: str, account_id: str, retries: int) -> None:
        if self._socket is not None:
            self._send(self._socket, peer, account_id, retries)

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


def _datagram_socket() -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    return made
