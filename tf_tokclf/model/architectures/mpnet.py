"""MPNet: no pooler, buckets of distances in float32, and computed without padding."""

from __future__ import annotations

import math
from typing import Any

from tf_tokclf.model.backend import keras, tf
from tf_tokclf.model.unpadded_encoder import EncoderKind, Joined, LayerParts, use_packing


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


def use_packing_of_mpnet(model: keras.Model) -> None:
    """Compute the encoder of `model` without padding."""
    kind = EncoderKind(
        layers=lambda encoder: [_parts(layer) for layer in encoder.layer],
        position_scores=lambda encoder, embedded: tf.cast(encoder.compute_position_bias(embedded), embedded.dtype),
    )
    use_packing(model, kind)


def _parts(layer: Any) -> LayerParts:
    attention, outer = layer.attention.attn, layer.out
    return LayerParts(
        query=attention.q,
        key=attention.k,
        value=attention.v,
        n_heads=attention.num_attention_heads,
        attention_dropout=attention.dropout,
        attended=Joined(attention.o, layer.attention.LayerNorm, layer.attention.dropout),
        inner=layer.intermediate.dense,
        activation=layer.intermediate.intermediate_act_fn,
        outer=Joined(outer.dense, outer.LayerNorm, outer.dropout),
    )
