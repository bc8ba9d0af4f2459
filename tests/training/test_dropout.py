"""Dropout masks: the right share is dropped, the mean is preserved, and masks depend only on seed, batch and layer."""

from __future__ import annotations

import numpy as np
import pytest

from tf_tokclf.model.backend import keras, tf
from tf_tokclf.training.dropout import SeededDropout


def masks(*, seed: int = 1, n_batches: int = 1, rate: float = 0.1, dtype: str = "float32") -> list[np.ndarray]:
    model = keras.Sequential([keras.layers.Dropout(rate, dtype=dtype), keras.layers.Dropout(rate, dtype=dtype)])
    ones = tf.ones((31, 33, 7), dtype)
    model(ones)
    dropout = SeededDropout(model, seed=seed)
    first, second = model.layers
    drawn = []
    for _ in range(n_batches):
        dropout.next_batch()
        dropout.begin()
        drawn += [first(ones, training=True).numpy(), second(ones, training=True).numpy()]
    return [mask.astype(np.float64) for mask in drawn]


@pytest.mark.parametrize("rate", [0.1, 0.5])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_the_share_that_is_dropped_and_the_mean_that_stays(rate: float, dtype: str):
    mask = np.concatenate(masks(rate=rate, dtype=dtype, n_batches=4))
    tolerance = 4 * np.sqrt(rate * (1 - rate) / mask.size)
    assert (mask == 0).mean() == pytest.approx(rate, abs=tolerance + 1e-5)
    assert mask.mean() == pytest.approx(1, abs=4 * tolerance + (0.005 if dtype == "bfloat16" else 0.001))


def test_masks_repeat_with_seed_and_batch_and_differ_otherwise():
    again, other = masks(n_batches=2), masks(seed=2, n_batches=2)
    for mine, same in zip(masks(n_batches=2), again):
        assert (mine == same).all()
    different = [*again, *other]
    for i, mask in enumerate(different):
        assert all((mask != rival).mean() > 0.1 for rival in different[i + 1 :])


def test_what_is_dropped_gets_no_gradient():
    layer = keras.layers.Dropout(0.5)
    model = keras.Sequential([layer])
    x = tf.ones((8, 16))
    model(x)
    dropout = SeededDropout(model, seed=3)
    dropout.next_batch()
    dropout.begin()
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=True)
    assert (tape.gradient(y, x).numpy() == y.numpy()).all()
