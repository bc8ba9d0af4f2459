"""Layers that are computed again for the gradient: the same results, and nothing is kept but their inputs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.reference_models import CASES, FLOAT32, ReferenceModel
from tf_tokclf.config.schema import OptimizerConfig
from tf_tokclf.encoding.model_types import MODEL_TYPES
from tf_tokclf.errors import UserError
from tf_tokclf.model.backend import keras, tf
from tf_tokclf.model.precision import Precision
from tf_tokclf.model.recomputation import computed_layer, recomputed_layers
from tf_tokclf.training.dropout import SeededDropout
from tf_tokclf.training.optimizer import create_slots, make_optimizer
from tf_tokclf.training.schedule import Schedule
from tf_tokclf.training.step import TrainingStep

pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore:`TFSharedEmbeddings`:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The initializer:UserWarning"),
]

SOMEBODYS_MODEL: Any = SimpleNamespace(config=SimpleNamespace(model_type="somebodys-own"))


def gradients(*, recomputes: bool) -> tuple[list[float], list[int]]:
    """The gradients of three layers weight * x**2 + bias, for x, the weights and the biases, and which layers are
    computed one after the other.
    """
    computed: list[int] = []
    biases = [tf.Variable(bias) for bias in (1.0, 2.0, 3.0)]

    def layer(x: tf.Tensor, parts: dict[str, Any], *, number: int) -> tuple[tf.Tensor, None]:
        @tf.custom_gradient
        def noted(x: tf.Tensor) -> Any:
            def note(x: np.ndarray) -> np.ndarray:
                computed.append(number)
                return x

            return tf.ensure_shape(tf.numpy_function(note, [x], x.dtype), x.shape), lambda upstream: upstream

        return parts["weight"] * noted(x) ** 2 + biases[number], None

    @tf.function(autograph=False)
    def computed_gradients(x: tf.Tensor, weights: list[tf.Tensor]) -> list[tf.Tensor]:
        def outputs(x: tf.Tensor) -> tf.Tensor:
            for number, weight in enumerate(weights):
                x, nothing = computed_layer(layer, x, {"weight": weight, "none": None}, number=number)
                assert nothing is None
            return x

        with tf.GradientTape() as tape:
            tape.watch([x, weights])
            if recomputes:
                with recomputed_layers(SOMEBODYS_MODEL, tape, autograph=False):
                    y = outputs(x)
            else:
                y = outputs(x)
        return tape.gradient(y, [x, *weights, *biases])

    found = computed_gradients(tf.constant(1.0), [tf.constant(weight) for weight in (2.0, 1.0, 3.0)])
    return [float(gradient) for gradient in found], computed


@pytest.mark.parametrize(("recomputes", "order"), [(False, [0, 1, 2]), (True, [0, 1, 2, 2, 1, 0])])
def test_layers_are_computed_again_from_the_last_to_the_first(recomputes: bool, order: list[int]):
    """The layers give 2 * 1**2 + 1 = 3, 1 * 3**2 + 2 = 11 and 3 * 11**2 + 3."""
    found, computed = gradients(recomputes=recomputes)
    below_last, below_second = 2 * 3 * 11, 2 * 3 * 11 * 2 * 1 * 3
    of_weights, of_biases = [below_second * 1, below_last * 9, 121], [below_second, below_last, 1]
    assert found == [below_second * 2 * 2, *of_weights, *of_biases]
    assert computed == order


def test_a_model_without_known_layers_is_refused():
    message = "does not support encoders of type 'somebodys-own'"
    tape = tf.GradientTape()
    with pytest.raises(UserError, match=message), recomputed_layers(SOMEBODYS_MODEL, tape, autograph=False):
        pass


def trained(
    name: str, *, precision: Precision = FLOAT32, rate: float = 0.2, n_batches: int = 1, **options: Any
) -> tuple[list[float], list[np.ndarray]]:
    """The losses and the weights of two steps with dropout. rate: share of numbers that are dropped."""
    reference = ReferenceModel.of(name)
    model = reference.load(precision)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = rate
        elif hasattr(layer, "xdropout"):
            layer.drop_prob = rate
    loss_scaling = precision.policy == "mixed_float16"
    optimizer = make_optimizer(OptimizerConfig(learning_rate=2e-3), Schedule(2, 0), loss_scaling=loss_scaling)
    create_slots(optimizer, model.trainable_variables)
    step = TrainingStep(model, optimizer, clip_norm=1.0, dropout=SeededDropout(model, seed=1), **options)
    batch = {name: tf.constant(reference.training_batch[name]) for name in ("input_ids", "attention_mask", "labels")}
    losses = [float(step([batch] * n_batches)) for _ in range(2)]
    return losses, [weight.numpy() for weight in model.trainable_variables]


def check_same(name: str, *, tolerance: float = 0.0, **options: Any) -> None:
    """tolerance: of weights. Losses may differ by a tenth of it."""
    plain, again = (trained(name, gradient_checkpointing=recomputes, **options) for recomputes in (False, True))
    assert again[0] == pytest.approx(plain[0], rel=tolerance / 10, abs=0)
    for one, other in zip(plain[1], again[1], strict=True):
        np.testing.assert_allclose(other, one, rtol=0, atol=tolerance)


# Layers that share a trace, and layers that Keras calls.
@pytest.mark.parametrize("name", ["bert", "rembert"])
def test_steps_with_dropout_are_the_same(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tf_tokclf.training.step.n_lanes", lambda: 2)
    check_same(name)


# The gradients of halves are summed in float32 with gradient checkpointing, and in bfloat16 without it.
def test_accumulated_steps_in_bfloat16_are_the_same(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tf_tokclf.training.step.n_lanes", lambda: 1)
    check_same("modernbert", precision=Precision("mixed_bfloat16", "test"), n_batches=2)


@pytest.mark.slow
def test_compiled_steps_are_the_same():
    check_same("deberta-v2", jit_compile=True, tolerance=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("name", CASES)
def test_steps_of_all_types_are_the_same(name: str, policy: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tf_tokclf.training.step.n_lanes", lambda: 1)
    # In Funnel, XLM and FlauBERT, the gradients of a tensor are summed in another order. Adam divides small
    # gradients by their own size, which makes rounding errors grow.
    tolerance = 1e-4 if ReferenceModel.of(name).type in ("flaubert", "funnel", "xlm") else 0.0
    if policy == "float32" or not MODEL_TYPES[ReferenceModel.of(name).type].only_float32:
        check_same(name, precision=Precision(policy, "test"), tolerance=tolerance)
