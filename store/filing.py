"""APPEND and the gateway's own Sent copy: sealed, durable, in the index, in that order.

Apart because it is the second way in beside delivery, with the account's key at hand and
another order of steps: file in tmp/, row, rename to cur/. So a file in tmp/ without a row was
never acknowledged, and a file in cur/ always has a row. A member's client sends the content.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from keys.bulk import BULK_OCTETS
from mail.errors import Unavailable
from mail.mailbox import Copied, Flags, Folder, Upload
from store import index_intake, index_sent, summaries
from store.blobs import BlobName, LockedFile, new_unique, ours, sync_directory
from store.index import writing
from store.index_entries import canonical_flags, flags_text
from store.index_folders import require
from store.index_intake import Arrival
from store.index_sent import By
from store.open_accounts import OpenAccount
from store.summaries import Material

SENT = "\\Sent"


class Filed(NamedTuple):
    """Where a message lies; `new` unless it is one that lay there before (`index_sent`)."""

    copied: Copied
    new: bool


async def file(
    shared: OpenAccount,
    folder: Folder,
    content: bytes,
    flags: Flags,
    internal_date: int | None,
    *,
    by: By = By.CLIENT,
) -> Filed:
    """Durable on return. Refusal(NO_SUCH_FOLDER | LIMIT); Unavailable, with nothing filed."""
    filing = _Filing(shared, folder, flags, internal_date, by)
    if len(content) < BULK_OCTETS:
        return await asyncio.to_thread(filing.small, content)
    return await filing.large(content)


async def file_all(shared: OpenAccount, folder: Folder, uploads: Sequence[Upload]) -> Copied:
    """Several of a client's, in one transaction: all are durable on return, or none is filed
    (RFC 3502). Refusal(NO_SUCH_FOLDER | LIMIT), Unavailable."""
    sealed: list[tuple[_Filing, _Sealed]] = []
    try:
        for upload in uploads:
            filing = _Filing(shared, folder, upload.flags, upload.internal_date, By.CLIENT)
            sealed.append((filing, await filing.seal(upload.content)))
    except BaseException:
        for _, one in sealed:
            one.locked.drop()
        raise
    return await asyncio.to_thread(_commit_all, shared, folder, sealed)


def _commit_all(shared: OpenAccount, folder: Folder, sealed: Sequence[tuple[_Filing, _Sealed]]) -> Copied:
    """Drops the files itself, and only while no row names them: who waits for this thread may be
    ended while it goes on, and must not take a file from under its row."""
    with ours():
        try:
            sync_directory(shared.directory.tmp)
            with writing(shared.db) as mod_seq:
                validity = require(shared.db, folder).uid_validity
                filed = [filing.rows(mod_seq, one) for filing, one in sealed]
        except BaseException:
            for _, one in sealed:
                one.locked.drop()
            raise
        for (filing, one), done in zip(sealed, filed, strict=True):
            filing.settle(one, done)
    return Copied(validity, (), [done.copied.target_uids[0] for done in filed])


class _Sealed(NamedTuple):
    """A message in tmp/ that no row names yet."""

    name: BlobName
    material: Material
    locked: LockedFile


class _Filing:
    """One message on its way into one folder."""

    def __init__(
        self, shared: OpenAccount, folder: Folder, flags: Flags, internal_date: int | None, by: By
    ) -> None:
        self._shared = shared
        self._db = shared.db
        self._folder = require(shared.db, folder)
        self._flags = flags
        self._internal_date = internal_date
        self._by = by
        self._now = shared.now()

    def small(self, content: bytes) -> Filed:
        """On a thread, start to end."""
        material = self._material(content)
        lying = self._lying(material)
        if lying is not None:
            return lying
        return self._commit(self._seal(material, content))

    async def large(self, content: bytes) -> Filed:
        """The sealing by the child process, the rest on threads, both at the same time: but in
        Sent, where what lies there may make the sealing needless."""
        reading = self._reading(content)
        if self._folder.special_use == SENT:
            lying = await asyncio.to_thread(self._lying, await reading)
            if lying is not None:
                return lying
        return await asyncio.to_thread(self._commit, await self._seal_large(reading, content))

    async def seal(self, content: bytes) -> _Sealed:
        """Into tmp/, durable but for the directory; no row."""
        reading = self._reading(content)
        if len(content) < BULK_OCTETS:
            return await asyncio.to_thread(self._seal, await reading, content)
        return await self._seal_large(reading, content)

    def _reading(self, content: bytes) -> asyncio.Future[Material]:
        return asyncio.ensure_future(asyncio.to_thread(self._material, content))

    def rows(self, mod_seq: int, sealed: _Sealed) -> Filed:
        """Within the caller's transaction; from its end on the message is filed."""
        name, material, _ = sealed
        current = require(self._db, self._folder)
        # A sweep ahead of the clock came since the name was made: what every index takes for
        # gone must not be acknowledged.
        if self._shared.marks.current().gone(name, self._now):
            raise Unavailable
        # Again, now that nobody else can write: a client and the gateway file one Sent
        # copy each at the same moment, perhaps in two processes.
        uids = self._join(mod_seq, current, material)
        new = not uids
        if new:
            flags = flags_text(canonical_flags(self._db, self._flags))
            date = self._now if self._internal_date is None else self._internal_date
            arrival = Arrival(name, material, date, flags)
            uids = index_intake.add(self._db, mod_seq, current.folder_id, [arrival], self._now)
            if current.special_use == SENT:
                index_sent.note(self._db, str(name), material, self._now, self._by)
        return Filed(Copied(current.uid_validity, (), tuple(uids)), new)

    def settle(self, sealed: _Sealed, filed: Filed) -> None:
        """The rename, after the transaction; what is not new goes."""
        if not filed.new:
            sealed.locked.drop()
            return
        # Filed. Should the rename fail, the next look at the message or the account mends it.
        with suppress(Unavailable):
            self._shared.directory.settle(sealed.name, sealed.locked.path)
        sealed.locked.let_go()

    def _commit(self, sealed: _Sealed) -> Filed:
        """As `_commit_all`, for one."""
        with ours():
            try:
                sync_directory(self._shared.directory.tmp)
                with writing(self._db) as mod_seq:
                    filed = self.rows(mod_seq, sealed)
            except BaseException:
                sealed.locked.drop()
                raise
            self.settle(sealed, filed)
            return filed

    def _seal(self, material: Material, content: bytes) -> _Sealed:
        name = self._name(material)
        with ours():
            locked = self._claim(name)
            try:
                locked.write(self._shared.keys.certificate.seal(content))
            except BaseException:
                locked.drop()
                raise
        return _Sealed(name, material, locked)

    async def _seal_large(self, reading: asyncio.Future[Material], content: bytes) -> _Sealed:
        with ours():
            locked = self._claim(BlobName(self._now, new_unique(), self._expires(), len(content)))
            try:
                keys = self._shared.keys
                await self._shared.around.bulk.seal(content, keys.certificate, locked.descriptor)
                await asyncio.to_thread(os.fsync, locked.descriptor)
                material = await reading
                name = self._name(material)
                locked.rename(f"{self._shared.directory.tmp}/{name}")
            except BaseException:
                reading.cancel()
                locked.drop()
                raise
        return _Sealed(name, material, locked)

    def _material(self, content: bytes) -> Material:
        return summaries.material(self._shared.around.summarise(content), content)

    def _lying(self, material: Material) -> Filed | None:
        """Before anything is sealed or written, when that may be for nothing."""
        if self._twin(material) is None:
            return None
        with writing(self._db) as mod_seq:
            current = require(self._db, self._folder)
            uids = self._join(mod_seq, current, material)
        return Filed(Copied(current.uid_validity, (), tuple(uids)), False) if uids else None

    def _join(self, mod_seq: int, current: Folder, material: Material) -> list[int]:
        """The copy that makes this one needless, if there is one. In a transaction."""
        uid = self._twin(material)
        if uid is None:
            return []
        if self._by is By.CLIENT:
            index_sent.claim(self._db, mod_seq, current, uid, canonical_flags(self._db, self._flags))
        return [uid]

    def _twin(self, material: Material) -> int | None:
        if self._folder.special_use != SENT:
            return None
        return index_sent.twin(self._db, self._folder, material, self._now, self._by)

    def _name(self, material: Material) -> BlobName:
        """The expiry counts from now, never from what the client says (P13), and what was here
        before keeps the one that it had."""
        expires = self._expires()
        earlier = index_intake.earlier_expiry(self._db, material.digest, self._now)
        if earlier is not None:
            expires = min(expires, earlier)
        return BlobName(self._now, new_unique(), expires, material.size)

    def _expires(self) -> int:
        return self._shared.around.expiry(self._shared.account_id, self._folder, self._now)

    def _claim(self, name: BlobName) -> LockedFile:
        locked = LockedFile.claim(f"{self._shared.directory.tmp}/{name}")
        if locked is None:
            raise AssertionError("a random name was taken")
        return locked
