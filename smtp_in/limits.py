"""The bounds of an SMTP door, and who the door says it is.

Apart because gateway fills these from the settings and every module here reads them. Each bound
has its refusal, and the refusal is named here.
"""

from __future__ import annotations

from dataclasses import dataclass

MEBI = 1_048_576


@dataclass(frozen=True, slots=True)
class Identity:
    """How the door introduces itself and whom its refusals name."""

    hostname: str  # in the greeting, EHLO, Received and made-up Message-IDs
    organisation: str  # for people
    contact: str  # whom to ask; goes into refusals


@dataclass(frozen=True, slots=True)
class Limits:
    """Octets, seconds and counts. The defaults are what real mail needs, with room."""

    message_octets: int = 80 * MEBI  # as it travels; announced as SIZE; beyond: 552 5.3.4
    header_octets: int = MEBI  # the largest header seen in the wild is far below; 552 5.3.4
    header_fields: int = 5000  # 552 5.3.4
    recipients: int = 100  # RFC 5321 section 4.5.3.1.8: at least 100; beyond: 452 4.5.3
    surplus_recipients: int = 1000  # so many 452s in one session, then 421 4.7.0
    line_octets: int = 2048  # RFC 5321 section 4.5.3.1.4 asks for 512, extensions add; 500 5.5.2
    login_line_octets: int = 12_288  # RFC 4954 section 4
    endless_line_octets: int = MEBI  # of a line that is too long already, then the connection ends
    errors: int = 20  # refused commands since the last accepted message, then 421 4.7.0
    login_failures: int = 3  # in one connection, then 421 4.7.0
    idle_seconds: float = 300  # RFC 5321 section 4.5.3.2.7; 421 4.4.2
    login_seconds: float = 180  # until AUTH has succeeded, where AUTH is needed; 421 4.4.2
    message_seconds: float = 3600  # for one whole DATA, however alive it seems; 421 4.4.2
    handshake_seconds: float = 30  # for STARTTLS
    connections: int = 1000  # of this door in this process; 421 4.3.2
    connections_per_peer: int = 50  # one address; 421 4.7.0
    octets_in_flight: int = 512 * MEBI  # messages being received or stored; 452 4.3.1
