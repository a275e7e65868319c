"""Delivery without a reader's key: sealed, durable, in two phases, once.

Apart because "250 is said only after the encrypted message is durable" and "killed at any
step, nothing acknowledged is lost or doubled" are promises of this file alone. Any sender
can send the content; here it is only hashed, summarised and sealed, never interpreted.

1. `prepare` for each recipient: claim tmp/<unique>, write the sealed message, fsync, write
   the sealed summary. `unique` is an HMAC of who, from whom and what the peer sent, so that a
   repetition finds the marker of the delivery that it repeats.
2. `commit` for all: link to new/<name>, fsync new/. Now it is durable and visible.
3. The door writes 250 and calls `acknowledged`: the markers go.

A marker with two names whose process died says: stored, but the peer never heard (RFC 5321
section 4.1.1.4 makes it send again; section 6.1 wants no duplicate). Its repetition stores nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from keys.bulk import BULK_OCTETS, Bulk
from keys.sealing import Certificate
from mail.errors import MailError, Unavailable
from mail.secret import Secret
from mail.summary import Summarise
from store import summaries
from store.blobs import (
    SUMMARY,
    AccountDirectory,
    BlobName,
    LockedFile,
    discard,
    new_unique,
    ours,
    sync_directory,
    write_file,
)
from store.marks import MarksFile

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Destination:
    """One member's mailbox as delivery sees it. `expires` is in seconds since the epoch."""

    account_id: str
    certificate: bytes
    expires: int


@dataclass(slots=True)
class _Draft:
    """One recipient's copy on its way in."""

    directory: AccountDirectory
    name: BlobName
    marker: LockedFile
    stored: bool  # a repetition of what an earlier process stored
    linked: bool = False

    @property
    def target(self) -> str:
        return f"{self.directory.new}/{self.name}"


class Delivery:
    """The way into every member's new/. One per process; safe for many deliveries at once."""

    def __init__(
        self,
        root: Path,
        key: Secret,
        bulk: Bulk,
        *,
        summarise: Summarise,
        tell: Callable[[str], None],
        clock: Callable[[], int],
        lanes: int = 16,
    ) -> None:
        """`key` is the derived DELIVERY key; `tell` is `Bus.tell`; `lanes` bounds how many
        write and fsync at the same time."""
        self._root = root
        self._key = key
        self._bulk = bulk
        self._summarise = summarise
        self._tell = tell
        self._clock = clock
        self._lanes = ThreadPoolExecutor(lanes, "delivery")
        self._marks = MarksFile(root)
        self._certificates: dict[bytes, Certificate] = {}

    def close(self) -> None:
        """Wait for what is being written; idempotent."""
        self._lanes.shutdown()

    async def deliver(
        self, to: Sequence[Destination], return_path: str, content: bytes, trace: bytes = b""
    ) -> Receipt:
        """`prepare` and `commit` in one."""
        return await (await self.prepare(to, return_path, content, trace)).commit()

    async def prepare(
        self,
        to: Sequence[Destination],
        return_path: str,
        content: bytes,
        trace: bytes = b"",
        *,
        fingerprint: bytes | None = None,
    ) -> Prepared:
        """Seal and write for all of them, or for none: Unavailable.

        `content` is what the peer sent, `trace` is put before it. Where more than a trace was
        added, `fingerprint` is the SHA-256 of what the peer sent, by which a repetition is known.
        Nothing is visible to any reader until `commit`.
        """
        unlike = {destination.account_id: destination for destination in to}
        whole = trace + content if trace else content
        drafts: list[_Draft] = []
        known_by = partial(_known_by, fingerprint, content)
        begin = partial(self._begin, list(unlike.values()), return_path, known_by, whole, drafts)
        try:
            sealed_summaries = await self._in_lane(begin)
            for draft, destination in zip(drafts, unlike.values(), strict=True):
                if len(whole) >= BULK_OCTETS and not draft.stored:
                    certificate = self._certificate(destination.certificate)
                    await self._bulk.seal(whole, certificate, draft.marker.descriptor)
                    summary = sealed_summaries[destination.account_id]
                    await self._in_lane(partial(_finish, draft, summary))
        except BaseException:
            _withdraw(drafts)
            raise
        return Prepared(drafts, self._in_lane, self._tell, self._swept)

    def _swept(self, name: BlobName) -> bool:
        return self._marks.current().gone(name, name.delivered)

    def _begin(
        self,
        to: Iterable[Destination],
        return_path: str,
        known_by: Callable[[], bytes],
        whole: bytes,
        drafts: list[_Draft],
    ) -> dict[str, bytes]:
        """On a thread: claim every marker; write what is small. The sealed summaries by account."""
        digest = known_by()
        packed = summaries.pack(summaries.material(self._summarise(whole), whole))
        sealed: dict[str, bytes] = {}
        now = self._clock()
        with ours():
            for destination in to:
                draft = self._claim(destination, return_path, digest, now, len(whole))
                drafts.append(draft)
                if draft.stored:
                    continue
                certificate = self._certificate(destination.certificate)
                sealed[destination.account_id] = certificate.seal(packed)
                if len(whole) < BULK_OCTETS:
                    draft.marker.write(certificate.seal(whole))
                    write_file(draft.target + SUMMARY, sealed[destination.account_id])
                else:
                    os.ftruncate(draft.marker.descriptor, 0)
        return sealed

    def _claim(self, to: Destination, return_path: str, digest: bytes, now: int, size: int) -> _Draft:
        directory = AccountDirectory(self._root, to.account_id)
        directory.make()
        envelope = b"\0".join((to.account_id.encode(), return_path.encode("utf-8", "replace"), digest))
        unique = hmac.new(self._key.reveal(), envelope, hashlib.sha256).hexdigest()[:32]
        marker = LockedFile.claim(f"{directory.tmp}/{unique}")
        while marker is None:
            # A living twin: the same message sent twice at once is two messages.
            unique = new_unique()
            marker = LockedFile.claim(f"{directory.tmp}/{unique}")
        name = BlobName(now, unique, to.expires, size)
        stored = marker.links > 1
        if not stored and any(map(os.path.exists, (f"{directory.new}/{name}", directory.place(name)))):
            # Said twice in this very second, and the first has had its 250: two messages.
            marker.drop()
            return self._claim_another(directory, name)
        return _Draft(directory, name, marker, stored)

    def _claim_another(self, directory: AccountDirectory, taken: BlobName) -> _Draft:
        name = replace(taken, unique=new_unique())
        marker = LockedFile.claim(f"{directory.tmp}/{name.unique}")
        assert marker is not None  # 128 random bits
        return _Draft(directory, name, marker, False)

    def _certificate(self, encoded: bytes) -> Certificate:
        """Parsed once; the table is small because a certificate is (1 KB) and is dropped whole."""
        known = self._certificates.get(encoded)
        if known is None:
            if len(self._certificates) >= 1000:
                self._certificates.clear()
            known = self._certificates[encoded] = Certificate.parse(encoded)
        return known

    async def _in_lane(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._lanes, work)


class Prepared:
    """Written and durable for every recipient, visible to none. Commit it or abort it."""

    def __init__(
        self,
        drafts: list[_Draft],
        in_lane: Callable[[Callable[[], None]], Awaitable[None]],
        tell: Callable[[str], None],
        swept: Callable[[BlobName], bool],
    ) -> None:
        self._drafts = drafts
        self._in_lane = in_lane
        self._tell = tell
        self._swept = swept

    async def commit(self) -> Receipt:
        """Make it visible for all; Unavailable and nothing visible when the disk cannot."""
        await self._in_lane(partial(_publish, self._drafts, self._swept))
        for draft in self._drafts:
            self._tell(draft.directory.path.name)
        return Receipt(self._drafts)

    def abort(self) -> None:
        """Nothing happened."""
        _withdraw(self._drafts)


class Receipt:
    """Durable; the peer has yet to be told (`smtp_in.ports.Receipt`)."""

    def __init__(self, drafts: Iterable[_Draft]) -> None:
        self._drafts = list(drafts)

    def acknowledged(self) -> None:
        """The 250 is out: the same bytes sent again are another message. A marker that
        cannot be removed is left to retention; the message itself is safe."""
        for draft in self._drafts:
            try:
                draft.marker.drop()
            except OSError:
                continue

    def let_go(self) -> None:
        """The peer vanished before its 250: its repetition is to be recognised."""
        for draft in self._drafts:
            draft.marker.let_go()


def _known_by(fingerprint: bytes | None, content: bytes) -> bytes:
    return hashlib.sha256(content).digest() if fingerprint is None else fingerprint


def _finish(draft: _Draft, sealed_summary: bytes) -> None:
    with ours():
        os.fsync(draft.marker.descriptor)
        write_file(draft.target + SUMMARY, sealed_summary)


def _publish(drafts: Sequence[_Draft], swept: Callable[[BlobName], bool]) -> None:
    """Link all, then sync each new/ once. On a fault take back what can be taken back."""
    try:
        for draft in drafts:
            if not draft.stored:
                os.link(draft.marker.path, draft.target)
                draft.linked = True
        for directory in {draft.directory.new for draft in drafts}:
            sync_directory(directory)
        for draft in drafts:
            if draft.stored:
                # Whoever stored it may have died before its own sync.
                sync_directory(draft.directory.tmp)
        # A sweep ahead of the clock may have come between the name and the link: acknowledged, it
        # would be lost. Asked now, so that what a later sweep takes was there before it.
        if any(swept(draft.name) for draft in drafts if not draft.stored):
            raise Unavailable
    except OSError as error:
        _withdraw(drafts)
        raise Unavailable from error
    except MailError:
        _withdraw(drafts)
        raise


def _withdraw(drafts: Iterable[_Draft]) -> None:
    """Take back. What a reader took out of new/ already stays, and so does its marker, so
    that the peer's repetition will not double it."""
    for draft in drafts:
        taken = draft.linked and not _gone(draft.target)
        if draft.stored or taken:
            draft.marker.let_go()
            continue
        _gone(draft.target + SUMMARY)
        try:
            draft.marker.drop()
        except OSError:
            continue


def _gone(path: str) -> bool:
    """Unlinked by us just now."""
    try:
        return discard(path)
    except OSError:
        return False
