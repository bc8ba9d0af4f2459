"""Copies of kernels: one for all uses in a step, with the same gradients as Keras' own casts."""

from __future__ import annotations

import numpy as np
import pytest

from tests.model.test_unpadded_encoder import batch, make
from tf_tokclf.model.backend import keras, tf
from tf_tokclf.model.compact_layers import use_short_graphs
from tf_tokclf.model.forward import piece_logits
from tf_tokclf.model.weight_copies import copies_in_use, kernels_to_copy


def loss_of(model: keras.Model) -> tf.Tensor:
    input_ids, mask = batch()
    logits = tf.gather_nd(piece_logits(model, input_ids, mask, training=True), tf.where(mask == 1))
    return tf.reduce_sum(tf.cast(logits, tf.float32) * tf.random.stateless_normal(tf.shape(logits), (1, 2)))


def gradients(model: keras.Model, kernels: list[tf.Variable]) -> list[np.ndarray]:
    """The gradients of `kernels` through one copy of each."""
    copies = [tf.cast(kernel, tf.bfloat16) for kernel in kernels]
    with tf.GradientTape() as tape, copies_in_use(kernels, copies):
        tape.watch(copies)
        loss = loss_of(model)
    return [tf.cast(gradient, tf.float32).numpy() for gradient in tape.gradient(loss, copies)]


def direct_gradients(model: keras.Model, kernels: list[tf.Variable]) -> list[np.ndarray]:
    with tf.GradientTape() as tape:
        loss = loss_of(model)
    return [gradient.numpy() for gradient in tape.gradient(loss, kernels)]


@pytest.mark.parametrize("kind", ["bert", "distilbert", "albert"])
def test_the_gradients_of_copies_are_those_of_the_kernels(kind: str):
    model = make(kind, policy="mixed_bfloat16")
    use_short_graphs(model)
    kernels = [kernel for kernel in kernels_to_copy(model) if "classifier" not in kernel.name]
    # ALBERT has four layers with six kernels, and a projection of the embeddings. The others have two layers.
    assert len(kernels) == {"albert": 25}.get(kind, 12)
    # ALBERT adds the gradients of the uses of a kernel in bfloat16, as PyTorch does.
    tolerance = 2e-2 if kind == "albert" else 1e-6
    for one, other in zip(gradients(model, kernels), direct_gradients(model, kernels), strict=True):
        assert np.abs(other).max() > 0
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * np.abs(other).max())


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_only_bfloat16_has_copies(policy: str):
    assert kernels_to_copy(make("bert", policy=policy)) == []


def test_frozen_kernels_have_no_copies():
    model = make("bert", policy="mixed_bfloat16")
    all_kernels = kernels_to_copy(model)
    model.bert.encoder.layer[0].trainable = False
    assert len(kernels_to_copy(model)) == len(all_kernels) - 6
