"""Attention with relative positions as in DeBERTa (He et al. 2021, arXiv:2006.03654), without gathering scores.

The score of a query i and a key j is q_i k_j + q_i K(i - j) + k_j Q(i - j), where K and Q are projections of an
embedding of distances. The terms with K and Q are computed for all distances of a row, and then skewed (Huang et al.
2018, arXiv:1809.04281): read as a matrix whose rows are one element shorter, the distances of each query line up with
its keys. In a row of n tokens there are only 2n - 1 distances. transformers multiplies all 512 rows of the embedding
with each token instead, and then gathers n of the 512 products.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tf_tokclf.model.backend import tf
from tf_tokclf.model.softmax import softmax_gradient

# Distances that a table of buckets covers at most. Those beyond it count as the furthest one.
_FURTHEST = 2**16


def rows_by_distance(*, n_rows: int, n_buckets: int, max_distance: int) -> np.ndarray:
    """The row of the embedding for each distance: (2 * n + 1,) int32, for the distances from -n to n.

    Distances beyond n have the same row as n. n_rows: the number of rows of the embedding. n_buckets: up to half of
    this number each distance has a row of its own, and from there to `max_distance` the rows are logarithmic. With
    n_buckets <= 0, all distances have their own rows.
    """
    distances = np.arange(_FURTHEST + 1)
    buckets = distances if n_buckets <= 0 else _buckets(distances, n_buckets, max_distance)
    middle = n_rows // 2
    before, after = (np.clip(middle + sign * buckets, 0, n_rows - 1) for sign in (-1, 1))
    changes = np.flatnonzero((np.diff(before) != 0) | (np.diff(after) != 0))
    n = int(changes[-1]) + 1 if len(changes) else 0
    return np.concatenate([before[n:0:-1], after[: n + 1]]).astype(np.int32)


def _buckets(distances: np.ndarray, n_buckets: int, max_distance: int) -> np.ndarray:
    """Logarithmic buckets of distances >= 0, computed in float32 as PyTorch does: a boundary may be a whole number."""
    half = np.float32(n_buckets // 2)
    # With one bucket, or without distances beyond half of them, all that is not finite counts as far.
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.maximum(distances, half).astype(np.float32) / half
        scale = np.log(np.float32(np.float64(max_distance - 1) / half))
        logarithmic = np.ceil(np.log(ratio) / scale * (half - 1)) + half
    finite = np.nan_to_num(logarithmic, nan=_FURTHEST, posinf=_FURTHEST, neginf=-_FURTHEST)
    return np.where(distances <= half, distances, finite).astype(np.int64)


@dataclass(frozen=True)
class Distances:
    """The distances that occur in rows of one width.

    begin, end: the rows of the embedding that are used. to_keys, to_queries: (2 * width,) int32 the row, counted from
    `begin`, for each distance: from the last token to the first in `to_keys`, and from the first to the last in
    `to_queries`. The last element only fills up.
    """

    begin: tf.Tensor
    end: tf.Tensor
    to_keys: tf.Tensor
    to_queries: tf.Tensor

    @classmethod
    def within(cls, width: tf.Tensor, rows: np.ndarray) -> Distances:
        """The distances of rows with `width` tokens. rows: the result of `rows_by_distance`."""
        n = len(rows) // 2
        furthest = width - 1
        ascending = tf.minimum(tf.range(-furthest, width + 1), furthest)
        known = tf.constant(rows)
        to_queries, to_keys = (
            tf.gather(known, tf.clip_by_value(distance, -n, n) + n) for distance in (ascending, -ascending)
        )
        begin, end = tf.reduce_min(to_queries), tf.reduce_max(to_queries) + 1
        return cls(begin, end, to_keys - begin, to_queries - begin)


def skewed(products: tf.Tensor) -> tf.Tensor:
    """(..., n, 2n) to (..., n, n): element j of row i is taken from column j - i + n - 1."""
    shape = tf.shape(products)
    leading, n = shape[:-2], shape[-2]
    rank = products.shape.rank
    flat = tf.reshape(products, tf.concat([leading, [2 * n * n]], axis=0))
    # In rows of 2n - 1, element j of row i is n - 1 places after element i * (2n - 1) + j.
    begin = tf.concat([tf.zeros_like(leading), [n - 1]], axis=0)
    shifted = tf.slice(flat, begin, tf.concat([leading, [n * (2 * n - 1)]], axis=0))
    shorter = tf.reshape(shifted, tf.concat([leading, [n, 2 * n - 1]], axis=0))
    return tf.slice(shorter, [0] * rank, tf.concat([leading, [n, n]], axis=0))


def unskewed(scores: tf.Tensor) -> tf.Tensor:
    """The gradient of `skewed`: (..., n, n) to (..., n, 2n), with 0 in places that `skewed` does not read."""
    shape = tf.shape(scores)
    leading, n = shape[:-2], shape[-1]
    before = [[0, 0]] * (scores.shape.rank - 2)
    longer = tf.pad(scores, tf.convert_to_tensor([*before, [0, 0], [0, n - 1]]))
    flat = tf.reshape(longer, tf.concat([leading, [n * (2 * n - 1)]], axis=0))
    shifted = tf.pad(flat, tf.convert_to_tensor([*before, [n - 1, 1]]))
    return tf.reshape(shifted, tf.concat([leading, [n, 2 * n]], axis=0))


Gradient = Callable[[tf.Tensor], tuple[list[tf.Tensor], list[tf.Tensor | None]]]


def attend(
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    of_keys: tf.Tensor | None,
    of_queries: tf.Tensor | None,
    *,
    mask: tf.Tensor,
    drop: Callable[[tf.Tensor], tf.Tensor] | None,
) -> tuple[tf.Tensor, Gradient]:
    """The attended values (heads, rows, width, n), and a function from their gradient to those of the inputs.

    query, key, value: (heads, rows, width, n), with scaled queries. of_keys, of_queries: (heads, 2 * width, n) the keys
    and the scaled queries of distances, ordered like the two arrays of `Distances`. mask: (1, rows, 1, width) float32,
    added to the scores. drop: dropout of the shares. The gradients are those of query, key and value, and of the two
    others. They are written out, because TensorFlow's own for unknown shapes add reductions over no axes, which copy.
    """
    scores = tf.matmul(query, key, transpose_b=True)
    if of_keys is not None:
        scores += skewed(_by_distance(query, of_keys))
    if of_queries is not None:
        scores += _turned(skewed(_by_distance(key, of_queries)))
    shares = tf.cast(tf.nn.softmax(tf.cast(scores, tf.float32) + mask), query.dtype)
    kept = None if drop is None else drop(tf.ones_like(shares))
    used = shares if kept is None else shares * kept

    def gradient(upstream: tf.Tensor) -> tuple[list[tf.Tensor], list[tf.Tensor | None]]:
        of_used = tf.matmul(upstream, value, transpose_b=True)
        of_shares = of_used if kept is None else of_used * kept
        of_scores = softmax_gradient(shares, of_shares)
        for_query = tf.matmul(of_scores, key)
        for_key = tf.matmul(of_scores, query, transpose_a=True)
        for_value = tf.matmul(used, upstream, transpose_a=True)
        for_distances: list[tf.Tensor | None] = [None, None]
        if of_keys is not None:
            more, for_distances[0] = _gradients(unskewed(of_scores), query, of_keys)
            for_query += more
        if of_queries is not None:
            more, for_distances[1] = _gradients(unskewed(_turned(of_scores)), key, of_queries)
            for_key += more
        return [for_query, for_key, for_value], for_distances

    return tf.matmul(used, value), gradient


def _turned(scores: tf.Tensor) -> tf.Tensor:
    return tf.transpose(scores, [0, 1, 3, 2])


def _by_distance(tokens: tf.Tensor, distances: tf.Tensor) -> tf.Tensor:
    """The products of tokens (heads, rows, width, n) and distances (heads, 2 * width, n).

    The result is (heads, rows, width, 2 * width). All rows have the same distances, so they are one long row here.
    """
    products = tf.matmul(_flat(tokens), distances, transpose_b=True)
    return tf.reshape(products, tf.concat([tf.shape(tokens)[:3], tf.shape(distances)[1:2]], axis=0))


def _gradients(of_products: tf.Tensor, tokens: tf.Tensor, distances: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The gradients of `_by_distance` for its tokens and distances."""
    flat = _flat(of_products)
    for_tokens = tf.reshape(tf.matmul(flat, distances), tf.shape(tokens))
    return for_tokens, tf.matmul(flat, _flat(tokens), transpose_a=True)


def _flat(by_row: tf.Tensor) -> tf.Tensor:
    """(heads, rows, width, n) to (heads, rows * width, n)."""
    shape = tf.shape(by_row)
    return tf.reshape(by_row, tf.stack([shape[0], shape[1] * shape[2], shape[3]]))
