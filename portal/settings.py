"""What the portal tells people: hosts and ports, whom to ask, how long mail stays.

Apart because gateway fills it from the configuration and every page reads it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a mail client connects."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Settings:
    """`organisation` and `support` are words for people; `days` is the ordinary expiry."""

    organisation: str
    support: str
    days: int
    imaps: Endpoint  # implicit TLS
    imap: Endpoint  # STARTTLS
    submissions: Endpoint  # implicit TLS
    submission: Endpoint  # STARTTLS
    max_attachments: int = 10
    max_megabytes: int = 50
