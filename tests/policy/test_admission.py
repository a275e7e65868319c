"""P7 and P8."""

from __future__ import annotations

import pytest

from mail.address import Address
from mail.errors import Reason, Refusal
from policy.admission import Relation, Rules, after_data, at_recipient, relation
from policy.decision import Decision, named

RULES = Rules(
    organisation=frozenset({"org.test", "xn--bcher-kva.test"}),
    shared_domains=frozenset({"gmail.com"}),
    groups=(
        frozenset({"one@gmail.com", "two@gmail.com", "far@acme.test"}),
        frozenset({"two@gmail.com", "three@gmail.com"}),
    ),
    contact="help@org.test",
)
ANN = Address.parse("ann@acme.test")
ONE = Address.parse("one@gmail.com")


@pytest.mark.parametrize(
    ("sender", "recipient", "answer"),
    [
        ("ann@acme.test", "x@org.test", Relation.ORGANISATION),
        ("ann@acme.test", "x@ORG.Test", Relation.ORGANISATION),
        ("ann@acme.test", "x@bücher.test", Relation.ORGANISATION),
        ("ann@acme.test", "x@sub.org.test", Relation.STRANGER),
        ("ann@acme.test", "x@org.test.evil.test", Relation.STRANGER),
        ("ann@acme.test", "bob@acme.test", Relation.COLLEAGUE),
        ("ann@acme.test", "bob@ACME.TEST", Relation.COLLEAGUE),
        ("ann@acme.test", "ann@acme.test", Relation.COLLEAGUE),
        ("ann@acme.test", "bob@x.acme.test", Relation.STRANGER),
        ("ann@x.acme.test", "bob@acme.test", Relation.STRANGER),
        ("ann@büro.test", "bob@xn--bro-hoa.test", Relation.COLLEAGUE),
        ("one@gmail.com", "other@gmail.com", Relation.STRANGER),
        ("one@gmail.com", "two@gmail.com", Relation.COLLEAGUE),
        ("ONE@Gmail.com", "Two@gmail.com", Relation.COLLEAGUE),
        ("one@gmail.com", "three@gmail.com", Relation.STRANGER),
        ("two@gmail.com", "three@gmail.com", Relation.COLLEAGUE),
        ("one@gmail.com", "one@gmail.com", Relation.COLLEAGUE),
        ("one@gmail.com", "far@acme.test", Relation.STRANGER),
        ("x@org.test", "y@org.test", Relation.ORGANISATION),
    ],
)
def test_relation(sender: str, recipient: str, answer: Relation) -> None:
    assert relation(Address.parse(sender), Address.parse(recipient), RULES) is answer


def test_at_recipient() -> None:
    assert at_recipient(ANN, Address.parse("x@org.test"), RULES).permitted
    assert at_recipient(ANN, Address.parse("nobody@acme.test"), RULES).permitted
    decision = at_recipient(ANN, Address.parse("eve@other.test"), RULES)
    assert decision.reason is Reason.RECIPIENT_NOT_PERMITTED and decision.who == ("eve@other.test",)
    assert decision.words == (
        "You cannot write to eve@other.test from this secure inbox, "
        "only to @org.test, @xn--bcher-kva.test. Questions: help@org.test"
    )
    with pytest.raises(Refusal) as caught:
        decision.enforce()
    assert caught.value.words == decision.words


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("registered", [True, False])
def test_after_data(own: bool, registered: bool) -> None:
    decision = after_data(ANN, [(Address.parse("bob@acme.test"), registered)], own, RULES)
    assert decision.permitted is (own and registered)
    if not decision.permitted:
        assert decision == after_data(ANN, [(Address.parse("bob@acme.test"), not registered)], False, RULES)
        assert "bob@acme.test" in decision.words and "at acme.test" in decision.words
        assert decision.words.endswith("Questions: help@org.test")


def test_only_the_refused_are_named() -> None:
    people = [(Address.parse(f"p{n}@acme.test"), n % 2 == 0) for n in range(4)]
    assert after_data(ANN, people, True, RULES).who == ("p1@acme.test", "p3@acme.test")
    assert after_data(ANN, people, False, RULES).who == tuple(f"p{n}@acme.test" for n in range(4))
    assert after_data(ANN, [], False, RULES).permitted


def test_decision_words() -> None:
    assert Decision("P7").words == "" and Decision("P7").enforce() is None  # type: ignore[func-returns-value]
    assert Decision("P7", Reason.LIMIT, explanation="No.").words == "No."
    assert named(("a", "b")) == "a, b" and named(tuple("abcdefg")) == "a, b, c, d, e and 2 more"
