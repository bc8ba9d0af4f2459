"""Exact GELU that is faster on CPUs: computed from erf, which is vectorised, while TensorFlow's erfc is not.

On two cores (MiniLM-L6, 16 x 32 tokens, bfloat16), the time of GELU and its gradient fell from 62 to 15 ms, in a step
of 212 ms.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tf_tokclf.model.backend import keras, tf, transformers
from tf_tokclf.model.parallel import has_gpu

_GELU = transformers.activations_tf.ACT2FN["gelu"]


def use_fast_gelu(model: keras.Model) -> None:
    """Replace exact GELU in all layers of `model`, unless there is a GPU."""
    if has_gpu():
        return
    _replace(model, _GELU, gelu)


@contextmanager
def plain_gelu(model: keras.Model) -> Iterator[None]:
    """Use TensorFlow's GELU inside the block: converters recognise it as one operation, and TFLite has no erf."""
    n_replaced = _replace(model, gelu, _GELU)
    try:
        yield
    finally:
        if n_replaced:
            _replace(model, _GELU, gelu)


def _replace(model: keras.Model, old: Any, new: Any) -> int:
    places = [(layer, name) for layer in model.submodules for name, value in vars(layer).items() if value is old]
    for layer, name in places:
        setattr(layer, name, new)
    return len(places)


@tf.custom_gradient
def gelu(x: tf.Tensor) -> Any:
    """x times the cumulative normal distribution at x (Hendrycks and Gimpel 2016, arXiv:1606.08415).

    Computed in float32 and returned in the dtype of `x`.
    """
    wide = tf.cast(x, tf.float32)
    below = 0.5 * (1.0 + tf.math.erf(wide * math.sqrt(0.5)))

    def gradient(upstream: tf.Tensor) -> tf.Tensor:
        density = tf.exp(-0.5 * tf.square(wide)) * (1 / math.sqrt(2 * math.pi))
        return tf.cast(tf.cast(upstream, tf.float32) * (below + wide * density), x.dtype)

    return tf.cast(wide * below, x.dtype), gradient
