"""The faster GELU, compared with TensorFlow's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tf_tokclf.model.backend import tf
from tf_tokclf.model.fast_gelu import gelu
from tf_tokclf.model.loading import new_classifier
from tf_tokclf.model.precision import Precision


def value_and_gradient(function, x: tf.Tensor) -> tuple[np.ndarray, np.ndarray]:
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    return y.numpy().astype(np.float64), tape.gradient(y, x).numpy().astype(np.float64)


@pytest.mark.parametrize(("dtype", "tolerance"), [(tf.float32, 1e-6), (tf.bfloat16, 2e-2)])
def test_value_and_gradient_are_tensorflows(dtype: tf.DType, tolerance: float):
    x = tf.cast(tf.linspace(-8.0, 8.0, 4001), dtype)
    for mine, theirs in zip(value_and_gradient(gelu, x), value_and_gradient(tf.nn.gelu, x)):
        np.testing.assert_allclose(mine, theirs, atol=tolerance)


def test_loaded_models_hold_it(tiny_bert: Path):
    model = new_classifier(tiny_bert, ["O", "X"], precision=Precision("float32", "test"))
    held = [layer.intermediate_act_fn for layer in model.submodules if hasattr(layer, "intermediate_act_fn")]
    assert held == [gelu, gelu]
