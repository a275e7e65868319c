"""The way to one next hop: a few connections, each used for message after message.

Apart because it bounds what one destination can cost us: `width` connections and as many
messages in memory, however many wait. A next hop that hangs holds up its own lane only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from mail.address import Address
from smtp_out.answer import Answer
from smtp_out.attempt import Connection


class Lane:
    """Turns are given in the order of asking. `now` is a monotonic clock in seconds."""

    def __init__(self, connect: Callable[[], Connection], width: int, now: Callable[[], float]) -> None:
        self._connect = connect
        self._turn = asyncio.Semaphore(width)
        self._now = now
        self._idle: list[tuple[float, Connection]] = []  # since when; last used at the end

    async def send(
        self, sender: str, recipients: Sequence[Address], read: Callable[[], Awaitable[bytes]]
    ) -> list[Answer]:
        """Wait for a turn, read the message, hand it over; what `read` raises passes through."""
        async with self._turn:
            content = await read()
            connection = self._idle.pop()[1] if self._idle else self._connect()
            try:
                return await connection.send(sender, recipients, content)
            finally:
                self._idle.append((self._now(), connection))

    async def close(self, idle_for: float = 0.0) -> None:
        """QUIT the connections that were not used for so many seconds."""
        limit = self._now() - idle_for
        stale = [connection for since, connection in self._idle if since <= limit]
        self._idle = [(since, connection) for since, connection in self._idle if since > limit]
        await asyncio.gather(*(connection.close() for connection in stale))
