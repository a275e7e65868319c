"""One demo for all clients: what they do to it must not matter to one another, as in life."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clients.gateway import Running, gateway
from tests.clients.site import Site


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """`secure-inbox demo` with its examples and two workers."""
    with gateway(tmp_path_factory.mktemp("demo") / "data") as started:
        yield started


@pytest.fixture(scope="session")
def site(running: Running) -> Site:
    return running.site
