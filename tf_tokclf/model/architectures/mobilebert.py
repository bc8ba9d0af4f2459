"""MobileBERT: its embeddings must not read padding, and two of its layer norms have another epsilon in PyTorch."""

from __future__ import annotations

from contextvars import ContextVar
from types import MethodType
from typing import Any

from tf_tokclf.model.backend import keras, tf

_attention_mask: ContextVar[tf.Tensor | None] = ContextVar("attention_mask", default=None)
# The default of PyTorch, which the PyTorch class uses where it does not pass `layer_norm_eps`.
_EPSILON = 1e-5


def correct_mobilebert(model: keras.Model) -> None:
    """Make the embeddings read zeros at padding, which they also read beyond the ends of a row.

    An embedding is computed from three neighbouring tokens. In the classes of transformers, that of the last token
    depends on the padding behind it.
    """
    encoder = model.mobilebert
    encoder.call = MethodType(_call, encoder)
    encoder.embeddings.call = MethodType(_embed, encoder.embeddings)
    if model.config.normalization_type == "layer_norm":
        encoder.embeddings.LayerNorm.epsilon = _EPSILON
        for layer in encoder.encoder.layer:
            layer.mobilebert_output.LayerNorm.epsilon = _EPSILON


def _call(encoder: keras.layers.Layer, input_ids: Any = None, attention_mask: Any = None, **others: Any) -> Any:
    before = _attention_mask.set(attention_mask)
    try:
        return type(encoder).call(encoder, input_ids, attention_mask, **others)
    finally:
        _attention_mask.reset(before)


def _embed(embeddings: keras.layers.Layer, input_ids: Any, position_ids: Any, token_type_ids: Any, inputs_embeds: Any,
           **options: Any) -> Any:  # fmt: skip
    if input_ids is not None:
        inputs_embeds = tf.gather(embeddings.weight, input_ids)
    if (mask := _attention_mask.get()) is not None:
        inputs_embeds *= tf.cast(mask, inputs_embeds.dtype)[:, :, None]
    return type(embeddings).call(embeddings, None, position_ids, token_type_ids, inputs_embeds, **options)
