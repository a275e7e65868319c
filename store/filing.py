"""APPEND and the gateway's own Sent copy: sealed, durable, in the index, in that order.

Apart because it is the second way in beside delivery, with the account's key at hand and
another order of steps: file in tmp/, row, rename to cur/. So a file in tmp/ without a row was
never acknowledged, and a file in cur/ always has a row. A member's client sends the content.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from functools import partial

from keys.bulk import BULK_OCTETS
from mail.errors import Unavailable
from mail.mailbox import Copied, Flags, Folder
from store import index_intake, summaries
from store.blobs import BlobName, LockedFile, new_unique, ours, sync_directory
from store.index import writing
from store.index_entries import canonical_flags, flags_text
from store.index_folders import require
from store.index_intake import Arrival
from store.open_accounts import OpenAccount
from store.summaries import Material

SENT = "\\Sent"


async def file(
    shared: OpenAccount, folder: Folder, content: bytes, flags: Flags, internal_date: int | None
) -> Copied:
    """Durable on return. Refusal(NO_SUCH_FOLDER | LIMIT); Unavailable, with nothing filed."""
    filing = _Filing(shared, folder, flags, internal_date)
    if len(content) < BULK_OCTETS:
        return await asyncio.to_thread(filing.small, content)
    return await filing.large(content)


class _Filing:
    """One message on its way into one folder."""

    def __init__(
        self, shared: OpenAccount, folder: Folder, flags: Flags, internal_date: int | None
    ) -> None:
        self._shared = shared
        self._db = shared.db
        self._folder = require(shared.db, folder)
        self._flags = flags
        self._internal_date = internal_date
        self._now = shared.around.clock()

    def small(self, content: bytes) -> Copied:
        """On a thread, start to end."""
        material = self._material(content)
        existing = self._already_sent(material)
        if existing is not None:
            return existing
        name = self._name(material)
        with ours():
            locked = self._claim(name)
            try:
                locked.write(self._shared.keys.certificate.seal(content))
                return self._commit(name, material, locked)
            except BaseException:
                locked.drop()
                raise

    async def large(self, content: bytes) -> Copied:
        """The sealing by the child process, the rest on threads."""
        material = await asyncio.to_thread(self._material, content)
        existing = self._already_sent(material)
        if existing is not None:
            return existing
        name = self._name(material)
        with ours():
            locked = self._claim(name)
            try:
                keys = self._shared.keys
                await self._shared.around.bulk.seal(content, keys.certificate, locked.descriptor)
                await asyncio.to_thread(os.fsync, locked.descriptor)
                return await asyncio.to_thread(partial(self._commit, name, material, locked))
            except BaseException:
                locked.drop()
                raise

    def _commit(self, name: BlobName, material: Material, locked: LockedFile) -> Copied:
        """Rows, then the rename; from the transaction's end on the message is filed."""
        directory = self._shared.directory
        sync_directory(directory.tmp)
        with writing(self._db) as mod_seq:
            current = require(self._db, self._folder)
            # Again, now that nobody else can write: a client and the gateway file one Sent
            # copy each at the same moment, perhaps in two processes.
            existing = self._already_sent(material)
            if existing is None:
                flags = flags_text(canonical_flags(self._db, self._flags))
                date = self._now if self._internal_date is None else self._internal_date
                arrival = Arrival(name, material, date, flags)
                uids = index_intake.add(self._db, mod_seq, current.folder_id, [arrival], self._now)
        if existing is not None:
            locked.drop()
            return existing
        # Filed. Should the rename fail, the next look at the message or the account mends it.
        with suppress(Unavailable):
            directory.settle(name, locked.path)
        locked.let_go()
        return Copied(current.uid_validity, (), tuple(uids))

    def _material(self, content: bytes) -> Material:
        return summaries.material(self._shared.around.summarise(content), content)

    def _already_sent(self, material: Material) -> Copied | None:
        """Clients file a copy of what the gateway has filed already; one is enough."""
        if self._folder.special_use != SENT:
            return None
        uid = index_intake.uid_of_message_id(self._db, self._folder, material.message_id, self._now)
        return None if uid is None else Copied(self._folder.uid_validity, (), (uid,))

    def _name(self, material: Material) -> BlobName:
        """The expiry counts from now, never from what the client says (P13), and what was here
        before keeps the one that it had."""
        expires = self._shared.around.expiry(self._shared.account_id, self._folder, self._now)
        earlier = index_intake.earlier_expiry(self._db, material.digest, self._now)
        if earlier is not None:
            expires = min(expires, earlier)
        return BlobName(self._now, new_unique(), expires, material.size)

    def _claim(self, name: BlobName) -> LockedFile:
        locked = LockedFile.claim(f"{self._shared.directory.tmp}/{name}")
        if locked is None:
            raise AssertionError("a random name was taken")
        return locked
