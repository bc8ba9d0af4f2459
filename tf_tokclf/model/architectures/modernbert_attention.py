"""ModernBERT's attention: rotated queries and keys (Su et al. 2021, arXiv:2104.09864), global or local."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tf_tokclf.model.architectures.blocks import Blocks
from tf_tokclf.model.architectures.dot_product import AtOnce, ByLength, InChunks, InGroups, Product, fits_at_once
from tf_tokclf.model.backend import keras, tf
from tf_tokclf.model.rows import Rows


class Rotation:
    """The cosines and sines by which the two halves of each head are rotated at each position."""

    def __init__(self, width: tf.Tensor, *, theta: float, head_width: int) -> None:
        """width: the number of positions, an int32 scalar."""
        exponents = tf.range(0, head_width, 2, dtype=tf.float32) / head_width
        positions = tf.expand_dims(tf.range(width, dtype=tf.float32), 1)
        angles = positions / tf.pow(tf.constant(theta, tf.float32), exponents)
        # Queries and keys are both scaled by this, so that scores are scaled by 1 / sqrt(head_width).
        scale = head_width**-0.25
        self._half = head_width // 2
        # (width, head width) float32. The sines of the first half are negative.
        self._cosine = tf.tile(tf.cos(angles) * scale, [1, 2])
        sine = tf.sin(angles) * scale
        self._sine = tf.concat([-sine, sine], axis=-1)

    def rotate(self, heads: tf.Tensor, *, back: bool = False) -> tf.Tensor:
        """(..., width, head width), scaled, computed in float32 and returned in the same shape and dtype.

        back: rotate in the other direction, which is the gradient.
        """
        wide = tf.cast(heads, tf.float32)
        first, second = tf.split(wide, 2, axis=-1)
        straight, crossed = wide * self._cosine, tf.concat([second, first], axis=-1) * self._sine
        return tf.cast(straight - crossed if back else straight + crossed, heads.dtype)


class InBlocks:
    """Local attention: the product of each block of queries with the keys near it."""

    def __init__(self, shape: tf.Tensor, n_heads: int, reach: int, product: Product) -> None:
        """shape: (2,) rows and width. product: that of tensors (blocks, heads, queries or keys, head width)."""
        self._n_rows, self._n_heads = shape[0], n_heads
        self._blocks = Blocks(tf.stack([shape[0] * n_heads, shape[1]]), reach)
        self._product = product

    def compute(self, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor) -> tuple[tf.Tensor, Sequence[tf.Tensor]]:
        """See `Product`. The tensors are (rows, heads, width, head width)."""
        attended, kept = self._product.compute(self._queries(query), self._keys(key), self._keys(value))
        return self._from_queries(attended), kept

    def slopes(
        self, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, kept: Sequence[tf.Tensor], upstream: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """See `Product`."""
        of_query, of_key, of_value = self._product.slopes(
            self._queries(query), self._keys(key), self._keys(value), kept, self._queries(upstream)
        )
        return self._from_queries(of_query), self._from_keys(of_key), self._from_keys(of_value)

    def _queries(self, heads: tf.Tensor) -> tf.Tensor:
        """(rows, heads, width, n) to (blocks, heads, size, n)."""
        return self._by_block(self._blocks.queries(self._apart(heads)), self._blocks.size)

    def _keys(self, heads: tf.Tensor) -> tf.Tensor:
        """(rows, heads, width, n) to (blocks, heads, keys, n)."""
        return self._by_block(self._blocks.keys(self._apart(heads)), self._blocks.n_keys)

    def _from_queries(self, blocks: tf.Tensor) -> tf.Tensor:
        """(blocks, heads, size, n) to (rows, heads, width, n)."""
        return self._together(self._blocks.from_queries(self._by_row(blocks, self._blocks.size)))

    def _from_keys(self, blocks: tf.Tensor) -> tf.Tensor:
        """(blocks, heads, keys, n) to (rows, heads, width, n)."""
        return self._together(self._blocks.from_keys(self._by_row(blocks, self._blocks.n_keys)))

    def _apart(self, heads: tf.Tensor) -> tf.Tensor:
        return tf.reshape(heads, [-1, tf.shape(heads)[2], heads.shape[-1]])

    def _together(self, rows: tf.Tensor) -> tf.Tensor:
        return tf.reshape(rows, [self._n_rows, self._n_heads, -1, rows.shape[-1]])

    def _by_block(self, blocks: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
        """(rows * heads * blocks of a row, length, n) to (blocks, heads, length, n)."""
        apart = tf.reshape(blocks, [self._n_rows, self._n_heads, self._blocks.n, length, blocks.shape[-1]])
        return tf.reshape(tf.transpose(apart, [0, 2, 1, 3, 4]), [-1, self._n_heads, length, blocks.shape[-1]])

    def _by_row(self, blocks: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
        """The inverse of `_by_block`."""
        apart = tf.reshape(blocks, [self._n_rows, self._blocks.n, self._n_heads, length, blocks.shape[-1]])
        return tf.reshape(tf.transpose(apart, [0, 2, 1, 3, 4]), [-1, length, blocks.shape[-1]])


class Attention:
    """Multi-head attention over a batch: everything but the weights."""

    def __init__(
        self,
        rows: Rows,
        real: tf.Tensor,
        *,
        theta: float,
        reach: int | None,
        n_heads: int,
        head_width: int,
        saves_memory: bool = False,
    ) -> None:
        """real: (rows, width) bool, True at tokens. theta: the base of the wave lengths of the rotation. reach: the
        distance to the farthest key that a query sees, None for all keys.

        saves_memory: compute attention of long rows in parts, and again for the gradient. The memory of global
        attention then grows with the length and not with its square, and local attention keeps no shares. It needs
        branches and loops, which converters do not know.
        """
        self._rows, self._reach, self._n_heads = rows, reach, n_heads
        self._rotation = Rotation(rows.shape[1], theta=theta, head_width=head_width)
        self._blocks = Blocks(rows.shape, reach)
        self._mask = self._blocks.mask(real)
        self._saves_memory = saves_memory
        if saves_memory:
            # Its shape fits only one of the branches, so it must not be known while they are traced.
            self._mask = tf.compat.v1.placeholder_with_default(self._mask, [None, 1, None, None])
        # Shapes are made once for all layers.
        self._shape = tf.concat([rows.shape, [n_heads, head_width]], axis=0)
        self._shape_of_three = tf.concat([rows.shape, [3, n_heads, head_width]], axis=0)
        n_rows, width = rows.shape[0], rows.shape[1]
        self._fits_in_blocks = fits_at_once(n_rows, self._blocks.n, n_heads, self._blocks.size, self._blocks.n_keys)
        self._is_short = tf.logical_and(fits_at_once(n_rows, n_heads, width, width), tf.equal(self._blocks.n, 1))

    def attend(self, joint: tf.Tensor, dropout: keras.layers.Dropout | None) -> tf.Tensor:
        """joint: (tokens, 3 * width) queries, keys and values. Returns (tokens, width).

        dropout: applied to the shares of attention. The gradient is written out because TensorFlow's own, for unknown
        shapes, adds reductions over no axes, which copy.
        """
        product = self._product(dropout)

        @tf.custom_gradient
        def attend(joint: tf.Tensor) -> Any:
            # (3, rows, heads, width, head width)
            parts = tf.transpose(tf.reshape(self._rows.spread(joint), self._shape_of_three), [2, 0, 3, 1, 4])
            parts.set_shape([3, None, self._n_heads, None, joint.shape[-1] // (3 * self._n_heads)])
            turned, value = tf.split(parts, [2, 1], axis=0)
            query, key = tf.unstack(self._rotation.rotate(turned))
            value = tf.squeeze(value, 0)
            attended, kept = product.compute(query, key, value)

            def gradient(upstream: tf.Tensor) -> tf.Tensor:
                by_head = tf.transpose(tf.reshape(self._rows.spread_on_zeros(upstream), self._shape), [0, 2, 1, 3])
                by_head.set_shape(query.shape)
                of_query, of_key, of_value = product.slopes(query, key, value, kept, by_head)
                of_query, of_key = tf.unstack(self._rotation.rotate(tf.stack([of_query, of_key]), back=True))
                parts = tf.transpose(tf.stack([of_query, of_key, of_value]), [1, 3, 0, 2, 4])
                return self._rows.take(tf.reshape(parts, [-1, joint.shape[-1]]))

            attended = tf.reshape(tf.transpose(attended, [0, 2, 1, 3]), [-1, joint.shape[-1] // 3])
            return self._rows.take(attended), gradient

        return attend(joint)

    def _product(self, dropout: keras.layers.Dropout | None) -> Product:
        # Parts would need the same dropout twice.
        saves_memory = self._saves_memory and dropout is None
        at_once = AtOnce(self._mask, dropout)
        if self._reach is None:
            return ByLength(self._is_short, at_once, InChunks(self._mask)) if saves_memory else at_once
        if not saves_memory:
            return InBlocks(self._rows.shape, self._n_heads, self._reach, at_once)
        product = ByLength(self._fits_in_blocks, at_once, InGroups(self._mask))
        return ByLength(self._is_short, at_once, InBlocks(self._rows.shape, self._n_heads, self._reach, product))
