"""How TensorFlow shares out its work among a CPU's cores: few threads an operation, several operations at a time.

An encoder on short sentences is thousands of small operations, of which each gains little from a second core: on two
cores a training step of MiniLM-L6 (16 x 32 pieces, bfloat16) takes 203 ms on one, 160 with two threads an operation,
and 126 as two halves of the batch side by side with one thread each.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, TypeVar

import tensorflow as tf

Item = TypeVar("Item")
Result = TypeVar("Result")


def _n_cores() -> int:
    """The cores of this process: those it is bound to, or fewer where OMP_NUM_THREADS says so, by which Ray and other
    schedulers tell a process its share.
    """
    n_bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = os.environ.get("OMP_NUM_THREADS", "")
    return min(n_bound, int(share)) if share.isdecimal() and int(share) else n_bound


N_CORES = _n_cores()
MAX_LANES = 2


def n_lanes() -> int:
    """How many parts of a batch to run side by side: 1 on GPUs and on a single core."""
    return 1 if tf.config.list_physical_devices("GPU") else min(N_CORES, MAX_LANES)


def set_cpu_options() -> None:
    """Give each operation its lane's share of the cores, unless the environment or the program has said otherwise.

    Graphs are run as they were traced: rewriting a training step's takes 3 s and makes it no faster.
    """
    if tf.config.list_physical_devices("GPU"):
        return
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    if "TF_NUM_INTRAOP_THREADS" in os.environ or tf.config.threading.get_intra_op_parallelism_threads():
        return
    try:
        tf.config.threading.set_intra_op_parallelism_threads(max(N_CORES // n_lanes(), 1))
    except RuntimeError:
        # TensorFlow is at work already, with threads of the program's choice.
        return


def side_by_side(function: Callable[[Item], Result], items: Iterable[Item], lanes: int) -> Iterator[Result]:
    """`function` of each item, in order, with one call a lane at work."""
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
