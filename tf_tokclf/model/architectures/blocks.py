"""Cut rows of tokens into blocks of queries with the keys near them, so that local attention takes linear time."""

from __future__ import annotations

from tf_tokclf.model.backend import tf

# Below this size, the products of a block are too small to be fast.
SMALLEST_BLOCK = 32
# Added to the scores of keys that a query must not see. Twice this number is still finite in float32.
HIDDEN = -1e9


class Blocks:
    """Rows cut into blocks of queries. The keys of a block are its tokens and `beside` more on either side.

    Rows that are hardly longer than these keys are one block. Everything depends on shapes only, without conditions, so
    that one trace serves all widths, and converters have nothing to branch on.
    """

    def __init__(self, shape: tf.Tensor, reach: int | None) -> None:
        """shape: (2,) rows and width. reach: distance to the farthest key that a query sees, None for all keys.

        size, n_keys: the number of queries and of keys of a block. n: the number of blocks of a row.
        """
        self._n_rows, self._width = shape[0], shape[1]
        self._reach = reach
        if reach is None:
            self.size = self.n_keys = self._width
            self.n = tf.constant(1)
            return
        size = max(reach, SMALLEST_BLOCK)
        is_short = self._width <= size + 2 * reach
        self.size = tf.where(is_short, tf.maximum(self._width, 1), size)
        self._beside = tf.where(is_short, 0, reach)
        self.n = (self._width + self.size - 1) // self.size
        self.n_keys = self.size + 2 * self._beside

    def queries(self, rows: tf.Tensor) -> tf.Tensor:
        """(rows, width, n) to (blocks, size, n), with zeros after the end of a row."""
        if self._reach is None:
            return rows
        after = self.n * self.size - self._width
        return tf.reshape(tf.pad(rows, [[0, 0], [0, after], [0, 0]]), [-1, self.size, rows.shape[-1]])

    def from_queries(self, blocks: tf.Tensor) -> tf.Tensor:
        """The inverse of `queries`."""
        if self._reach is None:
            return blocks
        whole = tf.reshape(blocks, [self._n_rows, self.n * self.size, blocks.shape[-1]])
        return whole[:, : self._width]

    def keys(self, rows: tf.Tensor) -> tf.Tensor:
        """(rows, width, n) to (blocks, beside + size + beside, n), with zeros outside of a row."""
        if self._reach is None:
            return rows
        beside, n = self._beside, rows.shape[-1]
        after = self.n * self.size - self._width
        padded = tf.pad(rows, [[0, 0], [beside, after + beside], [0, 0]])
        before, own, behind = (self._blocks(padded, begin) for begin in (0, beside, 2 * beside))
        whole = tf.concat([before[:, :, :beside], own, behind[:, :, self.size - beside :]], axis=2)
        return tf.reshape(whole, [-1, self.n_keys, n])

    def from_keys(self, blocks: tf.Tensor) -> tf.Tensor:
        """The transposed operation of `keys`: the sum of the values of a token over the blocks that contain it."""
        if self._reach is None:
            return blocks
        size, beside, n = self.size, self._beside, blocks.shape[-1]
        apart = tf.reshape(blocks, [self._n_rows, self.n, self.n_keys, n])
        rest = size - beside
        parts = (
            (tf.pad(apart[:, :, :beside], [[0, 0], [0, 0], [0, rest], [0, 0]]), 0),
            (apart[:, :, beside : beside + size], beside),
            (tf.pad(apart[:, :, beside + size :], [[0, 0], [0, 0], [rest, 0], [0, 0]]), 2 * beside),
        )
        total = tf.add_n([self._rows(part, begin) for part, begin in parts])
        return total[:, beside : beside + self._width]

    def mask(self, real: tf.Tensor) -> tf.Tensor:
        """(blocks, 1, size or 1, keys) float32, to add to scores: 0 for keys that a query sees, else very negative.

        real: (rows, width) bool, True at tokens.
        """
        hidden = (1.0 - self.keys(tf.expand_dims(tf.cast(real, tf.float32), -1))) * HIDDEN
        hidden = tf.expand_dims(tf.transpose(hidden, [0, 2, 1]), 1)
        if self._reach is None:
            return hidden
        # In rows of at most reach + 1 tokens all tokens see each other: one line is enough.
        n_lines = tf.where(self._width <= self._reach + 1, 1, self.size)
        query = tf.expand_dims(tf.range(n_lines), 1)
        key = tf.expand_dims(tf.range(self.n_keys) - self._beside, 0)
        is_far = tf.abs(query - key) > self._reach
        return hidden + tf.cast(is_far, tf.float32) * HIDDEN

    def _blocks(self, padded: tf.Tensor, begin: tf.Tensor | int) -> tf.Tensor:
        """(rows, beside + blocks + beside, n) to (rows, blocks, size, n), the first beginning at `begin`."""
        cut = padded[:, begin : begin + self.n * self.size]
        return tf.reshape(cut, [self._n_rows, self.n, self.size, padded.shape[-1]])

    def _rows(self, blocks: tf.Tensor, begin: tf.Tensor | int) -> tf.Tensor:
        """The transposed operation of `_blocks`."""
        whole = tf.reshape(blocks, [self._n_rows, self.n * self.size, blocks.shape[-1]])
        return tf.pad(whole, [[0, 0], [begin, 2 * self._beside - begin], [0, 0]])
