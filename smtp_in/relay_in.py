"""The door for the organisation's own mail server: its mail to members, into the store.

Apart from submission because nobody logs in here; the peer's address decides, and whoever is let
in may write to every member. Behind that server stands the world: content, addresses and headers
are hostile. Members only, and strangers who ask for members one by one wait longer each time
(P3's no oracle, kept for RCPT); a good recipient never waits. RFC 5321 sections 4.4 (trace), 6.3
(loops), 4.5.1 (postmaster), 4.5.5 (null path).
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address
from ssl import SSLContext

from mail.address import Address
from mail.errors import Reason, Refusal
from mail.secret import Secret
from policy.rate import Bucket, Pace, delay, poured
from smtp_in import trace
from smtp_in.clerk import House, Transaction
from smtp_in.door import Door
from smtp_in.limits import Identity, Limits
from smtp_in.occupancy import Occupancy
from smtp_in.ports import Deliveries, Directory, Journal, Receipt
from smtp_in.replies import Reply

_MAIL_PARAMETERS = frozenset({"SIZE", "BODY", "SMTPUTF8"})
_NOT_FOR_YOU = Reply(554, "5.7.1", "No service here.", closing=True)

# A reverse path only goes into Return-Path: quoted local parts and address literals are somebody's
# real address and lose no mail here, where no decision rests on them. No control characters, no "<>".
_REVERSE_PATH = re.compile(
    r'(?:"(?:[^"\\<>\x00-\x1f\x7f]|\\[!-;=?-~])*"|[^\s"<>@\x00-\x1f\x7f]{1,64})'
    r"@(?:[^\s\"<>@\[\]\x00-\x1f\x7f]{1,253}|\[[0-9A-Za-z.:]{1,64}\])"
)
_MOST_PEERS = 10_000


class Probes:
    """Who has asked for how many unknown members; bounded, the longest silent forgotten first."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def another(self, peer: str, now: float, pace: Pace) -> float | None:
        """Seconds to wait before saying no, or None for "later"."""
        bucket = poured(self._buckets.pop(peer, Bucket()), now, pace)
        self._buckets[peer] = bucket
        if len(self._buckets) > _MOST_PEERS:
            self._buckets.popitem(last=False)
        return delay(bucket, pace)


@dataclass(frozen=True, slots=True)
class Counter:
    """What a relay-in door needs of the house. All of it is shared by its connections."""

    identity: Identity
    directory: Directory
    deliveries: Deliveries
    journal: Journal
    networks: Sequence[IPv4Network | IPv6Network]
    clock: Callable[[], int]  # epoch seconds
    token: Callable[[], str]  # unique, of letters and digits
    pace: Pace = field(default_factory=Pace)
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    probes: Probes = field(default_factory=Probes)


class RelayDoor(Door):
    """Pass `protocol` to `loop.create_server`. `tls` for STARTTLS; `tls_required` refuses mail
    that comes in clear."""

    def __init__(
        self,
        counter: Counter,
        limits: Limits,
        tls: SSLContext | None,
        tls_required: bool,
        occupancy: Occupancy | None = None,
    ) -> None:
        super().__init__(
            House(
                identity=counter.identity,
                limits=limits,
                occupancy=occupancy or Occupancy(limits),
                tls=tls,
                tls_required=tls_required,
                login_required=False,
                mail_parameters=_MAIL_PARAMETERS,
                turned_away=lambda peer: None if allowed(peer, counter.networks) else _NOT_FOR_YOU,
                clerk=lambda peer: RelayClerk(counter, peer),
            )
        )


def allowed(peer: str, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    """Whether the peer's address lies in one of the networks; an IPv4 peer on an IPv6 socket
    (::ffff:192.0.2.1) counts as the IPv4 address that it is."""
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in networks)


class RelayClerk:
    """One connection of the organisation's server."""

    def __init__(self, counter: Counter, peer: str) -> None:
        self._counter = counter
        self._peer = peer
        self._postmaster = Address.parse(f"postmaster@{counter.identity.hostname}")

    async def log_in(self, name: str, password: Secret) -> None:
        """There are no accounts at this door."""
        raise Refusal(Reason.LOGIN_FAILED, "There is no logging in here.")

    async def sender(self, path: str) -> None:
        """Anybody may write; the null path is a bounce and welcome."""
        if path and not _REVERSE_PATH.fullmatch(path):
            raise Refusal(Reason.BAD_ADDRESS, "That is not a valid reverse path.")

    async def recipient(self, transaction: Transaction, path: str) -> Address:
        """An active member, the postmaster, or 550 after a wait that grows."""
        if path.lower() == "postmaster":  # the one path without a domain (RFC 5321 section 4.1.1.3)
            return self._postmaster
        address = Address.parse(path)
        if address.key == self._postmaster.key or await self._counter.directory.is_member(address):
            return address
        counter = self._counter
        counter.journal.note("relay.refused", "", reason=Reason.UNKNOWN_RECIPIENT.name)
        seconds = counter.probes.another(self._peer, counter.clock(), counter.pace)
        if seconds is None:
            # Of this recipient only: the same server brings good ones, perhaps in this transaction.
            await counter.sleep(counter.pace.later_seconds)
            raise Refusal(Reason.THROTTLED, "Too many unknown recipients, please try again later.")
        if seconds:
            await counter.sleep(seconds)
        raise Refusal(Reason.UNKNOWN_RECIPIENT, "There is no such user here.")

    async def message(self, transaction: Transaction, content: bytes) -> Receipt:
        """Add the trace and store. A message is not judged: what its structure cannot hold, the
        reading side shows as one part, and no mail is lost for it."""
        counter = self._counter
        end = content.find(b"\r\n\r\n")
        if trace.hops(content[: end + 2] if end >= 0 else content) > trace.MOST_HOPS:
            counter.journal.note("relay.refused", "", reason=Reason.MAIL_LOOP.name)
            raise Refusal(Reason.MAIL_LOOP, "The message has passed too many servers: a mail loop.")
        hostname, now = counter.identity.hostname, counter.clock()
        received = trace.received_from_relay(transaction.hop, hostname, counter.token(), now)
        members = [a for key, a in transaction.recipients.items() if key != self._postmaster.key]
        postmaster = len(members) < len(transaction.recipients)
        receipts: list[Receipt] = []
        if members:
            lines = trace.return_path(transaction.sender) + received
            receipts.append(await counter.deliveries.deliver(transaction.sender, members, content, lines))
        if postmaster:
            # Last: if this fails the peer repeats, and the members' copies are known as repetitions.
            # It goes on from here, so it gets no Return-Path yet (RFC 5321 section 4.4).
            receipts.append(await counter.deliveries.to_postmaster(transaction.sender, content, received))
        counter.journal.note(
            "relay.accepted", "", members=len(members), postmaster=int(postmaster), octets=len(content)
        )
        return _All(receipts)

    def close(self) -> None:
        """Nothing is held."""


class _All:
    """One receipt for the members and the postmaster."""

    def __init__(self, receipts: Sequence[Receipt]) -> None:
        self._receipts = receipts

    def acknowledged(self) -> None:
        """See `Receipt`."""
        for receipt in self._receipts:
            receipt.acknowledged()
