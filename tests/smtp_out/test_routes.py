from __future__ import annotations

from smtp_out.routes import Route, Routes, Tls


def test_a_domain_of_the_table_goes_its_own_way_and_the_rest_to_the_default() -> None:
    own, smarthost = Route("mx.test", 25, Tls.MAY), Route("smart.test")
    routes = Routes(smarthost, {"example-health.test": own})
    assert routes.to("example-health.test") is own
    assert routes.to("sub.example-health.test") is smarthost


def test_without_a_default_there_is_no_way_out() -> None:
    assert Routes().to("example-health.test") is None


def test_a_route_verifies_unless_told_otherwise() -> None:
    assert Route("mx.test").tls is Tls.VERIFY
