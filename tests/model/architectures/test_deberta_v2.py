"""DeBERTa v2 and v3 give the logits and gradients of transformers' class, which gathers relative positions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import transformers
from safetensors.numpy import load_file, save_file

from tf_tokclf.config.schema import OptimizerConfig
from tf_tokclf.model.architectures.deberta_v2 import use_skewing
from tf_tokclf.model.backend import keras, tf
from tf_tokclf.model.forward import piece_logits
from tf_tokclf.model.loading import load_classifier
from tf_tokclf.model.portable_weights import save_portable_weights
from tf_tokclf.model.precision import Precision, precision_policy
from tf_tokclf.training.dropout import SeededDropout
from tf_tokclf.training.optimizer import create_slots, make_optimizer
from tf_tokclf.training.schedule import Schedule
from tf_tokclf.training.step import TrainingStep

pytestmark = pytest.mark.long

# DeBERTa v3, but with fewer buckets, so that distances share them.
LIKE_V3 = {
    "relative_attention": True,
    "pos_att_type": ["p2c", "c2p"],
    "share_att_key": True,
    "norm_rel_ebd": "layer_norm",
    "position_buckets": 8,
    "position_biased_input": False,
    "max_relative_positions": -1,
    "type_vocab_size": 0,
}
SIZES = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "max_position_embeddings": 32,
    "num_labels": 5,
}
VARIANTS: Mapping[str, Mapping[str, object]] = {
    "v3": {},
    "large buckets": {"position_buckets": 256, "max_position_embeddings": 512},
    "no buckets": {"position_buckets": -1},
    "few distances": {"position_buckets": -1, "max_relative_positions": 4},
    "odd buckets": {"position_buckets": 5, "max_relative_positions": 7},
    "c2p": {"pos_att_type": ["c2p"]},
    "p2c": {"pos_att_type": "p2c"},
    "no terms": {"pos_att_type": []},
    "not shared": {"share_att_key": False},
    "not shared, c2p": {"share_att_key": False, "pos_att_type": ["c2p"]},
    "not shared, p2c": {"share_att_key": False, "pos_att_type": ["p2c"]},
    "convolution": {"conv_kernel_size": 3, "conv_act": "gelu"},
    "absolute positions and types": {"position_biased_input": True, "type_vocab_size": 2, "norm_rel_ebd": "none"},
    "not relative": {"relative_attention": False, "norm_rel_ebd": "none"},
    "small embedding": {"embedding_size": 12},
}


def configuration(*, dropout: float = 0.0, **options: object) -> transformers.DebertaV2Config:
    rates = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    return transformers.DebertaV2Config(**{**SIZES, **LIKE_V3, **rates, **options})


def make(*, policy: str = "float32", **options: object) -> keras.Model:
    """A model of transformers. Its weights are large, so that the outputs are not all close to 0."""
    with precision_policy(policy):
        model = transformers.TFDebertaV2ForTokenClassification(configuration(**options))
        model.build_in_name_scope()
    random = np.random.default_rng(3)
    for weight in model.weights:
        weight.assign(random.normal(size=weight.shape, scale=0.4))
    return model


def batch(width: int = 9, *, left: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
    """input_ids and attention_mask, (3, width), with padding on the right or on the left."""
    lengths = np.array([width, width // 3, 1])[:, None]
    place = np.arange(width)[None, :]
    mask = place >= width - lengths if left else place < lengths
    ids = np.random.default_rng(5).integers(5, 40, mask.shape)
    return tf.constant(np.where(mask, ids, 0), tf.int32), tf.constant(mask, tf.int32)


def logits_and_gradients(model: keras.Model, inputs: tuple[tf.Tensor, tf.Tensor], **options: bool) -> list[np.ndarray]:
    """The logits at tokens, and the gradients of a loss that uses only these. The gradient of an unused weight is 0."""
    with tf.GradientTape() as tape:
        logits = tf.cast(piece_logits(model, *inputs, training=True, **options), tf.float32)
        of_pieces = tf.gather_nd(logits, tf.where(inputs[1] == 1))
        loss = tf.reduce_sum(of_pieces * tf.random.stateless_normal(tf.shape(of_pieces), (1, 2)))
    unused = tf.UnconnectedGradients.ZERO
    gradients = tape.gradient(loss, model.trainable_variables, unconnected_gradients=unused)
    return [np.asarray(tf.convert_to_tensor(g)) for g in (of_pieces, *gradients)]


@pytest.fixture
def eager() -> Iterator[None]:
    """Compute without tracing, which would take most of the time."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def compute_without_padding(monkeypatch: pytest.MonkeyPatch, choice: bool) -> None:
    monkeypatch.setattr("tf_tokclf.model.rows.leaves_padding_out", lambda dtype: choice)


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_logits_and_gradients_are_those_of_transformers(variant: str, monkeypatch: pytest.MonkeyPatch):
    stock, model = make(**VARIANTS[variant]), make(**VARIANTS[variant])
    use_skewing(model)
    for inputs in (batch(), batch(12, left=True), batch(1)):
        expected = logits_and_gradients(stock, inputs)
        results = [logits_and_gradients(model, inputs, padded=True)]
        for choice in (True, False):
            compute_without_padding(monkeypatch, choice)
            results.append(logits_and_gradients(model, inputs))
        for mine in results:
            assert np.abs(mine[0] - expected[0]).max() < 1e-5
            for one, other in zip(mine[1:], expected[1:], strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 * max(1, np.abs(other).max()))


def test_rows_may_be_longer_than_the_embedding_of_distances():
    stock, model = make(), make()
    use_skewing(model)
    inputs = batch(80)
    for one, other in zip(logits_and_gradients(model, inputs), logits_and_gradients(stock, inputs), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 * max(1, np.abs(other).max()))


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize(("policy", "tolerance"), [("mixed_bfloat16", 0.1), ("mixed_float16", 0.02)])
def test_half_precision_stays_close_to_float32(policy: str, tolerance: float):
    exact = logits_and_gradients(make(), batch())
    model = make(policy=policy, conv_kernel_size=3)
    use_skewing(model)
    assert all(np.isfinite(values).all() for values in logits_and_gradients(model, batch()))
    model = make(policy=policy)
    use_skewing(model)
    for one, other in zip(logits_and_gradients(model, batch()), exact, strict=True):
        assert np.abs(one - other).max() <= tolerance * max(1, np.abs(other).max())


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_a_row_without_tokens_gives_no_nan(policy: str, monkeypatch: pytest.MonkeyPatch):
    model = make(policy=policy)
    use_skewing(model)
    ids, mask = batch()
    empty = tf.concat([mask[:1], tf.zeros_like(mask[1:])], axis=0)
    for choice in (True, False):
        compute_without_padding(monkeypatch, choice)
        assert all(np.isfinite(values).all() for values in logits_and_gradients(model, (ids, empty)))


def test_outside_of_packing_a_model_gives_hidden_states_and_attentions():
    model = make()
    use_skewing(model)
    outputs = model(*batch(), output_hidden_states=True, output_attentions=True)
    assert len(outputs.hidden_states) == 3
    assert len(outputs.attentions) == 2


def test_it_compiles():
    model = make()
    use_skewing(model)
    ids, mask = batch()
    compiled = tf.function(lambda *inputs: model(*inputs).logits, jit_compile=True, autograph=False)
    real = mask.numpy() == 1
    np.testing.assert_allclose(compiled(ids, mask).numpy()[real], model(ids, mask).logits.numpy()[real], atol=1e-5)


def test_dropout_depends_only_on_the_number_of_the_batch():
    model = make(dropout=0.3, conv_kernel_size=3)
    use_skewing(model)
    dropout = SeededDropout(model, seed=1)

    @tf.function(autograph=False)
    def logits() -> tf.Tensor:
        dropout.begin()
        return piece_logits(model, *batch(), training=True)

    def at(number: int) -> np.ndarray:
        dropout.batch_number.assign(number)
        return logits().numpy()

    first = at(4)
    assert np.abs(at(5) - first).max() > 0.1
    assert (at(4) == first).all()


def test_gradients_with_dropout_are_the_slope_of_the_loss():
    model = make(dropout=0.3, share_att_key=False)
    use_skewing(model)
    dropout = SeededDropout(model, seed=1)

    @tf.function(autograph=False)
    def loss_and_gradients() -> tuple[tf.Tensor, list[tf.Tensor]]:
        dropout.begin()
        with tf.GradientTape() as tape:
            logits = tf.gather_nd(piece_logits(model, *batch(), training=True), tf.where(batch()[1] == 1))
            loss = tf.reduce_sum(logits * tf.random.stateless_normal(tf.shape(logits), (1, 2)))
        gradients = tape.gradient(loss, model.trainable_variables)
        return loss, [tf.convert_to_tensor(g) for g in gradients]

    def loss_at(weight: tf.Variable, value: np.ndarray) -> float:
        weight.assign(value)
        return float(loss_and_gradients()[0])

    random = np.random.default_rng(7)
    moved = [w for w in model.trainable_variables if any(part in w.name for part in ("_proj", "pos_", "rel_emb"))]
    assert len(moved) == 2 * 10 + 1
    gradients = dict(zip((w.name for w in model.trainable_variables), loss_and_gradients()[1]))
    for weight in moved:
        start, direction = weight.numpy(), random.normal(size=weight.shape)
        slope = (loss_at(weight, start + 1e-3 * direction) - loss_at(weight, start - 1e-3 * direction)) / 2e-3
        weight.assign(start)
        expected = float(np.sum(gradients[weight.name] * direction))
        assert slope == pytest.approx(expected, rel=0.03, abs=0.05), weight.name


def test_training_continues_exactly_from_weights_optimizer_and_number_of_the_batch():
    """Dropout has no other random state, which a checkpoint would not contain."""
    ids, mask = batch()
    inputs = {"input_ids": ids, "attention_mask": mask, "labels": tf.where(mask == 1, ids % 5, -100)}
    inputs = {name: tf.cast(values, tf.int64) for name, values in inputs.items()}

    def begin() -> tuple[TrainingStep, list[tf.Variable]]:
        model = make(dropout=0.2, conv_kernel_size=3)
        use_skewing(model)
        optimizer = make_optimizer(OptimizerConfig(learning_rate=1e-2), Schedule(10, 0), loss_scaling=False)
        create_slots(optimizer, model.trainable_variables)
        dropout = SeededDropout(model, seed=1)
        step = TrainingStep(model, optimizer, clip_norm=1.0, dropout=dropout)
        return step, [*model.weights, *optimizer.variables(), dropout.batch_number]

    step, state = begin()
    losses = [float(step([inputs])) for _ in range(2)]
    saved = [variable.numpy() for variable in state]
    losses += [float(step([inputs])) for _ in range(2)]
    assert len(set(losses)) == 4
    again, continued = begin()
    for variable, value in zip(continued, saved, strict=True):
        variable.assign(value)
    assert [float(again([inputs])) for _ in range(2)] == losses[2:]
    for one, other in zip(continued, state, strict=True):
        assert (one.numpy() == other.numpy()).all(), one.name


@pytest.mark.parametrize("names", ["pytorch", "tensorflow"])
def test_projections_of_distances_have_the_names_of_pytorch(names: str, tmp_path: Path):
    model = make(share_att_key=False, id2label=dict(enumerate("abcde")))
    save_portable_weights(model, tmp_path / "model.safetensors")
    saved = load_file(tmp_path / "model.safetensors")
    of_distances = [name for name in saved if "pos_" in name]
    first = "deberta.encoder.layer.0.attention.self."
    assert {name.removeprefix(first) for name in of_distances if name.startswith(first)} == {
        "pos_key_proj.weight",
        "pos_key_proj.bias",
        "pos_query_proj.weight",
        "pos_query_proj.bias",
    }
    if names == "tensorflow":
        # Earlier versions saved these names.
        renamed = {"pos_key_proj": "pos_proj", "pos_query_proj": "pos_q_proj"}
        for name in of_distances:
            part = name.split(".")[-2]
            saved[name.replace(part, renamed[part])] = saved.pop(name)
        save_file(saved, tmp_path / "model.safetensors", metadata={"format": "pt"})
    model.config.architectures = ["DebertaV2ForTokenClassification"]
    model.config.save_pretrained(tmp_path)
    loaded = load_classifier(tmp_path, precision=Precision("float32", "for a test"))
    of_layers = [weight for weight in loaded.weights if "pos_" in weight.name]
    assert len(of_layers) == len(of_distances) == 8
    by_name = {weight.name.split("/", 1)[1]: weight.numpy() for weight in model.weights}
    for weight in of_layers:
        assert (weight.numpy() == by_name[weight.name.split("/", 1)[1]]).all()
