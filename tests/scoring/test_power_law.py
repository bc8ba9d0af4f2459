"""Power laws of the error, and what they say about more data."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_tokclf.scoring.power_law import (
    Extrapolation,
    Measured,
    NoExtrapolation,
    PowerLaw,
    extrapolate,
    fit_power_law,
)

SIZES = (100, 250, 500, 1000, 2000, 4000)


def noisy(law: PowerLaw, n_sizes: int, n_seeds: int, sd: float, seed: int) -> list[Measured]:
    rng = np.random.default_rng(seed)
    return [Measured(n, tuple(law.error(n) + rng.normal(0, sd, n_seeds))) for n in SIZES[:n_sizes]]


@given(st.floats(0.05, 1.5), st.floats(0.1, 0.9), st.sampled_from([3, 4]))
def test_a_planted_law_without_a_limit_is_found(b, first, n_sizes):
    law = PowerLaw(first * SIZES[0] ** b, b, 0.0)
    found = fit_power_law(SIZES[:n_sizes], [law.error(n) for n in SIZES[:n_sizes]])
    assert found.c == 0
    assert found.b == pytest.approx(b, rel=1e-4)
    assert found.error(8000) == pytest.approx(law.error(8000), rel=1e-3)


@given(st.floats(0.2, 1.5), st.floats(0.1, 0.8), st.floats(0.0, 0.2), st.sampled_from([5, 6]))
def test_a_planted_law_with_a_limit_is_found(b, first, c, n_sizes):
    law = PowerLaw(first * SIZES[0] ** b, b, c)
    found = fit_power_law(SIZES[:n_sizes], [law.error(n) for n in SIZES[:n_sizes]])
    assert found.b == pytest.approx(b, rel=0.02)
    assert found.c == pytest.approx(c, abs=0.01)
    assert found.error(8000) == pytest.approx(law.error(8000), rel=0.02)


def test_the_fit_without_a_limit_is_near_the_line_of_logarithms():
    """An independent reference: with small residuals, relative errors are nearly differences of logarithms."""
    rng = np.random.default_rng(0)
    errors = [0.9 * n**-0.3 * math.exp(rng.normal(0, 0.02)) for n in SIZES[:4]]
    slope, intercept = np.polyfit(np.log(SIZES[:4]), np.log(errors), 1)
    found = fit_power_law(SIZES[:4], errors)
    assert found.b == pytest.approx(-slope, abs=0.005)
    assert found.a == pytest.approx(math.exp(intercept), rel=0.02)


@pytest.mark.parametrize(("n_sizes", "n_seeds"), [(3, 3), (4, 1), (4, 3), (6, 3)])
def test_the_interval_contains_the_true_f1_in_most_cases(n_sizes: int, n_seeds: int):
    law = PowerLaw(3.0, 0.4, 0.0)
    n_more = 2 * SIZES[n_sizes - 1]
    inside, n = 0, 0
    for seed in range(15):
        found = extrapolate(noisy(law, n_sizes, n_seeds, sd=0.008, seed=seed))
        if isinstance(found, Extrapolation):
            n += 1
            inside += found.interval[0] <= 1 - law.error(n_more) <= found.interval[1]
            assert found.n_sentences == n_more
            assert found.interval[0] <= found.f1 <= found.interval[1]
    assert n >= 12
    assert inside >= 0.8 * n


def test_more_seeds_and_a_larger_test_set_give_a_narrower_interval():
    law = PowerLaw(3.0, 0.4, 0.0)

    def width(n_seeds: int, half_width: float) -> float:
        curve = [
            Measured(n, tuple(law.error(n) + 0.01 * (-1) ** i for i in range(n_seeds)), half_width) for n in SIZES[:4]
        ]
        found = extrapolate(curve)
        assert isinstance(found, Extrapolation)
        return found.interval[1] - found.interval[0]

    assert width(8, 0.0) < width(2, 0.0)
    assert width(8, 0.0) < width(8, 0.03)


def test_the_same_curve_gives_the_same_interval():
    curve = noisy(PowerLaw(3.0, 0.4, 0.0), 4, 2, sd=0.005, seed=0)
    assert extrapolate(curve) == extrapolate(list(reversed(curve)))


@pytest.mark.parametrize(
    ("errors", "reason"),
    [
        ([(0.3,), (0.2,)], "this needs at least 3 sizes"),
        ([(0.2,), (0.1,), (0.0,)], "no errors are left"),
        ([(0.1,), (0.15,), (0.2,)], "F1 is not highest with the most sentences"),
        ([(0.3,), (0.1,), (0.2,)], "F1 is not highest with the most sentences"),
        ([(0.30, 0.32), (0.31, 0.29), (0.29, 0.33), (0.31, 0.30)], "F1 does not clearly rise"),
        ([(0.3,), (0.3,), (0.3,)], "F1 does not clearly rise"),
        ([(0.9, 0.88), (0.5, 0.6), (0.45, 0.47)], "F1 could be anything from"),
    ],
)
def test_a_curve_without_a_clear_direction_gives_no_number(errors: list[tuple[float, ...]], reason: str):
    found = extrapolate([Measured(n, of_size) for n, of_size in zip(SIZES, errors)])
    assert isinstance(found, NoExtrapolation)
    assert found.reason.startswith(reason)


def test_sizes_that_are_the_same_count_once():
    curve = [Measured(n, (error,)) for n, error in ((100, 0.4), (100, 0.39), (200, 0.3))]
    assert isinstance(extrapolate(curve), NoExtrapolation)
