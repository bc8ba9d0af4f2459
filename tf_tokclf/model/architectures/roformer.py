"""RoFormer: its table of rotations is fixed."""

from __future__ import annotations

from tf_tokclf.model.backend import keras


def fix_positions(model: keras.Model) -> None:
    """Do not train the table of sines and cosines. The PyTorch class does not, but the TensorFlow class does."""
    model.roformer.encoder.embed_positions.trainable = False
