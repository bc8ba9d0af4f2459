"""ModernBERT's attention: rotated queries and keys (Su et al. 2021, arXiv:2104.09864), global or local."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tf_tokclf.model.architectures.blocks import Blocks
from tf_tokclf.model.architectures.dot_product import AtOnce, InChunks, InGroups
from tf_tokclf.model.backend import keras, tf
from tf_tokclf.model.rows import Rows


@dataclass(frozen=True)
class Rotation:
    """The cosines and sines by which the halves of each head are rotated, (tokens, 1, half of a head) float32."""

    cosine: tf.Tensor
    sine: tf.Tensor

    @classmethod
    def of(cls, positions: tf.Tensor, *, theta: float, head_width: int) -> Rotation:
        """positions: (tokens, 1) float32."""
        exponents = tf.range(0, head_width, 2, dtype=tf.float32) / head_width
        angles = tf.expand_dims(positions / tf.pow(tf.constant(theta, tf.float32), exponents), 1)
        return cls(tf.cos(angles), tf.sin(angles))

    def rotate(self, pieces: tf.Tensor, *, scale: float = 1.0, back: bool = False) -> tf.Tensor:
        """(tokens, heads * head width), computed in float32 and returned in the same shape and dtype.

        scale: factor on the result. back: rotate in the other direction, which is the gradient.
        """
        half = self.cosine.shape[-1]
        wide = tf.reshape(tf.cast(pieces, tf.float32), [-1, pieces.shape[-1] // (2 * half), 2 * half])
        first, second = wide[..., :half], wide[..., half:]
        cosine, sine = self.cosine * scale, self.sine * (-scale if back else scale)
        rotated = tf.concat([first * cosine - second * sine, second * cosine + first * sine], axis=-1)
        return tf.cast(tf.reshape(rotated, [-1, pieces.shape[-1]]), pieces.dtype)


@dataclass(frozen=True)
class Attention:
    """Multi-head attention over a batch: everything but the weights.

    saves_memory: compute attention of long rows in parts, and again for the gradient. The memory of global attention
    then grows with the length and not with its square, and local attention keeps no shares. It needs branches and
    loops, which converters do not know.
    """

    rows: Rows
    blocks: Blocks
    mask: tf.Tensor
    rotation: Rotation
    n_heads: int
    saves_memory: bool = False

    def attend(self, joint: tf.Tensor, dropout: keras.layers.Dropout | None) -> tf.Tensor:
        """joint: (tokens, 3 * width) queries, keys and values. Returns (tokens, width).

        dropout: applied to the shares of attention. The gradient is written out because TensorFlow's own, for unknown
        shapes, adds reductions over no axes, which copy.
        """
        scale = (joint.shape[-1] // 3 // self.n_heads) ** -0.5
        product = self._product(dropout)

        @tf.custom_gradient
        def attend(joint: tf.Tensor) -> Any:
            query, key, value = tf.split(joint, 3, axis=-1)
            query = self._queries(self.rows.spread(self.rotation.rotate(query, scale=scale)))
            key, value = (self._keys(self.rows.spread(part)) for part in (self.rotation.rotate(key), value))
            attended, kept = product.compute(query, key, value)

            def gradient(upstream: tf.Tensor) -> tf.Tensor:
                of_attended = self._queries(self.rows.spread_on_zeros(upstream))
                slopes = product.slopes(query, key, value, kept, of_attended)
                of_query, of_key, of_value = (
                    back(slope) for back, slope in zip((self._from_queries, self._from_keys, self._from_keys), slopes)
                )
                of_query = self.rotation.rotate(of_query, scale=scale, back=True)
                return tf.concat([of_query, self.rotation.rotate(of_key, back=True), of_value], axis=-1)

            return self._from_queries(attended), gradient

        return attend(joint)

    def _product(self, dropout: keras.layers.Dropout | None) -> AtOnce | InChunks | InGroups:
        # Parts would need the same dropout twice.
        if not self.saves_memory or dropout is not None:
            return AtOnce(self.mask, dropout)
        return InChunks(self.mask) if self.blocks.is_whole else InGroups(self.mask)

    def _queries(self, padded: tf.Tensor) -> tf.Tensor:
        """(rows * width, n) to (blocks, heads, size, head width)."""
        return self._by_head(self.blocks.queries(self._in_rows(padded)), self.blocks.size)

    def _keys(self, padded: tf.Tensor) -> tf.Tensor:
        """(rows * width, n) to (blocks, heads, keys, head width)."""
        return self._by_head(self.blocks.keys(self._in_rows(padded)), self.blocks.n_keys)

    def _from_queries(self, by_head: tf.Tensor) -> tf.Tensor:
        """(blocks, heads, size, head width) to (tokens, n)."""
        return self._pieces(self.blocks.from_queries(self._joined(by_head, self.blocks.size)))

    def _from_keys(self, by_head: tf.Tensor) -> tf.Tensor:
        """(blocks, heads, keys, head width) to (tokens, n)."""
        return self._pieces(self.blocks.from_keys(self._joined(by_head, self.blocks.n_keys)))

    def _in_rows(self, padded: tf.Tensor) -> tf.Tensor:
        return tf.reshape(padded, tf.concat([self.rows.shape, [padded.shape[-1]]], axis=0))

    def _pieces(self, in_rows: tf.Tensor) -> tf.Tensor:
        return self.rows.take(tf.reshape(in_rows, [-1, in_rows.shape[-1]]))

    def _by_head(self, blocks: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
        width = blocks.shape[-1]
        return tf.transpose(tf.reshape(blocks, [-1, length, self.n_heads, width // self.n_heads]), [0, 2, 1, 3])

    def _joined(self, by_head: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
        width = self.n_heads * by_head.shape[-1]
        return tf.reshape(tf.transpose(by_head, [0, 2, 1, 3]), [-1, length, width])
