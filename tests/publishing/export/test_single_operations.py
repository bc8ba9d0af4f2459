"""Groups of operations become single ones, with the same results."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.encoders import make_bert, make_distilbert
from tests.requirements import need_modules

need_modules("onnx", "onnxruntime", "tf2onnx", extra="export")

import onnx  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from tf_tokclf.model.loading import new_classifier  # noqa: E402
from tf_tokclf.model.precision import Precision  # noqa: E402
from tf_tokclf.publishing.export import single_operations  # noqa: E402
from tf_tokclf.publishing.export.formats import write_export  # noqa: E402
from tf_tokclf.publishing.export.runtimes import open_onnx  # noqa: E402
from tf_tokclf.publishing.export.single_operations import with_single_operations  # noqa: E402

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("untraced")]
RANDOM = np.random.default_rng(3)


def operations(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


@pytest.mark.parametrize("kind", ["bert", "distilbert"])
def test_an_encoder_has_single_operations_and_the_same_logits(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    words = ("ada", "london", "visited")
    encoder = make_bert(tmp_path / "encoder", words) if kind == "bert" else make_distilbert(tmp_path / "encoder")
    classifier = new_classifier(encoder, ["O", "B-X", "I-X"], precision=Precision("float32", "test"))
    monkeypatch.setattr(single_operations, "with_single_operations", lambda model: model)
    converted = onnx.load(write_export(classifier, tmp_path, "onnx", None))
    written = with_single_operations(converted)
    onnx.checker.check_model(written)

    before, after = operations(converted), operations(written)
    assert before["GlobalAveragePool"] == 2 * after["LayerNormalization"] > 0
    assert after["GlobalAveragePool"] == after["Reciprocal"] == 0
    assert (before["Neg"], after["Neg"]) == (before["Erf"], 0)
    assert after["Erf"] == before["Erf"] > 0
    assert after["MatMul"] == before["MatMul"]
    # Attention splits rows into heads with four reshapes, and the mask takes one.
    assert after["Reshape"] <= 5 * before["Softmax"]
    assert before["Reshape"] > after["Reshape"]
    assert operations(with_single_operations(written)) == after

    ids, mask = RANDOM.integers(0, 6, (3, 7)), np.ones((3, 7), np.int64)
    mask[1, 4:] = 0
    logits = [open_onnx(model.SerializeToString())[0](ids, mask) for model in (converted, written)]
    assert logits[0].shape == logits[1].shape == (3, 7, 3)
    assert np.ptp(logits[0]) > 0.01
    np.testing.assert_allclose(logits[1], logits[0], atol=1e-5)


def test_a_reshape_that_joins_dimensions_stays():
    """Four numbers of two heads become rows of eight: without the reshape, the product would be of other numbers."""
    tensors = {
        "words": RANDOM.normal(size=(9, 2, 4)),
        "kernel": RANDOM.normal(size=(8, 3)),
        "bias": RANDOM.normal(size=3),
    }
    nodes = [
        helper.make_node("Gather", ["words", "input_ids"], ["x"]),
        helper.make_node("Reshape", ["x", "rows"], ["flat"]),
        helper.make_node("MatMul", ["flat", "kernel"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["sum"]),
        helper.make_node("Reshape", ["sum", "shape"], ["logits"]),
        helper.make_node("Identity", ["attention_mask"], ["unused"]),
    ]
    initializers = [numpy_helper.from_array(values.astype(np.float32), name) for name, values in tensors.items()]
    initializers += [
        numpy_helper.from_array(np.array(values), name) for name, values in (("rows", [-1, 8]), ("shape", [2, -1, 3]))
    ]
    inputs = [
        helper.make_tensor_value_info(n, TensorProto.INT64, [None, None]) for n in ("input_ids", "attention_mask")
    ]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [None, None, None])]
    graph = helper.make_graph(nodes, "graph", inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    ids = RANDOM.integers(0, 9, (2, 5))
    run, _ = open_onnx(with_single_operations(model).SerializeToString())
    expected = (tensors["words"][ids].reshape(2, 5, 8) @ tensors["kernel"]) + tensors["bias"]
    np.testing.assert_allclose(run(ids, np.ones_like(ids)), expected, atol=1e-5)
