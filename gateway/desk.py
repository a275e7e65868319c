"""Putting mail away: for members into the store, for the outside into the queue, all or nothing.

Apart because the order of durable steps across store, queue and Sent is decided here alone. The
content is a stranger's or a member's; it is only handed on.

A member's message has up to three homes. In this order:
 1. prepare for the members (sealed, on disk, invisible) and for the queue (sealed, on disk, no row);
 2. file in Sent (durable);
 3. commit the queue's row, then make the members' copies visible; 250 follows.
A fault of ours in 1 or 2 (the disk is full: this is where bytes are written) leaves nothing; in 3
(a row, a link) it takes the Sent copy back, and the queue's row if that was written. A kill
 - before 2: nothing happened;
 - after 2: Sent has a copy of what nobody got. The client got no 250 and sends again; Sent keeps one
   copy of a Message-ID;
 - between 3's two commits, or after them and before 250: the client sends again. Members' copies are
   known by their fingerprint and are stored once; the queue sends to the outside twice, as SMTP
   may (RFC 5321 section 6.1: at least once).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

from gateway.house import COURIER, House
from gateway.ledger import now
from mail.address import Address
from mail.errors import MailError, Reason, Refusal
from smtp_in.ports import Receipt, Submission
from store.accounts import Account, Status
from store.delivery import Destination
from store.mailbox import Mailbox
from store.spool import Prepared


class Counter:
    """`smtp_in.ports.Deliveries`: mail from the organisation."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def deliver(
        self, return_path: str, recipients: Sequence[Address], content: bytes, trace: bytes
    ) -> Receipt:
        """See the port."""
        to = _destinations(self._house, recipients)
        receipt = await self._house.delivery.deliver(to, return_path, content, trace)
        _delivered(self._house, to, len(content))
        return receipt

    async def to_postmaster(self, return_path: str, content: bytes, trace: bytes) -> Receipt:
        """See the port: into the queue, for the organisation's support. It is nobody's account's, so
        what cannot be passed on ends here: two postmasters' servers must not send reports round."""
        support = Address.parse(self._house.settings.organisation.support)
        item = await self._house.spool.add(return_path, "", [support], trace + content, now())
        self._house.ledger.audit.note("queued", "", item=item.item_id)
        self._house.bus.tell(COURIER)
        return _NothingStored()


class Returns:
    """`smtp_out.ports.Returns`: what could not be delivered comes back."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def bounce(self, account_id: str, content: bytes) -> None:
        """See the port. A sender who is gone, or locked, gets nothing any more."""
        try:
            account = self._house.ledger.accounts.get(account_id)
        except Refusal:
            return
        # RFC 5321 section 4.4: the final delivery says what the reverse path was, here none.
        receipt = await self._house.delivery.deliver(
            [self._house.destination(account)], "", content, b"Return-Path: <>\r\n"
        )
        receipt.acknowledged()


async def submit(house: House, account: Account, mailbox: Mailbox, submission: Submission) -> Receipt:
    """A member's message, in the order that the module's docstring gives."""
    sender = str(account.address)
    to = _destinations(house, submission.members)
    local = (
        await house.delivery.prepare(to, sender, submission.content, fingerprint=submission.fingerprint)
        if to
        else _NothingStored()
    )
    try:
        queued = (
            await house.spool.prepare(sender, account.id, submission.outside, submission.content, now())
            if submission.outside
            else None
        )
    except BaseException:
        local.abort()
        raise
    try:
        filed = await mailbox.file_sent(submission.sent_copy)
    except BaseException:
        local.abort()
        if queued is not None:
            queued.abandon()
        raise
    in_queue = False
    try:
        if queued is not None:
            queued.commit()
            in_queue = True
        receipt = await local.commit()
    except BaseException:
        local.abort()
        if queued is not None:
            _withdraw(house, queued, in_queue)
        with suppress(MailError):
            mailbox.unfile(filed)
        raise
    if queued is not None:
        house.ledger.audit.note("queued", account.id, item=queued.item.item_id)
        house.bus.tell(COURIER)
    _delivered(house, to, len(submission.content))
    return receipt


class _NothingStored:
    """`store.delivery.Prepared` and its receipt where no member is delivered to."""

    async def commit(self) -> _NothingStored:
        return self

    def abort(self) -> None:
        """Nothing was prepared."""

    def acknowledged(self) -> None:
        """Nothing was stored."""


def _destinations(house: House, recipients: Iterable[Address]) -> list[Destination]:
    found = []
    for address in recipients:
        account = house.ledger.accounts.find(address)
        if account is None or account.status is not Status.ACTIVE:  # gone since RCPT
            raise Refusal(Reason.UNKNOWN_RECIPIENT, "A recipient is no longer known here.")
        found.append(house.destination(account))
    return found


def _delivered(house: House, to: Iterable[Destination], octets: int) -> None:
    for destination in to:
        house.ledger.audit.note("delivered", destination.account_id, octets=octets)


def _withdraw(house: House, queued: Prepared, in_queue: bool) -> None:
    """What cannot be taken back is sent, and the client, who was told to repeat, sends it twice."""
    with suppress(MailError, OSError):
        if in_queue:
            house.spool.drop(queued.item.item_id)
        else:
            queued.abandon()
