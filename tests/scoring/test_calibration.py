"""Scores of spans, calibration and temperature."""

from __future__ import annotations

import numpy as np
import pytest

from tf_tokclf.data.sentence import Span
from tf_tokclf.scoring.calibration import PredictedSpans, fit_temperature, reliability, span_score, temper


def test_a_span_is_as_sure_as_its_least_sure_word():
    assert span_score([0.9, 0.4, 0.8], Span(0, 3, "X")) == 0.4
    assert span_score([0.9, None], Span(0, 2, "X")) == 0.9


def test_a_span_of_unseen_words_has_no_score():
    """Nobody is told 1.0 where there is no score."""
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
