"""What the two doors for incoming SMTP need from the house.

`smtp_in` imports neither store nor keys: gateway hands in things of these shapes. All of
them raise `mail.errors`; anything else is a bug and becomes `451 4.3.0`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from mail.address import Address
from mail.secret import Secret


@dataclass(frozen=True, slots=True)
class Submission:
    """A member's message that policy has let pass, ready to be stored and sent."""

    members: Sequence[Address]  # registered members, delivered into the store
    outside: Sequence[Address]  # the organisation's addresses, relayed by smtp_out
    content: bytes  # what recipients get: separators mended, Bcc removed
    sent_copy: bytes  # what the sender keeps: the same with Bcc
    fingerprint: bytes  # SHA-256 of the octets that the client sent, before anything was added:
    # by this a repetition is known, since Received, Date and Message-ID are new each time


class Receipt(Protocol):
    """A message is durable; the peer has yet to be told."""

    def acknowledged(self) -> None:
        """The 250 has been written. Until this is called, the same bytes in the same
        envelope sent again are known as a repetition and are not stored twice."""
        ...


class Sender(Protocol):
    """A member who has logged in to send."""

    @property
    def account_id(self) -> str:
        """The random id; the only name of the account that a log may hold."""
        ...

    @property
    def address(self) -> Address:
        """From and MAIL FROM must be this."""
        ...

    async def holds(self, message_ids: Collection[str]) -> bool:
        """Whether any of these is, or within its retention was, in the sender's own mailbox.

        Ids without angle brackets. This is what makes a reply a reply (P8).
        """
        ...

    async def submit(self, submission: Submission) -> Receipt:
        """Store for members, spool for the outside, file in Sent; all durable, or none.

        Refusal(LOGIN_FAILED) when the account has been locked since the log-in; the session
        then ends. `holds` may say the same.
        """
        ...

    def close(self) -> None:
        """Drop the keys with the last session of the account; idempotent."""
        ...


class Directory(Protocol):
    """Who is who."""

    async def log_in(self, name: str, password: Secret, peer: str) -> Sender:
        """As `imap_out.ports.Directory.log_in`, and the same counters."""
        ...

    async def is_member(self, address: Address) -> bool:
        """Whether the address is an active account."""
        ...


class Deliveries(Protocol):
    """Mail from the organisation into the members' store."""

    async def deliver(
        self, return_path: str, recipients: Sequence[Address], content: bytes, trace: bytes
    ) -> Receipt:
        """Encrypt for each recipient and make durable; all or none.

        `content` is what the peer sent, `trace` the Return-Path and Received lines put
        before it (apart, so that a repetition is known by what the peer sent).
        """
        ...

    async def to_postmaster(self, return_path: str, content: bytes, trace: bytes) -> Receipt:
        """Pass on what came for the postmaster of this host (RFC 5321 section 4.5.1) to whoever
        looks after it; durable. `trace` is the Received line alone."""
        ...


class Journal(Protocol):
    """The audit log's ear for what happens in this door; never any content."""

    def note(self, event: str, account_id: str, **facts: str | int) -> None:
        """One line, at once."""
        ...
