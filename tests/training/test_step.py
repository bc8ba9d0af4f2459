"""A training step: the halves of a batch in parallel."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.test_optimizer import SMALL
from tf_tokclf.config.schema import OptimizerConfig
from tf_tokclf.model.backend import keras, tf, transformers
from tf_tokclf.training.dropout import SeededDropout
from tf_tokclf.training.optimizer import create_slots, make_optimizer
from tf_tokclf.training.schedule import Schedule
from tf_tokclf.training.step import TrainingStep

pytestmark = pytest.mark.usefixtures("untraced")


def trained(n_lanes: int, n_rows: int, monkeypatch: pytest.MonkeyPatch) -> tuple[list[float], list[np.ndarray]]:
    """The losses and the weights of two steps without dropout."""
    monkeypatch.setattr("tf_tokclf.training.step.n_lanes", lambda: n_lanes)
    keras.utils.set_random_seed(5)
    config = transformers.BertConfig(**{**SMALL, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0})
    model = transformers.TFBertForTokenClassification(config)
    model.build_in_name_scope()
    optimizer = make_optimizer(OptimizerConfig(learning_rate=1e-2), Schedule(2, 0), loss_scaling=False)
    create_slots(optimizer, model.trainable_variables)
    step = TrainingStep(model, optimizer, clip_norm=1.0, dropout=SeededDropout(model, seed=1))
    ids = np.random.default_rng(2).integers(1, 9, (n_rows, 6))
    mask = (np.arange(6) < np.arange(2, n_rows + 2)[:, None]).astype(np.int64)
    batch = {"input_ids": ids, "attention_mask": mask, "labels": np.where(mask == 1, ids % 2, -100)}
    losses = [float(step([{name: tf.constant(array, tf.int64) for name, array in batch.items()}])) for _ in range(2)]
    return losses, [weight.numpy() for weight in model.trainable_variables]


@pytest.mark.parametrize("n_rows", [1, 4, 5])
def test_halves_of_a_batch_train_what_the_whole_does(n_rows: int, monkeypatch: pytest.MonkeyPatch):
    whole, halves = (trained(n_lanes, n_rows, monkeypatch) for n_lanes in (1, 2))
    assert halves[0] == pytest.approx(whole[0], rel=1e-5)
    assert whole[0][0] != pytest.approx(whole[0][1], rel=1e-3)
    for one, other in zip(whole[1], halves[1], strict=True):
        np.testing.assert_allclose(other, one, rtol=0, atol=1e-4)
