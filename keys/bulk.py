"""Large messages are sealed and opened by a child process, beside the worker's loop.

Apart because Sequoia holds the GIL: a 50 MB message opened in the worker would stall every
other member for most of a second. Each worker has at most one child, started when first
needed. The child hears only its parent, over a socketpair; the ciphertext that it opens may
have been changed by whoever can write to the disk.

Plaintext travels in a memfd, never in a file; ciphertext goes straight to or from the file
that the parent has open (descriptors by SCM_RIGHTS, unix(7)). Keys and passphrases go
through the socket: arguments and environment can be read by others in /proc.

One job: request datagram (operation, passphrase, key) with two descriptors (source, target)
→ answer datagram of one octet. The parent's end closing ends the child.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from keys.memory import harden
from keys.sealing import Certificate, Opener
from mail.errors import Damaged, Unavailable
from mail.secret import Secret

T = TypeVar("T")

BULK_OCTETS = 1 << 20
"""From this size on a message is worth the round trip."""

_SEAL, _OPEN = b"S", b"O"
_DONE, _DAMAGED, _UNAVAILABLE = b"+", b"!", b"-"
_MAX_REQUEST = 192 * 1024
_PATIENCE = 300.0  # seconds for one job, after which the child counts as hung


class Bulk:
    """The parent's side. Jobs wait for each other; a job whose child dies gets Unavailable
    and the next job gets a new child."""

    def __init__(self) -> None:
        # One thread is the lock: jobs are served in order and the loop is never blocked.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="bulk")
        self._child: _Child | None = None
        self._closed = False

    async def seal(self, content: bytes, certificate: Certificate, target_fd: int) -> None:
        """Write the sealed message into the open file; the caller does fsync.

        `target_fd` may be closed as soon as this returns or is cancelled.
        """
        target = os.dup(target_fd)  # a cancelled caller must not leave us writing to a reused number
        await self._on_thread(partial(self._seal, content, certificate, target), target)

    async def open(self, source_fd: int, opener: Opener) -> bytes:
        """The content; Damaged as `Opener.open` says, and for content longer than its ciphertext."""
        source = os.dup(source_fd)
        return await self._on_thread(partial(self._open, source, opener), source)

    def close(self) -> None:
        """End the child after the job in hand; idempotent. Blocks for that job."""
        if not self._closed:
            self._closed = True
            self._thread.submit(self._discard)
            self._thread.shutdown()

    @property
    def child_pid(self) -> int | None:
        """For the log and for tests; None while no child runs."""
        return self._child.process.pid if self._child else None

    async def _on_thread(self, job: Callable[[], T], descriptor: int) -> T:
        try:
            waiting = self._thread.submit(job)
        except RuntimeError:  # closed
            os.close(descriptor)
            raise Unavailable from None
        try:
            # Shielded: the job owns its descriptor and closes it, whether or not anyone still waits.
            return await asyncio.shield(asyncio.wrap_future(waiting))
        except OSError:
            raise Unavailable from None

    def _seal(self, content: bytes, certificate: Certificate, target: int) -> None:
        plain = _memfd()
        try:
            _write_all(plain, content)
            self._exchange(_SEAL, b"", certificate.encoded, plain, target)
        finally:
            os.close(plain)
            os.close(target)

    def _open(self, source: int, opener: Opener) -> bytes:
        plain = _memfd()
        try:
            self._exchange(_OPEN, opener.passphrase.reveal(), opener.secret_key, source, plain)
            return _read_all(plain)
        finally:
            os.close(plain)
            os.close(source)

    def _exchange(self, operation: bytes, passphrase: bytes, key: bytes, source: int, target: int) -> None:
        request = operation + bytes([len(passphrase)]) + passphrase + key
        if self._child is None:
            self._child = _Child.start()
        try:
            socket.send_fds(self._child.channel, [request], [source, target])
            answer = self._child.channel.recv(1)
        except OSError:  # it is dead, hung or cannot take the request
            answer = b""
        if answer == _DONE:
            return
        if answer == _DAMAGED:
            raise Damaged("a sealed message does not open")
        if answer != _UNAVAILABLE:
            self._discard()
        raise Unavailable

    def _discard(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.end()


@dataclass(frozen=True, slots=True)
class _Child:
    process: subprocess.Popen[bytes]
    channel: socket.socket

    @classmethod
    def start(cls) -> _Child:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            ours.settimeout(_PATIENCE)
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-m", "keys.bulk", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                cwd=Path(__file__).parent.parent,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # a library's backtrace may hold what it was working on
            )
        return cls(process, ours)

    def end(self) -> None:
        """Killed rather than asked: it holds nothing that must be finished. Leaves no zombie."""
        self.channel.close()
        self.process.kill()
        self.process.wait()


def serve(channel: socket.socket) -> None:
    """The child's side: one job after the other until the parent is gone."""
    while True:
        request, fds, _flags, _address = socket.recv_fds(channel, _MAX_REQUEST, 2)
        if not request:
            return
        try:
            answer = _job(request, *fds)
        finally:
            for fd in fds:
                os.close(fd)
        channel.send(answer)


def _job(request: bytes, source: int, target: int) -> bytes:
    end = 2 + request[1]
    passphrase, key = request[2:end], request[end:]
    target_path = f"/proc/self/fd/{target}"
    try:
        if request[:1] == _SEAL:
            Certificate.parse(key).seal_file(f"/proc/self/fd/{source}", target_path)
        else:
            opener = Opener(key, Secret(passphrase))
            with _no_longer_than(os.fstat(source).st_size):
                opener.open_file(source, target_path)
    except Damaged:
        return _DAMAGED
    except (Unavailable, OSError):
        return _UNAVAILABLE
    return _DONE


@contextmanager
def _no_longer_than(octets: int) -> Iterator[None]:
    """Refuse to write files (memfds too) of more than `octets`.

    Compression bomb: Sequoia inflates nested compressed packets without a bound, 1000:1 each.
    Nothing of ours is compressed, so no content is longer than its own ciphertext.
    """
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (octets, unlimited[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)


def _memfd() -> int:
    return os.memfd_create("bulk", os.MFD_CLOEXEC)


def _write_all(fd: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]


def _read_all(fd: int) -> bytes:
    size = os.fstat(fd).st_size
    content = os.pread(fd, size, 0)  # one copy, GIL released
    if len(content) != size:
        raise Unavailable
    return content


def main() -> None:
    """`python -m keys.bulk FD`."""
    harden()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent to act on
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # EFBIG instead of death, see _no_longer_than
    with socket.socket(fileno=int(sys.argv[1])) as channel:
        serve(channel)


if __name__ == "__main__":
    main()
