"""MPNet: no pooler, and buckets of distances in float32."""

from __future__ import annotations

import math

from tf_tokclf.model.backend import keras, tf


class _NoPooler(keras.layers.Layer):
    def call(self, hidden_states: tf.Tensor) -> tf.Tensor:
        return hidden_states[:, 0]


def correct_mpnet(model: keras.Model) -> None:
    """Remove the pooler, and compute the buckets of distances as PyTorch does.

    The PyTorch class for token classification has no pooler, and otherwise its weights would be saved. The TensorFlow
    class computes buckets in float64, for which TFLite has no logarithm.
    """
    model.mpnet.pooler = _NoPooler(name="pooler")
    model.mpnet.encoder._relative_position_bucket = _buckets


def _buckets(distances: tf.Tensor, num_buckets: int = 32, max_distance: int = 128) -> tf.Tensor:
    """The bucket of each distance of a key from its query: half of them for keys before it, and half for keys after it.

    Half of these are for single distances, and the others grow logarithmically up to `max_distance`.
    """
    n = num_buckets // 2
    n_single = n // 2
    away = tf.abs(distances)
    share = tf.math.log(tf.cast(tf.maximum(away, 1), tf.float32) / n_single) / math.log(max_distance / n_single)
    far = tf.minimum(n_single + tf.cast(share * (n - n_single), distances.dtype), n - 1)
    behind = tf.where(distances > 0, n, 0)
    return behind + tf.where(away < n_single, away, far)
