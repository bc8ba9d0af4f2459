"""Scores of spans, calibration and temperature."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.values import check_values
from tf_tokclf.labels.sentence import Span
from tf_tokclf.scoring.calibration import (
    Bin,
    PredictedSpans,
    Reliability,
    fit_temperature,
    log_loss,
    reliability,
    span_score,
    temper,
    why_not_calibrated,
)


def test_values():
    check_values(Bin, Reliability, PredictedSpans)
    assert Reliability((), 0) == Reliability((), 0, log_loss=0.0)


def test_bins_by_hand():
    result = reliability([0.04, 0.06, 0.1, 0.95, 1.0], [False, True, True, True, False])
    assert result.bins == (
        Bin(0.0, 0.1, 2, pytest.approx(0.05), 0.5),
        Bin(0.1, 0.2, 1, pytest.approx(0.1), 1.0),
        Bin(0.9, 1.0, 2, pytest.approx(0.975), 0.5),
    )
    assert result.n == 5
    # Mean over predictions: (2 * 0.45 + 1 * 0.9 + 2 * 0.475) / 5.
    assert result.expected_calibration_error == pytest.approx(2.75 / 5)
    likelihoods = (0.96, 0.06, 0.1, 0.95, 1e-9)
    assert result.log_loss == pytest.approx(-sum(map(math.log, likelihoods)) / 5)
    assert result.to_json() == {
        "expected_calibration_error": result.expected_calibration_error,
        "log_loss": result.log_loss,
        "n": 5,
        "bins": [
            {"low": b.low, "high": b.high, "n": b.n, "mean_score": b.mean_score, "accuracy": b.accuracy}
            for b in result.bins
        ],
    }
    assert {type(x) for b in result.bins for x in (b.low, b.mean_score, b.accuracy)} == {float}
    assert {type(b.n) for b in result.bins} == {int}


def test_the_number_of_bins_can_be_chosen():
    assert [(b.low, b.high) for b in reliability([0.1, 0.3, 0.9], [True] * 3, n_bins=4).bins] == [
        (0.0, 0.25),
        (0.25, 0.5),
        (0.75, 1.0),
    ]


def test_a_score_lies_in_its_bin_whatever_its_type():
    for score in np.arange(0.1, 1.0, 0.1).astype(np.float32):
        (found,) = reliability(np.array([score]), [True]).bins
        assert found.low <= found.mean_score < found.high


def test_log_loss_by_hand():
    assert log_loss(np.array([0.5, 0.8]), np.array([True, False])) == pytest.approx(
        -(math.log(0.5) + math.log(0.2)) / 2
    )
    assert log_loss(np.array([0.0]), np.array([True])) == pytest.approx(-math.log(1e-9))
    assert log_loss(np.array([]), np.array([], bool)) == 0
    assert (reliability([], []).log_loss, reliability([], []).n, reliability([], []).bins) == (0, 0, ())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tempered_log_probabilities_are_those_of_divided_logits(dtype):
    logits = np.random.default_rng(2).normal(size=(6, 4)) * 3
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    log_probabilities[2] = np.nan
    for temperature in (0.1, 1.0, 7.0):
        exact = np.exp(logits / temperature)
        exact = np.log(exact / exact.sum(axis=1, keepdims=True))
        found = temper(log_probabilities.astype(dtype), temperature)
        assert found.dtype == dtype
        assert np.isnan(found[2]).all()
        rows = [0, 1, 3, 4, 5]
        assert found[rows] == pytest.approx(exact[rows], rel=1e-5 if dtype is np.float32 else 1e-9, abs=1e-6)


def test_large_logits_do_not_overflow():
    assert temper(np.array([[5000.0, 4000.0]], np.float32), 0.5).tolist() == [[0.0, -2000.0]]


@pytest.mark.parametrize(("right", "expected"), [(True, 0.05), (False, 20.0)])
def test_temperatures_have_bounds(right, expected):
    log_probabilities = np.log(np.array([[0.6, 0.4], [0.55, 0.45]]))
    spans = PredictedSpans(log_probabilities, np.array([0, 0]), np.array([0, 1]), np.array([right, right]))
    assert fit_temperature(spans) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_no_temperature_foretells_better(seed):
    rng = np.random.default_rng(seed)
    log_probabilities = temper(rng.normal(size=(400, 3)) * (2 + seed), 1.0)
    labels, right = log_probabilities.argmax(axis=1), rng.random(400) < 0.55 + 0.1 * seed
    spans = PredictedSpans(log_probabilities, labels, np.arange(0, 400, 2), right[::2])
    fitted = math.log(fit_temperature(spans))

    def loss(log_temperature: float) -> float:
        return log_loss(spans.scores(math.exp(log_temperature)), spans.right)

    every = np.linspace(math.log(0.05), math.log(20), 20_001)
    assert fitted == pytest.approx(every[np.argmin([loss(x) for x in every[::100]]) * 100], abs=0.04)
    near = np.linspace(fitted - 0.05, fitted + 0.05, 2001)
    assert fitted == pytest.approx(near[np.argmin([loss(x) for x in near])], abs=1.5e-4)


def test_a_span_is_as_sure_as_its_least_sure_word():
    assert span_score([0.9, 0.4, 0.8], Span(0, 3, "X")) == 0.4
    assert span_score([0.9, None], Span(0, 2, "X")) == 0.9


def test_a_span_of_unseen_words_has_no_score():
    """A span without a score does not get the score 1.0."""
    assert span_score([None], Span(0, 1, "X")) is None


def test_scores_that_come_true_are_calibrated():
    rng = np.random.default_rng(0)
    scores = rng.random(50_000)
    assert reliability(scores, rng.random(50_000) < scores).expected_calibration_error < 0.01
    assert reliability(scores, rng.random(50_000) < scores / 2).expected_calibration_error > 0.2


def test_bins_hold_each_prediction_once():
    result = reliability([0.0, 0.1, 0.999, 1.0], [False, True, True, True])
    assert [b.n for b in result.bins] == [1, 1, 2]
    assert reliability([], []).expected_calibration_error == 0


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_finds_the_temperature_that_was_put_in(temperature):
    rng = np.random.default_rng(1)
    honest = temper(rng.normal(size=(20_000, 5)) * 2, 1.0)
    labels = honest.argmax(axis=1)
    right = rng.random(20_000) < np.exp(honest.max(axis=1))
    too_sure = temper(honest * temperature, 1.0)
    spans = PredictedSpans(too_sure.astype(np.float32), labels, np.arange(20_000), right)
    assert fit_temperature(spans) == pytest.approx(temperature, rel=0.06)


def test_span_scores_at_a_temperature_are_the_smallest_of_their_words():
    scores = np.log(np.array([[0.9, 0.1], [0.3, 0.7], [0.2, 0.8]]))
    spans = PredictedSpans(scores, np.array([0, 1, 1]), np.array([0, 2]), np.array([True, False]))
    assert spans.scores(1.0) == pytest.approx([0.7, 0.8])
    assert (spans.scores(5.0) < spans.scores(1.0)).all()


def test_without_predicted_spans_the_temperature_stays():
    nothing = PredictedSpans(np.zeros((0, 3)), np.zeros(0, int), np.zeros(0, int), np.zeros(0, bool))
    assert fit_temperature(nothing) == 1


def test_a_temperature_at_a_limit_of_the_search_is_not_used():
    """Confident in the few wrong spans and not in the right ones, so that a higher temperature is always better."""
    sure, unsure = np.log([1 - 1e-6, 1e-6]), np.log([0.6, 0.4])
    right = np.array([True] * 6 + [False] * 6)
    scores = np.array([unsure if one else sure for one in right])
    spans = PredictedSpans(scores, np.zeros(12, int), np.arange(12), right)
    temperature = fit_temperature(spans)
    assert "at a limit of the search" in why_not_calibrated(spans, temperature)
    assert why_not_calibrated(spans, 1.2) is None
