"""Exact bounds of proportions, compared with scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta, binom

from tf_tokclf.scoring.binomial import beta_distribution, design_effects, lower_bounds, p_value


def test_the_beta_distribution_is_that_of_scipy():
    rng = np.random.default_rng(0)
    a, b, x = rng.uniform(0.5, 5000, 400), rng.uniform(0.5, 5000, 400), rng.uniform(0, 1, 400)
    np.testing.assert_allclose(beta_distribution(x, a, b), beta.cdf(x, a, b), atol=1e-10)
    assert beta_distribution(np.array([0.0, 1.0]), 2, 3).tolist() == [0, 1]


@pytest.mark.parametrize("n", [1, 30, 1000])
def test_tests_and_bounds_are_those_of_clopper_and_pearson(n: int):
    k = np.arange(n + 1)
    np.testing.assert_allclose(p_value(k, n, 0.9), binom.sf(k - 1, n, 0.9), atol=1e-10)
    bounds = lower_bounds(k, np.full(n + 1, n), 0.05)
    np.testing.assert_allclose(bounds[1:], beta.ppf(0.05, k[1:], n - k[1:] + 1), atol=1e-10)
    assert bounds[0] == 0


def test_a_bound_is_where_the_test_just_succeeds():
    (bound,) = lower_bounds(np.array([87.5]), np.array([93.2]), 0.05)
    assert p_value(87.5, 93.2, bound - 1e-9) < 0.05 < p_value(87.5, 93.2, bound + 1e-9)


def test_the_design_effect_counts_equal_sentences_once():
    """Four spans of a sentence that are all right or all wrong tell no more than one."""
    right = np.array([1, 1, 0, 1, 0, 1, 1, 1, 0, 1] * 20)
    independent = design_effects(right, np.ones(200))
    assert design_effects(4 * right, np.full(200, 4)) == pytest.approx(4 * independent, rel=1e-9)
    assert independent == pytest.approx(1, abs=0.01)


def test_the_design_effect_is_never_below_one():
    assert design_effects(np.array([1, 1, 1]), np.array([2, 2, 2])) == 1  # sentences are more alike than by chance
    assert design_effects(np.array([3, 2]), np.array([3, 2])) == 1
    assert design_effects(np.zeros((0, 5)), np.zeros((0, 5))).tolist() == [1] * 5
