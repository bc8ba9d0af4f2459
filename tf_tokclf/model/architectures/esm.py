"""ESM: a table of positions only where it is used, and mixed precision."""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Any

from tf_tokclf.model.backend import keras, tf


def correct_esm(model: keras.Model) -> None:
    """Correct two faults of the TensorFlow class.

    It has a table of absolute positions even if `position_embedding_type` is "rotary", as in all ESM-2 models. The
    PyTorch class has none then, nor has its file. In mixed precision it multiplies numbers of different types. Here it
    scales embeddings and rotates queries and keys in float32.
    """
    embeddings = model.esm.embeddings
    if model.config.position_embedding_type != "absolute":
        embeddings.position_embeddings = None
    if model.compute_dtype == "float32":
        return
    for part in [embeddings, *(layer.attention.self.rotary_embeddings for layer in model.esm.encoder.layer)]:
        if part is not None:
            for layer in part._flatten_layers():
                layer._set_dtype_policy(keras.mixed_precision.Policy("float32"))
            part.call = MethodType(_in_float32(type(part).call, model.compute_dtype), part)


def _in_float32(call: Callable[..., Any], dtype: str) -> Callable[..., Any]:
    """`call` of a layer with inputs in float32 and results in `dtype`."""

    def call_in_float32(layer: keras.layers.Layer, *inputs: tf.Tensor, **others: Any) -> Any:
        results = call(layer, *(tf.cast(part, tf.float32) for part in inputs), **others)
        return tf.nest.map_structure(lambda result: tf.cast(result, dtype), results)

    return call_in_float32
