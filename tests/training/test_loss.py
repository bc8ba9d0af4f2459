"""The loss compared with a simple computation, and where the loss of transformers overflows."""

from __future__ import annotations

import numpy as np
import pytest

from tf_tokclf.model.backend import keras, tf
from tf_tokclf.training.loss import PieceLoss


def mean_loss(labels: tf.Tensor, logits: tf.Tensor, **settings: float) -> float:
    loss = PieceLoss(**settings)
    return float(tf.math.divide_no_nan(loss.summed(labels, logits), loss.weight(labels)))


@pytest.mark.parametrize("shape", [(64, 512), (128, 512)])
def test_float16_logits_of_large_batches_give_the_true_mean(shape: tuple[int, int]):
    """transformers sums in the type of the logits: 64x512 gives inf, 128x512 NaN."""
    logits = tf.zeros((*shape, 9), tf.float16)
    labels = tf.ones(shape, tf.int64)
    assert mean_loss(labels, logits) == pytest.approx(np.log(9), rel=1e-6)


def test_a_batch_without_a_label_has_a_loss_of_0():
    assert mean_loss(tf.fill((2, 3), tf.constant(-100, tf.int64)), tf.zeros((2, 3, 4))) == 0.0


def test_it_is_the_mean_over_labelled_pieces():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(3, 5, 4)).astype(np.float32)
    labels = rng.integers(0, 4, (3, 5))
    labels[0, :2] = labels[2, 4] = -100
    rows = logits[labels >= 0].astype(np.float64)
    expected = [-row[label] + np.log(np.exp(row).sum()) for row, label in zip(rows, labels[labels >= 0])]
    loss = PieceLoss()
    assert float(loss.weight(tf.constant(labels))) == len(expected) == 12
    assert float(loss.summed(tf.constant(labels), tf.constant(logits))) == pytest.approx(sum(expected), rel=1e-6)


def test_spans_weigh_as_classes_do_in_keras():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(3, 5, 4)).astype(np.float32), rng.integers(0, 4, (3, 5))
    labels[0, :2] = labels[2, 4] = -100
    rival = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")
    scored = labels >= 0
    weights = np.where(labels == 1, 1.0, 2.5)[scored]
    expected = rival(labels[scored], logits[scored], sample_weight=weights)
    mean = mean_loss(tf.constant(labels), tf.constant(logits), span_weight=2.5, outside=1)
    assert mean == pytest.approx(float(expected) / weights.sum(), rel=1e-5)
    # If labels form no spans, all have the same weight.
    plain = mean_loss(tf.constant(labels), tf.constant(logits))
    assert mean_loss(tf.constant(labels), tf.constant(logits), span_weight=2.5) == plain


def test_smoothing_is_kerass():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(3, 5, 4)).astype(np.float32), rng.integers(0, 4, (3, 5))
    rival = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.2, reduction="sum")
    labels[1, 2] = -100
    expected = rival(np.eye(4)[labels[labels >= 0]], logits[labels >= 0])
    total = PieceLoss(smoothing=0.2).summed(tf.constant(labels), tf.constant(logits))
    assert float(total) == pytest.approx(float(expected), rel=1e-5)


def test_the_losses_of_rows_are_weighted():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(3, 5, 4)).astype(np.float32), rng.integers(0, 4, (3, 5))
    labels[0, :2] = labels[2, 4] = -100
    weights = np.array([1, 0.3, 0], np.float32)
    for settings in ({}, {"smoothing": 0.1, "span_weight": 2.5, "outside": 1}):
        loss = PieceLoss(**settings)
        alone = [float(loss.summed(tf.constant(labels[i : i + 1]), tf.constant(logits[i : i + 1]))) for i in range(3)]
        found = float(loss.summed(tf.constant(labels), tf.constant(logits), tf.constant(weights)))
        assert found == pytest.approx(np.dot(alone, weights), rel=1e-6)
        plain, ones = (
            loss.summed(tf.constant(labels), tf.constant(logits), row_weights) for row_weights in (None, tf.ones(3))
        )
        assert float(plain) == float(ones)


def test_soft_labels_are_learned_as_keras_does():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(3, 5, 4)).astype(np.float32), rng.integers(0, 4, (3, 5))
    targets = rng.dirichlet(np.ones(4), size=(3, 5)).astype(np.float32)
    labels[0, :2] = labels[2, 4] = -100
    row_weights = np.array([1, 0.3, 0.5], np.float32)
    weights = (np.where(labels == 1, 1.0, 2.5) * row_weights[:, None])[labels >= 0]
    for smoothing in (0.0, 0.2):
        rival = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing, reduction="sum")
        expected = rival(targets[labels >= 0], logits[labels >= 0], sample_weight=weights)
        loss = PieceLoss(smoothing, span_weight=2.5, outside=1)
        found = loss.summed(*map(tf.constant, (labels, logits, row_weights, targets)))
        assert float(found) == pytest.approx(float(expected), rel=1e-5)
