"""Every bound of the reading door, with its unit and its reason.

Apart because framing, session and shell share them and gateway fills them from the
configuration. A bound that is passed has an answer (BAD, NO or BYE); none is silent.
"""

from __future__ import annotations

from dataclasses import dataclass, field

KIB, MIB = 1024, 1024 * 1024


@dataclass(frozen=True, slots=True)
class FramingLimits:
    """What one command may cost before anybody has looked at it. Octets."""

    line: int  # all text of one command outside its literals
    literals: int  # sum of a command's literals
    append: int  # the same for APPEND, whose literal is a message
    literal_count: int
    swallow: int  # read and thrown away, so that a refused command ends in an answer; beyond it BYE


BEFORE_LOGIN = FramingLimits(
    line=8 * KIB,  # RFC 7162 section 4 and RFC 2683 section 3.2.1.5 let clients send 8,000
    literals=4 * KIB,  # a name and a password; CVE-2024-34055 and CVE-2025-61600 were larger here
    append=4 * KIB,
    literal_count=8,
    swallow=64 * KIB,
)


@dataclass(frozen=True, slots=True)
class Limits:
    """The door's bounds. Times are seconds."""

    before_login: FramingLimits = BEFORE_LOGIN
    after_login: FramingLimits = field(
        default=FramingLimits(
            line=64 * KIB,  # 10,000 UIDs named one by one
            literals=1 * MIB,
            append=72 * MIB,  # 50 MB of attachments in base64, and the text around them
            literal_count=1000,
            swallow=80 * MIB,  # an APPEND a little too large is answered, not hung up on
        )
    )
    login_seconds: float = 60  # without a complete command before login; stops slow-loris connections
    idle_seconds: float = 30 * 60  # RFC 9051 section 5.4: the autologout timer must be at least 30 minutes
    stalled_seconds: float = 300  # a peer that reads nothing of its answers, or stops amid a command
    beat_seconds: float = 120  # in IDLE: look for what expired, and keep a NAT's entry alive
    failed_login_seconds: float = 2  # before the answer to a failed login; holds up this connection only
    failed_logins: int = 5  # per connection, then BYE
    bad_commands: int = 20  # in a row, then BYE: nobody is listening to our answers
    backlog: int = 256 * KIB  # pipelined octets that wait; beyond it the transport is paused
    search_depth: int = 200  # CVE-2026-27857: nesting of parentheses and NOT
    search_keys: int = 2000  # of one command; every OR, NOT and parenthesis is one
    in_flight: int = 512 * MIB  # large literals of all sessions of this process together
    connections: int = 10_000  # of this process
    connections_per_peer: int = 50  # one office behind one address; mail clients open five each


class Budget:
    """Octets that all sessions of a process may hold at once; who gets none is told to try again."""

    def __init__(self, octets: int) -> None:
        self.left = octets

    def take(self, octets: int) -> bool:
        """Whether there was room; if so it is taken."""
        if octets > self.left:
            return False
        self.left -= octets
        return True

    def give(self, octets: int) -> None:
        """Back."""
        self.left += octets
