"""What this machine reaches in large matrix products with all its cores, GFLOP/s: the best of 20."""

from __future__ import annotations

import json
import os
import time

# With the threads of a plain TensorFlow, all of them in one product, and with oneDNN's products.
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"

import tensorflow as tf

SIZE = 2048


def rate(dtype: tf.DType) -> float:
    """Best GFLOP/s of SIZE x SIZE products."""
    a = tf.cast(tf.random.normal((SIZE, SIZE)), dtype)
    product = tf.function(lambda a: tf.matmul(a, a))
    seconds = []
    for _ in range(20):
        began = time.perf_counter()
        product(a)
        seconds.append(time.perf_counter() - began)
    return 2 * SIZE**3 / min(seconds) / 1e9


print(json.dumps({"float32": rate(tf.float32), "bfloat16": rate(tf.bfloat16)}))
