"""The average of weights: its definition, that it is scored and saved, and that it does not affect training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.training.test_optimizer import SMALL, small_model
from tests.training.test_train import config_for
from tf_tokclf import evaluate, fit
from tf_tokclf.config.schema import OptimizerConfig
from tf_tokclf.model.backend import keras, tf
from tf_tokclf.scoring.measures import MEASURES
from tf_tokclf.training.averaging import WeightAverage
from tf_tokclf.training.distribution import Devices
from tf_tokclf.training.dropout import SeededDropout
from tf_tokclf.training.history import best_epoch
from tf_tokclf.training.optimizer import create_slots, defer_embedding, make_optimizer
from tf_tokclf.training.schedule import Schedule
from tf_tokclf.training.step import TrainingStep
from tf_tokclf.training.timetable import Timetable

STEPS, EPOCHS = 7, 3


WHOLE = Timetable(STEPS, STEPS * EPOCHS, range(STEPS, STEPS * EPOCHS + 1, STEPS))


def averaged(
    weight: tf.Variable, move: Callable[[int], object], *, decay: float, timetable: Timetable = WHOLE
) -> tuple[WeightAverage, list[int]]:
    """The average over all epochs with the steps of `move`, and the numbers of the sampled steps."""
    average = WeightAverage([weight], decay=decay, timetable=timetable, devices=Devices())
    entered = []
    for number in range(1, timetable.n_steps + 1):
        move(number)
        if average.is_due(number):
            average.add(number)
            entered.append(number)
    return average, entered


@pytest.mark.parametrize(("decay", "samples_per_epoch"), [(0.5, 7), (0.96, 2), (0.999, 1)])
def test_it_is_the_mean_of_steps_by_age(decay: float, samples_per_epoch: int):
    values = np.random.default_rng(1).normal(size=(STEPS * EPOCHS + 1, 4)).astype(np.float32)
    weight = tf.Variable(values[0])
    average, entered = averaged(weight, lambda number: weight.assign(values[number]), decay=decay)
    assert len(entered) == samples_per_epoch * EPOCHS
    assert entered[-1] == STEPS * EPOCHS
    ages = np.arange(len(entered))[::-1] * STEPS / samples_per_epoch
    expected = np.average(values[entered], axis=0, weights=decay**ages)
    np.testing.assert_allclose(average.averages[0].numpy(), expected, rtol=1e-5, atol=1e-6)


def test_scored_steps_are_sampled_too_with_the_weight_of_the_steps_since_the_last_sample():
    # Evenly spread are 7 and 14. The epochs are scored at 2, 4, 6 ... 12, and at the last step, 15.
    timetable = Timetable(STEPS, 15, [*range(2, 13, 2), 15])
    values = np.random.default_rng(1).normal(size=(16, 4)).astype(np.float32)
    weight = tf.Variable(values[0])
    average, entered = averaged(weight, lambda n: weight.assign(values[n]), decay=0.999, timetable=timetable)
    assert entered == [2, 4, 6, 7, 8, 10, 12, 14, 15]
    # Each sample stands for the steps since the one before it.
    by_age = 0.999 ** (15 - np.arange(1, 16))
    stands_for = np.array([min(step for step in entered if step >= n) for n in range(1, 16)])
    expected = np.average(values[stands_for], axis=0, weights=by_age)
    np.testing.assert_allclose(average.averages[0].numpy(), expected, rtol=1e-5, atol=1e-6)


def test_weights_come_back_bit_for_bit():
    weight = tf.Variable([1.0, 0.1])
    average, _ = averaged(weight, lambda number: weight.assign_add([0.3, 0.7]), decay=0.5)
    before, mean = weight.numpy(), average.averages[0].numpy()
    with average.in_place():
        assert weight.numpy().tolist() == mean.tolist() != before.tolist()
    assert weight.numpy().tolist() == before.tolist()
    assert average.averages[0].numpy().tolist() == mean.tolist()


def test_without_a_decay_nothing_is_kept():
    average = WeightAverage([tf.Variable([1.0])], decay=None, timetable=WHOLE, devices=Devices())
    assert average.averages == []
    assert not any(average.is_due(step) for step in range(1, STEPS + 1))


def averages_of_training(*, deferred: bool) -> list[np.ndarray]:
    keras.utils.set_random_seed(5)
    model = small_model()
    config = OptimizerConfig(learning_rate=1e-2, weight_decay=0.1)
    optimizer = make_optimizer(config, Schedule(STEPS, 0), loss_scaling=False)
    create_slots(optimizer, model.trainable_variables)
    if deferred:
        defer_embedding(optimizer, model, n_steps=STEPS)
    step = TrainingStep(model, optimizer, clip_norm=1.0, dropout=SeededDropout(model, seed=1))
    average = WeightAverage(model.trainable_variables, decay=0.8, timetable=WHOLE, devices=Devices())
    rng = np.random.default_rng(2)
    for number in range(1, STEPS + 1):
        # Few subword tokens, so that most rows of the embedding are deferred in most steps.
        ids = tf.constant(rng.integers(0, SMALL["vocab_size"], (2, 4)), tf.int64)
        step([{"input_ids": ids, "attention_mask": tf.ones_like(ids), "labels": ids % 2}])
        if average.is_due(number):
            step.settle()
            average.add(number)
    with average.in_place():
        return [weight.numpy() for weight in model.trainable_variables]


def test_rows_whose_updates_are_put_off_enter_it_exactly():
    mine, expected = (averages_of_training(deferred=deferred) for deferred in (True, False))
    for found, values in zip(mine, expected):
        np.testing.assert_allclose(found, values, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_the_average_is_scored_and_saved_and_a_checkpoint_has_both(
    precision: str, conll_files: dict[str, str], tiny_bert: Path, tmp_path: Path
):
    options = {"training.ema_decay": 0.9, "training.num_train_epochs": 2, "training.precision": precision}
    options |= {"training.keep_checkpoints": 2}
    result = fit(config_for(conll_files, tiny_bert, tmp_path / "run", **options))
    saved = load_file(result.run.model / "model.safetensors")["classifier.weight"].T
    best = best_epoch(result.history, MEASURES["f1"]).epoch
    reader = tf.train.load_checkpoint(str(result.run.checkpoints / f"epoch-{best:04d}-step-0000000" / "variables"))
    heads = {
        name.split("/")[0]: reader.get_tensor(name)
        for name, shape in reader.get_variable_to_shape_map().items()
        if tuple(shape) == saved.shape and "OPTIMIZER_SLOT" not in name
    }
    assert np.array_equal(heads["average"], saved)
    assert not np.allclose(heads["model"], saved, atol=1e-4)
    if precision == "float32":
        found = evaluate(result.run.root, split="validation").scores.overall.f1
        assert found == pytest.approx(max(record.dev_f1 for record in result.history))
