"""One demo for the tests that only add to it; those that kill or stop one start their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clients.gateway import Running, gateway
from tests.clients.site import Site


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """`secure-inbox demo --no-examples` with two workers."""
    with gateway(tmp_path_factory.mktemp("gateway") / "data", examples=False) as started:
        yield started


@pytest.fixture
def site(demo: Running) -> Site:
    """What demo.json says of it."""
    return demo.site
