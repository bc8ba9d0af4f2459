"""Wait for a condition. The time limit is long, because a busy machine is slow."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LIMIT_S = 300.0


def wait_until(condition: Callable[[], T], *, limit_s: float = LIMIT_S, every_s: float = 0.01) -> T:
    """Wait until `condition` returns a true value, and return it."""
    end = time.monotonic() + limit_s
    while not (value := condition()):
        assert time.monotonic() < end, f"not true within {limit_s:g} s"
        time.sleep(every_s)
    return value
