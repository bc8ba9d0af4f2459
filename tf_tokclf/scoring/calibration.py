"""Whether a model is right as often as it says it is, and the temperature that makes it so.

*A span's score* is the smallest probability among the labels of its words: the span is wrong as soon as one
of them is. Words the model never saw have no probability and are left out; a span of such words has no
score.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tf_tokclf.data.sentence import Span

N_BINS = 10
_LOWEST, _HIGHEST = math.log(0.05), math.log(20.0)
_GOLDEN = (math.sqrt(5) - 1) / 2


def span_score(scores: Sequence[float | None], span: Span) -> float | None:
    """The score of a predicted span, from the probability of each word's predicted label.

    >>> span_score([0.9, 0.6, None], Span(0, 3, "LOC"))
    0.6
    """
    return min((score for score in scores[span.start : span.end] if score is not None), default=None)


@dataclass(frozen=True)
class Bin:
    """Predictions with a score in [low, high): how many, their mean score, the share that is right."""

    low: float
    high: float
    n: int
    mean_score: float
    accuracy: float


@dataclass(frozen=True)
class Reliability:
    """Scores against what came true. Bins without predictions are left out.

    expected_calibration_error: mean over predictions of |mean score - accuracy| of their bins.
    """

    bins: tuple[Bin, ...]
    n: int

    @property
    def expected_calibration_error(self) -> float:
        """0 where each bin is right as often as it says."""
        return sum(b.n * abs(b.mean_score - b.accuracy) for b in self.bins) / self.n if self.n else 0.0

    def to_json(self) -> dict[str, Any]:
        """For results.json."""
        bins = [vars(one) for one in self.bins]
        return {"expected_calibration_error": self.expected_calibration_error, "n": self.n, "bins": bins}


def reliability(scores: Sequence[float], right: Sequence[bool], *, n_bins: int = N_BINS) -> Reliability:
    """Sort predictions into bins of equal width by their scores.

    >>> round(reliability([0.9, 0.9, 0.9, 0.9], [True, True, True, False]).expected_calibration_error, 3)
    0.15
    """
    values, hits = np.asarray(scores, np.float64), np.asarray(right, bool)
    bin_of = np.minimum((values * n_bins).astype(np.int64), n_bins - 1)
    bins = []
    for i in np.unique(bin_of).tolist():
        inside = bin_of == i
        n, mean, accuracy = int(inside.sum()), float(values[inside].mean()), float(hits[inside].mean())
        bins.append(Bin(i / n_bins, (i + 1) / n_bins, n, mean, accuracy))
    return Reliability(tuple(bins), len(values))


def fit_temperature(log_probabilities: np.ndarray, gold: np.ndarray) -> float:
    """The temperature that makes the gold labels most probable; above 1 for a model too sure of itself.

    log_probabilities: (words, labels) of a split the model was not trained on. gold: (words,) label ids, -1
    for labels the model does not know. Those words and the unseen ones (nan) are left out. 1 where none is
    left.
    """
    used = (gold >= 0) & ~np.isnan(log_probabilities[:, 0]) if len(gold) else np.zeros(0, bool)
    if not used.any():
        return 1.0
    scores, labels = log_probabilities[used].astype(np.float64), gold[used]

    def loss(log_temperature: float) -> float:
        tempered = temper(scores, math.exp(log_temperature))
        return -float(tempered[np.arange(len(labels)), labels].mean())

    # The loss has one minimum: golden-section search.
    low, high = _LOWEST, _HIGHEST
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = loss(left), loss(right)
    while high - low > 1e-4:
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = loss(right)
    return math.exp((low + high) / 2)


def temper(log_probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Log-probabilities divided by `temperature` and normalised again. (words, labels), any float type."""
    scaled = log_probabilities / temperature
    top = scaled.max(axis=-1, keepdims=True)
    return scaled - top - np.log(np.exp(scaled - top).sum(axis=-1, keepdims=True))
