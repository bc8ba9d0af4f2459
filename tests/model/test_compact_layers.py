"""Dense layers and layer norms give the same results and gradients as those of Keras."""

from __future__ import annotations

import numpy as np
import pytest

from tf_tokclf.model.backend import keras, tf
from tf_tokclf.model.compact_layers import use_short_graphs
from tf_tokclf.model.precision import precision_policy


def outputs_and_gradients(layer: keras.layers.Layer, inputs: np.ndarray) -> list[np.ndarray]:
    x = tf.constant(inputs)
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = layer(x)
        loss = tf.reduce_sum(tf.cast(outputs, tf.float32) * tf.random.stateless_normal(outputs.shape, (1, 2)))
    gradients = tape.gradient(loss, [x, *layer.trainable_variables])
    return [np.asarray(tf.cast(values, tf.float32)) for values in (outputs, *gradients)]


LAYERS = {
    "dense": lambda: keras.layers.Dense(5),
    "dense without offset": lambda: keras.layers.Dense(5, use_bias=False),
    "dense with activation": lambda: keras.layers.Dense(5, activation="tanh"),
    "layer norm": lambda: keras.layers.LayerNormalization(epsilon=1e-12),
}


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("name", LAYERS)
def test_the_numbers_and_gradients_are_those_of_keras(name: str, policy: str):
    random = np.random.default_rng(1)
    inputs = (3 * random.normal(size=(4, 6, 8)) + 1).astype(np.float32)
    with precision_policy(policy):
        model = keras.Sequential([LAYERS[name]()])
    model(inputs)
    (layer,) = model.layers
    for weight in layer.weights:
        weight.assign(random.normal(size=weight.shape))
    expected = outputs_and_gradients(layer, inputs)
    dtype = layer(inputs).dtype
    use_short_graphs(model)
    assert "call" in vars(layer)
    assert layer(inputs).dtype == dtype
    # bfloat16 has 8 bits of precision, float16 has 11.
    tolerance = {"float32": 1e-5, "mixed_bfloat16": 3e-2, "mixed_float16": 4e-3}[policy]
    for mine, theirs in zip(outputs_and_gradients(layer, inputs), expected):
        np.testing.assert_allclose(mine, theirs, rtol=tolerance, atol=tolerance * max(1, np.abs(theirs).max()))


def test_norms_over_other_axes_give_what_keras_gives():
    model = keras.Sequential([keras.layers.LayerNormalization(axis=1)])
    inputs = np.random.default_rng(2).normal(size=(2, 3, 4)).astype(np.float32)
    expected = model(inputs).numpy()
    use_short_graphs(model)
    assert (model(inputs).numpy() == expected).all()
