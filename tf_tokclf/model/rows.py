"""Rows of tokens with or without padding, and whether the encoder computes without padding."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from tf_tokclf.cpu import cpu_flags
from tf_tokclf.model.backend import tf
from tf_tokclf.model.parallel import has_gpu

_is_on: ContextVar[bool] = ContextVar("packing", default=False)
# The number of the layer that is computed, a uint64 scalar. Layers share a trace, so anything that must differ between
# them, such as the random numbers of dropout, has to depend on this number.
layer_number: ContextVar[tf.Tensor | None] = ContextVar("layer_number", default=None)


@contextmanager
def packed() -> Iterator[None]:
    """Inside the block, supported models compute without padding, and their outputs contain only logits."""
    token = _is_on.set(True)
    try:
        yield
    finally:
        _is_on.reset(token)


def is_packed() -> bool:
    """Whether the encoder may leave padding out. The values that it returns at padding are then arbitrary."""
    return _is_on.get()


class Rows:
    """Rows of tokens in which padding is kept: concatenation needs no change."""

    def __init__(self, shape: tf.Tensor) -> None:
        """shape: (2,), rows and width."""
        self.shape = shape

    def spread(self, pieces: tf.Tensor) -> tf.Tensor:
        """(tokens, n) to (rows * width, n). The values at padding are arbitrary."""
        return pieces

    def spread_on_zeros(self, pieces: tf.Tensor) -> tf.Tensor:
        """As `spread`, but with zeros at padding if padding was removed."""
        return pieces

    def take(self, padded: tf.Tensor) -> tf.Tensor:
        """(rows * width, n) to (tokens, n), without a custom gradient."""
        return padded

    def pack(self, padded: tf.Tensor) -> tf.Tensor:
        """(rows * width, n) to (tokens, n)."""

        @tf.custom_gradient
        def pack(padded: tf.Tensor) -> Any:
            return self.take(padded), self.spread_on_zeros

        return pack(padded)

    def unpack(self, pieces: tf.Tensor) -> tf.Tensor:
        """(tokens, n) to (rows * width, n), valid only at tokens."""

        @tf.custom_gradient
        def unpack(pieces: tf.Tensor) -> Any:
            return self.spread(pieces), self.take

        return unpack(pieces)


class RowsWithoutPadding(Rows):
    """Rows of tokens from which padding is removed."""

    def __init__(self, real: tf.Tensor) -> None:
        """real: (rows, width) bool, True at tokens."""
        super().__init__(tf.shape(real))
        flat = tf.reshape(real, [-1])
        self._place = tf.cast(tf.where(flat)[:, 0], tf.int32)
        self._real = flat[:, None]
        self._number = tf.maximum(tf.cumsum(tf.cast(flat, tf.int32)) - 1, 0)

    def spread(self, pieces: tf.Tensor) -> tf.Tensor:
        return tf.gather(pieces, self._number)

    def spread_on_zeros(self, pieces: tf.Tensor) -> tf.Tensor:
        return self.spread(pieces) * tf.cast(self._real, pieces.dtype)

    def take(self, padded: tf.Tensor) -> tf.Tensor:
        return tf.gather(padded, self._place)


def rows_of(real: tf.Tensor, dtype: tf.DType) -> Rows:
    """The rows of a batch, without padding where that is faster. real: (rows, width) bool, True at tokens."""
    return RowsWithoutPadding(real) if leaves_padding_out(dtype) else Rows(tf.shape(real))


def leaves_padding_out(dtype: tf.DType) -> bool:
    """Whether padding is removed, which makes the number of tokens different in each batch.

    This is fast in float32 (measured with AVX2 and AVX-512). In bfloat16 the math library generates and keeps code for
    each number of tokens: the peak memory of an epoch of WNUT-17 with MiniLM-L6 is then 2.7 GB instead of 1.7 GB
    (AVX-512, two cores), and it is no faster. GPUs would have to wait for the number of tokens.
    """
    return dtype == tf.float32 and "avx2" in cpu_flags() and not has_gpu()
