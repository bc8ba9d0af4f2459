"""A new head on an encoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tf_tokclf.model.backend import keras
from tf_tokclf.model.loading import new_classifier
from tf_tokclf.model.precision import Precision


def test_a_new_head_is_spread_as_that_of_the_pytorch_classes(tiny_bert: Path):
    """Not truncated: TensorFlow's classes truncate at two standard deviations, which leaves 0.88 of the deviation."""
    keras.utils.set_random_seed(1)
    model = new_classifier(tiny_bert, [f"L{i}" for i in range(300)], precision=Precision("float32", "test"))
    kernel = model.classifier.kernel.numpy() / model.config.initializer_range
    assert abs(kernel.mean()) < 0.04
    assert abs(kernel.std() - 1) < 0.03
    # 4.6 % of a normal distribution are beyond two standard deviations
    assert 0.035 < np.mean(np.abs(kernel) > 2) < 0.057
    assert not model.classifier.bias.numpy().any()
