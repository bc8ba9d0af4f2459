"""Gradient checkpointing (Chen et al. 2016, arXiv:1604.06174): keep only the inputs of layers for the gradient.

Inside `recomputed_layers`, what is computed in a layer is freed after the layer. It is computed again when the gradient
of the layer is needed, so only one layer's intermediate results are in memory at a time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from tf_tokclf.errors import UserError
from tf_tokclf.model.backend import keras, tf

# The names that transformers gives to the layers of an encoder. XLM and FlauBERT have lists of the parts of layers.
_NUMBERED = re.compile(r"(?:_\._|\.)\d+$")


@dataclass
class _Recomputation:
    """tape: records the forward pass. autograph: whether layers have branches on tensors. n_layers: computed so far."""

    tape: tf.GradientTape
    autograph: bool
    n_layers: int = 0


_current: ContextVar[_Recomputation | None] = ContextVar("recomputation", default=None)


@contextmanager
def recomputed_layers(model: keras.Model, tape: tf.GradientTape, *, autograph: bool) -> Iterator[None]:
    """Inside the block, which is a forward pass that `tape` records, layers only keep their inputs.

    It needs `mark_layers`. autograph: whether the layers have branches on tensors. Raises UserError if the forward pass
    had no layers.
    """
    current = _Recomputation(tape, autograph)
    token = _current.set(current)
    try:
        yield
    finally:
        _current.reset(token)
    if not current.n_layers:
        raise UserError(
            f"gradient checkpointing does not support encoders of type {model.config.model_type!r}, because their "
            "layers were not found.",
            hint="Leave out --gradient-checkpointing (training.gradient_checkpointing).",
        )


def mark_layers(model: keras.Model) -> None:
    """Let the layers of an encoder be recomputed inside `recomputed_layers`.

    This concerns layers that Keras calls. Layers that share a trace need no mark.
    """
    for layer in _layers(model):
        layer.call = _marked(layer.call)


def _layers(part: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    """The outermost numbered layers that have parts. Others, such as the norms of XLM, keep little more than inputs."""
    for child in _children(part):
        if not _NUMBERED.search(child.name):
            yield from _layers(child)
        elif _children(child):
            yield child


def _children(part: keras.layers.Layer) -> list[keras.layers.Layer]:
    return list(part._flatten_layers(recursive=False, include_self=False))


def _marked(call: Callable[..., Any]) -> Callable[..., Any]:
    @tf.autograph.experimental.do_not_convert
    def marked(*inputs: Any, **options: Any) -> Any:
        return computed_layer(call, *inputs, **options)

    return marked


def computed_layer(compute: Callable[..., Any], *inputs: Any, **options: Any) -> Any:
    """The outputs of a layer: tensors, or structures of tensors and None.

    Inside `recomputed_layers` they are computed with a trace of the layer, which is used again for the gradient. Both
    computations therefore draw the same dropout masks. inputs, options: structures of tensors and other values.
    """
    current = _current.get()
    if current is None:
        return compute(*inputs, **options)
    current.n_layers += 1
    given = tf.nest.flatten((inputs, options))
    is_tensor = [tf.is_tensor(value) for value in given]
    tensors = [tf.convert_to_tensor(value) for value, is_one in zip(given, is_tensor) if is_one]

    def from_tensors(*tensors: tf.Tensor) -> Any:
        rest = iter(tensors)
        values = [next(rest) if is_one else value for value, is_one in zip(given, is_tensor)]
        inputs_of_layer, options_of_layer = tf.nest.pack_sequence_as((inputs, options), values)
        return compute(*inputs_of_layer, **options_of_layer)

    trace = tf.function(from_tensors, autograph=current.autograph).get_concrete_function(*tensors)
    structure = trace.structured_outputs
    found = iter(_with_recomputation(trace, current.tape)(*tensors))
    outputs = [None if value is None else next(found) for value in tf.nest.flatten(structure)]
    return tf.nest.pack_sequence_as(structure, outputs)


def _with_recomputation(trace: Callable[..., Any], tape: tf.GradientTape) -> Callable[..., Any]:
    """`trace` as a function from tensors to a list of tensors, which computes `trace` again for its gradient."""

    def listed(*tensors: tf.Tensor) -> list[tf.Tensor]:
        return [value for value in tf.nest.flatten(trace(*tensors)) if value is not None]

    @tf.custom_gradient
    def compute(*tensors: tf.Tensor) -> Any:
        def gradient(*upstream: tf.Tensor, variables: tuple[tf.Variable, ...] = ()) -> Any:
            again = _after(upstream[0], tensors)
            with tf.GradientTape() as inner:
                inner.watch([tensor for tensor in again if tensor.dtype.is_floating])
                outputs = listed(*again)
            slopes = inner.gradient(outputs, [*again, *variables], output_gradients=upstream)
            of_tensors, of_variables = slopes[: len(again)], slopes[len(again) :]
            return (of_tensors, of_variables) if variables else of_tensors

        with tape.stop_recording():
            return listed(*tensors), gradient

    return compute


def _after(upstream: tf.Tensor, tensors: tuple[tf.Tensor, ...]) -> list[tf.Tensor]:
    """The same tensors, but only after `upstream` is computed. Otherwise all layers are recomputed at once.

    XLA ignores control dependencies, and it removes repeated computations of the same inputs.
    """
    zero = tf.reduce_sum(tf.reshape(upstream, [-1])[:1]) * 0
    return [tensor + tf.cast(zero, tensor.dtype) if tensor.dtype.is_floating else tensor for tensor in tensors]
