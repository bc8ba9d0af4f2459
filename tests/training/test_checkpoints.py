"""What checkpoints contain."""

from __future__ import annotations

import pytest

from tf_tokclf.errors import JobError
from tf_tokclf.model.backend import keras, tf
from tf_tokclf.training.checkpoints import check_tracked


class Hiding(keras.layers.Layer):
    """A layer with a part and a variable of the same name, of which TensorFlow tracks only the last."""

    def __init__(self) -> None:
        super().__init__()
        self.table = keras.layers.Dense(2, name="part")
        self.table.build((None, 3))
        self.other = self.add_weight(name="table", shape=(4,))


def test_a_weight_that_is_hidden_by_another_is_noticed():
    layer = Hiding()
    assert len(layer.variables) == 3
    with pytest.raises(JobError, match=r"would lack 2 weights, such as .*kernel"):
        check_tracked(tf.train.Checkpoint(model=layer), layer.variables)


def test_a_model_whose_weights_are_all_tracked_is_accepted():
    model = keras.Sequential([keras.layers.Dense(2, input_shape=(3,)), keras.layers.Dense(1)])
    check_tracked(tf.train.Checkpoint(model=model), model.variables)
