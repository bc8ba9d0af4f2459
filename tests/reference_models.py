"""The models in tests/data/reference_models, and checks that the project computes, trains and saves them as PyTorch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from tf_tokclf.config.schema import OptimizerConfig
from tf_tokclf.encoding.model_types import facts_of
from tf_tokclf.model.backend import keras, tf
from tf_tokclf.model.forward import piece_logits
from tf_tokclf.model.loading import load_classifier
from tf_tokclf.model.portable_weights import portable
from tf_tokclf.model.precision import Precision
from tf_tokclf.training.dropout import SeededDropout
from tf_tokclf.training.loss import PieceLoss
from tf_tokclf.training.optimizer import create_slots, defer_embedding, make_optimizer
from tf_tokclf.training.schedule import Schedule
from tf_tokclf.training.step import TrainingStep

FOLDER = Path(__file__).parent / "data" / "reference_models"
CASES = sorted(path.name for path in FOLDER.iterdir())
FLOAT32 = Precision("float32", "test")


@dataclass(frozen=True)
class ReferenceModel:
    """A model of PyTorch with what PyTorch computes. expected: see `scripts/dev/reference_models`."""

    folder: Path
    expected: dict[str, np.ndarray]

    @classmethod
    def of(cls, name: str) -> ReferenceModel:
        """The case `name`."""
        return cls(FOLDER / name, load_file(FOLDER / name / "expected.safetensors"))

    @property
    def type(self) -> str:
        return str(json.loads((self.folder / "config.json").read_text(encoding="utf-8"))["model_type"])

    def load(self, precision: Precision = FLOAT32) -> keras.Model:
        """The model, by the project."""
        return load_classifier(self.folder, precision=precision)

    def values(self, kind: str) -> dict[str, np.ndarray]:
        """The tensors of `kind` (such as "padded" or "gradients") by name."""
        prefix = f"{kind}."
        return {name[len(prefix) :]: array for name, array in self.expected.items() if name.startswith(prefix)}

    @property
    def depends_on_padding(self) -> bool:
        """Whether PyTorch's logits of a row depend on how much padding follows it."""
        padded = self.values("padded")
        difference = np.abs(padded["logits"] - self.expected["alone.logits"])
        return bool(difference[padded["attention_mask"] == 1].max() > 1e-3)

    @property
    def training_batch(self) -> dict[str, np.ndarray]:
        """The batch of the gradients and of training."""
        return self.values("whole" if self.depends_on_padding else "padded")


def logits_of(model: keras.Model, batch: dict[str, np.ndarray]) -> tf.Tensor:
    """(rows, width, labels) float32."""
    inputs = (tf.constant(batch[name], tf.int32) for name in ("input_ids", "attention_mask"))
    return piece_logits(model, *inputs, training=False)


def check_logits(reference: ReferenceModel, model: keras.Model) -> None:
    """At tokens; what is computed at padding is not used."""
    for batch in ("whole", "padded"):
        if batch == "padded" and facts_of(model.config.model_type).reads_padding:
            continue  # the tagger does not pad for this type
        values = reference.values(batch)
        is_token = values["attention_mask"] == 1
        # In PyTorch, the logits of some types depend on the width of padding.
        expected = reference.expected["alone.logits"] if batch == "padded" else values["logits"]
        computed = logits_of(model, values).numpy()
        np.testing.assert_allclose(computed[is_token], expected[is_token], rtol=1e-4, atol=2e-5, err_msg=batch)


def check_mixed_logits(reference: ReferenceModel, policy: str) -> None:
    """Nearly the same logits, in float32."""
    model, whole = reference.load(Precision(policy, "test")), reference.values("whole")
    computed = logits_of(model, whole).numpy()
    assert model.compute_dtype == policy.removeprefix("mixed_")
    assert computed.dtype == np.float32
    assert np.abs(computed - whole["logits"]).mean() < 0.05 * whole["logits"].std()


def check_gradients(reference: ReferenceModel, model: keras.Model) -> None:
    batch, weights = reference.training_batch, model.trainable_weights
    labels = tf.constant(batch["labels"])
    with tf.GradientTape() as tape:
        loss = PieceLoss().summed(labels, logits_of(model, batch)) / PieceLoss().weight(labels)
    np.testing.assert_allclose(float(loss), batch["loss"], rtol=1e-5)
    gradients = [g if g is None else tf.convert_to_tensor(g) for g in tape.gradient(loss, weights)]
    computed = dict(portable(model, w, g.numpy()) for w, g in zip(weights, gradients) if g is not None)
    expected = reference.values("gradients")
    assert expected.keys() <= computed.keys()
    largest = max(np.abs(gradient).max() for gradient in expected.values())
    for name, gradient in computed.items():
        # PyTorch has no gradient for weights whose gradient is 0 because the model does not use them.
        of_pytorch = expected.get(name, np.zeros_like(gradient))
        np.testing.assert_allclose(gradient, of_pytorch, rtol=1e-3, atol=2e-6 * largest, err_msg=name)


def losses_in_training(reference: ReferenceModel, precision: Precision) -> list[float]:
    """The losses of the steps that PyTorch made: AdamW, linear decay, clipping, no dropout."""
    model = reference.load(precision)
    n_steps = len(reference.expected["adamw.losses"])
    settings = OptimizerConfig(learning_rate=2e-3, warmup_ratio=0, weight_decay=0)
    schedule = Schedule(n_steps=n_steps, n_warmup_steps=0)
    optimizer = make_optimizer(settings, schedule, loss_scaling=precision.policy == "mixed_float16")
    create_slots(optimizer, model.trainable_variables)
    defer_embedding(optimizer, model, n_steps=n_steps)
    step = TrainingStep(model, optimizer, clip_norm=1.0, dropout=SeededDropout(model, seed=1))
    values = reference.training_batch
    batch = {name: tf.constant(values[name]) for name in ("input_ids", "attention_mask", "labels")}
    return [float(step([batch])) for _ in range(n_steps)]


def check_training(reference: ReferenceModel) -> None:
    losses = losses_in_training(reference, FLOAT32)
    np.testing.assert_allclose(losses, reference.expected["adamw.losses"], rtol=1e-4)


def check_saved_tensors(reference: ReferenceModel, saved: dict[str, np.ndarray]) -> None:
    """Exactly the names, shapes and values that PyTorch saves, all in float32."""
    original = load_file(reference.folder / "model.safetensors")
    assert {name: array.shape for name, array in saved.items()} == {name: a.shape for name, a in original.items()}
    for name, array in saved.items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, original[name].astype(np.float32), err_msg=name)
