"""SORT, THREAD and their UID forms (RFC 5256).

Sent by members. Both are SEARCH first; what is found is then put in order by rows of the index, no
message is opened. Many rows are worked on by a thread, so that other sessions go on.

    sort   = ["UID" SP] "SORT" SP sort-criteria SP search-criteria
    thread = ["UID" SP] "THREAD" SP thread-alg SP search-criteria
    search-criteria = charset 1*(SP search-key)
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from imap_out import base_subject, envelope_fields, mod_seqs, sort_keys, threads, wording
from imap_out.codes import Answer, ok
from imap_out.commands.search import UNKNOWN_CHARSET, Pairs, criteria, matching
from imap_out.grammar import Arguments, bad
from imap_out.threads import Message, Node
from mail import headers
from mail.mailbox import Column

if TYPE_CHECKING:
    from imap_out.session import Session

_SLICE = 500  # rows between two turns of the loop
_MANY = 5000  # rows that a thread works on
_REFERENCES = re.compile(rb"^References[ \t]*:(.*(?:\n[ \t].*)*)", re.IGNORECASE | re.MULTILINE)

T = TypeVar("T")


async def sort(session: Session, arguments: Arguments) -> Answer:
    """Answers with message numbers."""
    return await _sort(session, arguments, by_uid=False)


async def uid_sort(session: Session, arguments: Arguments) -> Answer:
    """Answers with UIDs."""
    return await _sort(session, arguments, by_uid=True)


async def thread(session: Session, arguments: Arguments) -> Answer:
    """Answers with message numbers."""
    return await _thread(session, arguments, by_uid=False)


async def uid_thread(session: Session, arguments: Arguments) -> Answer:
    """Answers with UIDs."""
    return await _thread(session, arguments, by_uid=True)


async def _sort(session: Session, arguments: Arguments, *, by_uid: bool) -> Answer:
    arguments.space()
    keys = sort_keys.read(arguments)
    found = await _found(session, arguments)
    if found is None:
        return UNKNOWN_CHARSET
    pairs, mod_seq = found

    def compared(number: int, values: Sequence[Any]) -> tuple[Any, ...]:
        return (number, *(compare(value) for (_, compare, _), value in zip(keys, values, strict=True)))

    rows = await _rows(session, pairs, [column for column, _, _ in keys], compared, by_uid=by_uid)
    numbers = await _apart(len(rows), lambda: sort_keys.ordered(rows, keys))
    listed = b" " + wording.numbers(numbers) if numbers else b""
    # RFC 7162 section 7, search-sort-mod-seq
    session.say(b"* SORT%b%b\r\n" % (listed, b" (MODSEQ %d)" % mod_seq if mod_seq else b""))
    return ok(b"Sorted.")


async def _thread(session: Session, arguments: Arguments, *, by_uid: bool) -> Answer:
    arguments.space()
    algorithm = ALGORITHMS.get(arguments.word())
    if algorithm is None:
        raise bad("There is no such way to thread.")
    found = await _found(session, arguments)
    if found is None:
        return UNKNOWN_CHARSET
    pairs, _ = found
    columns, run = algorithm
    messages = await _rows(session, pairs, columns, _message, by_uid=by_uid)
    said = await _apart(len(messages), lambda: threads.render(run(messages)))
    session.say(b"* THREAD" + (b" " + said if said else b"") + b"\r\n")
    return ok(b"Threaded.")


def _message(number: int, values: Sequence[Any]) -> Message:
    sent, envelope, *of_references = values
    base, answers = base_subject.of(envelope_fields.text(envelope, envelope_fields.SUBJECT))
    message = Message(number, sent, sort_keys.casemap(base), answers)
    if not of_references:
        return message
    message_id, header = of_references
    field = _REFERENCES.search(header)
    named = headers.message_ids(field[1]) if field else []
    if not named:  # RFC 5256 section 3: then the first of In-Reply-To
        named = headers.message_ids(envelope_fields.text(envelope, envelope_fields.IN_REPLY_TO))[:1]
    return message._replace(message_id=message_id, references=named)


_SUBJECTS = (Column.SENT, Column.ENVELOPE)
ALGORITHMS: Mapping[bytes, tuple[Sequence[Column], Callable[[Sequence[Message]], list[Node]]]] = {
    b"ORDEREDSUBJECT": (_SUBJECTS, threads.ordered_subject),
    b"REFERENCES": ((*_SUBJECTS, Column.MESSAGE_ID, Column.HEADER), threads.references),
}


async def _found(session: Session, arguments: Arguments) -> tuple[Pairs, int] | None:
    """What the rest of the command asks for, and its mod-sequence if it asks by that (or 0); None
    when its charset is unknown."""
    arguments.space()
    named = arguments.astring()
    arguments.space()
    key = criteria(session, arguments, named)
    if key is None:
        return None
    pairs = await matching(session, key)
    return pairs, mod_seqs.of_found(session, key, [uid for _, uid in pairs])


async def _rows(
    session: Session,
    pairs: Pairs,
    columns: Sequence[Column],
    make: Callable[[int, Sequence[Any]], T],
    *,
    by_uid: bool,
) -> list[T]:
    """What is made of each row, ascending; of what is gone since there is none."""
    made: list[T] = []
    asked = [Column.UID, *columns]
    for start in range(0, len(pairs), _SLICE):
        part = {uid: uid if by_uid else number for number, uid in pairs[start : start + _SLICE]}
        for uid, *values in session.store.rows(session.selected.folder, list(part), asked):
            made.append(make(part[uid], values))
        await asyncio.sleep(0)
    return made


async def _apart(rows: int, work: Callable[[], T]) -> T:
    return work() if rows < _MANY else await asyncio.to_thread(work)
