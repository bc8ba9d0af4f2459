"""The gradient of the softmax, for attention whose gradient is written out."""

from __future__ import annotations

from tf_tokclf.model.backend import tf


def softmax_gradient(shares: tf.Tensor, upstream: tf.Tensor) -> tf.Tensor:
    """The gradient of the scores whose softmax over the last axis is `shares`. upstream: the gradient of `shares`."""
    return shares * (upstream - tf.reduce_sum(upstream * shares, axis=-1, keepdims=True))
