"""The small values a setting may hold beyond what TOML knows: `address:port`, networks.

Apart because settings name these types and the loader reads them. Only the sysadmin's file
reaches them.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host name or IP address, and a port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """Read "name:port", "192.0.2.1:port" or "[2001:db8::1]:port"; ValueError otherwise."""
        host, colon, port = text.rpartition(":")
        if not colon or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
            raise ValueError('must be "host:port" with a port from 1 to 65535')
        if host.startswith("[") and host.endswith("]"):
            return cls(str(ipaddress.IPv6Address(host[1:-1])), int(port))
        if not _HOST.fullmatch(host):
            raise ValueError('must be "host:port"; an IPv6 address goes in [brackets]')
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Network:
    """An IP network; a lone address is a network of one."""

    network: ipaddress.IPv4Network | ipaddress.IPv6Network

    @classmethod
    def parse(cls, text: str) -> Network:
        """Read "192.0.2.0/24" or "2001:db8::/32"; ValueError when host bits are set."""
        try:
            return cls(ipaddress.ip_network(text))
        except ValueError:
            raise ValueError('must be a network such as "192.0.2.0/24", without host bits') from None

    def __str__(self) -> str:
        return str(self.network)
