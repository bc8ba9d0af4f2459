"""Indices that add axes give the same tensors as in TensorFlow."""

from __future__ import annotations

import numpy as np
import pytest

from tf_tokclf.model.backend import tf
from tf_tokclf.publishing.export.plain_indexing import plain_indexing

VALUES = np.arange(24).reshape(2, 3, 4)
INDICES = [
    np.s_[:, None],
    np.s_[None],
    np.s_[..., None],
    np.s_[None, ..., None],
    np.s_[:, :, None, :, None],
    np.s_[1, None],
    np.s_[None, 1, :, None, 2:],
    np.s_[:, ..., None, 0],
    np.s_[::2, None, -1],
    np.s_[:, 1:],
]


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_the_result_is_the_same_and_no_slice_adds_an_axis(index: tuple):
    @tf.function
    def taken(values: tf.Tensor) -> tf.Tensor:
        return values[index]

    with plain_indexing():
        traced = taken.get_concrete_function(tf.TensorSpec((None, None, 4), tf.int64))
    np.testing.assert_array_equal(traced(tf.constant(VALUES)), VALUES[index])
    slices = [operation for operation in traced.graph.get_operations() if operation.type == "StridedSlice"]
    assert not any(operation.get_attr("new_axis_mask") for operation in slices)


def test_indexing_is_as_before_after_the_block():
    before = tf.Tensor.__getitem__
    with pytest.raises(RuntimeError), plain_indexing():
        raise RuntimeError
    assert tf.Tensor.__getitem__ is before
