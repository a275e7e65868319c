"""Who may come in: the doors' `Directory`, on the account records.

Apart because both doors must share one throttle and one bound on Argon2, and neither may know the
store. Anyone sends names and passwords here. What takes long runs on a few threads of its own,
with a bounded queue before them: a flood of guesses must neither stall the loop nor fill the
memory with 19 MiB each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor

from gateway.desk import submit
from gateway.house import House
from gateway.journal import Journal
from gateway.ledger import now
from mail.address import Address
from mail.errors import Reason, Refusal, Unavailable
from mail.secret import Secret
from smtp_in.ports import Receipt, Submission
from store.accounts import Account, Status
from store.mailbox import Mailbox

MOST_WAITING = 200
"""Log-ins that wait for a thread; at 30 ms each and two threads that is three seconds."""

_EVENTS = {Reason.THROTTLED: "login throttled"}


class Gate:
    """Checks passwords; shared by the doors of a process."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._threads = ThreadPoolExecutor(house.settings.processes.parallel_passwords, "passwords")
        self._waiting = 0

    async def open(
        self, name: str, password: Secret, peer: str, journal: Journal
    ) -> tuple[Account, Mailbox]:
        """Refusal(LOGIN_FAILED | THROTTLED), Unavailable."""
        if self._waiting >= MOST_WAITING:
            raise Unavailable("Too many log-ins at once, please try again.")
        loop = asyncio.get_running_loop()
        accounts = self._house.ledger.accounts
        self._waiting += 1
        try:
            account, secret = await loop.run_in_executor(
                self._threads, accounts.log_in, name, password, peer, now()
            )
        except Refusal as refusal:
            journal.note(_EVENTS.get(refusal.reason, "login refused"), "", peer=peer)
            raise
        finally:
            self._waiting -= 1
        return account, await Mailbox.open(self._house.open_accounts, account, secret)

    def close(self) -> None:
        """Wait for the passwords in hand; idempotent."""
        self._threads.shutdown()


class ReadingDirectory:
    """`imap_out.ports.Directory`; the session writes the audit line of a success."""

    def __init__(self, gate: Gate, journal: Journal) -> None:
        self._gate = gate
        self._journal = journal

    async def log_in(self, name: str, password: Secret, peer: str) -> Mailbox:
        """See the port."""
        _, mailbox = await self._gate.open(name, password, peer, self._journal)
        return mailbox


class SendingDirectory:
    """`smtp_in.ports.Directory`."""

    def __init__(self, gate: Gate, house: House, journal: Journal) -> None:
        self._gate = gate
        self._house = house
        self._journal = journal

    async def log_in(self, name: str, password: Secret, peer: str) -> Member:
        """See the port."""
        account, mailbox = await self._gate.open(name, password, peer, self._journal)
        self._journal.note("login", account.id, peer=peer)
        return Member(self._house, account, mailbox)

    async def is_member(self, address: Address) -> bool:
        """See the port; one indexed row, so there is nothing to wait for."""
        found = self._house.ledger.accounts.find(address)
        return found is not None and found.status is Status.ACTIVE


class Member:
    """`smtp_in.ports.Sender`: a member who has logged in to send."""

    def __init__(self, house: House, account: Account, mailbox: Mailbox) -> None:
        self._house = house
        self._account = account
        self._mailbox = mailbox

    @property
    def account_id(self) -> str:
        """See the port."""
        return self._account.id

    @property
    def address(self) -> Address:
        """See the port."""
        return self._account.address

    async def holds(self, message_ids: Collection[str]) -> bool:
        """See the port."""
        self._still()
        return await self._mailbox.holds(message_ids)

    async def submit(self, submission: Submission) -> Receipt:
        """See the port and `gateway.desk`."""
        self._still()
        return await submit(self._house, self._account, self._mailbox, submission)

    def close(self) -> None:
        """See the port."""
        self._mailbox.close()

    def _still(self) -> None:
        """A connection may be kept open for long: who was locked, deleted or given another password
        meanwhile must not send by it."""
        if not self._house.ledger.accounts.admits(self._account):
            raise Refusal(Reason.LOGIN_FAILED, "This login is not valid any more.")
