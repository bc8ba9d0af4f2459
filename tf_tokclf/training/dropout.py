"""Dropout masks as a function of seed, batch number, layer, replica and part, so that no random state is saved."""

from __future__ import annotations

from typing import Any

import numpy as np

from tf_tokclf.model.backend import keras, tf
from tf_tokclf.model.rows import layer_number


class SeededDropout:
    """Gives all dropout layers of a model masks that depend only on `seed` and `batch_number`.

    Keras' own masks depend on random states inside TensorFlow's kernels, which cannot be saved in a checkpoint.
    batch_number: a variable to save in checkpoints. `next_batch` increments it.
    """

    def __init__(self, model: keras.Model, *, seed: int) -> None:
        self.batch_number = tf.Variable(0, dtype=tf.int64, trainable=False, name="batch_number")
        self._seed = seed
        self._n_calls = 0
        self._counter: tf.Tensor | None = None
        for layer in model._flatten_layers():
            if isinstance(layer, keras.layers.Dropout):
                layer._random_generator.dropout = self._drop
            elif hasattr(layer, "xdropout") and hasattr(layer, "drop_prob"):
                # DeBERTa's own dropout layer.
                layer.xdropout = _with_rate(self, layer.drop_prob)

    def next_batch(self) -> None:
        """Use new masks from now on."""
        self.batch_number.assign_add(1)

    def begin(self, part: tf.Tensor | int = 0, n_parts: int = 1) -> None:
        """Call this at the start of each traced forward pass.

        Masks are numbered from this call on, and each mask depends on its number. In layers that share a trace, it also
        depends on the number of the layer. The pass computes part number `part` of the `n_parts` parts of the replica's
        rows.
        """
        self._n_calls = 0
        context = tf.distribute.get_replica_context()
        replica = tf.cast(context.replica_id_in_sync_group, tf.int64)
        number = self.batch_number * context.num_replicas_in_sync + replica
        number = number * n_parts + tf.cast(part, tf.int64)
        # The low half counts the numbers that are drawn with one key.
        self._counter = tf.bitcast(tf.stack([tf.zeros_like(number), number]), tf.uint64)

    def _drop(self, inputs: tf.Tensor, rate: float, noise_shape: object = None) -> tf.Tensor:
        self._n_calls += 1
        key = tf.constant(np.random.SeedSequence((self._seed, self._n_calls)).generate_state(1, np.uint64))
        if (number := layer_number.get()) is not None:
            key = key + number
        shape = tf.shape(inputs) if noise_shape is None else tf.constant(noise_shape)
        is_whole = noise_shape is None and inputs.shape[-1] is not None and inputs.shape[-1] % 4 == 0
        mask = _scaled_mask(shape, inputs.dtype, rate, is_whole=is_whole, key=key, counter=self._counter)

        # TensorFlow's own gradient copies the tensor if shapes are unknown, to sum over no axes.
        @tf.custom_gradient
        def drop(inputs: tf.Tensor) -> Any:
            return inputs * mask, lambda upstream: upstream * mask

        return drop(inputs)


# The rate is rounded to a multiple of 2**-16, so that one random number of 64 bits is enough for four inputs.
_STEPS = 2**16
_PHILOX = 1


def _scaled_mask(
    shape: tf.Tensor, dtype: tf.DType, rate: float, *, is_whole: bool, key: tf.Tensor, counter: tf.Tensor
) -> tf.Tensor:
    """A mask of `shape`: 0 for a share `rate` of the elements, else the factor that preserves the mean.

    is_whole: the size of `shape` is known to be a multiple of four. key: (1,) uint64. counter: (2,) uint64, low half
    first. The Philox generator (Salmon et al. 2011) is called directly, because tf.random.stateless_uniform traces
    three times as many operations.
    """
    size = tf.reduce_prod(shape)
    words = tf.raw_ops.StatelessRandomUniformFullIntV2(
        shape=[(size + 3) // 4], key=key, counter=counter, alg=_PHILOX, dtype=tf.uint64
    )
    numbers = tf.bitcast(words, tf.uint16)
    if not is_whole:
        numbers = tf.reshape(numbers, [-1])[:size]
    drawn = tf.reshape(numbers, shape)
    dropped = round(rate * _STEPS)
    kept = drawn >= tf.constant(dropped, tf.uint16)
    return tf.cast(kept, dtype) * tf.constant(_STEPS / (_STEPS - dropped), dtype)


def _with_rate(dropout: SeededDropout, rate: float) -> object:
    return lambda inputs: dropout._drop(inputs, rate) if rate else inputs
