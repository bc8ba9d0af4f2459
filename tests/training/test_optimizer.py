"""Clipping and schedules."""

from __future__ import annotations

import numpy as np
import pytest

from tf_tokclf.config.schema import OptimizerConfig
from tf_tokclf.model.backend import tf
from tf_tokclf.training.optimizer import Schedule, clipped, learning_rate_at, make_optimizer


def test_rows_of_one_piece_are_summed_before_the_norm_is_taken():
    rows = tf.IndexedSlices(tf.constant([[3.0], [3.0]]), tf.constant([1, 1]), dense_shape=tf.constant([2, 1]))
    (gradient,) = clipped([rows], 1.0)
    assert gradient.numpy().tolist() == [[0.0], [1.0]]


def test_without_a_norm_gradients_stay_as_they_are():
    (gradient,) = clipped([tf.constant([30.0, 40.0])], None)
    assert gradient.numpy().tolist() == [30.0, 40.0]


def test_the_rate_warms_up_and_decays_to_0():
    config = OptimizerConfig(learning_rate=1.0, warmup_ratio=0.5)
    optimizer = make_optimizer(config, Schedule.of(config, 8), loss_scaling=False)
    rates = [learning_rate_at(optimizer, step) for step in range(9)]
    assert rates == pytest.approx([0, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25, 0])


def test_a_schedule_without_steps_is_refused():
    """create_optimizer answers it with a learning rate of nan."""
    with pytest.raises(ValueError, match="needs steps"):
        Schedule(0, 0)


def test_a_single_step_has_a_rate():
    config = OptimizerConfig(learning_rate=1.0, warmup_ratio=0.9)
    rate = learning_rate_at(make_optimizer(config, Schedule.of(config, 1), loss_scaling=False), 0)
    assert np.isfinite(rate)
    assert rate > 0
