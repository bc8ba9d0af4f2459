"""Indexing of tensors by operations that converters know: TFLite cannot slice a tensor and add an axis at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tf_tokclf.model.backend import tf


@contextmanager
def plain_indexing() -> Iterator[None]:
    """Inside the block, `x[:, None]` is traced as `tf.expand_dims(x, 1)`, also by the classes of transformers."""
    before = tf.Tensor.__getitem__

    def item(tensor: tf.Tensor, key: Any, *others: Any) -> tf.Tensor:
        keys = key if isinstance(key, tuple) else (key,)
        if not any(part is None for part in keys):
            return before(tensor, key, *others)
        kept = tuple(part for part in keys if part is not None)
        is_whole = all(part is Ellipsis or (isinstance(part, slice) and part == slice(None)) for part in kept)
        found = tensor if is_whole else before(tensor, kept, *others)
        for axis in _new_axes(keys, tensor.shape.rank):
            found = tf.expand_dims(found, axis)
        return found

    tf.Tensor.__getitem__ = item
    try:
        yield
    finally:
        tf.Tensor.__getitem__ = before


def _new_axes(keys: tuple[Any, ...], rank: int) -> list[int]:
    """The axes that an index adds, in ascending order. rank: that of the tensor.

    >>> _new_axes((slice(None), None, 3, Ellipsis, None), rank=4)
    [1, 4]
    """
    n_named = sum(part is not None and part is not Ellipsis for part in keys)
    axis, found = 0, []
    for part in keys:
        if part is None:
            found.append(axis)
        if part is Ellipsis:
            axis += rank - n_named
        elif part is None or isinstance(part, slice):
            axis += 1
    return found
