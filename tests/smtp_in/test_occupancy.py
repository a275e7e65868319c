"""Shared bounds."""

from __future__ import annotations

from smtp_in.limits import Limits
from smtp_in.occupancy import Occupancy


def test_connections() -> None:
    occupancy = Occupancy(Limits(connections=3, connections_per_peer=2))
    assert occupancy.enter("a") is None and occupancy.enter("a") is None
    third = occupancy.enter("a")
    assert third is not None and (third.code, third.enhanced) == (421, "4.7.0")
    fourth = occupancy.enter("b")
    assert fourth is not None and (fourth.code, fourth.enhanced) == (421, "4.3.2")
    for peer in "aaab":
        occupancy.leave(peer)
    assert occupancy.connections == 0 and not occupancy._peers


def test_octets() -> None:
    occupancy = Occupancy(Limits(octets_in_flight=10))
    assert occupancy.take(7) and not occupancy.take(4) and occupancy.fits(3) and occupancy.octets == 7
    occupancy.give_back(7)
    assert occupancy.take(10)
