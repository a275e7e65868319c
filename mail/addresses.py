"""Address lists as ENVELOPE shows them (RFC 3501 section 7.4.2, RFC 5322 section 3.4).

Apart because this is for display only: it reads tolerantly, as a person would, while every
decision about who may write to whom rests on `mail.address`, which is strict. Anyone
can write these bytes. Never raises, linear, at most MAX_ADDRESSES of one field. What is
missing is named as Dovecot names it, since clients know those words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mail.tokens import Kind, Token, tokens

MAX_ADDRESSES = 10_000
"""Of one field; the rest is not listed (Dovecot CVE-2024-23184 was a long address list)."""


class Entry(NamedTuple):
    """One `address` of RFC 3501: None is NIL.

    A group begins with an entry whose host is None and whose mailbox is its name, and ends
    with one that is all None.
    """

    name: bytes | None
    route: bytes | None
    mailbox: bytes | None
    host: bytes | None


GROUP_END = Entry(None, None, None, None)


def parse(value: bytes) -> list[Entry]:
    """Read the value of From, To, Cc and so on; raw bytes, encoded words left as they are."""
    found: list[Entry] = []
    item: list[Token] = []
    in_group = in_angle = in_route = False
    previous = b""
    for token in tokens(value):
        special = token.text if token.kind is Kind.SPECIAL else b""
        if previous == b"<":  # obs-route of RFC 5322 section 4.4, `<@a,@b:c@d>`: its commas part nothing
            in_route = special == b"@"
        previous = special
        if special in (b"<", b">"):
            in_angle = special == b"<"
            in_route = False
            item.append(token)
        elif special == b":" and not in_angle and not in_group:
            found.append(Entry(None, None, _phrase(item), None))
            item, in_group = [], True
        elif (special == b"," and not in_route) or (special == b";" and in_group):
            found += _entry(value, item)
            item, in_angle, in_route = [], False, False
            if special == b";":
                found.append(GROUP_END)
                in_group = False
        else:
            item.append(token)
        if len(found) >= MAX_ADDRESSES:
            break
    else:
        found += _entry(value, item)
    if in_group:
        found.append(GROUP_END)
    return found


def _phrase(item: Sequence[Token]) -> bytes:
    return b" ".join(token.text for token in item if token.kind in (Kind.ATOM, Kind.QUOTED))


def _name(value: bytes, words: Sequence[Token]) -> bytes:
    """A display name; one that is no phrase, `a@b <c@d>`, is shown as it was written, so
    that a person sees both addresses."""
    if all(token.kind in (Kind.ATOM, Kind.QUOTED) for token in words):
        return _phrase(words)
    return b" ".join(value[words[0].start : words[-1].end].split())


def _entry(value: bytes, item: Sequence[Token]) -> list[Entry]:
    """The one address that lies between two separators, or none."""
    words = [token for token in item if token.kind is not Kind.COMMENT]
    if not words:
        return []
    angle = next((i for i, t in enumerate(words) if t.text == b"<" and t.kind is Kind.SPECIAL), None)
    if angle is None:
        comments = [token.text for token in item if token.kind is Kind.COMMENT]
        mailbox, host = _addr_spec(words)
        return [Entry((comments[-1] if comments else None) or None, None, mailbox, host)]
    route, inside = None, words[angle + 1 :]
    close = next((i for i, t in enumerate(inside) if t.text == b">" and t.kind is Kind.SPECIAL), None)
    inside = inside[:close]
    colon = next((i for i, t in enumerate(inside) if t.text == b":" and t.kind is Kind.SPECIAL), None)
    if colon is not None and inside[0].text == b"@":
        route = b"".join(token.text for token in inside[:colon])
        inside = inside[colon + 1 :]
    mailbox, host = _addr_spec(inside)
    if close is None or not _is_addr_spec(inside):
        host = b"SYNTAX_ERROR"  # rather than a host that mail to this address might not go to
    return [Entry(_name(value, words[:angle]) or None, route, mailbox, host)]


def _addr_spec(words: Sequence[Token]) -> tuple[bytes, bytes]:
    """local-part "@" domain; obs-local-part may have white space around its dots."""
    at = next((i for i, t in enumerate(words) if t.text == b"@" and t.kind is Kind.SPECIAL), None)
    local = _run(words if at is None else words[:at])
    domain = b"" if at is None else _run(words[at + 1 :])
    return local or b"MISSING_MAILBOX", domain or b"MISSING_DOMAIN"


def _is_addr_spec(words: Sequence[Token]) -> bool:
    """Whether there is nothing but words, dots and at most one "@"."""
    specials = [token.text for token in words if token.kind in (Kind.SPECIAL, Kind.OTHER)]
    at = next((i for i, t in enumerate(words) if t.text == b"@" and t.kind is Kind.SPECIAL), len(words))
    return specials in ([], [b"@"]) and all(
        len(_run(half)) == sum(len(token.text) for token in half) for half in (words[:at], words[at + 1 :])
    )


def _run(words: Sequence[Token]) -> bytes:
    """The first dot-atom, quoted string or literal, joined over white space around dots."""
    joined = b""
    for token in words:
        if token.kind not in (Kind.ATOM, Kind.QUOTED, Kind.LITERAL):
            break
        if joined and not joined.endswith(b".") and not token.text.startswith(b"."):
            break
        joined += token.text
    return joined
