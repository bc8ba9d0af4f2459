"""Numbers and files are those of PyTorch, which `scripts/dev/reference_models` has recorded for each model type."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tf_tokclf.config.schema import OptimizerConfig
from tf_tokclf.encoding.model_config import MODEL_TYPES
from tf_tokclf.model.backend import keras, tf
from tf_tokclf.model.forward import needs_equal_lengths, piece_logits
from tf_tokclf.model.loading import load_classifier
from tf_tokclf.model.portable_weights import portable, save_portable_weights
from tf_tokclf.model.precision import NO_MIXED_PRECISION, Precision
from tf_tokclf.model.saving import save_config
from tf_tokclf.training.dropout import SeededDropout
from tf_tokclf.training.loss import PieceLoss
from tf_tokclf.training.optimizer import Schedule, create_slots, defer_embedding, make_optimizer
from tf_tokclf.training.step import TrainingStep

pytestmark = [
    pytest.mark.usefixtures("untraced"),
    # The classes of transformers warn of themselves, and of initial values that the weights of the file replace.
    pytest.mark.filterwarnings("ignore:`TFSharedEmbeddings`:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The initializer:UserWarning"),
]

FOLDER = Path(__file__).parents[1] / "data" / "reference_models"
CASES = sorted(path.name for path in FOLDER.iterdir())
FLOAT32 = Precision("float32", "test")
# PyTorch computes these biases without a gradient, so they keep their values. Here they are trained.
UNTRAINED_IN_PYTORCH = ("rel_pos_bias.weight", "rel_pos_x_bias.weight", "rel_pos_y_bias.weight")


@dataclass(frozen=True)
class Case:
    """A model of PyTorch with what PyTorch computes. expected: see `scripts/dev/reference_models`."""

    folder: Path
    model: keras.Model
    expected: dict[str, np.ndarray]

    def values(self, batch: str) -> dict[str, np.ndarray]:
        """The tensors of the batch `batch` by name."""
        return {
            name.removeprefix(f"{batch}."): array
            for name, array in self.expected.items()
            if name.startswith(f"{batch}.")
        }

    @property
    def depends_on_padding(self) -> bool:
        """Whether PyTorch's logits of a row depend on how much padding follows it."""
        padded = self.values("padded")
        difference = np.abs(padded["logits"] - self.expected["alone.logits"])
        return difference[padded["attention_mask"] == 1].max() > 1e-3

    @property
    def trained_on(self) -> dict[str, np.ndarray]:
        """The batch of the gradients and of training."""
        return self.values("whole" if self.depends_on_padding else "padded")


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    folder = FOLDER / request.param
    yield Case(folder, load_classifier(folder, precision=FLOAT32), load_file(folder / "expected.safetensors"))
    keras.backend.clear_session()


def test_every_type_has_a_case():
    types = {json.loads((FOLDER / name / "config.json").read_text())["model_type"] for name in CASES}
    assert types == MODEL_TYPES


def logits_of(case: Case, batch: dict[str, np.ndarray]) -> tf.Tensor:
    inputs = (tf.constant(batch[name], tf.int32) for name in ("input_ids", "attention_mask"))
    return piece_logits(case.model, *inputs, training=False)


@pytest.mark.parametrize("batch", ["padded", "whole"])
def test_logits_are_those_of_pytorch(case: Case, batch: str):
    values = case.values(batch)
    if batch == "padded" and needs_equal_lengths(case.model):
        pytest.skip("the tagger does not pad for this type")
    is_token = values["attention_mask"] == 1
    # In PyTorch, the logits of some types depend on the width of padding.
    expected = case.expected["alone.logits"] if batch == "padded" else values["logits"]
    computed = logits_of(case, values).numpy()
    np.testing.assert_allclose(computed[is_token], expected[is_token], rtol=1e-4, atol=2e-5)


def test_mixed_precision_computes_nearly_the_same(case: Case):
    if case.model.config.model_type in NO_MIXED_PRECISION:
        pytest.skip("refused")
    mixed = load_classifier(case.folder, precision=Precision("mixed_bfloat16", "test"))
    whole = case.values("whole")
    computed = logits_of(Case(case.folder, mixed, case.expected), whole).numpy()
    assert mixed.compute_dtype == "bfloat16"
    assert computed.dtype == np.float32
    assert np.abs(computed - whole["logits"]).mean() < 0.05 * whole["logits"].std()


def test_gradients_are_those_of_pytorch(case: Case):
    batch = case.trained_on
    weights = case.model.trainable_weights
    with tf.GradientTape() as tape:
        labels = tf.constant(batch["labels"])
        loss = PieceLoss().summed(labels, logits_of(case, batch)) / PieceLoss().weight(labels)
    gradients = [g if g is None else tf.convert_to_tensor(g) for g in tape.gradient(loss, weights)]
    assert float(loss) == pytest.approx(float(batch["loss"]), rel=1e-5)
    computed = dict(portable(case.model, w, g.numpy()) for w, g in zip(weights, gradients) if g is not None)
    expected = case.values("gradients")
    assert expected.keys() <= computed.keys()
    largest = max(np.abs(gradient).max() for gradient in expected.values())
    for name, gradient in computed.items():
        if not name.endswith(UNTRAINED_IN_PYTORCH):
            reference = expected.get(name, np.zeros_like(gradient))
            np.testing.assert_allclose(gradient, reference, rtol=1e-3, atol=2e-6 * largest, err_msg=name)


def test_the_saved_file_has_the_tensors_of_pytorch(case: Case, tmp_path: Path):
    save_portable_weights(case.model, tmp_path / "model.safetensors")
    saved, original = load_file(tmp_path / "model.safetensors"), load_file(case.folder / "model.safetensors")
    assert {name: array.shape for name, array in saved.items()} == {name: a.shape for name, a in original.items()}
    for name, array in saved.items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, original[name].astype(np.float32), err_msg=name)


def test_a_saved_model_computes_the_same_again(case: Case, tmp_path: Path):
    save_portable_weights(case.model, tmp_path / "model.safetensors")
    save_config(case.model, tmp_path)
    again = Case(tmp_path, load_classifier(tmp_path, precision=FLOAT32), case.expected)
    whole = case.values("whole")
    np.testing.assert_array_equal(logits_of(again, whole).numpy(), logits_of(case, whole).numpy())


def test_the_losses_of_training_are_those_of_pytorch(case: Case):
    """Five steps of AdamW with linear decay and clipping, without dropout."""
    model = load_classifier(case.folder, precision=FLOAT32)
    rates = OptimizerConfig(learning_rate=2e-3, warmup_ratio=0, weight_decay=0)
    optimizer = make_optimizer(rates, Schedule(n_steps=5, n_warmup_steps=0), loss_scaling=False)
    create_slots(optimizer, model.trainable_variables)
    defer_embedding(optimizer, model, n_steps=5)
    step = TrainingStep(model, optimizer, clip_norm=1.0, dropout=SeededDropout(model, seed=1))
    batch = {name: tf.constant(case.trained_on[name]) for name in ("input_ids", "attention_mask", "labels")}
    losses = [float(step([batch])) for _ in range(5)]
    np.testing.assert_allclose(losses, case.expected["adamw.losses"], rtol=1e-4)
