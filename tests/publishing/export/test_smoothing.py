"""Smoothing makes 8-bit products more exact if a few columns are far larger than the others."""

from __future__ import annotations

import numpy as np

from tests.requirements import need_modules

need_modules("onnx", "onnxruntime", extra="export")

from tests.publishing.export.graphs import classifier, logits  # noqa: E402
from tf_tokclf.publishing.export.quantization import quantized  # noqa: E402
from tf_tokclf.publishing.export.smoothing import smoothing  # noqa: E402


def test_smoothing_reduces_the_error_of_large_columns():
    random = np.random.default_rng(5)
    words, kernel = random.normal(size=(70, 96)).astype(np.float32), random.normal(size=(96, 80)).astype(np.float32)
    words[:, 3] *= 60
    ids = random.integers(0, 70, (4, 9))
    expected = words[ids] @ kernel
    model = classifier(words, last=kernel)
    factors = smoothing(model, [{"input_ids": ids, "attention_mask": np.ones_like(ids)}])
    assert factors.keys() == {"x0"}
    assert factors["x0"].argmax() == 3
    np.testing.assert_allclose(np.log(factors["x0"]).mean(), 0, atol=1e-5)
    keep = {"embeddings"}
    plain, smooth = (
        np.square(logits(quantized(model, "int8", keep=keep, smoothing=divisors), ids) - expected).mean()
        for divisors in ({}, factors)
    )
    assert smooth < plain / 4
