"""How fast this machine multiplies matrices, for estimates of the time that a run takes."""

from __future__ import annotations

import math
import time
from functools import cache

from tf_tokclf.model.backend import tf
from tf_tokclf.model.parallel import n_lanes, side_by_side

SECONDS = 0.05
ROWS = 1024


@cache
def matrix_speed(dtype: str, width: int, inner: int) -> float:
    """Floating-point operations per second in products of (1024, width) and (width, inner) matrices, on the device and
    in as many lanes as training uses.

    dtype: such as "bfloat16". It takes about 50 ms, and is measured once per process. The fastest product counts,
    because other programs may disturb the others.
    """
    left, right = tf.ones((ROWS, width), dtype), tf.ones((width, inner), dtype)
    # The first product prepares the kernel.
    _seconds(left, right)

    def fastest_of_lane(lane: int) -> float:
        fastest, end = math.inf, time.perf_counter() + SECONDS
        while time.perf_counter() < end or math.isinf(fastest):
            fastest = min(fastest, _seconds(left, right))
        return fastest

    lanes = n_lanes()
    return sum(2.0 * ROWS * width * inner / fastest for fastest in side_by_side(fastest_of_lane, range(lanes), lanes))


def _seconds(left: tf.Tensor, right: tf.Tensor) -> float:
    """The time of one product. Reading an element waits for the device."""
    began = time.perf_counter()
    _ = tf.matmul(left, right)[0, 0].numpy()
    return time.perf_counter() - began
