"""The cores of this machine, the instructions of its CPU, and calls in parallel."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def _n_cores() -> int:
    """The number of cores for this process: its CPU affinity, limited by OMP_NUM_THREADS.

    Ray and other schedulers set OMP_NUM_THREADS to the share of a process.
    """
    n_bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = os.environ.get("OMP_NUM_THREADS", "")
    return min(n_bound, int(share)) if share.isdecimal() and int(share) else n_bound


N_CORES = _n_cores()
MAX_LANES = 2


@cache
def cpu_flags() -> frozenset[str]:
    """The CPU's features on Linux, such as avx2; empty on other systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    return next((frozenset(line.split()) for line in lines if line.startswith("flags")), frozenset())


def side_by_side(function: Callable[[Item], Result], items: Iterable[Item], lanes: int) -> Iterator[Result]:
    """Apply `function` to each item, with `lanes` calls in parallel. The results are in order."""
    source = iter(items)
    if lanes == 1:
        yield from map(function, source)
        return
    with ThreadPoolExecutor(lanes) as pool:
        waiting: list[Future[Any]] = [pool.submit(function, item) for item in islice(source, lanes)]
        while waiting:
            result = waiting.pop(0).result()
            waiting += [pool.submit(function, item) for item in islice(source, 1)]
            yield result
