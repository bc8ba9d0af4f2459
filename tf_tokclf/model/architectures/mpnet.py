"""MPNet: the PyTorch class for token classification has no pooler, but the TensorFlow class has one."""

from __future__ import annotations

from tf_tokclf.model.backend import keras, tf


class _NoPooler(keras.layers.Layer):
    def call(self, hidden_states: tf.Tensor) -> tf.Tensor:
        return hidden_states[:, 0]


def leave_out_pooler(model: keras.Model) -> None:
    """Remove the pooler, whose output is not used. Otherwise its weights would be saved."""
    model.mpnet.pooler = _NoPooler(name="pooler")
