"""Waiting for a condition, with a limit that only a fault reaches: machines that do other things too are slow."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LIMIT_S = 300.0


def wait_until(condition: Callable[[], T], *, limit_s: float = LIMIT_S, every_s: float = 0.01) -> T:
    """The first true value of `condition`."""
    end = time.monotonic() + limit_s
    while not (value := condition()):
        assert time.monotonic() < end, f"not true within {limit_s:g} s"
        time.sleep(every_s)
    return value
