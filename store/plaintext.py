"""Opened messages, kept for a while: a client fetches a large message in many slices.

Apart because it is the only place where plaintext outlives a call. It is memory of this
process, bounded in octets for each account, and emptied with the account's last session.
"""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict

from keys.bulk import BULK_OCTETS, Bulk
from keys.sealing import Opener
from mail.errors import Damaged, Unavailable
from store.blobs import AccountDirectory, BlobName, ours, read_file

_ON_THE_LOOP = 64 * 1024
"""Up to this size opening costs less (0.1 ms) than going to a thread and back."""


class Plaintext:
    """One account's opened messages, least recently used first out."""

    def __init__(self, directory: AccountDirectory, opener: Opener, bulk: Bulk, budget: int) -> None:
        """`budget` is in octets; one message above it is served but not kept."""
        self._directory = directory
        self._opener = opener
        self._bulk = bulk
        self._budget = budget
        self._held = 0
        self._contents: OrderedDict[BlobName, bytes] = OrderedDict()
        self._opening: dict[BlobName, asyncio.Future[bytes]] = {}

    async def content(self, name: BlobName) -> bytes:
        """The message. Damaged when it fails its integrity check or has not the size that its
        name says; Unavailable when the file is missing or cannot be read."""
        known = self._contents.get(name)
        if known is not None:
            self._contents.move_to_end(name)
            return known
        if name.size <= _ON_THE_LOOP:
            return self._keep(name, self._read(name))
        # Several sessions may want the same large message at once: it is opened once.
        opening = self._opening.get(name)
        if opening is None:
            opening = asyncio.ensure_future(self._open_large(name))
            self._opening[name] = opening
            opening.add_done_callback(lambda _done: self._opening.pop(name, None))
        return await asyncio.shield(opening)

    def clear(self) -> None:
        """Drop everything."""
        self._contents.clear()
        self._held = self._budget = 0

    async def _open_large(self, name: BlobName) -> bytes:
        if name.size < BULK_OCTETS:
            return self._keep(name, await asyncio.to_thread(self._read, name))
        path = self._path(name)
        with ours():
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            content = await self._bulk.open(descriptor, self._opener)
        finally:
            os.close(descriptor)
        return self._keep(name, _checked(name, content))

    def _read(self, name: BlobName) -> bytes:
        try:
            sealed = read_file(self._directory.place(name))
        except FileNotFoundError:
            with ours():
                sealed = read_file(self._path(name))
        except OSError as error:
            raise Unavailable from error
        return _checked(name, self._opener.open(sealed))

    def _path(self, name: BlobName) -> str:
        path = self._directory.find(name)
        if path is None:
            raise Unavailable
        return path

    def _keep(self, name: BlobName, content: bytes) -> bytes:
        if len(content) <= self._budget and name not in self._contents:
            self._contents[name] = content
            self._held += len(content)
            while self._held > self._budget:
                _, dropped = self._contents.popitem(last=False)
                self._held -= len(dropped)
        return content


def _checked(name: BlobName, content: bytes) -> bytes:
    """Two sealed files may have been swapped by whoever can write to the disk; the size is
    what a name binds."""
    if len(content) != name.size:
        raise Damaged("a message has not the size that its name says")
    return content
