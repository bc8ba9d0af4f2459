"""How fast this machine multiplies matrices, for estimates of the time that a run takes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import cache

from tf_tokclf.cpu import side_by_side
from tf_tokclf.model.backend import tf
from tf_tokclf.model.parallel import has_gpu, n_lanes

SECONDS = 0.1
FEWEST_PRODUCTS = 3
ROWS = 1024


@cache
def matrix_speed(dtype: str, width: int, inner: int) -> float:
    """Floating-point operations per second in products of (1024, width) and (width, inner) matrices, on the device and
    in as many lanes as training uses.

    dtype: such as "bfloat16". It takes about 0.1 s, and is measured once per process. The fastest product counts, by
    the time of its thread if it needs only that one, because other programs may interrupt it.
    """
    clock = time.thread_time if _computes_in_one_thread() else time.perf_counter
    left, right = tf.ones((ROWS, width), dtype), tf.ones((width, inner), dtype)
    # The first product prepares the kernel.
    _seconds(left, right, clock)

    def fastest_of_lane(lane: int) -> float:
        fastest, n_products, end = math.inf, 0, time.perf_counter() + SECONDS
        while time.perf_counter() < end or n_products < FEWEST_PRODUCTS:
            fastest = min(fastest, _seconds(left, right, clock))
            n_products += 1
        return fastest

    lanes = n_lanes()
    return sum(2.0 * ROWS * width * inner / fastest for fastest in side_by_side(fastest_of_lane, range(lanes), lanes))


def _computes_in_one_thread() -> bool:
    """Whether the thread that asks for a product also computes it, and a precise clock shows its time."""
    if has_gpu() or tf.config.threading.get_intra_op_parallelism_threads() != 1:
        return False
    return time.get_clock_info("thread_time").resolution < 1e-4


def _seconds(left: tf.Tensor, right: tf.Tensor, clock: Callable[[], float]) -> float:
    """The time of one product. Reading an element waits for the device."""
    began = clock()
    _ = tf.matmul(left, right)[0, 0].numpy()
    return clock() - began
