"""Opened messages, kept for a while: a client fetches a large message in many slices.

Apart because it is the only place where plaintext outlives a call. It is memory of this
process, bounded in octets for all accounts together; an account's last session takes its
messages out.
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


class Contents:
    """The opened messages of a process, least recently used first out. A key holds the account's
    cache: one member's message never answers another's request (CVE-2025-30189)."""

    def __init__(self, budget: int = 128 << 20) -> None:
        """`budget` is in octets: room for the largest message that the doors take and some more.
        One message above it is served but not kept."""
        self._budget = budget
        self._held = 0
        self._contents: OrderedDict[tuple[Plaintext, BlobName], bytes] = OrderedDict()

    def get(self, owner: Plaintext, name: BlobName) -> bytes | None:
        """None when it has to be opened."""
        known = self._contents.get((owner, name))
        if known is not None:
            self._contents.move_to_end((owner, name))
        return known

    def keep(self, owner: Plaintext, name: BlobName, content: bytes) -> None:
        """For later; drops what was not used for longest."""
        if len(content) <= self._budget and (owner, name) not in self._contents:
            self._contents[owner, name] = content
            self._held += len(content)
            while self._held > self._budget:
                _, dropped = self._contents.popitem(last=False)
                self._held -= len(dropped)

    def drop(self, owner: Plaintext) -> None:
        """All of one account's."""
        for key in [key for key in self._contents if key[0] is owner]:
            self._held -= len(self._contents.pop(key))


class Plaintext:
    """One account's opened messages."""

    def __init__(self, directory: AccountDirectory, opener: Opener, bulk: Bulk, contents: Contents) -> None:
        self._directory = directory
        self._opener = opener
        self._bulk = bulk
        self._contents = contents
        self._closed = False
        self._opening: dict[BlobName, asyncio.Future[bytes]] = {}

    async def content(self, name: BlobName) -> bytes:
        """The message. Damaged when it fails its integrity check or has not the size that its
        name says; Unavailable when the file is missing or cannot be read."""
        known = self._contents.get(self, name)
        if known is not None:
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
        """Drop everything, and keep nothing that is being opened just now."""
        self._closed = True
        self._contents.drop(self)

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
        if not self._closed:
            self._contents.keep(self, name, content)
        return content


def _checked(name: BlobName, content: bytes) -> bytes:
    """Two sealed files may have been swapped by whoever can write to the disk; the size is
    what a name binds."""
    if len(content) != name.size:
        raise Damaged("a message has not the size that its name says")
    return content
