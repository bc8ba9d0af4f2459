"""Attention in parts is the same as at once."""

from __future__ import annotations

import numpy as np
import pytest

from tf_tokclf.model.architectures import dot_product
from tf_tokclf.model.architectures.dot_product import AtOnce, ByLength, InChunks, InGroups
from tf_tokclf.model.backend import tf


@pytest.mark.parametrize("length", [1, 7, 16, 23])
@pytest.mark.parametrize("of_a_chunk", [2 * 3 * 23 * 4, 1])
def test_values_and_gradients(length: int, of_a_chunk: int, monkeypatch: pytest.MonkeyPatch):
    drawn = np.random.default_rng(length)
    query, upstream = (tf.constant(drawn.normal(size=(2, 3, length, 4)), tf.float32) for _ in range(2))
    key, value = (tf.constant(drawn.normal(size=(2, 3, length, 4)), tf.float32) for _ in range(2))
    mask = tf.constant(np.where(drawn.random((2, 1, 1, length)) < 0.3, -1e9, 0), tf.float32)
    monkeypatch.setattr(dot_product, "OF_A_CHUNK", of_a_chunk)

    @tf.function(autograph=False)
    def computed(kind: type[AtOnce] | type[InChunks]) -> list[tf.Tensor]:
        product = kind(mask)
        attended, kept = product.compute(query, key, value)
        return [attended, *product.slopes(query, key, value, kept, upstream)]

    for one, other in zip(computed(InChunks), computed(AtOnce), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n_blocks", [1, 5, 6])
@pytest.mark.parametrize("of_a_group", [2 * 3 * 4 * 7, 1, 10**6])
def test_values_and_gradients_of_blocks(n_blocks: int, of_a_group: int, monkeypatch: pytest.MonkeyPatch):
    drawn = np.random.default_rng(n_blocks)
    query, upstream = (tf.constant(drawn.normal(size=(n_blocks, 3, 4, 2)), tf.float32) for _ in range(2))
    key, value = (tf.constant(drawn.normal(size=(n_blocks, 3, 7, 2)), tf.float32) for _ in range(2))
    mask = tf.constant(np.where(drawn.random((n_blocks, 1, 4, 7)) < 0.3, -1e9, 0), tf.float32)
    monkeypatch.setattr(dot_product, "OF_A_CHUNK", of_a_group)

    @tf.function(autograph=False, input_signature=[tf.TensorSpec((None, 3, None, 2))] * 4)
    def computed(query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, upstream: tf.Tensor) -> list[list[tf.Tensor]]:
        found = []
        for product in (InGroups(mask), AtOnce(mask)):
            attended, kept = product.compute(query, key, value)
            found.append([attended, *product.slopes(query, key, value, kept, upstream)])
        return found

    in_groups, at_once = computed(query, key, value, upstream)
    for one, other in zip(in_groups, at_once, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_the_gradients_are_those_of_tensorflow():
    drawn = np.random.default_rng(3)
    parts = [tf.Variable(drawn.normal(size=(1, 2, 5, 4)), dtype=tf.float32) for _ in range(3)]
    upstream = tf.constant(drawn.normal(size=(1, 2, 5, 4)), tf.float32)
    product = AtOnce(tf.zeros((1, 1, 1, 5)))
    with tf.GradientTape() as tape:
        attended, kept = product.compute(*parts)
        total = tf.reduce_sum(attended * upstream)
    for mine, other in zip(product.slopes(*parts, kept, upstream), tape.gradient(total, parts), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-6)


def test_the_product_for_long_rows_is_not_copied_into_the_graph():
    """Both branches give the same, and the graph that contains them has only a call of the one with loops."""
    drawn = np.random.default_rng(4)
    parts = [tf.constant(drawn.normal(size=(2, 3, 5, 4)), tf.float32) for _ in range(4)]
    mask = tf.zeros((2, 1, 1, 5))

    @tf.function(autograph=False, input_signature=[tf.TensorSpec((), tf.bool)])
    def computed(is_short: tf.Tensor) -> list[tf.Tensor]:
        product = ByLength(is_short, AtOnce(mask), InChunks(mask))
        attended, kept = product.compute(*parts[:3])
        return [attended, *product.slopes(*parts[:3], kept, parts[3])]

    for one, other in zip(computed(tf.constant(True)), computed(tf.constant(False)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    library = computed.get_concrete_function().graph.as_graph_def().library.function
    with_loops = [f for f in library if any("While" in node.op for node in f.node_def)]
    assert len(with_loops) == 2
    assert all(f.attr["_noinline"].b for f in with_loops)
