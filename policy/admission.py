"""Who may write to whom (P7, P8), in two steps: at RCPT TO, and after DATA when lineage is known.

Apart because it is the rule that keeps members from reaching, or learning of, strangers. Every
address here was read strictly by `mail.address`: its domain is lower-case and in IDNA A-label
form, so that comparing is plain equality and `acme.test` never equals `x.acme.test`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from mail.address import Address
from mail.errors import Reason
from policy.decision import Decision, named


@dataclass(frozen=True, slots=True)
class Rules:
    """The sysadmin's part. Domains in A-label form; groups hold `Address.key`s."""

    organisation: frozenset[str]
    shared_domains: frozenset[str] = frozenset()  # gmail.com and its like: no company
    groups: tuple[frozenset[str], ...] = ()
    contact: str = ""
    _group_of: Mapping[str, frozenset[int]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        index: dict[str, frozenset[int]] = {}
        for number, group in enumerate(self.groups):
            for key in group:
                index[key] = index.get(key, frozenset()) | {number}
        object.__setattr__(self, "_group_of", index)

    def same_company(self, one: Address, other: Address) -> bool:
        """P8's "same domain": equal domains; at a shared one, only a common group counts."""
        if one.domain != other.domain:
            return False
        if one.domain not in self.shared_domains or one.key == other.key:
            return True
        nobody: frozenset[int] = frozenset()
        return bool(self._group_of.get(one.key, nobody) & self._group_of.get(other.key, nobody))


class Relation(Enum):
    """What a recipient is to the sender."""

    ORGANISATION = auto()  # always permitted, always relayed
    COLLEAGUE = auto()  # same company: permitted in a reply or forward to a registered member
    STRANGER = auto()


def relation(sender: Address, recipient: Address, rules: Rules) -> Relation:
    """Place the recipient. The organisation comes first: its mail never stays in here."""
    if recipient.domain in rules.organisation:
        return Relation.ORGANISATION
    return Relation.COLLEAGUE if rules.same_company(sender, recipient) else Relation.STRANGER


def at_recipient(sender: Address, recipient: Address, rules: Rules) -> Decision:
    """Step one, at RCPT TO: strangers are refused at once, colleagues wait for step two.

    Registered or not makes no difference here, so that RCPT is no oracle for accounts.
    """
    if relation(sender, recipient, rules) is not Relation.STRANGER:
        return Decision("P7")
    return Decision(
        "P7",
        Reason.RECIPIENT_NOT_PERMITTED,
        (str(recipient),),
        f"You cannot write to {recipient} from this secure inbox, only to {_organisation(rules)}.",
        contact=rules.contact,
    )


def after_data(
    sender: Address,
    colleagues: Sequence[tuple[Address, bool]],
    refers_to_own: bool,
    rules: Rules,
) -> Decision:
    """Step two: `colleagues` are those of step one, each with "is a registered member".

    One decision for all. "Not registered" and "not a reply" give the same words: else a
    member could learn from the difference who else has an account.
    """
    refused = tuple(str(address) for address, is_member in colleagues if not (is_member and refers_to_own))
    if not refused:
        return Decision("P8")
    return Decision(
        "P8",
        Reason.RECIPIENT_NOT_PERMITTED,
        refused,
        f"Not sent to anyone, because it cannot go to {named(refused)}: outside {_organisation(rules)} you "
        f"can only reply to or forward a message in your mailbox, to registered users at {sender.domain}.",
        contact=rules.contact,
    )


def _organisation(rules: Rules) -> str:
    return named(tuple("@" + domain for domain in sorted(rules.organisation)), most=3)
