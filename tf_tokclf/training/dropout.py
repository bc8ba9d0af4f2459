"""Dropout as a function of (seed, batch number, place in the model, replica): nothing random to keep or to restore."""

from __future__ import annotations

import numpy as np

from tf_tokclf.model.backend import keras, tf


class SeededDropout:
    """Gives all dropout layers of a model masks that depend on `seed` and on `batch_number` alone.

    Keras' own masks come from random states inside TensorFlow's kernels, which no checkpoint holds.
    batch_number: a variable to keep in checkpoints; `next_batch` counts it up.
    """

    def __init__(self, model: keras.Model, *, seed: int) -> None:
        self.batch_number = tf.Variable(0, dtype=tf.int64, trainable=False, name="batch_number")
        self._seed = seed
        self._n_calls = 0
        for layer in model._flatten_layers():
            if isinstance(layer, keras.layers.Dropout):
                layer._random_generator.dropout = self._drop
            elif hasattr(layer, "xdropout") and hasattr(layer, "drop_prob"):
                # DeBERTa's own layer
                layer.xdropout = _with_rate(self, layer.drop_prob)

    def next_batch(self) -> None:
        """Another batch, other masks."""
        self.batch_number.assign_add(1)

    def begin(self) -> None:
        """Call at the start of each traced forward pass: masks are told apart by the order of calls since then."""
        self._n_calls = 0

    def _drop(self, inputs: tf.Tensor, rate: float, noise_shape: object = None) -> tf.Tensor:
        self._n_calls += 1
        key = (
            np.random.SeedSequence((self._seed, self._n_calls))
            .generate_state(1, np.uint64)
            .astype(np.int64)[0]
        )
        context = tf.distribute.get_replica_context()
        n_replicas = tf.cast(context.num_replicas_in_sync, tf.int64)
        number = self.batch_number * n_replicas + tf.cast(context.replica_id_in_sync_group, tf.int64)
        return tf.nn.experimental.stateless_dropout(
            inputs,
            rate,
            seed=tf.stack([tf.constant(key, tf.int64), number]),
            rng_alg="philox",
            noise_shape=noise_shape,
        )


def _with_rate(dropout: SeededDropout, rate: float) -> object:
    return lambda inputs: dropout._drop(inputs, rate) if rate else inputs
