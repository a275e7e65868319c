"""Whether a member's message says that it comes from that member, and from nobody else.

Apart because it is the one place where a header decides something, so it must not be readable in
two ways: `From: boss@org <ann@acme.test>, x` shows one person to a lenient reader and another to a
strict one (CVE-2023-27043, security row 12). What is not plainly one mailbox is refused. The
display name is free. A member with a hostile client sends bytes here.

    From = mailbox-list, here exactly one mailbox              ; RFC 5322 section 3.6.2
    mailbox = [display-name] [CFWS] "<" addr-spec ">" / addr-spec
RFC 6409 section 6.1 lets a submission server enforce this.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mail.address import Address
from mail.errors import Reason, Refusal
from mail.headers import Field, fields
from mail.tokens import Kind, Token, comment, tokens

_CLOSED_QUOTE = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_FREE = (Kind.ATOM, Kind.QUOTED)


def check(header: bytes, account: Address) -> None:
    """Refusal when the header block is malformed or names another originator than `account`."""
    found = fields(header)
    _check_lines(header, found)
    authors = [field.value for field in found if field.name.lower() == b"from"]
    senders = [field.value for field in found if field.name.lower() == b"sender"]
    if not authors:
        raise Refusal(Reason.BAD_MESSAGE, "The message has no From line.")
    for name, values in (("From", authors), ("Sender", senders)):
        if len(values) > 1:
            raise Refusal(Reason.BAD_MESSAGE, f"The message has more than one {name} line.")
        for value in values:
            stated = mailbox(value)
            if stated is None or stated.key != account.key:
                raise Refusal(
                    Reason.SENDER_NOT_PERMITTED,
                    f"The {name} line must hold your own address, {account}, and nothing else.",
                )


def mailbox(value: bytes) -> Address | None:
    """The one address of an unfolded From value; None when it is anything but one mailbox."""
    words = []
    for token in tokens(value):
        if not _closed(value, token):
            return None
        if token.kind is not Kind.COMMENT:
            words.append(token)
    brackets = [i for i, t in enumerate(words) if t.kind is Kind.SPECIAL and t.text in b"<>"]
    if not brackets:
        return _addr_spec(words)
    if len(brackets) != 2 or words[brackets[0]].text != b"<" or brackets[1] != len(words) - 1:
        return None
    if any(word.kind not in _FREE for word in words[: brackets[0]]):
        return None  # an unquoted "@", "," or ":" before "<": two addresses, or made to look so
    return _addr_spec(words[brackets[0] + 1 : -1])


def _addr_spec(words: Sequence[Token]) -> Address | None:
    """atom "@" atom without blanks or comments between, as `mail.address` reads it."""
    if [word.kind for word in words] != [Kind.ATOM, Kind.SPECIAL, Kind.ATOM]:
        return None
    local, at, domain = words
    if at.text != b"@" or local.end != at.start or at.end != domain.start:
        return None
    try:
        return Address.parse(f"{local.text.decode()}@{domain.text.decode()}")
    except (Refusal, UnicodeDecodeError):
        return None


def _closed(value: bytes, token: Token) -> bool:
    if token.kind is Kind.OTHER:
        return False
    if token.kind is Kind.QUOTED:
        return _CLOSED_QUOTE.fullmatch(value, token.start, token.end) is not None
    return token.kind is not Kind.COMMENT or comment(value, token.start)[2]


def _check_lines(header: bytes, found: Sequence[Field]) -> None:
    """Every line belongs to a field whose name ends at its colon. What one reader skips,
    another takes for the end of the header, and then sees other fields than we judged."""
    end = len(header) - 2 if header.endswith(b"\r\n\r\n") or header == b"\r\n" else len(header)
    position = 0
    for field in found:
        if field.start != position or header[field.start + len(field.name) :][:1] != b":":
            break
        position = field.end
    if position != end:
        raise Refusal(Reason.BAD_MESSAGE, "The header of the message has a line that is no header field.")
