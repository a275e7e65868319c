"""What a conversation asks of the door that it belongs to.

Apart so that the conversation knows the protocol and nothing of members or organisations, and the
doors know those and nothing of sockets, codes and octets. All of a clerk's methods raise
`mail.errors`; anything else is a bug and becomes `451 4.3.0`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Protocol

from mail.address import Address
from mail.secret import Secret
from smtp_in.limits import Identity, Limits
from smtp_in.occupancy import Occupancy
from smtp_in.ports import Receipt
from smtp_in.replies import Reply
from smtp_in.trace import Hop


@dataclass(slots=True)
class Transaction:
    """One message's envelope, as the peer has told it so far (RFC 5321 section 3.3)."""

    sender: str  # the reverse path, "" when null
    utf8: bool  # SMTPUTF8 was asked for (RFC 6531)
    hop: Hop
    recipients: dict[str, Address] = field(default_factory=dict)  # by `Address.key`, in order


class Clerk(Protocol):
    """One connection's side of a door."""

    async def log_in(self, name: str, password: Secret) -> None:
        """Refusal(LOGIN_FAILED or THROTTLED); afterwards the connection is that member's."""
        ...

    async def sender(self, path: str) -> None:
        """Judge the reverse path of MAIL FROM, "" when null."""
        ...

    async def recipient(self, transaction: Transaction, path: str) -> Address:
        """Judge one RCPT TO. Refusal(THROTTLED) is about this recipient, and temporary."""
        ...

    async def message(self, transaction: Transaction, content: bytes) -> Receipt:
        """Judge the whole and make it durable. Refusal(LOGIN_FAILED) ends the connection: the
        account has been locked since the log-in."""
        ...

    def close(self) -> None:
        """The connection has ended; idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class House:
    """What all conversations of one door share."""

    identity: Identity
    limits: Limits
    occupancy: Occupancy
    tls: SSLContext | None  # for STARTTLS; None where TLS comes first, or not at all
    tls_required: bool
    login_required: bool  # AUTH is offered, and nothing goes without it
    mail_parameters: frozenset[str]  # those of MAIL FROM that the door understands
    turned_away: Callable[[str], Reply | None]  # by peer address, before the greeting
    clerk: Callable[[str], Clerk]  # for a peer address
