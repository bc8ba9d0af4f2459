"""Loss scaling for float16: what Keras' LossScaleOptimizer does, without a decision that the program has to make."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tf_tokclf.config.schema import OptimizerConfig
from tf_tokclf.model.backend import keras, tf
from tf_tokclf.model.loading import new_classifier
from tf_tokclf.model.precision import Precision
from tf_tokclf.training.dropout import SeededDropout
from tf_tokclf.training.loss_scaling import apply_if_finite
from tf_tokclf.training.optimizer import create_slots, defer_embedding, make_optimizer
from tf_tokclf.training.schedule import Schedule
from tf_tokclf.training.step import TrainingStep

START = {"dense/kernel": np.linspace(-1, 1, 12).reshape(3, 4), "LayerNorm/gamma": np.ones(4)}
N_STEPS = 9


def gradients_of(step: int) -> list[tf.Tensor]:
    """Two steps overflow: one value of one gradient is infinite, or not a number."""
    rng = np.random.default_rng(step)
    values = [rng.normal(size=value.shape) for value in START.values()]
    if step in (3, 5):
        values[step % 2].flat[1] = np.inf if step == 3 else np.nan
    return [tf.constant(value, tf.float32) for value in values]


def by_keras(optimizer: Any, gradients: list, weights: list, clip_norm: float | None) -> None:
    optimizer.get_scaled_loss(tf.constant(1.0))
    gradients = optimizer.get_unscaled_gradients(gradients)
    if clip_norm is not None:
        gradients, _ = tf.clip_by_global_norm(gradients, clip_norm)
    optimizer.apply_gradients(zip(gradients, weights))


def by_us(optimizer: Any, gradients: list, weights: list, clip_norm: float | None) -> None:
    apply_if_finite(optimizer, optimizer.get_unscaled_gradients(gradients), weights, clip_norm=clip_norm)


def states(apply: Callable[..., None], clip_norm: float | None) -> list[list[np.ndarray]]:
    """After each step: the weights, all variables of the optimizer, the loss scale, and its counter."""
    inner = make_optimizer(OptimizerConfig(weight_decay=0.1), Schedule(N_STEPS, 0), loss_scaling=False)
    optimizer = keras.mixed_precision.LossScaleOptimizer(inner, initial_scale=4.0, dynamic_growth_steps=2)
    weights = [tf.Variable(value, name=name, dtype=tf.float32) for name, value in START.items()]
    create_slots(optimizer, weights)
    found = []
    for step in range(N_STEPS):
        apply(optimizer, gradients_of(step), weights, clip_norm)
        variables = [*weights, *optimizer.variables(), optimizer.dynamic_counter]
        found.append([tf.convert_to_tensor(variable).numpy().copy() for variable in (*variables, optimizer.loss_scale)])
    return found


@pytest.mark.parametrize("clip_norm", [None, 1.0])
def test_every_step_does_what_the_optimizer_of_keras_does(clip_norm: float | None):
    ours, theirs = states(by_us, clip_norm), states(by_keras, clip_norm)
    for mine, reference in zip(ours, theirs, strict=True):
        for one, other in zip(mine, reference, strict=True):
            np.testing.assert_array_equal(one, other)
    # The scale rose and fell, and the steps that overflowed left the weights alone.
    assert [float(state[-1]) for state in ours] == [4, 8, 8, 4, 4, 2, 2, 4, 4]
    for step in (3, 5):
        np.testing.assert_array_equal(ours[step][0], ours[step - 1][0])
        assert (ours[step - 1][0] != ours[step - 2][0]).any()


def operations(encoder: Path, *, on_gpu: bool, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The types of all operations of a traced step in float16, as it is on a machine with or without a GPU."""
    with monkeypatch.context() as patch:
        patch.setattr(tf.config, "list_physical_devices", lambda kind=None: ["GPU:0"] * (on_gpu and kind == "GPU"))
        precision = Precision("mixed_float16", "for the test")
        model = new_classifier(encoder, ["O", "B-LOC"], precision=precision)
        optimizer = make_optimizer(OptimizerConfig(), Schedule(10, 0), loss_scaling=True)
        create_slots(optimizer, model.trainable_variables)
        if not on_gpu:
            defer_embedding(optimizer, model, n_steps=10)
        step = TrainingStep(model, optimizer, clip_norm=1.0, dropout=SeededDropout(model, seed=1))
        graph = step._update.get_concrete_function().graph.as_graph_def()
    functions = (node for function in graph.library.function for node in function.node_def)
    return {node.op for node in (*graph.node, *functions)}


# The program can go on only when it knows a value or a shape that these compute. Assert is not one of them: for the
# check of token ids by transformers, the program waits for the beginning of the step, while the rest is queued.
WAITING = {"If", "StatelessIf", "While", "StatelessWhile", "Switch", "Case", "Where", "Unique", "UniqueV2"}


def test_on_a_gpu_no_operation_of_a_step_makes_the_program_wait(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch):
    on_gpu = operations(tiny_bert, on_gpu=True, monkeypatch=monkeypatch)
    assert "ResourceApplyAdam" in on_gpu
    assert on_gpu & WAITING == set()
    # On a CPU, the updates of the embedding are deferred to the tokens of the batch.
    assert "Unique" in operations(tiny_bert, on_gpu=False, monkeypatch=monkeypatch)
