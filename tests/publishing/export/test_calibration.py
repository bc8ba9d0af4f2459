"""8-bit products become more exact by smoothing, and by columns in float32, if a few columns are far larger."""

from __future__ import annotations

import numpy as np

from tests.requirements import need_modules

need_modules("onnx", "onnxruntime", extra="export")

import onnx  # noqa: E402
from onnx import helper, numpy_helper  # noqa: E402

from tests.publishing.export.graphs import classifier, logits  # noqa: E402
from tf_tokclf.publishing.export.calibration import calibrated  # noqa: E402
from tf_tokclf.publishing.export.quantization import quantized  # noqa: E402


def test_smoothing_reduces_the_error_of_large_columns():
    random = np.random.default_rng(5)
    words, kernel = random.normal(size=(70, 96)).astype(np.float32), random.normal(size=(96, 80)).astype(np.float32)
    words[:, 3] *= 60
    ids = random.integers(0, 70, (4, 9))
    expected = words[ids] @ kernel
    model = classifier(words, last=kernel)
    factors = calibrated(model, [{"input_ids": ids, "attention_mask": np.ones_like(ids)}]).divisors
    assert factors.keys() == {"x0"}
    assert factors["x0"].argmax() == 3
    np.testing.assert_allclose(np.log(factors["x0"]).mean(), 0, atol=1e-5)
    keep = {"embeddings"}
    plain, smooth = (
        np.square(logits(quantized(model, "int8", keep=keep, smoothing=divisors), ids) - expected).mean()
        for divisors in ({}, factors)
    )
    assert smooth < plain / 4


def test_columns_in_float32_make_the_others_more_exact():
    random = np.random.default_rng(6)
    words, kernel = random.normal(size=(70, 96)).astype(np.float32), random.normal(size=(96, 80)).astype(np.float32)
    words[:, [3, 40]] *= 900
    bias = random.normal(size=80).astype(np.float32)
    ids = random.integers(0, 70, (4, 9))
    for model, expected in (
        (classifier(words, last=kernel), words[ids] @ kernel),
        (with_bias(classifier(words, last=kernel), bias), words[ids] @ kernel + bias),
    ):
        found = calibrated(model, [{"input_ids": ids, "attention_mask": np.ones_like(ids)}])
        columns = found.large_columns(0)
        assert columns["x0"].tolist() == [3, 40]
        assert {3, 40} < {*found.large_columns(4)["x0"].tolist()}
        assert len(found.large_columns(50)["x0"]) == 96 // 16
        whole, mixed = (
            logits(quantized(model, "int8", keep={"embeddings"}, smoothing=found.divisors, columns=given), ids)
            for given in ({}, columns)
        )
        assert np.square(mixed - expected).mean() < np.square(whole - expected).mean() / 9
        # What is left is the rounding of the other columns.
        assert np.abs(mixed - expected).max() < 1


def with_bias(model: onnx.ModelProto, bias: np.ndarray) -> onnx.ModelProto:
    """The model with a bias behind its last matrix."""
    model.graph.node[-1].output[0] = "product"
    model.graph.node.append(helper.make_node("Add", ["product", "bias"], ["logits"], name="model/last/BiasAdd"))
    model.graph.initializer.append(numpy_helper.from_array(bias, "bias"))
    return model
