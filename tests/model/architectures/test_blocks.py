"""Blocks hold the queries of a row once, and beside each all keys that it sees."""

from __future__ import annotations

import numpy as np
import pytest

from tf_tokclf.model.architectures import blocks as module
from tf_tokclf.model.architectures.blocks import Blocks
from tf_tokclf.model.backend import tf


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SMALLEST_BLOCK", 4)


def blocks_of(width: int, reach: int | None) -> Blocks:
    return Blocks(tf.constant([2, width]), reach)


SHAPES = [(1, 3), (4, 3), (10, 3), (11, 3), (12, 3), (13, 5), (50, 5), (37, 0), (9, 1), (64, 4), (7, None)]


@pytest.mark.parametrize(("width", "reach"), SHAPES)
def test_a_query_sees_the_tokens_within_reach(width: int, reach: int | None):
    """The sum of the keys that the mask leaves, for each query, is that over the tokens near it."""
    blocks = blocks_of(width, reach)
    values = np.random.default_rng(1).normal(size=(2, width, 3)).astype(np.float32)
    real = np.arange(width)[None, :] < np.array([[width], [max(width - 5, 1)]])
    seen = tf.cast(blocks.mask(tf.constant(real)) == 0, tf.float32)
    shape = [tf.shape(blocks.queries(tf.constant(values)))[0], blocks.size, blocks.n_keys]
    sums = tf.matmul(tf.broadcast_to(seen[:, 0], shape), blocks.keys(tf.constant(values)))
    distance = np.abs(np.arange(width)[:, None] - np.arange(width)[None, :])
    near = real[:, None, :] & (distance <= (width if reach is None else reach))
    np.testing.assert_allclose(blocks.from_queries(sums), near.astype(np.float32) @ values, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("width", "reach"), SHAPES)
def test_the_ways_back(width: int, reach: int | None):
    """from_queries is the inverse of queries, and from_keys has the same products as keys."""
    blocks = blocks_of(width, reach)
    drawn = np.random.default_rng(2)
    values = tf.constant(drawn.normal(size=(2, width, 3)), tf.float32)
    np.testing.assert_array_equal(blocks.from_queries(blocks.queries(values)), values)
    keys = blocks.keys(values)
    others = tf.constant(drawn.normal(size=keys.shape), tf.float32)
    one, other = tf.reduce_sum(keys * others), tf.reduce_sum(values * blocks.from_keys(others))
    np.testing.assert_allclose(one, other, rtol=1e-4)


def test_the_number_of_scores_is_proportional_to_the_length():
    numbers = [int(tf.size(blocks_of(width, 16).keys(tf.zeros((2, width, 1))))) for width in (512, 1024, 2048)]
    assert numbers == [2 * 3 * width for width in (512, 1024, 2048)]
