"""Taking delivered files into the index, and mending what a kill left between two steps.

Apart because delivery has no key and the index has: this is where they meet, at the first
look of any session, in any process. Strangers' bytes arrive sealed; a file that does not
open is left where it is and told to the audit log, and the mail behind it still comes in.

Rows first, rename second. So: a row whose file is in new/ or tmp/ is a rename that is due;
a file in new/ without a row has not been taken in; a file in cur/ always has a row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from keys.sealing import Opener
from mail.errors import Damaged
from mail.summary import Summarise
from store import summaries
from store.blobs import SUMMARY, AccountDirectory, BlobName, LockedFile, discard, ours, read_file
from store.index import remove_entries, writing
from store.index_folders import INBOX, folder
from store.index_intake import Arrival, add, known_files, withdraw
from store.marks import NONE, Marks
from store.sealed_db import Connection
from store.summaries import Material

BATCH = 250
"""Messages in one transaction: what another process's writer has to wait for at most."""


class Intake:
    """One account's. Not safe for two threads at once; several processes are fine."""

    def __init__(
        self,
        directory: AccountDirectory,
        db: Connection,
        opener: Opener,
        summarise: Summarise,
        damaged: Callable[[BlobName], None],
    ) -> None:
        """`damaged` is called once for each file that does not open."""
        self._directory = directory
        self._db = db
        self._opener = opener
        self._summarise = summarise
        self._damaged = damaged
        self._skip: set[str] = set()

    def recover(self) -> None:
        """Finish the renames that a killed APPEND left in tmp/. What has no row there was never
        acknowledged and goes, unless the process that is filing it is alive."""
        named = [name for name in map(BlobName.parse, self._directory.scan(self._directory.tmp)) if name]
        for name in named:
            path = f"{self._directory.tmp}/{name}"
            with ours():
                # Not created: an empty file of that name would be renamed over the message
                # that its owner has put into cur/ a moment ago.
                locked = LockedFile.claim(path, create=False)
                if locked is None:
                    continue
                if known_files(self._db, [name]):  # asked now that nobody else is at it
                    self._directory.settle(name, path)
                    locked.let_go()
                else:
                    locked.drop()

    def take_in(self, now: int, at_most: int, marks: Marks = NONE) -> int:
        """Bring up to `at_most` messages from new/ into INBOX, oldest first; how many came. What
        is gone (under a hold its file is still there) never comes in."""
        waiting = [
            name
            for text in self._directory.scan(self._directory.new)
            if text not in self._skip and (name := BlobName.parse(text)) and not marks.gone(name, now)
        ]
        waiting = self._directory.by_arrival(waiting)[:at_most]
        taken = 0
        for start in range(0, len(waiting), BATCH):
            taken += self._batch(waiting[start : start + BATCH], now)
        return taken

    def _batch(self, names: Sequence[BlobName], now: int) -> int:
        known = known_files(self._db, names)
        arrivals = [
            Arrival(name, material, name.delivered, "")
            for name in names
            if str(name) not in known and (material := self._material(name)) is not None
        ]
        if arrivals:
            with writing(self._db) as mod_seq:
                # Another process may have taken some since we looked: now nobody can.
                first = known_files(self._db, [arrival.name for arrival in arrivals])
                arrivals = [arrival for arrival in arrivals if str(arrival.name) not in first]
                inbox = folder(self._db, INBOX)
                if arrivals:
                    add(self._db, mod_seq, inbox.folder_id, arrivals, now)
        for name in names:
            if str(name) not in self._skip:
                self._settle(name)
        return len(arrivals)

    def _settle(self, name: BlobName) -> None:
        source = f"{self._directory.new}/{name}"
        if not self._directory.settle(name, source) and self._directory.find(name) is None:
            # Taken back by a delivery that failed at another recipient, or due for retention.
            with writing(self._db) as mod_seq:
                for folder_id, uid in withdraw(self._db, str(name)):
                    remove_entries(self._db, mod_seq, folder_id, [uid])
        with ours():
            discard(source + SUMMARY)

    def _material(self, name: BlobName) -> Material | None:
        """From the summary; from the message itself when that is missing or torn. None when the
        file is gone or damaged."""
        path = f"{self._directory.new}/{name}"
        try:
            return summaries.unpack(self._opener.open(read_file(path + SUMMARY)))
        except (OSError, Damaged):
            pass  # never synced, so a power cut may have torn it: it is made anew below
        try:
            with ours():
                content = self._opener.open(read_file(path))
        except Damaged:
            self._skip.add(str(name))
            self._damaged(name)
            return None
        return summaries.material(self._summarise(content), content)
