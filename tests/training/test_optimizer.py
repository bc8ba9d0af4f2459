"""Clipping, schedules, learning rates by layer and deferred updates."""

from __future__ import annotations

import numpy as np
import pytest

from tf_tokclf.config.schema import OptimizerConfig
from tf_tokclf.errors import UserError
from tf_tokclf.model.backend import tf, transformers
from tf_tokclf.training.optimizer import (
    DECAY_EVERY,
    clip_factor,
    create_slots,
    decay_at_intervals,
    decay_rates_by_layer,
    defer_embedding,
    freeze_embeddings,
    global_norm,
    make_optimizer,
    one_row_each,
    rates_of,
)
from tf_tokclf.training.schedule import Schedule


def test_rows_of_one_piece_are_summed():
    rows = tf.IndexedSlices(tf.constant([[3.0], [3.0]]), tf.constant([1, 1]), dense_shape=tf.constant([2, 1]))
    summed = one_row_each(rows)
    assert tf.convert_to_tensor(summed).numpy().tolist() == [[0.0], [6.0]]
    assert float(global_norm([summed, tf.constant([8.0])])) == 10


@pytest.mark.parametrize("most", [1.0, 20.0])
def test_gradients_are_clipped_as_by_tensorflow(most: float):
    gradients = [tf.constant([3.0, 4.0]), tf.constant([[12.0]])]
    factor = clip_factor(global_norm(gradients), most)
    expected, _ = tf.clip_by_global_norm(gradients, most)
    for gradient, clipped in zip(gradients, expected, strict=True):
        np.testing.assert_array_equal(gradient * factor, clipped)


def test_gradients_that_are_not_finite_are_not_hidden_by_clipping():
    assert np.isnan(clip_factor(global_norm([tf.constant([np.inf, 1.0])]), 1.0))
    assert clip_factor(tf.constant(100.0), None) is None


def updated(make, gradients: list, weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    variables = [tf.Variable(value, name=name) for name, value in weights.items()]
    optimizer = make()
    for step in gradients:
        optimizer.apply_gradients(zip(step, variables))
    return {name: variable.numpy() for name, variable in zip(weights, variables)}


WEIGHTS = {
    "dense/kernel": np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4),
    "dense/bias": np.ones(4, np.float32),
    "LayerNorm/gamma": np.ones(4, np.float32),
    "embeddings/weight": np.linspace(-2, 2, 20, dtype=np.float32).reshape(5, 4),
}
CONFIG = OptimizerConfig(learning_rate=0.1, weight_decay=0.1, warmup_ratio=0.2)


def rivals() -> list:
    from tf_tokclf.model.backend import transformers

    schedule = Schedule.of(CONFIG, 10)
    return [
        lambda: make_optimizer(CONFIG, schedule, loss_scaling=False),
        lambda: transformers.create_optimizer(0.1, 10, schedule.n_warmup_steps, weight_decay_rate=0.1)[0],
    ]


def test_dense_updates_are_create_optimizers_step_by_step():
    rng = np.random.default_rng(0)
    gradients = [[tf.constant(rng.normal(size=w.shape), tf.float32) for w in WEIGHTS.values()] for _ in range(6)]
    for n_steps in range(1, 7):
        mine, theirs = (updated(make, gradients[:n_steps], WEIGHTS) for make in rivals())
        for name in WEIGHTS:
            np.testing.assert_allclose(mine[name], theirs[name], rtol=1e-5, atol=1e-6)


N_STEPS = 60


@pytest.mark.parametrize(("warmup", "decay"), [(0.0, 0.0), (0.3, 0.1)])
def test_rows_that_are_put_off_end_where_create_optimizer_takes_them(warmup: float, decay: float):
    """Most steps read few rows. Some rows are never read, some in every step."""
    from tf_tokclf.model.backend import transformers

    rng = np.random.default_rng(1)
    start = rng.normal(size=(40, 8)).astype(np.float32)
    mine, theirs = (tf.Variable(start, name="embeddings/weight") for _ in range(2))
    config = OptimizerConfig(learning_rate=0.01, weight_decay=decay, warmup_ratio=warmup)
    schedule = Schedule.of(config, N_STEPS)
    deferring = make_optimizer(config, schedule, loss_scaling=False)
    create_slots(deferring, [mine])
    deferring.defer(mine, rates=rates_of(deferring, N_STEPS))
    original, _ = transformers.create_optimizer(0.01, N_STEPS, schedule.n_warmup_steps, weight_decay_rate=decay)
    for step in range(N_STEPS):
        rows = np.unique([0, *rng.integers(0, 30, 3)])
        gradient = rng.normal(size=(len(rows), 8)).astype(np.float32)
        deferring.catch_up(tf.constant(rows))
        np.testing.assert_allclose(mine.numpy()[rows], theirs.numpy()[rows], rtol=1e-5, atol=5e-6)
        slices = tf.IndexedSlices(tf.constant(gradient), tf.constant(rows), tf.constant(start.shape))
        deferring.apply_gradients([(slices, mine)])
        original.apply_gradients([(tf.convert_to_tensor(slices), theirs)])
        if step in (7, N_STEPS - 1):
            for all_of_them in deferring.all_rows():
                deferring.catch_up(all_of_them)
            np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=1e-5, atol=5e-6)
    assert np.abs(theirs.numpy() - start).max() > 0.05


def test_without_decay_nothing_decays():
    config = OptimizerConfig(learning_rate=0.1, weight_decay=0.0)
    zeros = [[tf.zeros(w.shape) for w in WEIGHTS.values()]]
    weights = updated(lambda: make_optimizer(config, Schedule.of(config, 10), loss_scaling=False), zeros, WEIGHTS)
    assert all((weights[name] == WEIGHTS[name]).all() for name in WEIGHTS)


SMALL = {
    "vocab_size": 50,
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 16,
}


def small_model(config_class=transformers.BertConfig):
    model = transformers.TFAutoModelForTokenClassification.from_config(config_class(**SMALL))
    model.build_in_name_scope()
    return model


def moved_by_one_step(model, *, layer_decay: float, deferred: bool) -> dict[str, float]:
    """The largest change of each weight in the first update. With Adam, it is the learning rate for any gradient."""
    config = OptimizerConfig(learning_rate=1e-3, layer_decay=layer_decay, weight_decay=0.0)
    optimizer = make_optimizer(config, Schedule(1000, 0), loss_scaling=False)
    decay_rates_by_layer(optimizer, model, config.layer_decay)
    weights = model.trainable_variables
    create_slots(optimizer, weights)
    if deferred:
        defer_embedding(optimizer, model, n_steps=1000)
    before = {weight.name: weight.numpy() for weight in weights}
    rows = tf.IndexedSlices(tf.ones((2, 8)), tf.constant([3, 7]), tf.constant([50, 8]))
    gradients = [rows if "word_embeddings" in weight.name else tf.ones_like(weight) for weight in weights]
    optimizer.apply_gradients(zip(gradients, weights))
    return {weight.name: float(np.abs(weight.numpy() - before[weight.name]).max()) for weight in weights}


@pytest.mark.parametrize("deferred", [False, True])
def test_the_rate_falls_from_the_head_to_the_embeddings(deferred):
    moved = moved_by_one_step(small_model(), layer_decay=0.5, deferred=deferred)
    expected = {"classifier": 1.0, "layer_._1": 0.5, "layer_._0": 0.25, "embeddings": 0.125}
    for name, distance in moved.items():
        (factor,) = [factor for part, factor in expected.items() if f"/{part}" in name]
        assert distance == pytest.approx(1e-3 * factor, rel=1e-3), name


def small_deberta():
    config = transformers.DebertaV2Config(
        **SMALL, type_vocab_size=0, relative_attention=True, pos_att_type=["c2p", "p2c"], norm_rel_ebd="layer_norm"
    )
    return small_model(lambda **_: config)


def test_distances_of_deberta_have_the_rate_of_embeddings():
    moved = moved_by_one_step(small_deberta(), layer_decay=0.5, deferred=True)
    expected = {"rel_embeddings": 0.125, "/encoder/LayerNorm/": 0.125, "/embeddings/": 0.125, "layer_._0": 0.25}
    for part, factor in expected.items():
        distances = [distance for name, distance in moved.items() if part in name]
        assert distances == pytest.approx([1e-3 * factor] * len(distances), rel=1e-3), part
        assert distances


def test_without_decay_all_layers_have_one_rate():
    moved = moved_by_one_step(small_model(), layer_decay=1.0, deferred=False)
    assert list(moved.values()) == pytest.approx([1e-3] * len(moved), rel=1e-3)


def test_layers_without_numbers_are_refused():
    model = small_model(transformers.AlbertConfig)
    optimizer = make_optimizer(OptimizerConfig(), Schedule(10, 0), loss_scaling=False)
    with pytest.raises(UserError, match="albert"):
        decay_rates_by_layer(optimizer, model, 0.9)


def test_frozen_embeddings_are_no_part_of_training():
    model = small_model()
    n_before = len(model.trainable_variables)
    freeze_embeddings(model)
    names = [weight.name for weight in model.trainable_variables]
    assert not [name for name in names if "embeddings" in name]
    assert n_before - len(names) == 5
    optimizer = make_optimizer(OptimizerConfig(), Schedule(10, 0), loss_scaling=False)
    create_slots(optimizer, model.trainable_variables)
    defer_embedding(optimizer, model, n_steps=10)
    assert not optimizer.defers(model.get_input_embeddings().weight)


def test_frozen_embeddings_of_deberta_leave_the_distances_in_training():
    model = small_deberta()
    freeze_embeddings(model)
    names = [weight.name.split("/", 1)[1] for weight in model.trainable_variables]
    assert not [name for name in names if name.startswith("deberta/embeddings/")]
    assert "deberta/encoder/rel_embeddings.weight:0" in names


@pytest.mark.parametrize("n_steps", [20, 24])
def test_decays_at_intervals_end_where_create_optimizer_takes_them(n_steps: int):
    rng = np.random.default_rng(2)
    config = OptimizerConfig(learning_rate=1e-3, weight_decay=0.1, warmup_ratio=0.2)
    schedule = Schedule.of(config, n_steps)
    mine = make_optimizer(config, schedule, loss_scaling=False)
    decay_at_intervals(mine, n_steps=n_steps)
    original, _ = transformers.create_optimizer(1e-3, n_steps, schedule.n_warmup_steps, weight_decay_rate=0.1)
    ours, theirs = ([tf.Variable(value, name=name) for name, value in WEIGHTS.items()] for _ in range(2))
    # Traced, as in training, so that the graph decides when to decay.
    step = tf.function(lambda *gradients: mine.update(gradients, ours), autograph=False)
    without_decay = [weight.numpy() for weight in ours]
    for n in range(n_steps):
        gradients = [tf.constant(rng.normal(size=weight.shape), tf.float32) for weight in ours]
        step(*gradients)
        original.apply_gradients(zip(gradients, theirs))
        is_last_of_interval = (n + 1) % DECAY_EVERY == 0 or n == n_steps - 1
        for weight, reference in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(weight, reference, atol=5e-6 if is_last_of_interval else 1e-3)
    assert any(np.abs(weight - before).max() > 1e-3 for weight, before in zip(ours, without_decay, strict=True))


def test_a_decay_of_many_percent_is_made_in_each_step():
    config = OptimizerConfig(learning_rate=0.1, weight_decay=0.1)
    optimizer = make_optimizer(config, Schedule.of(config, 10), loss_scaling=False)
    decay_at_intervals(optimizer, n_steps=10)
    weight = tf.Variable(np.ones(4, np.float32), name="dense/kernel")
    optimizer.update([tf.zeros(4)], [weight])
    assert (weight.numpy() < 1).all()
