from __future__ import annotations

import asyncio
import email
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.sink import Settings as SinkSettings
from gateway.sink import start
from mail.errors import Damaged, Unavailable
from mail.outbound import Item, Outcome
from policy.retry import Schedule
from smtp_out.attempt import Timeouts
from smtp_out.bounce import Reporter
from smtp_out.courier import Courier, Settings
from smtp_out.routes import Route, Routes, Tls
from tests.smtp_out.peers import HANG, Inbox, MemorySpool, Notes, Script, item, target

MESSAGE = b"From: ann@acme.test\r\nMessage-ID: <one@acme.test>\r\nSubject: canary\r\n\r\nOne line.\r\n"
REPORTER = Reporter("gateway.test", "support")


async def eventually(true: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - nobody signals what is waited for here
            await asyncio.sleep(0.002)


class Bench:
    """A courier with everything round it; `now` is its clock."""

    def __init__(self, port: int, **settings: object) -> None:
        self.spool, self.inbox, self.notes = MemorySpool(), Inbox(), Notes()
        self.now = 1000.0
        routes = Routes(Route("127.0.0.1", port, Tls.NONE))
        timeouts = Timeouts(connect=2, command=2, data=2)
        values = {"routes": routes, "reporter": REPORTER, "timeouts": timeouts, "poll": 0.05, **settings}
        self.courier = Courier(
            Settings(**values),  # type: ignore[arg-type]
            self.spool,
            self.inbox,
            self.notes,
            clock=lambda: self.now,
            chance=lambda: 0.0,
            token=lambda: "0" * 32,
        )

    async def until(self, true: Callable[[], object]) -> None:
        """Run the courier until something is so, then stop it."""
        running = asyncio.ensure_future(self.courier.run())
        try:
            await eventually(lambda: running.done() or true())
        finally:
            self.courier.stop(grace=5)
            await running


def against(script: Script, play: Callable[[Script], Coroutine[None, None, Bench]]) -> Bench:
    async def run() -> Bench:
        async with target(script):
            return await play(script)

    return asyncio.run(run())


def deliver(script: Script, of: Item, done: Callable[[Bench], object], **settings: object) -> Bench:
    async def play(script: Script) -> Bench:
        bench = Bench(script.port, **settings)
        bench.spool.put(of, MESSAGE)
        await bench.until(lambda: done(bench))
        return bench

    return against(script, play)


def gone(bench: Bench) -> bool:
    return not bench.spool.items


def test_mail_leaves_and_the_item_with_it() -> None:
    script = Script()
    bench = deliver(script, item("claims@example-health.test"), gone)
    assert script.messages == [MESSAGE]
    assert bench.spool.released == ["i1"]
    assert bench.notes.lines == [("relayed", "a" * 32, {"item": "i1", "status": "2.0.0"})]
    assert bench.inbox.bounces == []


def test_a_refusal_comes_back_before_it_is_recorded() -> None:
    recorded: list[int] = []

    async def play(script: Script) -> Bench:
        bench = Bench(script.port)
        bench.spool.put(item("a@x.test", "b@x.test"), MESSAGE)
        bench.inbox.before = lambda: recorded.append(len(bench.spool.records))
        await bench.until(lambda: gone(bench))
        return bench

    bench = against(Script({"RCPT b@x.test": "550 5.1.1 no such user"}), play)
    # One record was made before the bounce: the delivered one, with the refused one waiting still.
    assert recorded == [1]
    assert [r.outcome for r in bench.spool.records[0].recipients] == [Outcome.DELIVERED, Outcome.WAITING]
    assert [r.outcome for r in bench.spool.records[1].recipients] == [Outcome.DELIVERED, Outcome.FAILED]
    ((account_id, report),) = bench.inbox.bounces
    assert account_id == "a" * 32
    status = list(email.message_from_bytes(report).walk())[2:5]
    assert [g["Final-Recipient"] for g in status if g["Final-Recipient"]] == ["rfc822; b@x.test"]
    assert bench.notes.events() == ["relayed", "undeliverable", "bounced"]


def test_no_note_names_an_address() -> None:
    bench = deliver(Script({"RCPT": "550 5.1.1 <a@x.test> unknown"}), item("a@x.test"), gone)
    assert "@" not in repr(bench.notes.lines)


@pytest.mark.parametrize("sender", ["", "ann@acme.test"])
def test_a_null_sender_is_never_bounced_to(sender: str) -> None:
    script = Script({"RCPT": "550 5.1.1 no"})
    bench = deliver(script, item("a@x.test", sender=sender), gone)
    assert len(bench.inbox.bounces) == (1 if sender else 0)
    assert bench.notes.events()[0] == "undeliverable"


def test_without_an_account_there_is_nobody_to_tell() -> None:
    bench = deliver(Script({"RCPT": "550 no"}), replace(item("a@x.test"), account_id=""), gone)
    assert bench.inbox.bounces == []


def test_a_temporary_answer_waits_for_the_schedules_time() -> None:
    async def play(script: Script) -> Bench:
        bench = Bench(script.port)
        bench.spool.put(item("a@x.test", "b@x.test", queued_at=1000), MESSAGE)
        await bench.until(lambda: bench.spool.released)
        return bench

    bench = against(Script({"RCPT b@x.test": "450 4.2.1 busy"}), play)
    a, b = bench.spool.items["i1"].recipients
    assert a.outcome is Outcome.DELIVERED
    assert (b.outcome, b.attempts, b.next_attempt, b.status) == (Outcome.WAITING, 1, 1060, "4.2.1")
    assert (b.diagnostic, b.remote) == ("450 4.2.1 busy", "127.0.0.1")


def test_only_what_waits_is_sent_again_when_it_is_due() -> None:
    async def play(script: Script) -> Bench:
        bench = Bench(script.port)
        bench.spool.put(item("a@x.test", "b@x.test", queued_at=1000), MESSAGE)

        def busy_no_more() -> bool:
            if bench.spool.released and bench.now == 1000:
                script.replies.clear()
                bench.now = 1060.0
            return gone(bench)

        await bench.until(busy_no_more)
        return bench

    script = Script({"RCPT b@x.test": "450 4.2.1 busy"})
    against(script, play)
    assert [t for t in script.transcript if t.startswith("RCPT")] == [
        "RCPT TO:<a@x.test>",
        "RCPT TO:<b@x.test>",
        "RCPT TO:<b@x.test>",
    ]


def test_at_the_end_of_the_schedule_it_is_given_up_and_told() -> None:
    bench = deliver(
        Script({"END": "451 4.3.0 later"}), item("a@x.test"), gone, schedule=Schedule(give_up_after=1000)
    )
    ((_, report),) = bench.inbox.bounces
    assert b"Status: 4.3.0\r\n" in report
    assert b"It was tried 1 times" in report


def test_a_recipient_without_a_route_comes_back() -> None:
    bench = deliver(Script(), item("a@x.test"), gone, routes=Routes())
    assert b"Status: 5.4.4" in bench.inbox.bounces[0][1]


def test_each_domain_goes_its_own_way_and_one_that_hangs_holds_up_no_other() -> None:
    async def run() -> tuple[Script, Bench]:
        async with target(Script({"GREETING": HANG})) as stuck, target(Script()) as quick:
            bench = Bench(0)
            there, here = (Route("127.0.0.1", s.port, Tls.NONE) for s in (stuck, quick))
            routes = Routes(here, {"stuck.test": there})
            bench.courier._settings = replace(bench.courier._settings, routes=routes)
            bench.spool.put(item("a@stuck.test", "b@x.test"), MESSAGE)
            for i in range(5):
                bench.spool.put(item("a@x.test", item_id=f"j{i}"), MESSAGE)
            started = time.monotonic()
            running = asyncio.ensure_future(bench.courier.run())
            await eventually(lambda: len(quick.messages) == 6)
            assert time.monotonic() - started < 1
            # What is delivered is on record while the other next hop still hangs.
            (half,) = bench.spool.items.values()
            assert [r.outcome for r in half.recipients] == [Outcome.WAITING, Outcome.DELIVERED]
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            return quick, bench

    quick, bench = asyncio.run(run())
    assert quick.connections <= 2
    assert not bench.spool.claimed


def test_new_mail_leaves_at_once_when_the_courier_is_woken() -> None:
    async def play(script: Script) -> Bench:
        bench = Bench(script.port, poll=60.0)
        running = asyncio.ensure_future(bench.courier.run())
        await asyncio.sleep(0.1)
        bench.spool.put(item("a@x.test"), MESSAGE)
        woken = time.monotonic()
        bench.courier.wake()
        await eventually(lambda: script.messages)
        assert time.monotonic() - woken < 0.5  # ordinarily 5 ms; the machine may be busy
        bench.courier.stop(grace=5)
        await running
        return bench

    against(Script(), play)


def test_one_connection_serves_many_items_and_is_closed_when_idle() -> None:
    async def play(script: Script) -> Bench:
        bench = Bench(script.port, connections=1, idle=0.05)
        for i in range(20):
            bench.spool.put(item("a@x.test", item_id=f"i{i}"), MESSAGE)
        await bench.until(lambda: "QUIT" in script.transcript)
        return bench

    script = Script()
    assert gone(against(script, play))
    assert (len(script.messages), script.connections) == (20, 1)


def test_a_bounce_that_cannot_be_stored_keeps_the_recipient_waiting() -> None:
    async def play(script: Script) -> Bench:
        bench = Bench(script.port)
        bench.spool.put(item("a@x.test"), MESSAGE)
        bench.inbox.failure = Unavailable()

        def mended() -> bool:
            if bench.spool.released and bench.inbox.failure:
                (waiting,) = bench.spool.items["i1"].recipients
                assert (waiting.outcome, waiting.next_attempt) == (Outcome.WAITING, 1060)
                bench.inbox.failure, bench.now = None, 1060.0
            return gone(bench)

        await bench.until(mended)
        return bench

    bench = against(Script({"RCPT": "550 5.1.1 no"}), play)
    assert len(bench.inbox.bounces) == 1
    assert "bounce put off" in bench.notes.events()


def test_a_spool_that_cannot_record_makes_nobody_get_the_mail_twice() -> None:
    async def play(script: Script) -> Bench:
        bench = Bench(script.port)
        bench.spool.put(item("a@x.test"), MESSAGE)
        bench.spool.failures = 3
        await bench.until(lambda: gone(bench))
        return bench

    script = Script()
    against(script, play)
    assert len(script.messages) == 1


def test_a_damaged_message_comes_back_without_its_text() -> None:
    async def play(script: Script) -> Bench:
        bench = Bench(script.port)
        bench.spool.put(item("a@x.test"), MESSAGE)
        bench.spool.unreadable = Damaged("the seal is broken")
        await bench.until(lambda: gone(bench))
        return bench

    bench = against(Script(), play)
    assert b"Status: 5.3.0" in bench.inbox.bounces[0][1]
    assert b"the seal" not in bench.inbox.bounces[0][1]
    assert bench.notes.events() == ["damaged", "undeliverable", "bounced"]


@pytest.mark.parametrize(
    ("failure", "event"), [(Unavailable(), "deferred"), (RuntimeError("canary"), "delivery failed")]
)
def test_a_fault_of_ours_loses_nothing_and_stops_nothing(failure: Exception, event: str) -> None:
    async def play(script: Script) -> Bench:
        bench = Bench(script.port)
        bench.spool.put(item("a@x.test"), MESSAGE)
        bench.spool.unreadable = failure

        def mended() -> bool:
            if bench.spool.released and bench.spool.unreadable:
                bench.spool.unreadable, bench.now = None, 2000.0
            return gone(bench)

        await bench.until(mended)
        return bench

    script = Script()
    bench = against(script, play)
    assert script.messages == [MESSAGE]
    assert bench.notes.events() == [event, "relayed"]
    assert "canary" not in repr(bench.notes.lines)


def test_a_spool_that_is_away_is_asked_again() -> None:
    async def play(script: Script) -> Bench:
        bench = Bench(script.port)
        due, bench.spool.due = bench.spool.due, lambda now: (_ for _ in ()).throw(Unavailable())  # type: ignore

        def back() -> bool:
            if "spool unavailable" in bench.notes.events():
                bench.spool.due = due  # type: ignore[method-assign]
            return gone(bench) and bool(script.messages)

        bench.spool.put(item("a@x.test"), MESSAGE)
        await bench.until(back)
        return bench

    against(Script(), play)


def test_stopping_lets_what_is_under_way_finish_and_gives_the_rest_back() -> None:
    async def run() -> tuple[Bench, Script]:
        script = Script({"END": HANG})
        async with target(script):
            bench = Bench(script.port, connections=1)
            for i in range(3):
                bench.spool.put(item("a@x.test", item_id=f"i{i}"), MESSAGE)
            running = asyncio.ensure_future(bench.courier.run())
            await eventually(lambda: script.messages)
            bench.courier.stop(grace=0.1)
            await running
            return bench, script

    bench, script = asyncio.run(run())
    assert (len(script.messages), len(bench.spool.items)) == (1, 3)
    assert not bench.spool.claimed
    assert len(bench.spool.released) == 3


def test_into_the_demos_own_sink(tmp_path: Path) -> None:
    async def run() -> Bench:
        sink = SinkSettings(tmp_path, "example-health.test", frozenset({"claims@example-health.test"}))
        server = await start(sink)
        bench = Bench(server.sockets[0].getsockname()[1])
        bench.spool.put(item("claims@example-health.test", "nobody@example-health.test"), MESSAGE)
        await bench.until(lambda: gone(bench))
        server.close()
        return bench

    bench = asyncio.run(run())
    (kept,) = (tmp_path / "new").iterdir()
    assert kept.read_bytes().endswith(b"X-Envelope-To: <claims@example-health.test>\r\n" + MESSAGE)
    assert b"550 5.1.1 No such mailbox here" in bench.inbox.bounces[0][1]
