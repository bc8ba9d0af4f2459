"""Quantized weights: what onnxruntime computes with them is close to NumPy's result with the original weights."""

from __future__ import annotations

import numpy as np
import pytest

from tests.requirements import need_modules

need_modules("onnx", "onnxruntime", extra="export")

import onnx  # noqa: E402
from onnx import helper  # noqa: E402

from tests.publishing.export.graphs import classifier, logits  # noqa: E402
from tf_tokclf.publishing.export.quantization import layers_of, quantized, with_float16_weights  # noqa: E402

RANDOM = np.random.default_rng(5)
# Neither 96 nor 80 columns fill an even number of blocks.
WORDS, FIRST, LAST = (RANDOM.normal(size=shape).astype(np.float32) for shape in ((70, 96), (96, 80), (80, 60)))
IDS = RANDOM.integers(0, 70, (3, 7))
EXPECTED = WORDS[IDS] @ FIRST @ LAST


def relative_error(model: onnx.ModelProto, expected: np.ndarray = EXPECTED) -> float:
    return float(np.sqrt(np.square(logits(model, IDS) - expected).mean()) / expected.std())


def n_bytes(model: onnx.ModelProto) -> int:
    return len(model.SerializeToString())


@pytest.fixture
def model() -> onnx.ModelProto:
    return classifier(WORDS, first=FIRST, last=LAST)


def test_layers_have_readable_names(model: onnx.ModelProto):
    assert layers_of(model) == ["embeddings", "first", "last"]


@pytest.mark.parametrize(("kind", "least", "most", "size"), [("int8", 2e-3, 0.03, 0.3), ("int4", 0.03, 0.2, 0.21)])
def test_quantized_weights_are_small_and_close(
    model: onnx.ModelProto, kind: str, least: float, most: float, size: float
):
    small = quantized(model, kind)
    assert least < relative_error(small) < most
    assert n_bytes(small) < size * n_bytes(model)


def test_float16_weights_are_half_the_size(model: onnx.ModelProto):
    half = with_float16_weights(model)
    assert 1e-5 < relative_error(half) < 1e-3
    assert n_bytes(half) < 0.55 * n_bytes(model)


@pytest.mark.parametrize(("kind", "largest"), [("int8", 127), ("int4", 7)])
@pytest.mark.parametrize("shape", [(3, 7), (21,), (1, 1)])
def test_embeddings_differ_by_half_a_step_at_most(kind: str, largest: int, shape: tuple[int, ...]):
    """A row has one scale in int8, and each 32 numbers have one in int4."""
    model = classifier(WORDS, last=np.eye(96))
    keep = {"last"}
    ids = IDS.reshape(-1)[: np.prod(shape)].reshape(shape)
    found = logits(quantized(model, kind, keep=keep), ids if len(shape) == 2 else ids[:, None]).reshape(*shape, 96)
    parts = WORDS[ids].reshape(*shape, -1, 96 if kind == "int8" else 32)
    step = np.abs(parts).max(axis=-1, keepdims=True) / largest
    # The scales of int4 are stored in float16.
    assert (np.abs(found.reshape(parts.shape) - parts) <= step * 0.51).all()


def test_layers_that_are_kept_stay_exact(model: onnx.ModelProto):
    kept = quantized(model, "int8", keep={"embeddings", "first", "last"})
    assert relative_error(kept) < 1e-6
    assert relative_error(quantized(model, "int8", keep={"first", "last"})) < relative_error(quantized(model, "int8"))


@pytest.mark.parametrize("kind", ["int8", "int4"])
def test_a_matrix_that_two_layers_share_is_stored_once(kind: str):
    square = RANDOM.normal(size=(96, 96)).astype(np.float32) / 10
    model = classifier(WORDS, first=square, second=square, last=square)
    (middle,) = [node for node in model.graph.node if node.name == "model/second/MatMul"]
    middle.input[1] = "first/kernel"
    del model.graph.initializer[2]
    assert layers_of(model) == ["embeddings", "first", "last"]
    small = quantized(model, kind)
    assert relative_error(small, WORDS[IDS] @ square @ square @ square) < 0.3
    assert sum(tensor.name.startswith("first/kernel_int") for tensor in small.graph.initializer) == 1


def test_a_matrix_that_is_also_used_otherwise_stays_as_it_is(model: onnx.ModelProto):
    model.graph.node.append(helper.make_node("Transpose", ["first/kernel"], ["turned"]))
    assert layers_of(model) == ["embeddings", "last"]


def test_products_do_not_overflow_16_bits():
    """Processors without VNNI add two products of 8 bits in 16 bits."""
    model = classifier(WORDS, first=FIRST, last=LAST)
    small = quantized(model, "int8", keep={"embeddings"})
    tensors = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in small.graph.initializer}
    assert 2 * 255 * np.abs(tensors["first/kernel_int8"].astype(int)).max() < 2**15
