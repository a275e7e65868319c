"""Listening sockets, made once by the supervisor and inherited by every worker; and the lock that
keeps two gateways from one data root.

Apart because `check` tries what `serve` does. Nothing is read from the sockets here.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import fields
from pathlib import Path

from conf.settings import Listen
from conf.values import Endpoint
from mail.errors import Unavailable

_BACKLOG = 1024


def bind(listen: Listen) -> dict[str, list[socket.socket]]:
    """A listening socket for each endpoint, by door; Unavailable names the one that cannot be had."""
    made: dict[str, list[socket.socket]] = {}
    try:
        for each in fields(listen):
            made[each.name] = []
            for endpoint in getattr(listen, each.name):
                made[each.name].append(_listening(each.name, endpoint))
    except Unavailable:
        close(made)
        raise
    return made


def close(sockets: Mapping[str, list[socket.socket]]) -> None:
    """Give the ports back."""
    for many in sockets.values():
        for each in many:
            each.close()


def _listening(door: str, endpoint: Endpoint) -> socket.socket:
    family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((endpoint.host, endpoint.port))
        made.listen(_BACKLOG)
        made.setblocking(False)
    except OSError as fault:
        made.close()
        reasons = {
            errno.EADDRINUSE: "another program has it",
            errno.EACCES: "this user may not open it (ports below 1024 need CAP_NET_BIND_SERVICE)",
            errno.EADDRNOTAVAIL: "this machine has no such address",
        }
        why = reasons.get(fault.errno or 0, "it cannot be opened")
        raise Unavailable(f"listen.{door}: {endpoint}: {why}.") from fault
    return made


@contextmanager
def sole(data_root: Path) -> Iterator[None]:
    """Hold the data root for this gateway alone; Unavailable when another one runs on it."""
    try:
        data_root.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(_lock(data_root), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as fault:
        raise Unavailable(f"storage.data_root: {fault.strerror}.") from fault
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise Unavailable("Another gateway is running on this data root.") from None
    try:
        yield
    finally:
        os.close(descriptor)


def running(data_root: Path) -> bool:
    """Whether a gateway holds this data root now."""
    with suppress(OSError):
        descriptor = os.open(_lock(data_root), os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
    return False


def _lock(data_root: Path) -> Path:
    return data_root / "gateway.lock"
