"""A normal distribution that is cut on both sides, with any number of deviations."""

from __future__ import annotations

import math
from typing import Any

from tf_tokclf.model.backend import keras, tf


class CutNormal(keras.initializers.Initializer):
    """Draws from a normal distribution cut at `cutoff` deviations, like PyTorch's `trunc_normal_`.

    `deviation` is that before the cut: with a cutoff of 2, the deviation of the drawn numbers is 0.88 times as large.
    """

    def __init__(self, deviation: float, cutoff: float) -> None:
        self.deviation = deviation
        self.cutoff = cutoff

    def __call__(self, shape: Any, dtype: Any = None, **kwargs: Any) -> tf.Tensor:
        """The inverse of the distribution function at evenly distributed numbers."""
        even = keras.initializers.RandomUniform(-1.0, 1.0)(shape, dtype=tf.float32)
        share = math.erf(self.cutoff / math.sqrt(2.0))
        drawn = tf.math.erfinv(even * share) * (math.sqrt(2.0) * self.deviation)
        limit = self.cutoff * self.deviation
        return tf.cast(tf.clip_by_value(drawn, -limit, limit), dtype or tf.float32)

    def get_config(self) -> dict[str, float]:
        """The arguments of the constructor."""
        return {"deviation": self.deviation, "cutoff": self.cutoff}
