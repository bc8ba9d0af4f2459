"""XLM and FlauBERT: embeddings in checkpoints, and attention in float16."""

from __future__ import annotations

from types import MethodType
from typing import Any

from tf_tokclf.model.backend import keras, tf


def correct_xlm(model: keras.Model) -> None:
    """Let checkpoints contain the embeddings, and hide padding with the smallest number of the data type in use.

    The TensorFlow classes subtract 1e30 at padding. In float16 this is infinity, which is also multiplied by 0, at
    tokens.
    """
    model.transformer.build = MethodType(_build, model.transformer)
    if model.compute_dtype == "float16":
        for layer in model.transformer.attentions:
            layer.call = MethodType(_attend, layer)


def _build(encoder: keras.layers.Layer, input_shape: Any = None) -> None:
    type(encoder).build(encoder, input_shape)
    # The variable of the positions is also named "embeddings", and takes the place of this layer in checkpoints.
    encoder._track_trackable(encoder.embeddings, "embeddings", overwrite=True)


def _attend(
    layer: Any, input: tf.Tensor, mask: tf.Tensor, *_: None, training: bool = False, **others: Any
) -> tuple[tf.Tensor]:
    """input: (rows, width, n). mask: (rows, width), 0 at padding. Returns the same shape as `input`, in a tuple."""
    rows, width, n = tf.shape(input)[0], tf.shape(input)[1], layer.dim

    def by_head(inputs: tf.Tensor) -> tf.Tensor:
        return tf.transpose(tf.reshape(inputs, (rows, width, layer.n_heads, n // layer.n_heads)), [0, 2, 1, 3])

    query, key, value = (by_head(part(input)) for part in (layer.q_lin, layer.k_lin, layer.v_lin))
    scores = tf.matmul(query * (n // layer.n_heads) ** -0.5, key, transpose_b=True)
    scores = tf.where(tf.cast(mask, tf.bool)[:, None, None, :], scores, scores.dtype.min)
    shares = layer.dropout(tf.nn.softmax(scores), training=training)
    attended = tf.transpose(tf.matmul(shares, value), [0, 2, 1, 3])
    return (layer.out_lin(tf.reshape(attended, (rows, width, n))),)
