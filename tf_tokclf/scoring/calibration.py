"""How well the scores of predicted spans match their accuracy, and the temperature that improves the match.

The *score of a span* is the smallest probability among the labels of its words, because one wrong label makes the whole
span wrong. Words that the model did not see have no probability and are ignored. A span of only such words has no
score.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tf_tokclf.counted import counted
from tf_tokclf.labels.sentence import Span

N_BINS = 10
# A temperature fitted on fewer spans is arbitrary.
MIN_SPANS = 10
_LOWEST, _HIGHEST = math.log(0.05), math.log(20.0)
# If the logarithm of the result is this close to a limit of the search, the best temperature lies beyond the limit.
_NEAR_LIMIT = 0.01
_GOLDEN = (math.sqrt(5) - 1) / 2


def span_score(scores: Sequence[float | None], span: Span) -> float | None:
    """The score of a predicted span, from the probability of each word's predicted label.

    >>> span_score([0.9, 0.6, None], Span(0, 3, "LOC"))
    0.6
    """
    return min((score for score in scores[span.start : span.end] if score is not None), default=None)


@dataclass(frozen=True)
class Bin:
    """Predictions with a score in [low, high). accuracy: the share of them that are right."""

    low: float
    high: float
    n: int
    mean_score: float
    accuracy: float


@dataclass(frozen=True)
class Reliability:
    """How well scores match accuracy, bin by bin. Bins without predictions are left out.

    log_loss: mean negative log-likelihood of the outcomes (right or wrong) under the scores; 0 is best.
    """

    bins: tuple[Bin, ...]
    n: int
    log_loss: float = 0.0

    @property
    def expected_calibration_error(self) -> float:
        """Mean over predictions of |mean score - accuracy| of their bin; 0 is best."""
        return sum(b.n * abs(b.mean_score - b.accuracy) for b in self.bins) / self.n if self.n else 0.0

    def to_json(self) -> dict[str, Any]:
        """For results.json."""
        bins = [vars(one) for one in self.bins]
        error = self.expected_calibration_error
        return {"expected_calibration_error": error, "log_loss": self.log_loss, "n": self.n, "bins": bins}


def reliability(
    scores: Sequence[float] | np.ndarray, right: Sequence[bool] | np.ndarray, *, n_bins: int = N_BINS
) -> Reliability:
    """Group predictions into bins of equal width by score.

    >>> round(reliability([0.9, 0.9, 0.9, 0.9], [True, True, True, False]).expected_calibration_error, 3)
    0.15
    """
    values, hits = np.asarray(scores, np.float64), np.asarray(right)
    bin_of = np.minimum((values * n_bins).astype(np.int64), n_bins - 1)
    bins = []
    for i in np.unique(bin_of).tolist():
        inside = bin_of == i
        n, mean, accuracy = int(inside.sum()), float(values[inside].mean()), float(hits[inside].mean())
        bins.append(Bin(i / n_bins, (i + 1) / n_bins, n, mean, accuracy))
    return Reliability(tuple(bins), len(values), log_loss(values, hits))


def log_loss(scores: np.ndarray, right: np.ndarray) -> float:
    """Mean negative log-likelihood of the outcomes (right or wrong) under the scores."""
    likelihood = np.where(right, scores, 1 - scores)
    return -float(np.log(np.maximum(likelihood, 1e-9)).mean()) if len(scores) else 0.0


@dataclass(frozen=True)
class PredictedSpans:
    """The predicted spans of a split as arrays, from which scores at any temperature can be computed.

    log_probabilities: (words, labels), the words of all spans concatenated, without words that the model did not see.
    labels: (words,) predicted label ids. starts: (spans,) index of each span's first word. right: (spans,) bool.
    """

    log_probabilities: np.ndarray
    labels: np.ndarray
    starts: np.ndarray
    right: np.ndarray

    def scores(self, temperature: float) -> np.ndarray:
        """(spans,) the smallest probability among the words of each span."""
        if not len(self.starts):
            return np.zeros(0)
        tempered = temper(self.log_probabilities, temperature)
        return np.exp(np.minimum.reduceat(tempered[np.arange(len(self.labels)), self.labels], self.starts))


def fit_temperature(spans: PredictedSpans) -> float:
    """The temperature that minimises the log loss of the span scores. 1 if there are no predicted spans.

    It is above 1 for an overconfident model. Classifiers are usually calibrated on the probability of the gold label.
    Here the many easy words outside spans would dominate that loss: on WNUT-17 it made the span scores worse.
    """
    if not len(spans.starts):
        return 1.0

    def loss(log_temperature: float) -> float:
        return log_loss(spans.scores(math.exp(log_temperature)), spans.right)

    # A coarse grid, then a golden-section search around its best point.
    grid = np.linspace(_LOWEST, _HIGHEST, 25).tolist()
    best = min(range(len(grid)), key=lambda i: loss(grid[i]))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    while high - low > 1e-4:
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if loss(left) < loss(right):
            high = right
        else:
            low = left
    return math.exp((low + high) / 2)


def why_not_calibrated(spans: PredictedSpans, temperature: float) -> str | None:
    """The reason why a temperature fitted on `spans` is unreliable; None if it can be used."""
    n, n_right = len(spans.right), int(spans.right.sum())
    if n < MIN_SPANS:
        return f"the model predicts {counted(n, 'span')} there, and at least {MIN_SPANS} are needed"
    if n_right in (0, n):
        are = "right" if n_right else "wrong"
        return f"all {counted(n, 'predicted span')} there are {are}, and some of each kind are needed"
    if min(math.log(temperature) - _LOWEST, _HIGHEST - math.log(temperature)) < _NEAR_LIMIT:
        return f"the best temperature is at a limit of the search ({temperature:.2f})"
    return None


def temper(log_probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Log-probabilities after dividing the logits by `temperature` (Guo et al. 2017, arXiv:1706.04599).

    log_probabilities: (words, labels), any float type. Rows of nan are unchanged.
    """
    scaled = log_probabilities / temperature
    top = scaled.max(axis=-1, keepdims=True)
    tempered: np.ndarray = scaled - top - np.log(np.exp(scaled - top).sum(axis=-1, keepdims=True))
    return tempered
