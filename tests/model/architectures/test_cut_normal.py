"""Initial weights from a normal distribution that is cut."""

from __future__ import annotations

import numpy as np
import pytest

from tf_tokclf.model.architectures.cut_normal import CutNormal
from tf_tokclf.model.backend import keras


@pytest.mark.parametrize(("cutoff", "deviation"), [(1.0, 0.5396), (2.0, 0.8796), (3.0, 0.9866)])
def test_a_normal_distribution_is_cut_anywhere(cutoff: float, deviation: float):
    """The deviations after the cut are those of the textbook: 1 - 2 c p(c) / (2 P(c) - 1), under a root."""
    keras.utils.set_random_seed(2)
    drawn = CutNormal(0.1, cutoff)((400, 250)).numpy() / 0.1
    assert np.abs(drawn).max() <= cutoff + 1e-5
    assert drawn.std() == pytest.approx(deviation, rel=0.01)
    assert abs(drawn.mean()) < 0.01


def test_its_configuration_makes_it_again():
    assert CutNormal.from_config(CutNormal(0.5, 2.0).get_config()).get_config() == {"deviation": 0.5, "cutoff": 2.0}
