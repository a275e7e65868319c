"""Shared by all tests: plain tests may call asyncio.run although pytest-twisted's reactor lives."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """pytest-twisted suspends its reactor inside its loop's run, so that asyncio believes that a
    loop runs in this thread. Plain tests and their fixtures see none; tests that pytest-twisted
    drives (they are marked by its decorators) keep it."""
    if _is_twisted(item):
        return (yield)
    with _no_running_loop():
        return (yield)


def pytest_configure(config: pytest.Config) -> None:
    """Before pytest-twisted's own hook, which would run plain tests inside the reactor."""
    config.pluginmanager.register(_PlainTests(), "plain-tests")


class _PlainTests:
    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool | None:
        if _is_twisted(pyfuncitem):
            return None
        wanted = pyfuncitem._fixtureinfo.argnames
        pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in wanted})
        return True


def _is_twisted(item: pytest.Item) -> bool:
    function = getattr(item, "obj", None)
    return asyncio.iscoroutinefunction(function) or hasattr(function, "_pytest_twisted_mark")


@contextmanager
def _no_running_loop() -> Iterator[None]:
    suspended = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    try:
        yield
    finally:
        asyncio._set_running_loop(suspended)
