"""One trace for all layers of an encoder that differ only in their weights.

Tracing takes longer than a step: with one trace, the first step of MiniLM-L6 takes 2.7 s instead of 5.6 s.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tf_tokclf.model.backend import tf
from tf_tokclf.model.recomputation import computed_layer
from tf_tokclf.model.rows import layer_number


class SharedTrace:
    """The computation of a layer, which is traced in the first call and used for the other layers too."""

    def __init__(self, compute: Callable[..., tf.Tensor], *, width: int, is_traced: bool = True) -> None:
        """compute: a function from tokens (tokens, width), the weights of a layer and more tensors to (tokens, width).

        Inside it, `layer_number` is the number of the layer. is_traced: off to compute each layer anew, as converters
        need it for some models.
        """

        def numbered(pieces: tf.Tensor, number: tf.Tensor, *others: Any) -> tf.Tensor:
            token = layer_number.set(number)
            try:
                return compute(pieces, *others)
            finally:
                layer_number.reset(token)

        self._compute = tf.function(numbered, autograph=False) if is_traced else numbered
        self._width = width

    def __call__(self, pieces: tf.Tensor, number: int, *others: Any) -> tf.Tensor:
        """The tokens (tokens, width) after layer `number`. others: the other arguments of the computation."""
        # A trace serves all shapes and numbers that it does not know.
        pieces = tf.ensure_shape(pieces, (None, self._width))
        return computed_layer(self._compute, pieces, tf.constant(number, tf.uint64), *others)
