"""Distribute TensorFlow's work among the cores of a CPU: few threads per operation, several operations in parallel.

With short sentences, an encoder consists of thousands of small operations, which gain little from a second core. On a
machine with two cores, a training step of MiniLM-L6 (16 x 32 tokens, bfloat16) takes 203 ms on one core, 160 ms with
two threads per operation, and 126 ms with two halves of the batch in parallel, each with one thread.
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
    """The number of cores for this process: its CPU affinity, limited by OMP_NUM_THREADS.

    Ray and other schedulers set OMP_NUM_THREADS to the share of a process.
    """
    n_bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = os.environ.get("OMP_NUM_THREADS", "")
    return min(n_bound, int(share)) if share.isdecimal() and int(share) else n_bound


N_CORES = _n_cores()
MAX_LANES = 2


def has_gpu() -> bool:
    """Whether TensorFlow computes on a GPU."""
    return bool(tf.config.list_physical_devices("GPU"))


def n_lanes() -> int:
    """The number of parts of a batch to run in parallel: 1 on GPUs and on a single core."""
    return 1 if has_gpu() else min(N_CORES, MAX_LANES)


def set_cpu_options() -> None:
    """Limit the threads per operation to its lane's share of the cores, unless the environment or program has set it.

    Graph optimisation is switched off: for a training step it takes 3 s and makes it no faster.
    """
    if has_gpu():
        return
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    if "TF_NUM_INTRAOP_THREADS" in os.environ or tf.config.threading.get_intra_op_parallelism_threads():
        return
    try:
        tf.config.threading.set_intra_op_parallelism_threads(max(N_CORES // n_lanes(), 1))
    except RuntimeError:
        # TensorFlow is already initialised, with the threads that the program chose.
        return


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
