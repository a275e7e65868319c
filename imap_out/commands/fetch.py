"""FETCH and UID FETCH.

Sent by members; the messages are hostile. Listings are rows of the index put into one
format string a message. A message is opened only when a section beyond its header is asked
for; then it counts as read (the store's audit), and as \\Seen unless the client peeks.

    fetch = "FETCH" SP sequence-set SP ("ALL" / "FULL" / "FAST" / fetch-att /
            "(" fetch-att *(SP fetch-att) ")") [fetch-modifiers]   ; RFC 3501 sections 6.4.5, 9
    fetch-modifiers = SP "(" fetch-modifier *(SP fetch-modifier) ")"         ; RFC 4466
    fetch-modifier  = "CHANGEDSINCE" SP mod-sequence-value / "VANISHED"      ; RFC 7162 section 7
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from imap_out import mod_seqs
from imap_out.codes import Answer, no, ok
from imap_out.faults import trail
from imap_out.fetch_items import Plan, read
from imap_out.grammar import Arguments, bad
from imap_out.view import FlagRow, View
from mail import structure
from mail.errors import Damaged, MailError, Reason, Refusal, Unavailable
from mail.mailbox import SEEN, Column, FlagChange

if TYPE_CHECKING:
    from imap_out.session import Session

_log = logging.getLogger("secure_inbox.imap_out")
_CHUNK = 64 * 1024  # octets of answers put together before they are sent
_MOST_ROWS = 1000  # asked of the store at once: a few milliseconds
_GONE = (Reason.NO_SUCH_MESSAGE, Reason.EXPIRED)


async def fetch(session: Session, arguments: Arguments) -> Answer:
    """RFC 3501 section 6.4.5."""
    return await _fetch(session, arguments, by_uid=False)


async def uid_fetch(session: Session, arguments: Arguments) -> Answer:
    """RFC 3501 section 6.4.8: UID is in every answer, asked for or not."""
    return await _fetch(session, arguments, by_uid=True)


async def _fetch(session: Session, arguments: Arguments, *, by_uid: bool) -> Answer:
    arguments.space()
    numbers = arguments.sequence_set()
    arguments.space()
    items = read(arguments)
    since, vanished = _modifiers(arguments)
    arguments.end()
    if vanished and (since is None or not by_uid or not session.enabled.qresync):
        raise bad("VANISHED is for UID FETCH with CHANGEDSINCE, after ENABLE QRESYNC.")
    plan = Plan(items, by_uid=by_uid, mod_seqs=since is not None)
    view = session.selected
    uids = view.chosen(numbers, by_uid=by_uid)
    if plan.shows_mod_seqs:
        mod_seqs.use(session)
    if since is not None:
        if vanished:  # RFC 7162 section 3.2.6: before any FETCH response
            session.say(mod_seqs.vanished_earlier(view, since, view.resolve_past_uids(numbers)))
        uids = view.changed_since(uids, since)
    if plan.opens or plan.marks_seen:
        return await _messages(session, plan, uids)
    if plan.columns:
        return await _listing(session, plan, uids)
    return await _flags(session, plan, uids)


def _modifiers(arguments: Arguments) -> tuple[int | None, bool]:
    """The mod-sequence of CHANGEDSINCE, and whether VANISHED is there."""
    since, vanished = None, False
    if arguments.ended:
        return since, vanished
    arguments.space()
    arguments.expect(b"(")
    while True:
        name = arguments.word()
        if name == b"CHANGEDSINCE" and since is None:
            arguments.space()
            since = arguments.long_number()
        elif name == b"VANISHED" and not vanished:
            vanished = True
        else:
            raise bad("There is no such FETCH modifier.")
        if arguments.taken(b")"):
            return since, vanished
        arguments.space()


async def _flags(session: Session, plan: Plan, uids: Sequence[int]) -> Answer:
    """FLAGS, UID and MODSEQ alone: the view knows them, no row is read."""
    for start in range(0, len(uids), _MOST_ROWS):
        session.say(plan.lines(session.selected.flag_rows(uids[start : start + _MOST_ROWS])))
        await session.turn()
    return ok(b"Fetched.")


async def _listing(session: Session, plan: Plan, uids: Sequence[int]) -> Answer:
    """Rows of the index, about 64 KiB at a time; nothing stays open while the peer reads."""
    view = session.selected
    place, size = 0, 100
    while place < len(uids):
        asked = uids[place : place + size]
        lines: list[bytes] = []
        octets = last = taken = 0
        known = view.flag_rows(asked)
        for row in session.store.rows(view.folder, asked, plan.columns):
            uid = row[0]
            known_row = _find(known, uid)
            if known_row is None:
                continue
            line = plan.line(known_row + row[1:])
            lines.append(line)
            octets += len(line)
            taken += 1
            last = uid
            if octets >= _CHUNK:
                break
        else:
            last = asked[-1]
        session.say(b"".join(lines))
        await session.turn()
        while place < len(uids) and uids[place] <= last:
            place += 1
        size = min(_MOST_ROWS, max(16, taken * 2))
    return ok(b"Fetched.")


def _find(known: Iterator[FlagRow], uid: int) -> FlagRow | None:
    """What the view knows of a row: both sides ascend, so each is walked once."""
    for row in known:
        if row[1] == uid:
            return row
    return None


async def _messages(session: Session, plan: Plan, uids: Sequence[int]) -> Answer:
    """One message at a time: opened, marked, said, forgotten."""
    failed = False
    waiting = 0
    for uid in uids:
        try:
            row = _row(session, plan, uid)
            pieces = list(_said(session, plan, row, await _open(session, plan, uid, row)))
        except (Unavailable, Damaged) as error:
            _log.error("imap FETCH: %s", trail(error))
            failed = True
            continue
        except Refusal as refusal:
            if refusal.reason not in _GONE:
                raise
            continue  # gone since; its EXPUNGE is on the way
        for piece in pieces:
            session.say(piece)
            waiting += len(piece)
        if waiting >= _CHUNK:
            waiting = 0
            await session.turn()
    if failed:
        return no(b"Some messages cannot be opened now, please try again later.", b"UNAVAILABLE")
    return ok(b"Fetched.")


def _row(session: Session, plan: Plan, uid: int) -> tuple[Any, ...]:
    if plan.opens and plan.columns == [Column.UID]:
        return (uid,)  # opening it says soon enough whether it is there
    for row in session.store.rows(session.selected.folder, [uid], plan.columns):
        return row
    raise Refusal(Reason.NO_SUCH_MESSAGE, "The message is gone.")


def _said(
    session: Session, plan: Plan, row: tuple[Any, ...], found: Sequence[bytes | None]
) -> Iterator[bytes]:
    """One FETCH response. A message's octets come as they are: put into a format they would be copied."""
    view, uid = session.selected, row[0]
    marked = plan.marks_seen and _mark_seen(session, view, uid)
    number = view.number(uid)
    yield b"* %d FETCH (" % number
    yield from plan.pieces((number, uid, view.flag_text(uid), view.mod_seq(uid), *row[1:], *found))
    if marked and not plan.shows_flags:
        yield b" FLAGS " + view.flag_text(uid)
    if marked and not plan.shows_mod_seqs and session.enabled.condstore:
        yield b" MODSEQ (%d)" % view.mod_seq(uid)
    yield b")\r\n"


async def _open(session: Session, plan: Plan, uid: int, row: Sequence[Any]) -> list[bytes | None]:
    if not plan.opens:
        return []
    content = await session.store.content(session.selected.folder, uid)
    root = structure.unpack(row[plan.parts_place]) if plan.needs_parts else None
    return [section.of(content, root) for section in plan.opens]


def _mark_seen(session: Session, view: View, uid: int) -> bool:
    """RFC 3501 section 6.4.5: a body that is not peeked at sets \\Seen, and the client is told."""
    if view.read_only or SEEN in view.flags(uid):
        return False
    try:
        entries, _ = session.store.change_flags(view.folder, [uid], FlagChange.ADD, frozenset({SEEN}))
    except MailError as error:
        _log.error("imap FETCH: %s", trail(error))  # the message can be read all the same
        return False
    view.learn(entries)
    return True
