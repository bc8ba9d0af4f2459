"""Layers that share a trace have their own weights and numbers."""

from __future__ import annotations

import numpy as np
import pytest

from tf_tokclf.model.backend import tf
from tf_tokclf.model.rows import layer_number
from tf_tokclf.model.shared_trace import SharedTrace


@pytest.mark.parametrize("is_traced", [True, False])
def test_layers_have_their_own_weights_and_numbers(is_traced: bool):
    n_computations = 0

    def compute(pieces: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
        nonlocal n_computations
        n_computations += 1
        return pieces * weight + tf.cast(layer_number.get(), tf.float32)

    shared = SharedTrace(compute, width=2, is_traced=is_traced)

    @tf.function(autograph=False)
    def through_layers(pieces: tf.Tensor) -> tf.Tensor:
        for number, weight in enumerate((2.0, 3.0, 5.0)):
            pieces = shared(pieces, number, tf.constant(weight))
        return pieces

    found = through_layers(tf.ones((4, 2)))
    np.testing.assert_array_equal(found, np.full((4, 2), ((1 * 2 + 0) * 3 + 1) * 5 + 2))
    assert n_computations == (1 if is_traced else 3)
    assert layer_number.get() is None
