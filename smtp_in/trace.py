"""The lines that a mail server leaves on a message: Received and Return-Path.

Apart because both doors write them and because they are made of what strangers said: HELO names
and reverse paths arrive here checked by `smtp_in.commands`, so that no CR or LF of theirs starts a
header line of its own. RFC 5321 section 4.4.
"""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import formatdate

from mail.headers import fields

MOST_HOPS = 50
"""RFC 5321 section 6.3 asks for a large count, at least 100 in sum; ours is one hop of a few."""


@dataclass(frozen=True, slots=True)
class Hop:
    """Where a message comes from: what its sender called itself, its address, whether over TLS."""

    hello: str
    peer: str
    secure: bool


def date_time(now: int) -> str:
    """RFC 5322 section 3.3, in UTC; `formatdate` would say "-0000", which means "unknown"."""
    return formatdate(now)[:-5] + "+0000"


def received_from_member(hostname: str, token: str, now: int) -> bytes:
    """For a member's message: no client address and no client name, which would tell the
    recipients where the member sits."""
    return f"Received: by {hostname} with ESMTPSA id {token};\r\n\t{date_time(now)}\r\n".encode("ascii")


def received_from_relay(hop: Hop, hostname: str, token: str, now: int) -> bytes:
    """For the organisation's mail; no "for" clause, which would name a blind recipient."""
    address = f"IPv6:{hop.peer}" if ":" in hop.peer else hop.peer
    protocol = "ESMTPS" if hop.secure else "ESMTP"
    return (
        f"Received: from {hop.hello} ([{address}])\r\n\tby {hostname} with {protocol} id {token};\r\n"
        f"\t{date_time(now)}\r\n"
    ).encode()


def return_path(address: str) -> bytes:
    """The envelope's sender, kept at final delivery; "" is the null path."""
    return f"Return-Path: <{address}>\r\n".encode()


def hops(header: bytes) -> int:
    """How many servers say that they have seen this message."""
    return sum(field.name.lower() == b"received" for field in fields(header))
