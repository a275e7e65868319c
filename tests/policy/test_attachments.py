"""P10: count, octets, exemptions with an end."""

from __future__ import annotations

import pytest

from mail.address import Address
from mail.errors import Reason
from policy.attachments import (
    MEBI,
    Allowance,
    Exemption,
    Rules,
    decide,
    declared_too_large,
    megabytes,
)

ANN, CLAIMS, DESK = (Address.parse(a) for a in ("ann@acme.test", "claims@org.test", "desk@org.test"))
RULES = Rules(contact="help@org.test")


@pytest.mark.parametrize(
    ("count", "octets", "reason"),
    [
        (0, 0, None),
        (10, 52_428_800, None),
        (11, 0, Reason.TOO_MANY_ATTACHMENTS),
        (1, 52_428_801, Reason.TOO_LARGE),
    ],
)
def test_limits(count: int, octets: int, reason: Reason | None) -> None:
    assert decide(Allowance(count, octets), ANN, [CLAIMS], RULES, 0).reason is reason


def test_words() -> None:
    many = decide(Allowance(13, 0), ANN, [CLAIMS], RULES, 0)
    assert (many.limit, many.actual) == (10, 13)
    assert many.words == (
        "The message has 13 attachments, 3 more than the 10 you may send. Questions: help@org.test"
    )
    large = decide(Allowance(1, 60 * MEBI), ANN, [CLAIMS], RULES, 0)
    assert large.words == (
        "The attachments have 60 MB together, 10 MB more than the 50 MB "
        "you may send. Questions: help@org.test"
    )


@pytest.mark.parametrize("who", ["ann@acme.test", "acme.test", "claims@org.test", "org.test"])
def test_an_exemption_counts_for_sender_and_recipient_until_its_end(who: str) -> None:
    rules = Rules(exemptions=(Exemption(who, Allowance(25, 55 * MEBI), until=1000),))
    load = Allowance(25, 55 * MEBI)
    assert decide(load, ANN, [CLAIMS], rules, 999).permitted
    assert not decide(load, ANN, [CLAIMS], rules, 1000).permitted
    assert not decide(load, Address.parse("x@y.test"), [Address.parse("z@y.test")], rules, 999).permitted


def test_an_exemption_of_one_recipient_is_not_the_others() -> None:
    rules = Rules(exemptions=(Exemption("claims@org.test", Allowance(25, 0), until=1000),))
    decision = decide(Allowance(11, 0), ANN, [CLAIMS, DESK], rules, 0)
    assert decision.who == ("desk@org.test",)
    assert "1 more than the 10 you may send to desk@org.test." in decision.words


def test_an_exemption_only_widens() -> None:
    rules = Rules(exemptions=(Exemption("acme.test", Allowance(1, 1), until=1000),))
    assert decide(Allowance(10, 1000), ANN, [CLAIMS], rules, 0).permitted


def test_declared_size() -> None:
    assert declared_too_large(100, 100, "x").permitted
    decision = declared_too_large(80 * MEBI + 1, 80 * MEBI, "help@org.test")
    assert decision.reason is Reason.TOO_LARGE
    assert decision.words == (
        "The message has 80.1 MB, 0.1 MB more than the 80 MB "
        "that one message may have. Questions: help@org.test"
    )


def test_ceiling_leaves_room_for_base64() -> None:
    wire = -(-52_428_800 // 57) * 78
    assert wire <= Rules().message_ceiling(0) < 80 * MEBI
    wide = Rules(exemptions=(Exemption("x", Allowance(1, 100 * MEBI), until=10),))
    assert wide.message_ceiling(9) > 130 * MEBI and wide.message_ceiling(10) < 80 * MEBI


@pytest.mark.parametrize(
    ("octets", "text"), [(0, "0"), (1, "0.1"), (MEBI, "1"), (MEBI + 1, "1.1"), (50 * MEBI, "50")]
)
def test_megabytes(octets: int, text: str) -> None:
    assert megabytes(octets) == text
