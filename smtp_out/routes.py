"""Where mail for a domain goes next, and how much TLS that next hop owes us.

Apart because gateway reads it from the configuration and both the courier and the
connection obey it. A table and a default, no MX look-ups: the organisation names its own
servers, and a forged DNS answer must not become a way out for members' mail.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Tls(Enum):
    """What is asked of the next hop before any mail is handed over (RFC 3207)."""

    NONE = "none"  # never; for a next hop on this machine
    MAY = "may"  # when offered, unverified; in the clear otherwise (RFC 7435)
    ENCRYPT = "encrypt"  # always, unverified: stops listening, not a man in the middle
    VERIFY = "verify"  # always, with a certificate for that host from a known CA


@dataclass(frozen=True, slots=True)
class Route:
    """One next hop. `ca_file` is a PEM path for VERIFY; "" means the system's own CAs."""

    host: str
    port: int = 25
    tls: Tls = Tls.VERIFY
    ca_file: str = ""


@dataclass(frozen=True, slots=True)
class Routes:
    """`by_domain` has lower-case A-label domains; `default` is the smarthost, if any."""

    default: Route | None = None
    by_domain: Mapping[str, Route] = field(default_factory=dict)

    def to(self, domain: str) -> Route | None:
        """The next hop for a recipient's domain; None when there is no way there."""
        return self.by_domain.get(domain, self.default)
