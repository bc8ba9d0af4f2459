"""Relative positions without gathering give the same scores, gradients and rows as gathering."""

from __future__ import annotations

import numpy as np
import pytest
from transformers.models.deberta_v2.modeling_tf_deberta_v2 import build_relative_position

from tf_tokclf.model.architectures.relative_attention import Distances, rows_by_distance, skewed, unskewed
from tf_tokclf.model.backend import tf


@pytest.mark.parametrize(
    ("n_rows", "n_buckets", "max_distance"),
    [(512, 256, 512), (512, -1, 256), (16, 8, 32), (8, 4, 7), (14, 7, 32), (8, -1, 4), (1024, 512, 2048), (4, 2, 16)],
)
def test_each_distance_has_the_row_that_transformers_gathers(n_rows: int, n_buckets: int, max_distance: int):
    width = 700
    rows = rows_by_distance(n_rows=n_rows, n_buckets=n_buckets, max_distance=max_distance)
    n = len(rows) // 2
    position = build_relative_position(width, width, n_buckets, max_distance)[0].numpy()
    expected = np.clip(position + n_rows // 2, 0, n_rows - 1)
    distances = np.arange(width)[:, None] - np.arange(width)[None, :]
    assert (rows[np.clip(distances, -n, n) + n] == expected).all()


@pytest.mark.parametrize(("n_buckets", "max_distance"), [(1, 8), (16, 9), (16, 8), (16, 5), (2, 2)])
def test_settings_that_make_no_sense_give_rows_of_the_embedding(n_buckets: int, max_distance: int):
    rows = rows_by_distance(n_rows=2 * n_buckets, n_buckets=n_buckets, max_distance=max_distance)
    assert rows.min() >= 0
    assert rows.max() < 2 * n_buckets
    middle, half = len(rows) // 2, n_buckets // 2
    assert rows[middle - half : middle + half + 1].tolist() == list(range(n_buckets - half, n_buckets + half + 1))
    distances = Distances.within(tf.constant(30), rows)
    assert int(tf.reduce_min(distances.to_keys)) == 0
    assert int(tf.reduce_max(distances.to_queries)) == int(distances.end - distances.begin) - 1


@pytest.mark.parametrize("width", [1, 2, 5, 40])
def test_the_distances_of_rows_come_in_both_orders(width: int):
    rows = rows_by_distance(n_rows=16, n_buckets=8, max_distance=32)
    n = len(rows) // 2
    distances = Distances.within(tf.constant(width), rows)
    assert 0 <= int(distances.begin) < int(distances.end) <= 16
    expected = rows[np.clip(np.arange(1 - width, width), -n, n) + n] - distances.begin.numpy()
    assert distances.to_queries.numpy()[:-1].tolist() == expected.tolist()
    assert distances.to_keys.numpy()[:-1].tolist() == expected[::-1].tolist()
    used = np.concatenate([distances.to_keys, distances.to_queries])
    assert len(used) == 4 * width
    assert used.min() == 0
    assert used.max() == int(distances.end) - int(distances.begin) - 1


@pytest.mark.parametrize("n", [1, 2, 7])
def test_skewing_reads_the_element_of_each_distance(n: int):
    products = np.random.default_rng(1).normal(size=(2, 3, n, 2 * n)).astype(np.float32)
    places = np.arange(n)[None, :] - np.arange(n)[:, None] + n - 1
    expected = np.take_along_axis(products, np.broadcast_to(places, (2, 3, n, n)), axis=-1)
    x = tf.constant(products)
    with tf.GradientTape() as tape:
        tape.watch(x)
        scores = skewed(x)
        loss = tf.reduce_sum(scores * expected)
    assert (scores.numpy() == expected).all()
    assert (unskewed(tf.constant(expected)).numpy() == tape.gradient(loss, x).numpy()).all()
