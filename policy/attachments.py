"""How much may be attached (P10): a count and a sum of decoded octets, with dated exceptions.

Apart because three doors ask it (submission, portal, drafts). The numbers come from the one
pass over the bytes in `mail/`; nothing from outside is parsed here. MB = 1,048,576 octets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mail.address import Address
from mail.errors import Reason
from policy.decision import Decision, named

MEBI = 1_048_576


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many attachments, and how many decoded octets together."""

    count: int = 10
    octets: int = 50 * MEBI


@dataclass(frozen=True, slots=True)
class Exemption:
    """More for somebody, until a moment. An exemption can only widen the general allowance."""

    who: str  # an `Address.key`, or a domain in A-label form; as sender or as recipient
    allowance: Allowance
    until: int  # epoch seconds; from this second on it no longer holds


@dataclass(frozen=True, slots=True)
class Rules:
    """The sysadmin's part."""

    general: Allowance = Allowance()
    exemptions: tuple[Exemption, ...] = ()
    contact: str = ""

    def allowance(self, sender: Address, recipient: Address, now: int) -> Allowance:
        """The widest that holds for this pair, each of the two figures on its own."""
        concerned = {sender.key, sender.domain, recipient.key, recipient.domain}
        granted = [self.general]
        granted += [e.allowance for e in self.exemptions if e.who in concerned and now < e.until]
        return Allowance(max(a.count for a in granted), max(a.octets for a in granted))

    def message_ceiling(self, now: int) -> int:
        """The octets on the wire beyond which no allowance can hold, for SMTP's SIZE.

        base64 makes 78 octets of 57 (RFC 2045 section 6.8, with CRLF); a MiB for the text.
        """
        widest = max([self.general.octets] + [e.allowance.octets for e in self.exemptions if now < e.until])
        return -(-widest * 78 // 57) + MEBI


def decide(
    load: Allowance, sender: Address, recipients: Sequence[Address], rules: Rules, now: int
) -> Decision:
    """Judge a message's `load`, its attachments and their decoded octets, for every recipient.

    The message is one: what is too much for one recipient is refused for all, naming them.
    """
    for rule, reason, actual, limit_of, sentence in (
        ("P10 count", Reason.TOO_MANY_ATTACHMENTS, load.count, _count, _count_sentence),
        ("P10 size", Reason.TOO_LARGE, load.octets, _octets, _size_sentence),
    ):
        limits = {r: limit_of(rules.allowance(sender, r, now)) for r in recipients}
        over = {r: limit for r, limit in limits.items() if actual > limit}
        if over:
            limit = min(over.values())
            who = tuple(str(r) for r in over)
            to_whom = "" if len(over) == len(limits) else f" to {named(who)}"
            words = sentence(actual, limit, to_whom)
            return Decision(rule, reason, who, words, limit, actual, rules.contact)
    return Decision("P10")


def declared_too_large(size: int, limit: int, contact: str) -> Decision:
    """For SIZE at MAIL FROM (RFC 1870 section 6.1): `size` and `limit` in octets as they travel."""
    if size <= limit:
        return Decision("P10 size", limit=limit, actual=size)
    return Decision(
        "P10 size",
        Reason.TOO_LARGE,
        (),
        f"The message has {megabytes(size)} MB, {megabytes(size - limit)} MB more than the "
        f"{megabytes(limit)} MB that one message may have.",
        limit,
        size,
        contact,
    )


def megabytes(octets: int) -> str:
    """For people: one decimal, rounded up so that an excess never reads 0.0."""
    tenths = -(-octets * 10 // MEBI)
    return f"{tenths // 10}.{tenths % 10}" if tenths % 10 else str(tenths // 10)


def _count(allowance: Allowance) -> int:
    return allowance.count


def _octets(allowance: Allowance) -> int:
    return allowance.octets


def _count_sentence(actual: int, limit: int, to_whom: str) -> str:
    over = actual - limit
    return f"The message has {actual} attachments, {over} more than the {limit} you may send{to_whom}."


def _size_sentence(actual: int, limit: int, to_whom: str) -> str:
    return (
        f"The attachments have {megabytes(actual)} MB together, {megabytes(actual - limit)} MB more "
        f"than the {megabytes(limit)} MB you may send{to_whom}."
    )
