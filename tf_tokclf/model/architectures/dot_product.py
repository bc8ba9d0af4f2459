"""Attention by dot products, with its gradient: at once, or in parts that need little memory.

All tensors are (blocks, heads, queries or keys, head width).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from tf_tokclf.model.backend import keras, tf
from tf_tokclf.model.softmax import softmax_gradient

# The largest number of scores that are kept for the gradient, and that of a chunk, which should fit into a cache: with
# 2,048 tokens and 12 heads, chunks of 4 MB take 1.0 s, at once 1.2 s, and chunks of 64 MB 2.6 s (two cores).
MOST_AT_ONCE = 2**22
OF_A_CHUNK = 2**20


class AtOnce:
    """All queries together. The shares of attention are kept for the gradient."""

    def __init__(self, mask: tf.Tensor, dropout: keras.layers.Dropout | None = None) -> None:
        """mask: float32, added to the scores. dropout: applied to the shares."""
        self._mask = mask
        self._dropout = dropout

    def compute(self, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor) -> tuple[tf.Tensor, Sequence[tf.Tensor]]:
        """See `Product`. Softmax is computed in float32."""
        scores = tf.cast(tf.matmul(query, key, transpose_b=True), tf.float32) + self._mask
        shares = tf.cast(tf.nn.softmax(scores), query.dtype)
        if self._dropout is None:
            return tf.matmul(shares, value), (shares,)
        factors = self._dropout(tf.ones_like(shares), training=True)
        return tf.matmul(shares * factors, value), (shares, factors)

    def slopes(
        self,
        query: tf.Tensor,
        key: tf.Tensor,
        value: tf.Tensor,
        kept: Sequence[tf.Tensor],
        upstream: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """See `Product`."""
        shares, *factors = kept
        used, of_used = shares, tf.matmul(upstream, value, transpose_b=True)
        of_shares = of_used
        for factor in factors:
            used, of_shares = shares * factor, of_used * factor
        of_scores = softmax_gradient(tf.cast(shares, tf.float32), tf.cast(of_shares, tf.float32))
        of_scores = tf.cast(of_scores, upstream.dtype)
        of_key = tf.matmul(of_scores, query, transpose_a=True)
        return tf.matmul(of_scores, key), of_key, tf.matmul(used, upstream, transpose_a=True)


class Product(Protocol):
    """Attention without weights, and its gradient."""

    def compute(self, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor) -> tuple[tf.Tensor, Sequence[tf.Tensor]]:
        """The attended values, and what `slopes` needs."""

    def slopes(
        self, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, kept: Sequence[tf.Tensor], upstream: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The gradients of query, key and value. kept: what `compute` returned."""


class ByLength:
    """`short` for short rows, otherwise `long`, which is not copied into the graph of each layer.

    Graphs of layers are copied for each layer and part of a batch. With its loops, `long` has more operations than the
    rest of a layer, and most batches do not need it.
    """

    def __init__(self, is_short: tf.Tensor, short: AtOnce, long: Product) -> None:
        """is_short: a bool scalar. Both products keep one tensor."""
        self._is_short = is_short
        self._short, self._long = short, long

    def compute(self, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor) -> tuple[tf.Tensor, Sequence[tf.Tensor]]:
        """See `Product`."""

        def computed(product: Product) -> tuple[tf.Tensor, tf.Tensor]:
            attended, (kept,) = product.compute(query, key, value)
            return attended, kept

        attended, kept = self._either(computed)
        attended.set_shape(query.shape)
        return attended, (kept,)

    def slopes(
        self, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, kept: Sequence[tf.Tensor], upstream: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """See `Product`."""
        slopes = self._either(lambda product: product.slopes(query, key, value, kept, upstream))
        for slope, like in zip(slopes, (query, key, value)):
            slope.set_shape(like.shape)
        return slopes

    def _either(self, computed: Callable[[Product], Any]) -> Any:
        is_short = tf.get_static_value(self._is_short)
        # The tensors of the other branch may not even have fitting shapes.
        if is_short is not None:
            return computed(self._short if is_short else self._long)
        options: dict[str, Any] = {"autograph": False, "experimental_attributes": {"_noinline": True}}
        return tf.cond(
            self._is_short, lambda: computed(self._short), tf.function(lambda: computed(self._long), **options)
        )


class _InParts:
    """Like `AtOnce`, but in parts, which are computed once more for the gradient.

    (Rabe and Staats 2021, arXiv:2112.05682)
    """

    def __init__(self, mask: tf.Tensor) -> None:
        """mask: float32, added to the scores. Dropout would have to be the same in both computations."""
        self._mask = mask
        self._whole = AtOnce(mask)

    def compute(self, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor) -> tuple[tf.Tensor, Sequence[tf.Tensor]]:
        """See `Product`. Nothing is kept, in the form of an empty tensor."""
        return self._attended(query, key, value), (tf.zeros([0, 0, 0, 0], query.dtype),)

    def slopes(
        self, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, kept: Sequence[tf.Tensor], upstream: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """See `Product`."""
        return self._slopes(query, key, value, upstream)

    def _attended(self, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
        """The attended values."""
        raise NotImplementedError

    def _slopes(
        self, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, upstream: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The gradients of query, key and value."""
        raise NotImplementedError


class InChunks(_InParts):
    """Parts are chunks of queries, which attend to all keys. The mask must be the same for all queries."""

    def _attended(self, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
        def attended(chunk: tf.Tensor) -> tf.Tensor:
            return self._whole.compute(chunk, key, value)[0]

        return _joined(tf.map_fn(attended, _cut(query, key), parallel_iterations=1), query)

    def _slopes(
        self, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, upstream: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        queries, upstreams = _cut(query, key), _cut(upstream, key)
        n = tf.shape(queries)[0]

        def add(
            i: tf.Tensor, found: tf.TensorArray, of_key: tf.Tensor, of_value: tf.Tensor
        ) -> tuple[tf.Tensor, tf.TensorArray, tf.Tensor, tf.Tensor]:
            _, again = self._whole.compute(queries[i], key, value)
            of_query, more_of_key, more_of_value = self._whole.slopes(queries[i], key, value, again, upstreams[i])
            return i + 1, found.write(i, of_query), of_key + more_of_key, of_value + more_of_value

        start = (0, tf.TensorArray(query.dtype, size=n), tf.zeros_like(key), tf.zeros_like(value))
        _, found, of_key, of_value = tf.while_loop(lambda i, *_: i < n, add, start, parallel_iterations=1)
        return _joined(found.stack(), query), of_key, of_value


class InGroups(_InParts):
    """Parts are groups of blocks, which do not depend on each other. The mask has a line for each block."""

    def _attended(self, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
        def attended(group: tuple[tf.Tensor, ...]) -> tf.Tensor:
            *inputs, mask = group
            return AtOnce(mask).compute(*inputs)[0]

        groups = self._groups(query, key, query, key, value)
        found = tf.map_fn(attended, groups, fn_output_signature=query.dtype, parallel_iterations=1)
        return _ungrouped(found, query)

    def _slopes(
        self, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, upstream: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        def slopes(group: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            query, key, value, upstream, mask = group
            product = AtOnce(mask)
            _, kept = product.compute(query, key, value)
            return product.slopes(query, key, value, kept, upstream)

        groups = self._groups(query, key, query, key, value, upstream)
        found = tf.map_fn(slopes, groups, fn_output_signature=(query.dtype,) * 3, parallel_iterations=1)
        of_query, of_key, of_value = map(_ungrouped, found, (query, key, value))
        return of_query, of_key, of_value

    def _groups(self, query: tf.Tensor, key: tf.Tensor, *by_block: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Tensors (blocks, ...) and the mask as (groups, blocks of a group, ...), with zeros after the last block."""
        n_blocks, n_heads, n_queries = (tf.shape(query)[axis] for axis in range(3))
        size = tf.clip_by_value(OF_A_CHUNK // (n_heads * n_queries * tf.shape(key)[2]), 1, n_blocks)
        after = (n_blocks + size - 1) // size * size - n_blocks

        def grouped(blocks: tf.Tensor) -> tf.Tensor:
            padded = tf.pad(blocks, [[0, after], [0, 0], [0, 0], [0, 0]])
            shaped = tf.reshape(padded, tf.concat([[-1, size], tf.shape(blocks)[1:]], axis=0))
            return tf.ensure_shape(shaped, (None, None, *blocks.shape[1:]))

        return (*map(grouped, by_block), grouped(self._mask))


def _ungrouped(groups: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """The inverse of the grouping of `like`."""
    whole = tf.reshape(groups, tf.concat([[-1], tf.shape(like)[1:]], axis=0))
    return whole[: tf.shape(like)[0]]


def fits_at_once(*sizes: tf.Tensor | int) -> tf.Tensor:
    """Whether so many scores may be kept for the gradient, a bool scalar. sizes: those of the axes of the scores."""
    n_scores = tf.constant(1.0)
    for size in sizes:
        n_scores *= tf.cast(size, tf.float32)
    return n_scores <= float(MOST_AT_ONCE)


def _cut(rows: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """(blocks, heads, queries, width) to (chunks, blocks, heads, queries of a chunk, width), with zeros at the end."""
    shape = tf.shape(rows)
    size = tf.clip_by_value(OF_A_CHUNK // (shape[0] * shape[1] * tf.shape(key)[2]), 1, shape[2])
    n = (shape[2] + size - 1) // size
    padded = tf.pad(rows, [[0, 0], [0, 0], [0, n * size - shape[2]], [0, 0]])
    apart = tf.reshape(padded, [shape[0], shape[1], n, size, rows.shape[-1]])
    return tf.transpose(apart, [2, 0, 1, 3, 4])


def _joined(chunks: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """The inverse of `_cut`. like: the tensor that was cut."""
    shape = tf.shape(like)
    whole = tf.reshape(tf.transpose(chunks, [1, 2, 0, 3, 4]), [shape[0], shape[1], -1, like.shape[-1]])
    return whole[:, :, : shape[2]]
