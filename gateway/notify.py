"""Telling systemd how we are (sd_notify), without its library.

Apart because it is a protocol of its own: datagrams to the socket named in NOTIFY_SOCKET.
Nobody sends bytes here.
"""

from __future__ import annotations

import os
import socket


def notify(*lines: str) -> None:
    """Send e.g. "READY=1"; without systemd nothing happens."""
    name = os.environ.get("NOTIFY_SOCKET", "")
    if not name:
        return
    address = "\0" + name[1:] if name.startswith("@") else name  # an abstract socket
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        channel.sendto("\n".join(lines).encode(), address)
