"""XLNet: token types as its tokenizer gives them, and mixed precision."""

from __future__ import annotations

from collections.abc import Sequence
from types import MethodType
from typing import Any

from tf_tokclf.model.backend import keras, tf


def correct_xlnet(model: keras.Model, special_types: tuple[Sequence[int], Sequence[int]]) -> None:
    """Pass token types to the encoder, and cast what it computes in float32 in mixed precision.

    XLNet was trained with token type 2 for the last token, <cls>. Without token types, the PyTorch class and the
    TensorFlow class compute something else, and their parameters for segments are not used. special_types: the types of
    the special tokens before and after a sequence; the type of other tokens is 0.
    """
    encoder = model.transformer

    def call_with_types(layer: keras.layers.Layer, input_ids: Any = None, **others: Any) -> Any:
        if others.get("token_type_ids") is None and others.get("attention_mask") is not None:
            others["token_type_ids"] = _token_types(others["attention_mask"], *special_types)
        return type(layer).call(layer, input_ids, **others)

    encoder.call = MethodType(call_with_types, encoder)
    if model.compute_dtype != "float32":
        for layer in encoder.layer:
            layer.rel_attn.call = MethodType(_attend_in_one_type, layer.rel_attn)


def _token_types(attention_mask: tf.Tensor, before: Sequence[int], after: Sequence[int]) -> tf.Tensor:
    """(rows, width) int32, arbitrary at padding. attention_mask: the same shape, 1 at tokens."""
    mask = tf.cast(attention_mask, tf.int32)
    from_start = tf.cumsum(mask, axis=1) - 1
    from_end = tf.reduce_sum(mask, axis=1, keepdims=True) - 1 - from_start
    types = tf.zeros_like(mask)
    for place, special in ((from_start, before), (from_end, after[::-1])):
        for i, of_token in enumerate(special):
            types = tf.where(place == i, of_token, types)
    return types


def _attend_in_one_type(
    layer: keras.layers.Layer, h: tf.Tensor, g: Any, mask_h: Any, mask_g: Any, r: tf.Tensor, seg_mat: Any, *others: Any,
    **options: Any,
) -> Any:  # fmt: skip
    """Masks, positions (`r`) and segments arrive in float32."""
    narrow = [None if part is None else tf.cast(part, layer.compute_dtype) for part in (mask_h, mask_g, r, seg_mat)]
    return type(layer).call(layer, h, g, *narrow, *others, **options)
