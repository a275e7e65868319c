"""The timers' process: the retention tick and the outbound queue.

Apart because one process is enough for them, and a stalled next hop or a long sweep must not hold up
anybody's mailbox. What remote servers answer comes in here, and is `smtp_out`'s to read.
"""

from __future__ import annotations

import asyncio
import random
import secrets

from gateway import logs, sweeping, terms
from gateway.child import Child
from gateway.desk import Returns
from gateway.house import COURIER, House
from gateway.journal import Journal
from gateway.ledger import now
from mail.errors import MailError
from smtp_out.bounce import Reporter
from smtp_out.courier import Courier
from smtp_out.courier import Settings as CourierSettings


async def _serve(child: Child) -> None:
    loop = asyncio.get_running_loop()
    settings = child.settings()
    house = House.open(settings, loop)
    ended = asyncio.Event()
    child.attend(loop, ended.set)
    courier = _courier(house)
    working = asyncio.create_task(courier.run())
    ticking = asyncio.create_task(_tick(house, settings.retention.tick_minutes * 60))
    stop_listening = house.bus.listen(COURIER, courier.wake)
    house.ledger.audit.note("started", "", process="timers")
    child.ready()
    # If the courier ends by itself, that is a bug: the process ends too, and is started anew.
    await asyncio.wait((working, asyncio.ensure_future(ended.wait())), return_when=asyncio.FIRST_COMPLETED)
    ticking.cancel()
    stop_listening()
    courier.stop(settings.processes.drain_seconds)
    await working
    house.ledger.audit.note("stopped", "", process="timers")
    await house.close()


def _courier(house: House) -> Courier:
    mine = terms.identity(house.settings)
    settings = CourierSettings(terms.routes(house.settings), Reporter(mine.hostname, mine.contact))
    return Courier(
        settings,
        house.spool,
        Returns(house),
        Journal(house.ledger.audit, "outbound"),
        clock=now,
        chance=random.random,
        token=lambda: secrets.token_hex(16),
    )


async def _tick(house: House, seconds: int) -> None:
    """A sweep that fails is told and tried again: reading refuses what is due in any case."""
    while True:
        try:
            report = await asyncio.to_thread(sweeping.sweep, house.ledger, now())
            logs.note("retention", removed=report.removed, held=report.held, failed=report.failed)
        except MailError as error:
            logs.failure("retention failed", error)
        await asyncio.sleep(seconds)


if __name__ == "__main__":
    this = Child.begin()
    asyncio.run(_serve(this))
