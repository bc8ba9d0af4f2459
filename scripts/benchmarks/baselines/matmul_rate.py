"""Measure the rate of large matrix products on all cores of this machine, in GFLOP/s: the best of 20."""

from __future__ import annotations

import json
import os
import time

# TensorFlow's defaults: all threads compute one product, with oneDNN.
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"

import tensorflow as tf

SIZE = 2048


def rate(dtype: tf.DType) -> float:
    """The best rate of SIZE x SIZE products, in GFLOP/s."""
    a = tf.cast(tf.random.normal((SIZE, SIZE)), dtype)
    product = tf.function(lambda a: tf.matmul(a, a))
    seconds = []
    for _ in range(20):
        began = time.perf_counter()
        product(a)
        seconds.append(time.perf_counter() - began)
    return 2 * SIZE**3 / min(seconds) / 1e9


print(json.dumps({"float32": rate(tf.float32), "bfloat16": rate(tf.bfloat16)}))
