"""ConvBERT: its convolutions must not read padding, and their weights have other shapes in PyTorch."""

from __future__ import annotations

from contextvars import ContextVar
from types import MethodType
from typing import Any

import numpy as np

from tf_tokclf.model.backend import keras, tf

# (rows, width, 1), 1 at tokens and 0 at padding, in the data type of the layer that is computed.
_tokens: ContextVar[tf.Tensor] = ContextVar("tokens")


def hide_padding(model: keras.Model) -> None:
    """Make the convolutions read zeros at padding, which they also read beyond the ends of a row.

    In the classes of transformers, the logits of the last tokens depend on the padding behind them.
    """
    for layer in model.convbert.encoder.layer:
        attention = layer.attention.self_attention
        attention.conv_out_layer = _DenseOfTokens(
            attention.conv_out_layer.units,
            kernel_initializer=attention.conv_out_layer.kernel_initializer,
            name=attention.conv_out_layer.name,
        )
        attention.call = MethodType(_attend, attention)


class _DenseOfTokens(keras.layers.Dense):
    """A dense layer that returns zeros at padding."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return super().call(inputs) * _tokens.get()


def _attend(
    attention: keras.layers.Layer, hidden_states: tf.Tensor, attention_mask: tf.Tensor, *others: Any, **options: Any
) -> Any:
    """attention_mask: (rows, 1, 1, width), 0 at tokens, very negative at padding."""
    # TFLite cannot add an axis in a slice.
    is_token = tf.cast(tf.expand_dims(attention_mask[:, 0, 0, :] == 0, -1), hidden_states.dtype)
    before = _tokens.set(is_token)
    try:
        return type(attention).call(attention, hidden_states * is_token, attention_mask, *others, **options)
    finally:
        _tokens.reset(before)


def pytorch_shape(name: str, array: np.ndarray) -> np.ndarray:
    """A weight with the shape that it has in PyTorch.

    name: its name there. transformers' rules for convolutions do not cover separable ones: a depthwise kernel is
    (width, 1, size) and its bias (width, 1).
    """
    if name.endswith(".key_conv_attn_layer.depthwise.weight"):
        return array.reshape(-1, 1, array.shape[-1])
    return array[:, None] if name.endswith(".key_conv_attn_layer.bias") else array
