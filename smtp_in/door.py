"""A listening door: makes a conversation per connection, and ends them all for a shutdown.

Apart because both doors are this, with another clerk. No bytes are parsed here.
"""

from __future__ import annotations

import asyncio
from weakref import WeakSet

from smtp_in.clerk import House
from smtp_in.connection import Connection
from smtp_in.conversation import Conversation


class Door:
    """`loop.create_server(door.protocol, sock=..., ssl=...)`."""

    def __init__(self, house: House) -> None:
        self.house = house
        self._open: WeakSet[Connection] = WeakSet()

    def protocol(self) -> asyncio.Protocol:
        """A new conversation; call it in the running loop that serves it."""
        conversation = Conversation(self.house, asyncio.get_running_loop())
        self._open.add(conversation)
        return conversation

    async def drain(self, seconds: float) -> None:
        """Let messages under way come to their end for so long, then cut off. Close the listening
        socket first."""
        for conversation in list(self._open):
            conversation.dismiss()
        unfinished = [work for conversation in self._open for work in conversation.unfinished()]
        if unfinished:
            await asyncio.wait(unfinished, timeout=seconds)
        for conversation in list(self._open):
            conversation.cut_off()
