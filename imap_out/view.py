"""One session's idea of the selected folder: numbers, flags as told, and what is yet to be told.

Apart because message numbers mean something only between this server and this client: the
client counts messages by the EXISTS and EXPUNGE it has been sent, so a message that is gone
keeps its number here until its EXPUNGE may be said (RFC 3501 sections 2.3.1.2, 7.4.1).

Numbers are 1 to `len(view)`; UIDs ascend with them. Memory is 20 octets a message.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence

from imap_out import wording
from imap_out.grammar import SAVED, bad
from imap_out.ports import Mailstore
from imap_out.states import Enabled
from mail.errors import Reason, Refusal
from mail.mailbox import SEEN, SYSTEM_FLAGS, Entry, Flags, Folder
from mail.numbers import NumberSet

FlagRow = tuple[int, int, bytes, int]
"""Number, UID, flag list, mod-sequence of these flags."""

_FUTURE = (1 << 63) - 1  # the largest mod-sequence (RFC 7162 section 7); nothing came after it


class View:
    """Made by SELECT and EXAMINE. `refresh` hears, `tell` says."""

    def __init__(
        self, store: Mailstore, folder: Folder, *, read_only: bool, enabled: Enabled | None = None
    ) -> None:
        # Where the folder stands, before the entries: what comes between is told twice, not never.
        # Not by STATUS, which counts what is counted here anyhow.
        standing = store.changes(folder, _FUTURE)
        entries = store.entries(folder)
        self.store = store
        self.folder = folder
        self.read_only = read_only
        self._enabled = enabled or Enabled()
        self.uid_next = standing.uid_next
        self.keywords: set[str] = set()
        self.new_keywords = False  # whether one came into use that the client was not told of
        self._uids = array("I", [entry.uid for entry in entries])
        self._flags = [entry.flags for entry in entries]
        self._mod_seqs = array("Q", [entry.mod_seq for entry in entries])
        self.highest_mod_seq = standing.highest_mod_seq  # what happened up to it was heard
        self._saved: Sequence[int] = ()  # of `$`, ascending
        self._recent: list[tuple[int, int]] = []
        self._told: dict[int, int] = {}  # uid -> mod-sequence that the client knows from its own STORE
        self._gone: set[int] = set()
        self._changed: set[int] = set()
        self._told_exists = len(self._uids)
        self._known_keywords()
        if self._uids:
            self._claim_recent(1)

    def __len__(self) -> int:
        return len(self._uids)

    # -- numbers --------------------------------------------------------------------------

    @property
    def uids(self) -> Sequence[int]:
        """All, ascending; those that are gone but not yet told included."""
        return self._uids

    @property
    def gone(self) -> bool:
        """Whether an EXPUNGE waits to be told."""
        return bool(self._gone)

    def number(self, uid: int) -> int:
        """The message's number, or 0."""
        place = bisect_left(self._uids, uid)
        return place + 1 if place < len(self._uids) and self._uids[place] == uid else 0

    def by_number(self, numbers: NumberSet) -> list[int]:
        """The UIDs at these numbers.

        RFC 3501 section 9, `seq-number`: a number beyond the folder is BAD, as is `*` in an
        empty one: the two sides disagree about what is there.
        """
        if numbers is SAVED:
            return list(self._still_saved())  # RFC 5182 section 2.1: an empty `$` is no error
        count = len(self._uids)
        if any(number > count or not count for pair in numbers.ranges for number in pair):
            raise bad("There is no message of that number.")
        return [uid for low, high in numbers.resolve(count).ranges for uid in self._uids[low - 1 : high]]

    def by_uid(self, uids: NumberSet) -> list[int]:
        """Those of the UIDs that are here (RFC 3501 section 6.4.8: others are ignored)."""
        return list(self.resolve_uids(uids).among(self._uids))

    def resolve_uids(self, uids: NumberSet) -> NumberSet:
        """`*` is the largest UID here, `$` what was saved."""
        if uids is SAVED:
            return NumberSet.of(self._still_saved())
        return uids.resolve(self._uids[-1] if self._uids else 0)

    def resolve_past_uids(self, uids: NumberSet) -> NumberSet:
        """The same for UIDs that may be gone: `*` is the largest that was ever given out, else
        "1:*" would not name the last messages when just those went."""
        return self.resolve_uids(uids) if uids is SAVED else uids.resolve(self.uid_next - 1)

    def chosen(self, numbers: NumberSet, *, by_uid: bool) -> list[int]:
        """The UIDs that a command's set names, ascending."""
        return self.by_uid(numbers) if by_uid else self.by_number(numbers)

    def save(self, uids: Sequence[int]) -> None:
        """`$` from now on: ascending UIDs (RFC 5182 section 2.1)."""
        self._saved = uids

    def _still_saved(self) -> Iterator[int]:
        """RFC 5182 section 2.1: what is expunged leaves `$` at once, told or not."""
        return (uid for _, uid in self.numbered(self._saved) if uid not in self._gone)

    def require(self, uids: Sequence[int]) -> None:
        """Refusal(NO_SUCH_MESSAGE) when one of them is gone, though its number is still in use."""
        if not self._gone.isdisjoint(uids):
            raise Refusal(Reason.NO_SUCH_MESSAGE, "Some of the messages are gone.")

    def spans(self, numbers: NumberSet) -> NumberSet:
        """A set of numbers as the UIDs they stand for; numbers beyond the folder match nothing."""
        if numbers is SAVED:
            return self.resolve_uids(numbers)
        count = len(self._uids)
        return NumberSet(
            tuple(
                (self._uids[low - 1], self._uids[min(high, count) - 1])
                for low, high in numbers.resolve(count).ranges
                if low <= count
            )
        )

    # -- flags ----------------------------------------------------------------------------

    def flags(self, uid: int) -> Flags:
        """As last heard; none when the message is not here."""
        place = self.number(uid) - 1
        return self._flags[place] if place >= 0 else frozenset()

    def flag_text(self, uid: int) -> bytes:
        """`(\\Seen \\Recent)`."""
        return wording.flags(self.flags(uid), self.is_recent(uid))

    def mod_seq(self, uid: int) -> int:
        """Of the flags as last heard; 0 when the message is not here."""
        place = self.number(uid) - 1
        return self._mod_seqs[place] if place >= 0 else 0

    def changed_since(self, uids: Sequence[int], mod_seq: int) -> list[int]:
        """Those of ascending UIDs that changed after it (RFC 7162 section 3.1.4.1)."""
        mod_seqs = self._mod_seqs
        return [uid for number, uid in self.numbered(uids) if mod_seqs[number - 1] > mod_seq]

    def flag_rows(self, uids: Sequence[int]) -> Iterator[FlagRow]:
        """Of ascending UIDs: the listing that every client asks for first."""
        plain: dict[Flags, bytes] = {}
        recent: dict[Flags, bytes] = {}
        all_flags, mod_seqs = self._flags, self._mod_seqs
        first_recent = self._recent[0][0] if self._recent else 1 << 32
        for number, uid in self.numbered(uids):
            present = all_flags[number - 1]
            is_recent = uid >= first_recent and self.is_recent(uid)
            texts = recent if is_recent else plain
            text = texts.get(present)
            if text is None:
                text = texts[present] = wording.flags(present, is_recent)
            yield number, uid, text, mod_seqs[number - 1]

    def numbered(self, uids: Sequence[int]) -> Iterator[tuple[int, int]]:
        """(number, uid) of ascending UIDs that are here."""
        if not uids:
            return
        count, mine = len(self._uids), self._uids
        place = bisect_left(mine, uids[0])
        for uid in uids:
            if place < count and mine[place] != uid:
                place = bisect_left(mine, uid, place)
            if place >= count:
                return
            if mine[place] == uid:
                place += 1
                yield place, uid

    def is_recent(self, uid: int) -> bool:
        """Whether this session is the first to see it (RFC 3501 section 2.3.2)."""
        return any(low <= uid <= high for low, high in self._recent)

    @property
    def recent(self) -> NumberSet:
        """UIDs that are \\Recent here."""
        return NumberSet(tuple(self._recent))

    def recent_count(self) -> int:
        """How many are."""
        return sum(1 for _ in self.recent.among(self._uids))

    def first_unseen(self) -> int:
        """The number of the first message without \\Seen, or 0."""
        return next((i for i, flags in enumerate(self._flags, 1) if SEEN not in flags), 0)

    def learn(self, entries: Iterable[Entry], expected: Callable[[Flags], Flags] | None = None) -> None:
        """What this session's own STORE did, so that `tell` does not repeat it.

        The client is told these flags by the command; or, with `expected`, reckons them from those
        that it knew. Where another session changed them too, it would be wrong: `tell` says so.
        """
        for entry in entries:
            place = self.number(entry.uid) - 1
            if place < 0:
                continue
            if expected is None:
                self._changed.discard(entry.uid)
            elif expected(self._flags[place]) != entry.flags:
                self._changed.add(entry.uid)
            self._flags[place] = entry.flags
            self._mod_seqs[place] = entry.mod_seq
            self._told[entry.uid] = entry.mod_seq
        self._known_keywords()

    # -- what others did ------------------------------------------------------------------

    def refresh(self) -> None:
        """Hear what happened since; nothing is said yet. Refusal(NO_SUCH_FOLDER) when it is gone."""
        changes = self.store.changes(self.folder, self.highest_mod_seq)
        self.highest_mod_seq = changes.highest_mod_seq
        self.uid_next = changes.uid_next
        first_new = 0
        newest = self._uids[-1] if self._uids else 0
        for entry in changes.entries:
            if entry.uid > newest:
                self._uids.append(entry.uid)
                self._flags.append(entry.flags)
                self._mod_seqs.append(entry.mod_seq)
                newest = entry.uid
                first_new = first_new or entry.uid
            elif self._told.get(entry.uid) != entry.mod_seq:
                place = self.number(entry.uid) - 1
                if place < 0:
                    continue
                # There and back again is a change to who keeps mod-sequences.
                moved = self._enabled.condstore and self._mod_seqs[place] != entry.mod_seq
                if moved or self._flags[place] != entry.flags:
                    self._changed.add(entry.uid)
                self._flags[place] = entry.flags
                self._mod_seqs[place] = entry.mod_seq
        self._told.clear()
        for uid in changes.vanished:
            if self.number(uid):
                self._gone.add(uid)
        if changes.entries:
            self._known_keywords(entry.flags for entry in changes.entries)
        if first_new:
            self._claim_recent(first_new)

    def tell(self, *, expunges: bool) -> list[bytes]:
        """The untagged responses that bring the client up to date; EXPUNGE only where allowed."""
        lines: list[bytes] = []
        grown = len(self._uids) > self._told_exists
        if expunges and self._gone:
            lines += self._tell_gone()
        if grown:
            lines.append(b"* %d EXISTS\r\n* %d RECENT\r\n" % (len(self._uids), self.recent_count()))
        self._told_exists = len(self._uids)
        if self._changed:
            lines += self.flag_lines(sorted(self._changed))
            self._changed.clear()
        return lines

    def flag_lines(self, uids: Sequence[int], *, by_uid: bool = False, flags: bool = True) -> list[bytes]:
        """FETCH responses about flags that changed.

        RFC 7162 section 3.1: MODSEQ goes along from the first command that shows that the client
        knows of it; section 3.2.3: and UID, to who enabled QRESYNC. To others only with `by_uid`:
        mbsync takes a FETCH with a UID for an answer to its listing.
        """
        items = [b"UID %(uid)d"] if by_uid or self._enabled.qresync else []
        if flags:
            items.append(b"FLAGS %(flags)b")
        if self._enabled.condstore:
            items.append(b"MODSEQ (%(mod_seq)d)")
        form = b"* %(number)d FETCH (" + b" ".join(items) + b")\r\n"
        return [
            form % {b"number": number, b"uid": uid, b"flags": text, b"mod_seq": mod_seq}
            for number, uid, text, mod_seq in self.flag_rows(uids)
        ]

    def _tell_gone(self) -> list[bytes]:
        """From the last to the first, so that no number moves before it is said."""
        unknown = len(self._uids) - self._told_exists
        lines: list[bytes] = []
        vanished: list[int] = []
        for uid in sorted(self._gone, reverse=True):
            place = self.number(uid) - 1
            if place >= self._told_exists:  # one that came and went untold has no number to expunge
                unknown -= 1
            elif self._enabled.qresync:
                vanished.append(uid)
            else:
                lines.append(b"* %d EXPUNGE\r\n" % (place + 1))
        if vanished:  # RFC 7162 section 3.2.10.2: instead of EXPUNGE
            lines.append(b"* VANISHED " + NumberSet.of(vanished).render() + b"\r\n")
        gone, old = self._gone, self._uids
        self._mod_seqs = array(
            "Q", [m for m, uid in zip(self._mod_seqs, old, strict=True) if uid not in gone]
        )
        self._flags = [f for f, uid in zip(self._flags, old, strict=True) if uid not in gone]
        self._uids = array("I", [uid for uid in old if uid not in gone])
        self._gone = set()
        self._told_exists = len(self._uids) - unknown
        return lines

    def _known_keywords(self, found: Iterable[Flags] | None = None) -> None:
        present: set[str] = set()
        for flags in set(self._flags if found is None else found):
            present |= flags
        present -= self.keywords
        present.difference_update(SYSTEM_FLAGS)
        self.new_keywords = self.new_keywords or bool(present)
        self.keywords |= present

    def flag_lists(self) -> bytes:
        """FLAGS, every flag that may be met here, and PERMANENTFLAGS, those the client may set.

        RFC 3501 section 7.1: a flag of the first that the second lacks cannot be set for good,
        so the two are always told together.
        """
        self.new_keywords = False
        known = " ".join([*SYSTEM_FLAGS, *sorted(self.keywords)]).encode("ascii")
        kept = b"()] Read-only." if self.read_only else rb"(%b \*)] Flags are kept." % known
        return b"* FLAGS (%b)\r\n* OK [PERMANENTFLAGS %b\r\n" % (known, kept)

    def _claim_recent(self, first_new: int) -> None:
        first = max(first_new, self.store.claim_recent(self.folder, read_only=self.read_only))
        last = self._uids[-1]
        if first > last:
            return
        if self._recent and self._recent[-1][1] + 1 >= first:
            first = self._recent.pop()[0]
        self._recent.append((first, last))
