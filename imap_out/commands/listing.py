"""LIST, LSUB, NAMESPACE, with the options of RFC 5258 and RFC 6154 that clients use.

Sent by members. Patterns are matched in linear time (`imap_out.patterns`).

    list = "LIST" [SP "(" select-opts ")"] SP mailbox SP mbox-or-pat [SP "RETURN" SP "(" return-opts ")"]
    mbox-or-pat = list-mailbox / "(" list-mailbox *(SP list-mailbox) ")"
    mbx-list-flags = \\Noselect / \\HasChildren / \\HasNoChildren / \\Subscribed / special-use
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from imap_out import wording
from imap_out.codes import Answer, ok
from imap_out.grammar import Arguments, bad
from imap_out.patterns import SEPARATOR, FolderPattern

if TYPE_CHECKING:
    from imap_out.session import Session

_MOST_PATTERNS = 100
_SELECTIONS = (b"SUBSCRIBED", b"SPECIAL-USE", b"REMOTE")
_RETURNS = (b"SUBSCRIBED", b"SPECIAL-USE", b"CHILDREN")


@dataclass(frozen=True, slots=True)
class _Known:
    """A name that may be listed. `only_level`: it is shown for what lies below it."""

    name: str
    only_level: bool
    has_children: bool
    subscribed: bool
    special_use: str


async def list_(session: Session, arguments: Arguments) -> Answer:
    """RFC 3501 section 6.3.8."""
    arguments.space()
    selections: list[bytes] = []
    if arguments.at(b"("):
        selections = _options(arguments, _SELECTIONS)
        arguments.space()
    reference, patterns = _reference(arguments)
    returns: list[bytes] = []
    if not arguments.ended:
        arguments.space()
        if arguments.word() != b"RETURN":
            raise bad("Only RETURN may follow the pattern.")
        arguments.space()
        returns = _options(arguments, _RETURNS)
    arguments.end()
    if not selections and patterns == [""]:
        # RFC 3501 section 6.3.8: an empty pattern asks for the separator and the reference's root.
        session.say(b'* LIST (\\Noselect) "/" ""\r\n')
        return ok(b"Separator shown.")
    compiled = [FolderPattern(reference + pattern) for pattern in patterns]
    show_subscribed = b"SUBSCRIBED" in returns or b"SUBSCRIBED" in selections
    for known in _all(session):
        if b"SUBSCRIBED" in selections and not known.subscribed:
            continue
        if b"SPECIAL-USE" in selections and not known.special_use:
            continue
        if any(pattern.matches(known.name) for pattern in compiled):
            session.say(_line(b"LIST", known, subscribed=show_subscribed))
    return ok(b"Folders listed.")


async def lsub(session: Session, arguments: Arguments) -> Answer:
    """RFC 3501 section 6.3.9."""
    arguments.space()
    reference, patterns = _reference(arguments)
    arguments.end()
    pattern = FolderPattern(reference + patterns[0])
    known = {folder.name: folder for folder in _all(session)}
    listed: dict[str, _Known] = {}
    for name in session.store.subscriptions():
        if pattern.matches(name):
            # Deleted or not, it is subscribed: \Noselect would say "not, but one below it is".
            missing = _Known(name, only_level=False, has_children=False, subscribed=True, special_use="")
            listed[name] = replace(known.get(name, missing), only_level=False)
        elif pattern.shows_levels:
            # "foo/bar" subscribed, "foo" not: `%` shows "foo" as \Noselect.
            for parent in _parents(name):
                if pattern.matches(parent):
                    listed.setdefault(parent, _level(parent))
    for name in sorted(listed, key=_order):
        session.say(_line(b"LSUB", listed[name], subscribed=False))
    return ok(b"Subscriptions listed.")


async def namespace(session: Session, arguments: Arguments) -> Answer:
    """RFC 2342: one personal namespace without a prefix."""
    arguments.end()
    session.say(b'* NAMESPACE (("" "/")) NIL NIL\r\n')
    return ok(b"Namespaces shown.")


def _options(arguments: Arguments, known: Sequence[bytes]) -> list[bytes]:
    options = arguments.list_of(arguments.word)
    if any(option not in known for option in options):
        raise bad("There is no such LIST option.")
    return options


def _reference(arguments: Arguments) -> tuple[str, list[str]]:
    reference = arguments.mailbox()
    arguments.space()
    if arguments.at(b"("):
        patterns = arguments.list_of(arguments.list_mailbox)
        if not 0 < len(patterns) <= _MOST_PATTERNS:
            raise bad("There are too many patterns, or none.")
        return reference, patterns
    return reference, [arguments.list_mailbox()]


def _all(session: Session) -> list[_Known]:
    folders = {folder.name: folder for folder in session.store.folders()}
    subscribed = set(session.store.subscriptions())
    with_children = {parent for name in folders for parent in _parents(name)}
    names = sorted(folders.keys() | with_children, key=_order)
    return [
        _Known(
            name,
            only_level=name not in folders,
            has_children=name in with_children,
            subscribed=name in subscribed,
            special_use=folders[name].special_use if name in folders else "",
        )
        for name in names
    ]


def _level(name: str) -> _Known:
    return _Known(name, only_level=True, has_children=True, subscribed=False, special_use="")


def _parents(name: str) -> list[str]:
    levels = name.split(SEPARATOR)
    return [SEPARATOR.join(levels[:depth]) for depth in range(1, len(levels))]


def _order(name: str) -> tuple[bool, str]:
    return name != "INBOX", name


_ATTRIBUTES: Sequence[tuple[Callable[[_Known], bool], bytes]] = (
    (lambda known: known.only_level, b"\\Noselect"),
    (lambda known: known.has_children, b"\\HasChildren"),
    (lambda known: not known.has_children, b"\\HasNoChildren"),
)


def _line(response: bytes, known: _Known, *, subscribed: bool) -> bytes:
    attributes = [attribute for holds, attribute in _ATTRIBUTES if holds(known)]
    if subscribed and known.subscribed:
        attributes.append(b"\\Subscribed")
    if known.special_use:
        attributes.append(known.special_use.encode("ascii"))
    return b'* %b (%b) "/" %b\r\n' % (response, b" ".join(attributes), wording.mailbox(known.name))
