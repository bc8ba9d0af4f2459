"""A power law of the error over the number of training sentences, and what it says about more of them.

The error of a model often falls with the number n of training examples as a * n^-b + c (Hestness et al. 2017, Deep
learning scaling is predictable, empirically, arXiv:1712.00409). Learning curves can have other shapes, and extrapolated
ones are often wrong (Viering and Loog 2022, The shape of learning curves: a review, arXiv:2103.10948). Therefore there
is no extrapolation if the sizes are few or the error does not clearly fall, and only to twice the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Fewer sizes cannot show whether a power law fits.
FEWEST_SIZES = 3
# From this number of sizes on, c is estimated too. Otherwise it is 0.
SIZES_FOR_FLOOR = 5
# An interval of F1 that is wider than this says nothing.
WIDEST = 0.2
N_SAMPLES = 1000
LEVEL = 0.95

_EXPONENTS = (0.001, 5.0)
_GRID = 40
_ZOOMS = 4
# How much wider a 95 % interval has to be if the variance comes from few numbers: the quantile of Student's t with 1, 2
# ... degrees of freedom, divided by that of the normal distribution.
_WIDER = (6.48, 2.20, 1.62, 1.42, 1.31, 1.25, 1.21, 1.18, 1.15, 1.14)
# A resampled error is at least this part of the observed one.
_SMALLEST_PART = 0.02


@dataclass(frozen=True)
class PowerLaw:
    """error(n) = a * n^-b + c."""

    a: float
    b: float
    c: float

    def error(self, n: float) -> float:
        """The error with n training sentences."""
        return float(self.a * n**-self.b + self.c)


@dataclass(frozen=True)
class Measured:
    """The errors (1 - F1) with a number of training sentences.

    errors: one for each seed. half_width: half of the 95 % interval of F1, because the scored sentences are a sample.
    """

    n_sentences: float
    errors: tuple[float, ...]
    half_width: float = 0.0

    @property
    def error(self) -> float:
        """The mean over the seeds."""
        return float(np.mean(self.errors))


@dataclass(frozen=True)
class Extrapolation:
    """What the power law gives for more training sentences.

    n_sentences: their number. f1, interval: as fractions. n_sizes: the number of sizes that the law was fitted to.
    """

    law: PowerLaw
    n_sentences: int
    f1: float
    interval: tuple[float, float]
    n_sizes: int


@dataclass(frozen=True)
class NoExtrapolation:
    """Why a curve cannot be extrapolated, as the end of a sentence."""

    reason: str


def fit_power_law(sizes: Sequence[float], errors: Sequence[float]) -> PowerLaw:
    """The law with the smallest squared relative errors, where a and c are not negative.

    sizes: numbers of sentences. errors: above 0, one for each size. c is 0 unless there are `SIZES_FOR_FLOOR` sizes.
    """
    a, b, c = (float(values[0]) for values in _fit(np.array(sizes, float), np.array([errors], float)))
    return PowerLaw(a, b, c)


def extrapolate(measured: Sequence[Measured], *, factor: float = 2.0, seed: int = 0) -> Extrapolation | NoExtrapolation:
    """The F1 that the law gives for `factor` times the largest number of sentences.

    The interval is a bootstrap: in each sample, seeds are drawn again, the residuals of the law are added again with
    random signs, and the F1 of the scored sentences varies within its own interval. With one seed, only the residuals
    show how much F1 varies from run to run.
    """
    curve = sorted(measured, key=lambda one: one.n_sentences)
    sizes = np.array([one.n_sentences for one in curve])
    if len(np.unique(sizes)) < FEWEST_SIZES:
        return NoExtrapolation(f"this needs at least {FEWEST_SIZES} sizes of training data")
    observed = np.array([one.error for one in curve])
    if observed.min() <= 0:
        return NoExtrapolation("no errors are left to reduce")
    if observed[-1] > observed.min() + _deviation(curve):
        return NoExtrapolation("F1 is not highest with the most sentences")
    law = fit_power_law(sizes.tolist(), observed.tolist())
    fitted = np.array([law.error(n) for n in sizes])
    noise = _noise(curve, observed / fitted - 1, np.random.default_rng(seed))
    if _share_that_falls(sizes, observed * noise) < (1 + LEVEL) / 2:
        return NoExtrapolation("F1 does not clearly rise with the number of sentences")
    n_more = round(factor * float(sizes[-1]))
    a, b, c = _fit(sizes, fitted * noise)
    low, high = np.quantile(1 - (a * n_more**-b + c), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    if high - low > WIDEST:
        return NoExtrapolation(f"F1 could be anything from {100 * max(low, 0.0):.0f} to {100 * high:.0f}")
    f1 = 1 - law.error(n_more)
    # Samples are not centred exactly on the law.
    interval = (max(min(float(low), f1), 0.0), max(float(high), f1))
    return Extrapolation(law, n_more, f1, interval, len(curve))


def _fit(sizes: np.ndarray, errors: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """a, b and c for each row of errors, (rows, sizes). For each b of a grid, which becomes finer around the best one,
    a and c are the solution of a linear least-squares problem.
    """
    has_floor = len(sizes) >= SIZES_FOR_FLOOR
    scale = float(np.exp(np.log(sizes).mean()))
    rows = np.arange(len(errors))
    low, high = (np.full(len(errors), np.log(end)) for end in _EXPONENTS)
    for _ in range(_ZOOMS):
        exponents = np.exp(np.linspace(low, high, _GRID, axis=1))  # (rows, grid)
        powers = (sizes / scale) ** -exponents[:, :, None]  # (rows, grid, sizes)
        a, c = _linear_parts(powers, errors[:, None, :], has_floor=has_floor)
        residuals = (a[..., None] * powers + c[..., None]) / errors[:, None, :] - 1
        best = (residuals**2).sum(axis=2).argmin(axis=1)
        step = (high - low) / (_GRID - 1)
        middle = np.log(exponents[rows, best])
        found = a[rows, best], exponents[rows, best], c[rows, best]
        low, high = np.maximum(middle - step, np.log(_EXPONENTS[0])), np.minimum(middle + step, np.log(_EXPONENTS[1]))
    a, b, c = found
    return a * scale**b, b, c


def _linear_parts(powers: np.ndarray, errors: np.ndarray, *, has_floor: bool) -> tuple[np.ndarray, np.ndarray]:
    """a and c, (rows, grid), that minimise the squared relative errors of a * powers + c. Neither is negative."""
    weights = errors**-2.0
    w, wx, wxx = weights.sum(-1), (weights * powers).sum(-1), (weights * powers**2).sum(-1)
    wy, wxy = (weights * errors).sum(-1), (weights * powers * errors).sum(-1)
    alone = wxy / wxx
    if not has_floor:
        return alone, np.zeros_like(alone)
    # Numbers that are nearly the same make the problem singular, for the smallest exponents.
    determinant = np.maximum(w * wxx - wx**2, 1e-12 * w * wxx)
    a, c = (w * wxy - wx * wy) / determinant, (wxx * wy - wx * wxy) / determinant
    a, c = np.where(c < 0, alone, a), np.maximum(c, 0)
    return np.maximum(a, 0), np.where(a < 0, wy / w, c)


def _noise(curve: Sequence[Measured], residuals: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Factors of the errors in samples, (samples, sizes)."""
    n_parameters = 3 if len(curve) >= SIZES_FOR_FLOOR else 2
    larger = np.sqrt(len(curve) / (len(curve) - n_parameters))
    deviations, n_free = _relative_deviations(curve)
    if not n_free:
        larger *= _wider(len(curve) - n_parameters)
    shape = (N_SAMPLES, len(curve))
    signs = rng.choice([-1.0, 1.0], size=shape)
    of_law = larger * residuals[rng.integers(len(curve), size=shape)] * signs
    of_seeds = np.zeros(shape)
    if n_free:
        for i, one in enumerate(curve):
            n_seeds = len(one.errors)
            of_seeds[:, i] = deviations[rng.integers(len(deviations), size=(N_SAMPLES, n_seeds))].mean(axis=1)
    # All sizes are scored on the same sentences.
    last = curve[-1]
    of_sentences = rng.standard_normal((N_SAMPLES, 1)) * last.half_width / 1.96 / last.error
    factors: np.ndarray = np.maximum(1 + of_law + of_seeds + of_sentences, _SMALLEST_PART)
    return factors


def _relative_deviations(curve: Sequence[Measured]) -> tuple[np.ndarray, int]:
    """How far the error of each seed is from the mean of its size, relative to it, and the degrees of freedom."""
    several = [one for one in curve if len(one.errors) > 1]
    found = [
        (np.array(one.errors) / one.error - 1) * np.sqrt(len(one.errors) / (len(one.errors) - 1)) for one in several
    ]
    n_free = sum(len(one.errors) - 1 for one in several)
    return (np.concatenate(found) * _wider(n_free) if found else np.zeros(0)), n_free


def _wider(n_free: int) -> float:
    return _WIDER[n_free - 1] if n_free <= len(_WIDER) else 1.0


def _deviation(curve: Sequence[Measured]) -> float:
    """The standard deviation over the seeds, averaged over the sizes. 0 for one seed."""
    variances = [np.var(one.errors, ddof=1) for one in curve if len(one.errors) > 1]
    return float(np.sqrt(np.mean(variances))) if variances else 0.0


def _share_that_falls(sizes: np.ndarray, errors: np.ndarray) -> float:
    """The share of the rows of errors, (rows, sizes), whose logarithm falls with that of the size."""
    x = np.log(sizes) - np.log(sizes).mean()
    return float(np.mean(np.log(errors) @ x < 0))
