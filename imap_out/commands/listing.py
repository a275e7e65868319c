"""LIST, LSUB, NAMESPACE: LIST-EXTENDED (RFC 5258), LIST-STATUS (RFC 5819), SPECIAL-USE (RFC 6154).

Sent by members. Patterns are matched in linear time (`imap_out.patterns`).

    list = "LIST" [SP "(" select-opts ")"] SP mailbox SP mbox-or-pat
           [SP "RETURN" SP "(" return-opts ")"]
    mbox-or-pat = list-mailbox / "(" list-mailbox *(SP list-mailbox) ")"
    return-opt  = "SUBSCRIBED" / "CHILDREN" / "SPECIAL-USE" / "STATUS" SP "(" status-att ... ")"
    mbx-list-flags = \\NonExistent / \\Noselect / \\HasChildren / \\HasNoChildren / \\Subscribed /
                     special-use
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from imap_out import wording
from imap_out.codes import Answer, ok
from imap_out.commands import folders
from imap_out.faults import trail
from imap_out.grammar import Arguments, bad
from imap_out.patterns import SEPARATOR, FolderPattern
from mail.errors import MailError
from mail.mailbox import Folder

if TYPE_CHECKING:
    from imap_out.session import Session

_log = logging.getLogger("secure_inbox.imap_out")
_MOST_PATTERNS = 100
_BASE = (b"SUBSCRIBED", b"SPECIAL-USE")  # what can be selected, and what CHILDINFO can name
# RFC 5258 section 3.1: REMOTE adds names of other servers, of which there are none.
_SELECTIONS = (*_BASE, b"REMOTE", b"RECURSIVEMATCH")
_RETURNS = (b"SUBSCRIBED", b"SPECIAL-USE", b"CHILDREN")
_TURN = 50  # STATUS responses, each a count over a folder, before other sessions have the loop


@dataclass(frozen=True, slots=True)
class _Known:
    """A name that may be listed. `folder` is None for a level above others, and for what is
    subscribed and was deleted (`has_children` tells them apart)."""

    name: str
    folder: Folder | None
    has_children: bool
    subscribed: bool

    @property
    def special_use(self) -> str:
        """Such as "\\Sent", or ""."""
        return self.folder.special_use if self.folder else ""


@dataclass(slots=True)
class _Query:
    """What LIST asks for. `extended`: the client knows RFC 5258, section 3 of which says how that shows."""

    selections: list[bytes]
    patterns: list[str]
    extended: bool
    returns: list[bytes] = field(default_factory=list)
    status: list[bytes] = field(default_factory=list)

    def selects(self, known: _Known) -> bool:
        """Whether the name meets every criterion; the pattern has no say."""
        if b"SUBSCRIBED" in self.selections:
            if not known.subscribed:
                return False
        elif known.folder is None and not known.has_children:
            return False  # deleted long ago; only those who ask for subscriptions see it
        return b"SPECIAL-USE" not in self.selections or bool(known.special_use)


async def list_(session: Session, arguments: Arguments) -> Answer:
    """RFC 3501 section 6.3.8, RFC 5258 section 3."""
    query = _query(arguments)
    if not query.extended and query.patterns == [""]:
        # RFC 3501 section 6.3.8: an empty pattern asks for the separator and the reference's root.
        session.say(b'* LIST (\\Noselect) "/" ""\r\n')
        return ok(b"Separator shown.")
    compiled = [FolderPattern(pattern) for pattern in query.patterns]
    everything = _all(session)
    above = _above(query, everything)
    show_subscribed = b"SUBSCRIBED" in query.returns or b"SUBSCRIBED" in query.selections
    # RFC 5258 section 3: \NonExistent implies \Noselect, which is all that older clients know.
    absent = b"\\NonExistent" if query.extended else b"\\Noselect"
    counted = 0
    for known in everything:
        selected = query.selects(known)
        # RFC 5258 section 3.1: a parent that is named for what lies below must still match the pattern.
        if not (selected or known.name in above) or not any(p.matches(known.name) for p in compiled):
            continue
        below = query.selections if known.name in above else ()
        session.say(_line(b"LIST", known, absent=absent, subscribed=show_subscribed, below=below))
        # RFC 5819 section 2: none for what cannot be selected, nor for what only RECURSIVEMATCH shows.
        if query.status and selected and known.folder is not None:
            _say_status(session, known.folder, query.status)
            counted += 1
            if counted % _TURN == 0:
                await session.turn()
    return ok(b"Folders listed.")


def _say_status(session: Session, folder: Folder, items: Sequence[bytes]) -> None:
    try:
        session.say(folders.status_line(session, folder.name, folder, items))
    except MailError as error:
        # RFC 5819 section 2: the server may leave a STATUS out, the LIST is OK all the same.
        _log.error("imap LIST: %s", trail(error))


def _query(arguments: Arguments) -> _Query:
    arguments.space()
    selections: list[bytes] = []
    extended = arguments.at(b"(")
    if extended:
        selections = arguments.list_of(lambda: _option(arguments, _SELECTIONS))
        arguments.space()
    if b"RECURSIVEMATCH" in selections and not set(selections).intersection(_BASE):
        # RFC 5258 section 3.1: it modifies another option and must not stand without one.
        raise bad("RECURSIVEMATCH needs another option to match.")
    reference = arguments.mailbox()
    arguments.space()
    several = arguments.at(b"(")
    query = _Query(selections, _patterns(arguments, reference), extended or several)
    if not arguments.ended:
        arguments.space()
        if arguments.word() != b"RETURN":
            raise bad("Only RETURN may follow the pattern.")
        arguments.space()
        arguments.list_of(lambda: _return(arguments, query))
        query.extended = True
    arguments.end()
    return query


def _option(arguments: Arguments, known: Sequence[bytes]) -> bytes:
    option = arguments.word()
    if option not in known:
        raise bad("There is no such LIST option.")
    return option


def _return(arguments: Arguments, query: _Query) -> None:
    option = _option(arguments, (*_RETURNS, b"STATUS"))
    query.returns.append(option)
    if option == b"STATUS":  # RFC 5819 section 4
        arguments.space()
        query.status = folders.status_items(arguments)


def _patterns(arguments: Arguments, reference: str) -> list[str]:
    if not arguments.at(b"("):
        pattern = arguments.list_mailbox()
        return [reference + pattern if pattern else ""]
    patterns = arguments.list_of(arguments.list_mailbox)
    if not 0 < len(patterns) <= _MOST_PATTERNS:
        raise bad("There are too many patterns, or none.")
    return [reference + pattern for pattern in patterns]


def _above(query: _Query, everything: Sequence[_Known]) -> frozenset[str]:
    """With RECURSIVEMATCH, the names below which something is selected, matching a pattern or not."""
    if b"RECURSIVEMATCH" not in query.selections:
        return frozenset()
    return frozenset(
        parent for known in everything if query.selects(known) for parent in _parents(known.name)
    )


async def lsub(session: Session, arguments: Arguments) -> Answer:
    """RFC 3501 section 6.3.9."""
    arguments.space()
    reference = arguments.mailbox()
    arguments.space()
    pattern = FolderPattern(reference + arguments.list_mailbox())
    arguments.end()
    known = {entry.name: entry for entry in _all(session)}
    listed: dict[str, bytes] = {}
    for name in session.store.subscriptions():
        if pattern.matches(name):
            # Deleted or not, it is subscribed: \Noselect would say "not, but one below it is".
            listed[name] = _line(b"LSUB", known[name], absent=b"")
        elif pattern.shows_levels:
            # "foo/bar" subscribed, "foo" not: `%` shows "foo" as \Noselect.
            for parent in _parents(name):
                if pattern.matches(parent):
                    level = _Known(parent, None, has_children=True, subscribed=False)
                    listed.setdefault(parent, _line(b"LSUB", level, absent=b"\\Noselect"))
    session.say(b"".join(listed[name] for name in sorted(listed, key=_order)))
    return ok(b"Subscriptions listed.")


async def namespace(session: Session, arguments: Arguments) -> Answer:
    """RFC 2342: one personal namespace without a prefix."""
    arguments.end()
    session.say(b'* NAMESPACE (("" "/")) NIL NIL\r\n')
    return ok(b"Namespaces shown.")


def _all(session: Session) -> list[_Known]:
    """Folders, subscriptions, and every level above one of them."""
    existing = {folder.name: folder for folder in session.store.folders()}
    subscribed = set(session.store.subscriptions())
    with_children = {parent for name in existing for parent in _parents(name)}
    named = existing.keys() | subscribed
    levels = {parent for name in named for parent in _parents(name)}
    return [
        _Known(name, existing.get(name), name in with_children, name in subscribed)
        for name in sorted(named | levels, key=_order)
    ]


def _parents(name: str) -> list[str]:
    levels = name.split(SEPARATOR)
    return [SEPARATOR.join(levels[:depth]) for depth in range(1, len(levels))]


def _order(name: str) -> tuple[bool, str]:
    return name != "INBOX", name


def _line(
    response: bytes,
    known: _Known,
    *,
    absent: bytes,
    subscribed: bool = False,
    below: Sequence[bytes] = (),
) -> bytes:
    """`absent` is said of what is no folder; `below` are the criteria that something below meets."""
    attributes = [absent] if absent and known.folder is None else []
    attributes.append(b"\\HasChildren" if known.has_children else b"\\HasNoChildren")
    if subscribed and known.subscribed:
        attributes.append(b"\\Subscribed")
    if known.special_use:
        attributes.append(known.special_use.encode("ascii"))
    # RFC 5258 section 3.5
    criteria = b" ".join(b'"%b"' % option for option in _BASE if option in below)
    extended = b' ("CHILDINFO" (%b))' % criteria if criteria else b""
    return b'* %b (%b) "/" %b%b\r\n' % (
        response,
        b" ".join(attributes),
        wording.mailbox(known.name),
        extended,
    )
