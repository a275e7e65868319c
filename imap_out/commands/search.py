"""SEARCH and UID SEARCH: the messages that match, as numbers, as figures, or kept as `$`.

Sent by members. Strings are decoded from the charset the client names; nesting is bounded.

    search = "SEARCH" [SP "RETURN" SP "(" [option *(SP option)] ")"]
             [SP "CHARSET" SP astring] 1*(SP search-key)     ; RFC 3501 6.4.4, RFC 4731 3.1
    option = "MIN" / "MAX" / "ALL" / "COUNT" / "SAVE"        ; RFC 4731 section 4, RFC 5182
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from imap_out import mod_seqs, search_keys, wording
from imap_out.codes import Answer, no, ok
from imap_out.grammar import Arguments, bad
from mail.errors import MailError, Reason, Refusal
from mail.numbers import NumberSet
from mail.search import Key

if TYPE_CHECKING:
    from imap_out.session import Session

_RETURN = re.compile(rb"(?i:RETURN) ")
_OPTIONS = frozenset((b"MIN", b"MAX", b"ALL", b"COUNT", b"SAVE"))

UNKNOWN_CHARSET = no(b"That charset is not known here.", b"BADCHARSET (US-ASCII UTF-8)")

Pairs = Sequence[tuple[int, int]]
"""(number, UID), ascending."""


async def search(session: Session, arguments: Arguments) -> Answer:
    """Answers with message numbers."""
    return await _search(session, arguments, by_uid=False)


async def uid_search(session: Session, arguments: Arguments) -> Answer:
    """Answers with UIDs."""
    return await _search(session, arguments, by_uid=True)


def criteria(session: Session, arguments: Arguments, named: bytes | None) -> Key | None:
    """What is searched for, to the end of the command; None when the charset `named` is unknown.

    Without one RFC 3501 says US-ASCII; clients send UTF-8 without saying so.
    """
    charset = "utf-8" if named is None else search_keys.charset(named)
    if charset is None:
        return None
    key = search_keys.Reader(arguments, session.selected, charset, session.limits).all()
    arguments.end()
    return key


async def matching(session: Session, key: Key) -> Pairs:
    """Those that this session may name."""
    view = session.selected
    return list(view.numbered(await session.store.search(view.folder, key)))


async def _search(session: Session, arguments: Arguments, *, by_uid: bool) -> Answer:
    arguments.space()
    options = _options(arguments) if arguments.optional(_RETURN) else None
    try:
        named = None
        if arguments.optional(search_keys.CHARSET):
            named = arguments.astring()
            arguments.space()
        key = criteria(session, arguments, named)
        pairs = [] if key is None else await matching(session, key)
    except MailError as error:
        malformed = isinstance(error, Refusal) and error.reason is Reason.BAD_SYNTAX
        if options and b"SAVE" in options and not malformed:
            session.selected.save(())  # RFC 5182 section 2.1: a NO empties `$`, a BAD leaves it
        raise
    if options and b"SAVE" in options:
        session.selected.save([uid for _, uid in _kept(pairs, options)])
    if key is None:
        return UNKNOWN_CHARSET
    place = 1 if by_uid else 0
    # RFC 7162 section 3.1.10: of the messages that the answer names, or of all that are counted
    mod_seq = mod_seqs.of_found(session, key, [uid for _, uid in _kept(pairs, options or frozenset())])
    if options is None:
        numbers = [pair[place] for pair in pairs]
        found = b" " + wording.numbers(numbers) if numbers else b""
        session.say(b"* SEARCH%b%b\r\n" % (found, b" (MODSEQ %d)" % mod_seq if mod_seq else b""))
        return ok(b"Searched.")
    if options != {b"SAVE"}:  # RFC 5182 section 2.1: SAVE alone says nothing
        shown = _shown([pair[place] for pair in pairs], options)
        if mod_seq:
            shown += b" MODSEQ %d" % mod_seq
        uid = b" UID" if by_uid else b""
        session.say(b'* ESEARCH (TAG "%b")%b%b\r\n' % (session.tag, uid, shown))
    return ok(b"Searched, and kept." if b"SAVE" in options else b"Searched.")


def _options(arguments: Arguments) -> frozenset[bytes]:
    """RFC 4731 section 3.1: none is the same as ALL; an unknown one is BAD."""
    options = frozenset(arguments.list_of(arguments.word))
    if not options <= _OPTIONS:
        raise bad("There is no such option of SEARCH.")
    arguments.space()
    return options or frozenset((b"ALL",))


def _kept(pairs: Pairs, options: frozenset[bytes]) -> Pairs:
    """RFC 5182 section 2.4: MIN and MAX save what they find, unless ALL or COUNT see everything."""
    if not pairs or not options & {b"MIN", b"MAX"} or options & {b"ALL", b"COUNT"}:
        return pairs
    ends = [pairs[0]] if b"MIN" in options else []
    if b"MAX" in options and ends != [pairs[-1]]:
        ends.append(pairs[-1])
    return ends


def _shown(numbers: Sequence[int], options: frozenset[bytes]) -> bytes:
    """RFC 4731 section 3.1: of nothing found, COUNT alone is said."""
    said: list[bytes] = []
    if numbers and b"MIN" in options:
        said.append(b" MIN %d" % numbers[0])
    if numbers and b"MAX" in options:
        said.append(b" MAX %d" % numbers[-1])
    if numbers and b"ALL" in options:
        said.append(b" ALL " + NumberSet.of(numbers).render())
    if b"COUNT" in options:
        said.append(b" COUNT %d" % len(numbers))
    return b"".join(said)
