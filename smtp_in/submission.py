"""The door for members: who they write as, to whom, how much (RFC 6409, P7 to P10).

Apart from relay-in because everything differs but the wire: here one logs in first. A member, or
somebody with a member's password, sends bytes here. `policy` decides; this module asks it at the
right moments and puts the message into the shape in which it goes on. There is one answer after
DATA for the whole message: it goes to all, or to nobody and the words say why.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from ssl import SSLContext

from mail.address import Address
from mail.attachments import counts
from mail.errors import Reason, Refusal
from mail.secret import Secret
from mail.separators import mend
from mail.structure import parse
from policy import admission, ambiguity
from policy import attachments as attachment_policy
from policy.attachments import Allowance
from policy.lineage import referred_ids
from smtp_in.clerk import House, Transaction
from smtp_in.composition import Composed, compose
from smtp_in.door import Door
from smtp_in.limits import Identity, Limits
from smtp_in.occupancy import Occupancy
from smtp_in.originator import check
from smtp_in.ports import Directory, Journal, Receipt, Sender, Submission

_MAIL_PARAMETERS = frozenset({"SIZE", "BODY", "SMTPUTF8", "AUTH"})
_QUICK = 1 << 16
"""Octets up to which a message is worked on in the loop; a larger one goes to a thread, so that
neither 50 MB nor a hostile header of one member holds up the others."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What a submission door needs of the house. All of it is shared by its connections."""

    identity: Identity
    directory: Directory
    journal: Journal
    admission: Callable[[], admission.Rules]  # asked anew each time, so that a reload counts
    attachments: Callable[[], attachment_policy.Rules]
    clock: Callable[[], int]  # epoch seconds
    token: Callable[[], str]  # unique, of letters and digits


class SubmissionDoor(Door):
    """Pass `protocol` to `loop.create_server`; with `tls` for STARTTLS, without when the
    server's own `ssl=` has TLS come first."""

    def __init__(
        self, desk: Desk, limits: Limits, tls: SSLContext | None, occupancy: Occupancy | None = None
    ) -> None:
        super().__init__(
            House(
                identity=desk.identity,
                limits=limits,
                occupancy=occupancy or Occupancy(limits),
                tls=tls,
                tls_required=True,
                login_required=True,
                mail_parameters=_MAIL_PARAMETERS,
                turned_away=lambda _: None,
                clerk=lambda peer: SubmissionClerk(desk, peer),
            )
        )


@dataclass(frozen=True, slots=True)
class _Read:
    """What one pass over a message has found."""

    composed: Composed
    load: Allowance
    referred: tuple[str, ...]
    fingerprint: bytes


class SubmissionClerk:
    """One connection of a member."""

    def __init__(self, desk: Desk, peer: str) -> None:
        self._desk = desk
        self._peer = peer
        self._member: Sender | None = None
        self._closed = False

    async def log_in(self, name: str, password: Secret) -> None:
        """See `Clerk`. The directory writes the audit line."""
        self._member = await self._desk.directory.log_in(name, password, self._peer)

    async def sender(self, path: str) -> None:
        """MAIL FROM must be the account; the null path is for servers, not for people."""
        member = self._logged_in()
        own = member.address
        if not path or Address.parse(path).key != own.key:
            self._refused(Reason.SENDER_NOT_PERMITTED)
            raise Refusal(Reason.SENDER_NOT_PERMITTED, f"You can only send as {own}.")

    async def recipient(self, transaction: Transaction, path: str) -> Address:
        """P7, and the first step of P8."""
        address = Address.parse(path)
        decision = admission.at_recipient(self._logged_in().address, address, self._desk.admission())
        if decision.reason is not None:
            self._refused(decision.reason)
        decision.enforce()
        return address

    async def message(self, transaction: Transaction, content: bytes) -> Receipt:
        """The second step of P8, P10, and then the store and the queue."""
        member = self._logged_in()
        try:
            read = await (
                asyncio.to_thread(self._read, content, member.address)
                if len(content) > _QUICK
                else _at_once(self._read, content, member.address)
            )
            del content  # the composed message is all that is needed now
            submission = await self._judge(member, transaction, read)
            receipt = await member.submit(submission)
        except Refusal as refusal:
            self._refused(refusal.reason)
            raise
        self._desk.journal.note(
            "submission.accepted",
            member.account_id,
            members=len(submission.members),
            outside=len(submission.outside),
            octets=len(submission.content),
        )
        return receipt

    def close(self) -> None:
        """See `Clerk`."""
        if self._member is not None and not self._closed:
            self._closed = True
            self._member.close()

    def _read(self, content: bytes, account: Address) -> _Read:
        """Everything that needs the bytes; no IO, so it may run on a thread."""
        root = parse(content)
        if root.truncated:  # beyond this an attachment could hide from P10
            raise Refusal(Reason.BAD_MESSAGE, "The message has too many parts, or parts nested too deeply.")
        end = root.header[1]
        header = mend(content[:end])
        check(header, account)
        ambiguity.decide(content, root, self._desk.identity.contact).enforce()
        number, octets = counts(content, root)
        return _Read(
            compose(header, memoryview(content)[end:], self._desk.identity.hostname, self._desk.token(),
                    self._desk.clock()),
            Allowance(number, octets),
            referred_ids(content, root),
            hashlib.sha256(content).digest(),
        )  # fmt: skip

    async def _judge(self, member: Sender, transaction: Transaction, read: _Read) -> Submission:
        rules, sender = self._desk.admission(), member.address
        recipients = tuple(transaction.recipients.values())
        outside: list[Address] = []
        colleagues: list[Address] = []
        for address in recipients:
            organisation = admission.relation(sender, address, rules) is admission.Relation.ORGANISATION
            (outside if organisation else colleagues).append(address)
        if colleagues:
            # Both questions are always asked, so that time tells nothing of the answers either.
            registered = [
                (address, await self._desk.directory.is_member(address)) for address in colleagues
            ]
            own = bool(read.referred) and await member.holds(read.referred)
            admission.after_data(sender, registered, own, rules).enforce()
        attachment_policy.decide(
            read.load, sender, recipients, self._desk.attachments(), self._desk.clock()
        ).enforce()
        return Submission(
            tuple(colleagues),
            tuple(outside),
            read.composed.content,
            read.composed.sent_copy,
            read.fingerprint,
        )

    def _logged_in(self) -> Sender:
        assert self._member is not None, "the conversation lets nothing through before AUTH"
        return self._member

    def _refused(self, reason: Reason) -> None:
        self._desk.journal.note("submission.refused", self._logged_in().account_id, reason=reason.name)


async def _at_once(work: Callable[[bytes, Address], _Read], content: bytes, account: Address) -> _Read:
    return work(content, account)
