"""Distribute TensorFlow's work among the cores of a CPU: few threads per operation, several operations in parallel.

With short sentences, an encoder consists of thousands of small operations, which gain little from a second core. On a
machine with two cores, a training step of MiniLM-L6 (16 x 32 tokens, bfloat16) takes 203 ms on one core, 160 ms with
two threads per operation, and 126 ms with two halves of the batch in parallel, each with one thread.
"""

from __future__ import annotations

import os

import tensorflow as tf

from tf_tokclf.cpu import MAX_LANES, N_CORES


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
