"""Holds a function to linear cost: the shape of the bug classes in headers and MIME."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable


def _best(work: Callable[[bytes], object], data: bytes) -> float:
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        work(data)
        best = min(best, time.process_time() - start)
    return best


def assert_linear(work: Callable[[bytes], object], make: Callable[[int], bytes], size: int) -> None:
    """Four times the input takes at most ten times as long (quadratic: sixteen), and at most
    a second. CPU time, best of three, so that other work on the machine does not count."""
    gc.disable()
    try:
        small, large = _best(work, make(size)), _best(work, make(4 * size))
    finally:
        gc.enable()
    assert large < max(10 * small, 0.02), f"{small:.4f} s became {large:.4f} s"
    assert large < 1
