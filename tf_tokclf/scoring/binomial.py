"""Exact bounds of a proportion (Clopper and Pearson 1934, doi:10.1093/biomet/26.4.404), also for clustered items.

Items of one sentence are not independent. Their number is therefore divided by the design effect: the variance of the
proportion over sentences, divided by the variance that independent items would have (Korn and Graubard 1998, Survey
Methodology 24, 193-201). It is at least 1 here, so the bounds are never narrower than those of independent items.
"""

from __future__ import annotations

import math

import numpy as np

_MOST_STEPS = 500
_CLOSE = 1e-13
_TINY = 1e-300


def beta_distribution(x: np.ndarray | float, a: np.ndarray | float, b: np.ndarray | float) -> np.ndarray:
    """The regularised incomplete beta function, by its continued fraction (Press et al., Numerical Recipes, 6.4).

    x: from 0 to 1. a, b: positive. The arguments are broadcast.

    >>> round(float(beta_distribution(0.5, 2, 3)), 4)
    0.6875
    """
    x, a, b = np.broadcast_arrays(*(np.asarray(one, np.float64) for one in (x, a, b)))
    swapped = x > (a + 1) / (a + b + 2)
    near, p, q = np.where(swapped, 1 - x, x), np.where(swapped, b, a), np.where(swapped, a, b)
    with np.errstate(divide="ignore"):
        factor = np.exp(p * np.log(near) + q * np.log1p(-near) - _log_beta(p, q)) / p
    tail = np.where(near > 0, factor * _fraction(near, p, q), 0.0)
    result: np.ndarray = np.clip(np.where(swapped, 1 - tail, tail), 0.0, 1.0)
    return result


def _log_beta(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    log_gamma = np.vectorize(math.lgamma, otypes=[float])
    logs: np.ndarray = log_gamma(a) + log_gamma(b) - log_gamma(a + b)
    return logs


def _fraction(x: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The continued fraction, by Lentz's method."""

    def safe(values: np.ndarray) -> np.ndarray:
        return np.where(np.abs(values) < _TINY, _TINY, values)

    c, d = np.ones_like(x), 1 / safe(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _MOST_STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d, c = 1 / safe(1 + term * d), safe(1 + term / c)
            value = value * c * d
        if (np.abs(c * d - 1) < _CLOSE).all():
            break
    return value


def p_value(successes: np.ndarray | float, n: np.ndarray | float, share: np.ndarray | float) -> np.ndarray:
    """The probability of at least `successes` of `n` items, each of which is one with the probability `share`.

    The numbers need not be whole. Without items, or without successes, the result is 1.

    >>> round(float(p_value(9, 10, 0.5)), 4)
    0.0107
    """
    k, total = np.broadcast_arrays(np.asarray(successes, np.float64), np.asarray(n, np.float64))
    known = k > 0
    a, b = np.where(known, k, 1.0), np.where(known, total - k + 1, 1.0)
    return np.where(known, beta_distribution(share, a, b), 1.0)


def lower_bounds(successes: np.ndarray, n: np.ndarray, level: float) -> np.ndarray:
    """The largest share that each observation refutes at `level`. The true one is higher with confidence 1 - level.

    >>> lower_bounds(np.array([10]), np.array([10]), 0.05).round(4).tolist()
    [0.7411]
    """
    low, high = np.zeros(len(n)), np.where(n > 0, successes / np.maximum(n, 1e-300), 0.0)
    for _ in range(50):
        middle = (low + high) / 2
        is_refuted = p_value(successes, n, middle) <= level
        low, high = np.where(is_refuted, middle, low), np.where(is_refuted, high, middle)
    return low


def design_effects(successes: np.ndarray, n: np.ndarray) -> np.ndarray:
    """How much less the items of sentences tell than as many independent items; at least 1.

    successes, n: (sentences, ...) numbers of items. The result has the shape (...). It is 1 if all items are equal.
    """
    k, total = np.asarray(successes, np.float64), np.asarray(n, np.float64)
    n_items, n_clusters = total.sum(axis=0), (total > 0).sum(axis=0)
    share = k.sum(axis=0) / np.maximum(n_items, 1)
    squares = ((k - share * total) ** 2).sum(axis=0) * n_clusters / np.maximum(n_clusters - 1, 1)
    independent = n_items * share * (1 - share)
    defined = (independent > 0) & (n_clusters > 1)
    effects: np.ndarray = np.maximum(np.where(defined, squares / np.where(defined, independent, 1.0), 1.0), 1.0)
    return effects
