"""The queue runner: takes what is due from the spool, sends it, records what became of it.

Apart because it alone decides the order of durable steps. No bytes are parsed here; what
a next hop says arrives as `Answer`s. The order that loses nothing, killed at any point:
delivered recipients are recorded first (a kill before that sends them twice at most), then
the notification is put into the sender's inbox, and only then are the failed ones recorded
(a kill between bounces twice at most). RFC 5321 sections 4.5.4 and 6.1.

The journal gets ids, counts and status codes, never an address.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mail.errors import Damaged, MailError
from mail.outbound import Item, Outcome, Recipient
from policy.retry import Schedule, next_attempt
from smtp_out.answer import Answer
from smtp_out.attempt import Connection, Timeouts
from smtp_out.bounce import Reporter, notification
from smtp_out.lane import Lane
from smtp_out.ports import Journal, Returns, Spool
from smtp_out.routes import Route, Routes

_AGAIN = 60  # seconds until the next try when it was our own side that failed


@dataclass(frozen=True, slots=True)
class Settings:
    """Times in seconds. `connections` is the number per next hop."""

    routes: Routes
    reporter: Reporter
    timeouts: Timeouts = field(default_factory=Timeouts)
    schedule: Schedule = field(default_factory=Schedule)
    connections: int = 2
    idle: float = 10.0  # an unused connection is closed after that
    poll: float = 5.0  # how late a retry may be; new mail is told by `wake`


class _Progress:
    """One item while it is worked on: several lanes change its recipients."""

    def __init__(self, spool: Spool, item: Item, patience: float) -> None:
        self._spool = spool
        self._patience = patience
        self.item = item

    async def record(self, changed: Mapping[int, Recipient]) -> None:
        """Durable on return; keys are positions in the item's recipients.

        Keeps at it while the spool fails (a full disk): letting the item go unrecorded would
        make it due again, and the recipient would get the same mail every few seconds.
        """
        if not changed:
            return
        recipients = [changed.get(i, r) for i, r in enumerate(self.item.recipients)]
        self.item = replace(self.item, recipients=recipients)
        while True:
            try:
                self._spool.record(self.item)
                return
            except MailError:
                await asyncio.sleep(self._patience)


class Courier:
    """`clock` gives seconds since the epoch, `chance` a number in [0, 1), `token` random hex."""

    def __init__(
        self,
        settings: Settings,
        spool: Spool,
        returns: Returns,
        journal: Journal,
        *,
        clock: Callable[[], float],
        chance: Callable[[], float],
        token: Callable[[], str],
    ) -> None:
        self._settings = settings
        self._spool = spool
        self._returns = returns
        self._journal = journal
        self._clock = clock
        self._chance = chance
        self._token = token
        self._woken = asyncio.Event()
        self._stopping = False
        self._grace = 0.0
        self._lanes: dict[Route, Lane] = {}
        self._working: dict[str, asyncio.Task[None]] = {}

    def wake(self) -> None:
        """New mail may be in the spool; call it on the courier's loop."""
        self._woken.set()

    def stop(self, grace: float) -> None:
        """Take nothing new; `run` returns when what is under way is done, or after `grace` seconds."""
        self._grace = grace
        self._stopping = True
        self._woken.set()

    async def run(self) -> None:
        """Until `stop`, or until cancelled; either way every claimed item is given back."""
        try:
            while not self._stopping:
                self._woken.clear()
                self._take_due()
                for lane in self._lanes.values():
                    await lane.close(self._settings.idle)
                try:
                    await asyncio.wait_for(self._woken.wait(), self._settings.poll)
                except TimeoutError:
                    continue  # the time to look for retries
            if self._working:
                await asyncio.wait(self._working.values(), timeout=self._grace)
        finally:
            await asyncio.sleep(0)  # a task cancelled before its first step would not give back
            tasks = list(self._working.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for lane in self._lanes.values():
                await lane.close()

    def _take_due(self) -> None:
        try:
            items = self._spool.due(int(self._clock()))
        except MailError as error:
            self._journal.note("spool unavailable", "", kind=type(error).__name__)
            return
        for item in items:
            if item.item_id not in self._working:
                self._working[item.item_id] = asyncio.ensure_future(self._work(item))

    async def _work(self, item: Item) -> None:
        """Every due recipient of one item, all next hops at once; gives the claim back."""
        progress = _Progress(self._spool, item, self._settings.poll)
        now = int(self._clock())
        by_route: dict[Route | None, list[int]] = {}
        for i, recipient in enumerate(item.recipients):
            if recipient.outcome is Outcome.WAITING and recipient.next_attempt <= now:
                route = self._settings.routes.to(recipient.address.domain)
                by_route.setdefault(route, []).append(i)
        try:
            await asyncio.gather(*(self._deliver(progress, route, at) for route, at in by_route.items()))
        except Exception as error:
            # A bug of ours must not end the queue runner; the item is due still, at the next poll.
            self._note("delivery failed", item, kind=type(error).__name__)
        finally:
            self._working.pop(item.item_id, None)
            self._give_back(progress.item)

    def _give_back(self, item: Item) -> None:
        try:
            self._spool.release(item)
        except MailError as error:
            # The claim then lasts until this process ends, which is when the spool forgets it.
            self._note("not released", item, kind=type(error).__name__)

    async def _deliver(self, progress: _Progress, route: Route | None, at: Sequence[int]) -> None:
        item = progress.item
        addresses = [item.recipients[i].address for i in at]
        content = b""

        async def read() -> bytes:
            nonlocal content
            content = await self._spool.content(item)
            return content

        answers: Iterable[Answer]
        if route is None:
            answers = [Answer("5.4.4", "there is no route to that domain")] * len(at)
        else:
            try:
                answers = await self._lane(route).send(item.sender, addresses, read)
            except Damaged:
                answers = [Answer("5.3.0", "the queued message is damaged")] * len(at)
                self._note("damaged", item)
            except MailError:
                answers = [Answer("4.3.0", "temporary failure in the gateway")] * len(at)
        await self._settle(progress, dict(zip(at, answers, strict=True)), content)

    async def _settle(self, progress: _Progress, answers: Mapping[int, Answer], content: bytes) -> None:
        """Record, bounce, record: in the order that the module's docstring gives."""
        now = int(self._clock())
        item = progress.item
        judged = {i: self._judge(item, item.recipients[i], answer, now) for i, answer in answers.items()}
        failed = {i: r for i, r in judged.items() if r.outcome is Outcome.FAILED}
        await progress.record({i: r for i, r in judged.items() if i not in failed})
        for recipient in judged.values():
            self._note(_EVENTS[recipient.outcome], item, status=recipient.status)
        if not failed:
            return
        # RFC 5321 section 4.5.5: never a notification about a notification (mail loops).
        if item.sender and item.account_id:
            report = notification(
                self._settings.reporter, item, list(failed.values()), content, now=now, token=self._token()
            )
            try:
                await self._returns.bounce(item.account_id, report)
            except MailError as error:
                self._note("bounce put off", item, kind=type(error).__name__)
                waiting = Outcome.WAITING
                later = {
                    i: replace(r, outcome=waiting, next_attempt=now + _AGAIN) for i, r in failed.items()
                }
                await progress.record(later)
                return
            self._note("bounced", item, recipients=len(failed))
        await progress.record(failed)

    def _judge(self, item: Item, recipient: Recipient, answer: Answer, now: int) -> Recipient:
        attempts = recipient.attempts + 1
        outcome, due = Outcome.WAITING, recipient.next_attempt
        if answer.accepted:
            outcome = Outcome.DELIVERED
        elif answer.permanent:
            outcome = Outcome.FAILED
        else:
            schedule = self._settings.schedule
            later = next_attempt(attempts, item.queued_at, now, self._chance(), schedule)
            outcome, due = (Outcome.FAILED, due) if later is None else (Outcome.WAITING, later)
        return replace(
            recipient,
            outcome=outcome,
            attempts=attempts,
            next_attempt=due,
            status=answer.status,
            diagnostic=answer.words,
            remote=answer.remote,
        )

    def _lane(self, route: Route) -> Lane:
        if route not in self._lanes:
            settings = self._settings

            def connect() -> Connection:
                return Connection(route, settings.reporter.hostname, settings.timeouts)

            now = asyncio.get_running_loop().time
            self._lanes[route] = Lane(connect, settings.connections, now)
        return self._lanes[route]

    def _note(self, event: str, item: Item, **facts: str | int) -> None:
        self._journal.note(event, item.account_id, item=item.item_id, **facts)


_EVENTS = {Outcome.DELIVERED: "relayed", Outcome.WAITING: "deferred", Outcome.FAILED: "undeliverable"}
