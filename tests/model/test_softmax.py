"""The gradient of the softmax is TensorFlow's."""

from __future__ import annotations

import numpy as np

from tf_tokclf.model.backend import tf
from tf_tokclf.model.softmax import softmax_gradient


def test_the_gradient_is_that_of_tensorflow():
    drawn = np.random.default_rng(1)
    scores = tf.constant(drawn.normal(size=(2, 3, 5)), tf.float32)
    upstream = tf.constant(drawn.normal(size=(2, 3, 5)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(scores)
        shares = tf.nn.softmax(scores)
    expected = tape.gradient(shares, scores, output_gradients=upstream)
    np.testing.assert_allclose(softmax_gradient(shares, upstream), expected, atol=1e-6)
