"""What `secure-inbox check` looks at beyond the file itself: certificates, permissions, ports.

Apart because `serve` refuses to start on the same faults. Reads the machine; changes nothing.
"""

from __future__ import annotations

import os
import ssl
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from conf.loader import Fault
from conf.settings import Settings
from gateway import binding
from gateway.tls import server_context
from mail.errors import Unavailable


def faults(settings: Settings, file: str, *, ports: bool = True) -> list[Fault]:
    """Everything on this machine that keeps the gateway from serving."""
    looks: list[Callable[[Settings], Iterator[tuple[str, str]]]] = [_certificate, _server_key, _data_root]
    if ports and not binding.running(settings.storage.data_root):
        looks.append(_ports)
    looks.append(_authorities)
    return [Fault(file, key, reason) for look in looks for key, reason in look(settings)]


def _certificate(settings: Settings) -> Iterator[tuple[str, str]]:
    readable = True
    for key, path in (("tls.certificate", settings.tls.certificate), ("tls.key", settings.tls.key)):
        if reason := _unreadable(path):
            readable = False
            yield key, reason
    if not readable:
        return
    if _open_to_others(settings.tls.key):
        yield "tls.key", "others than its owner may read it: chmod 600"
    try:
        server_context(settings.tls.certificate, settings.tls.key)
    except ssl.SSLError:
        yield "tls.certificate", "is no PEM certificate, or tls.key is not its key"


def _server_key(settings: Settings) -> Iterator[tuple[str, str]]:
    path = settings.storage.server_key
    if not path.exists():
        if not os.access(path.parent, os.W_OK):
            yield "storage.server_key", "does not exist and cannot be made: its directory is not writable"
        return
    if reason := _unreadable(path):
        yield "storage.server_key", reason
    elif _open_to_others(path):
        yield "storage.server_key", "others than its owner may read it: chmod 600"


def _data_root(settings: Settings) -> Iterator[tuple[str, str]]:
    root = settings.storage.data_root
    if not root.exists():
        parent = next(each for each in root.parents if each.exists())
        if not os.access(parent, os.W_OK):
            yield "storage.data_root", "does not exist and cannot be made"
    elif not root.is_dir():
        yield "storage.data_root", "is no directory"
    elif not os.access(root, os.R_OK | os.W_OK | os.X_OK):
        yield "storage.data_root", "this user may not write there"
    elif _open_to_others(root):
        yield "storage.data_root", "others than its owner may look into it: chmod 700"


def _ports(settings: Settings) -> Iterator[tuple[str, str]]:
    try:
        binding.close(binding.bind(settings.listen))
    except Unavailable as refused:
        key, _, reason = refused.words.partition(": ")
        yield key, reason


def _authorities(settings: Settings) -> Iterator[tuple[str, str]]:
    for number, route in enumerate(settings.outbound.route):
        if route.ca_file is not None and (reason := _unreadable(route.ca_file)):
            yield f"outbound.route[{number}].ca_file", reason


def _unreadable(path: Path) -> str:
    try:
        with path.open("rb"):
            return ""
    except OSError as fault:
        return f"cannot be read ({fault.strerror})"


def _open_to_others(path: Path) -> bool:
    return bool(stat.S_IMODE(path.stat().st_mode) & 0o077)
