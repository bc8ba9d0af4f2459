"""Copies of the kernels of dense layers in the dtype of computation, made once per step for all parts of a batch.

Keras casts a weight whenever it is read, and casts each of its gradients back. With two parts per batch, the casts of
DistilBERT's kernels read and wrote 1 GB of memory in each step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from tf_tokclf.model.backend import keras, tf

_in_use: ContextVar[Mapping[Any, tf.Tensor] | None] = ContextVar("copies of kernels", default=None)


def kernels_to_copy(model: keras.Model) -> list[tf.Variable]:
    """The trained kernels that dense layers of `model` use in bfloat16.

    float16 is left out: gradients must be in float32 before the scale of the loss is removed from them.
    """
    dense = [layer for layer in model.submodules if type(layer) is keras.layers.Dense]
    used = {layer.kernel.ref() for layer in dense if layer.compute_dtype == "bfloat16"}
    return [weight for weight in model.trainable_variables if weight.ref() in used]


@contextmanager
def copies_in_use(kernels: Sequence[tf.Variable], copies: Sequence[tf.Tensor]) -> Iterator[None]:
    """Inside the block, `kernel_of` returns these copies of these kernels."""
    token = _in_use.set({kernel.ref(): copy for kernel, copy in zip(kernels, copies)})
    try:
        yield
    finally:
        _in_use.reset(token)


def kernel_of(layer: keras.layers.Dense) -> tf.Tensor:
    """The kernel of `layer`, (inputs, units), in the dtype that it computes in."""
    copies = _in_use.get()
    copy = None if copies is None else copies.get(layer.kernel.ref())
    # A tensor in any case: of the same dtype, tf.cast returns the variable, and layers with variables share no trace.
    return tf.cast(tf.convert_to_tensor(layer.kernel), layer.compute_dtype) if copy is None else copy
