"""Encoders without padding give the same logits and gradients as the layers of transformers."""

from __future__ import annotations

import re

import numpy as np
import pytest
import transformers

from tf_tokclf.model.architectures.registry import speed_up
from tf_tokclf.model.backend import keras, tf
from tf_tokclf.model.forward import piece_logits
from tf_tokclf.model.precision import precision_policy
from tf_tokclf.model.rows import layer_number, packed
from tf_tokclf.training.dropout import SeededDropout

SIZES = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "max_position_embeddings": 32,
    "num_labels": 5,
    # Large weights, so that the outputs are not all close to 0.
    "initializer_range": 0.5,
}
KINDS = {
    "bert": (transformers.BertConfig, "TFBertForTokenClassification"),
    "roberta": (transformers.RobertaConfig, "TFRobertaForTokenClassification"),
    "xlm-roberta": (transformers.XLMRobertaConfig, "TFXLMRobertaForTokenClassification"),
    "camembert": (transformers.CamembertConfig, "TFCamembertForTokenClassification"),
    "electra": (transformers.ElectraConfig, "TFElectraForTokenClassification"),
    "distilbert": (transformers.DistilBertConfig, "TFDistilBertForTokenClassification"),
    "mpnet": (transformers.MPNetConfig, "TFMPNetForTokenClassification"),
    "albert": (transformers.AlbertConfig, "TFAlbertForTokenClassification"),
    "layoutlm": (transformers.LayoutLMConfig, "TFLayoutLMForTokenClassification"),
}
# Settings that only some types have. ALBERT has two groups of two layers, and computes each of them twice.
OWN = {
    "distilbert": {"hidden_dim": 24},
    "albert": {"num_hidden_layers": 4, "num_hidden_groups": 2, "inner_group_num": 2, "embedding_size": 8},
}
# One row has no tokens.
LENGTHS = np.array([7, 3, 9, 0, 1])


def make(kind: str, *, dropout: float = 0.0, policy: str = "float32", **options: object) -> keras.Model:
    keras.utils.set_random_seed(3)
    config_class, name = KINDS[kind]
    names = ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout", "classifier_dropout_prob")
    # The names that DistilBERT uses.
    names = (*names, "dropout", "attention_dropout", "seq_classif_dropout")
    settings = {**SIZES, **OWN.get(kind, {}), **dict.fromkeys(names, dropout), **options}
    with precision_policy(policy):
        model = getattr(transformers, name)(config_class(**settings))
        model(input_ids=tf.ones((1, 2), tf.int32))
    speed_up(model)
    return model


def batch(width: int = 9) -> tuple[tf.Tensor, tf.Tensor]:
    """input_ids and attention_mask, (5, width)."""
    mask = np.arange(width)[None, :] < LENGTHS[:, None]
    ids = np.random.default_rng(5).integers(5, 40, (5, 9))
    padded = np.pad(ids, ((0, 0), (0, width - 9)))
    return tf.constant(np.where(mask, padded, 1), tf.int32), tf.constant(mask.astype(np.int32))


def logits_and_gradients(model: keras.Model, width: int = 9, **options: bool) -> list[np.ndarray]:
    """The logits at tokens, and the gradients of a loss that uses only these."""
    input_ids, mask = batch(width)
    with tf.GradientTape() as tape:
        logits = tf.cast(piece_logits(model, input_ids, mask, training=True, **options), tf.float32)
        places = tf.where(mask == 1)
        of_pieces = tf.gather_nd(logits, places)
        loss = tf.reduce_sum(of_pieces * tf.random.stateless_normal(tf.shape(of_pieces), (1, 2)))
    gradients = tape.gradient(loss, model.trainable_variables)
    return [np.asarray(tf.convert_to_tensor(g)) for g in (of_pieces, *gradients) if g is not None]


@pytest.fixture(params=[True, False], ids=["pieces", "padding too"], autouse=True)
def kind_of_cpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Test both ways of computation on any machine: with padding and without."""
    monkeypatch.setattr("tf_tokclf.model.rows.leaves_padding_out", lambda dtype: request.param)


@pytest.mark.parametrize("kind", KINDS)
def test_the_logits_and_gradients_are_those_of_the_padded_layers(kind: str):
    model = make(kind)
    expected = logits_and_gradients(model, padded=True)
    mine = logits_and_gradients(model)
    with packed():
        # The layers of transformers would return attentions, so this shows that ours were used.
        assert model(input_ids=batch()[0], output_attentions=True).attentions is None
    # 16 weights per layer, the embeddings and the head
    assert len(mine) == len(expected) > 32
    for one, other in zip(mine, expected):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 * max(1, np.abs(other).max()))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_they_are_in_half_precision_too(policy: str):
    model = make("bert", policy=policy)
    # bfloat16 has 8 bits of precision, float16 has 11.
    tolerance = {"mixed_bfloat16": 6e-2, "mixed_float16": 8e-3}[policy]
    for one, other in zip(logits_and_gradients(model), logits_and_gradients(model, padded=True)):
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * max(1, np.abs(other).max()))


def test_more_padding_changes_nothing():
    model = make("bert")
    for narrow, wide in zip(logits_and_gradients(model), logits_and_gradients(model, width=14)):
        if narrow.shape == wide.shape:
            np.testing.assert_allclose(wide, narrow, rtol=1e-4, atol=1e-5 * max(1, np.abs(narrow).max()))


def test_gradients_with_dropout_are_the_slope_of_the_loss():
    model = make("bert", dropout=0.3)
    dropout = SeededDropout(model, seed=1)
    input_ids, mask = batch()

    @tf.function(autograph=False)
    def loss_and_gradients() -> tuple[tf.Tensor, list[tf.Tensor]]:
        dropout.begin()
        with tf.GradientTape() as tape:
            logits = tf.gather_nd(piece_logits(model, input_ids, mask, training=True), tf.where(mask == 1))
            loss = tf.reduce_sum(logits * tf.random.stateless_normal(tf.shape(logits), (1, 2)))
        weights = model.trainable_variables
        found = tape.gradient(loss, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return loss, [tf.convert_to_tensor(g) for g in found]

    def loss_along(direction: list[np.ndarray], distance: float) -> float:
        start = [weight.numpy() for weight in model.trainable_variables]
        for weight, value, step in zip(model.trainable_variables, start, direction):
            weight.assign(value + distance * step)
        loss = float(loss_and_gradients()[0])
        for weight, value in zip(model.trainable_variables, start):
            weight.assign(value)
        return loss

    random = np.random.default_rng(7)
    weights = model.trainable_variables
    gradients = dict(zip((weight.name for weight in weights), loss_and_gradients()[1]))
    for moved in [weight for weight in weights if re.search("query|value|dense", weight.name)]:
        direction = [random.normal(size=w.shape) * (w is moved) for w in weights]
        slope = (loss_along(direction, 1e-3) - loss_along(direction, -1e-3)) / 2e-3
        expected = sum(float(np.sum(gradients[w.name] * d)) for w, d in zip(weights, direction) if w is moved)
        assert slope == pytest.approx(expected, rel=0.03, abs=0.05), moved.name


def test_each_layer_drops_places_of_its_own():
    model = make("bert", dropout=0.5)
    dropout = SeededDropout(model, seed=1)
    layer = model.bert.encoder.layer[0].bert_output.dropout

    def dropped(number: int) -> list[float]:
        dropout.begin()
        token = layer_number.set(tf.constant(number, tf.uint64))
        try:
            return layer(tf.ones((4, 8)), training=True).numpy().tolist()
        finally:
            layer_number.reset(token)

    assert dropped(0) == dropped(0)
    assert dropped(0) != dropped(1)
    # All layers share one dropout, and are distinguished by their numbers.
    draw, numbers = layer._random_generator.dropout, []

    def noted(*inputs: object, **others: object) -> tf.Tensor:
        numbers.append(int(layer_number.get()))
        return draw(*inputs, **others)

    layer._random_generator.dropout = noted
    tf.config.run_functions_eagerly(True)
    try:
        piece_logits(model, *batch(), training=True)
    finally:
        tf.config.run_functions_eagerly(False)
    assert numbers == [0, 1]


def test_outside_of_it_a_model_gives_what_it_always_did():
    model = make("bert")
    outputs = model(input_ids=batch()[0], output_hidden_states=True, output_attentions=True)
    assert len(outputs.hidden_states) == 3
    assert len(outputs.attentions) == 2


def test_what_fails_inside_turns_it_off():
    model = make("bert")

    def fail() -> None:
        with packed():
            assert model(input_ids=batch()[0], output_attentions=True).attentions is None
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert len(model(input_ids=batch()[0], output_attentions=True).attentions) == 2


def test_decoders_are_left_alone():
    model = make("bert", is_decoder=True)
    with packed():
        assert len(model(input_ids=batch()[0], output_attentions=True).attentions) == 2
