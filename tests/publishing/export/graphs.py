"""Small ONNX graphs whose results are easy to compute with NumPy."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tf_tokclf.publishing.export.runtimes import open_onnx


def classifier(embeddings: np.ndarray, **layers: np.ndarray) -> onnx.ModelProto:
    """Embeddings, then the matrices of `layers` one after another. The last result is the logits."""
    nodes = [helper.make_node("Gather", ["words", "input_ids"], ["x0"], name="model/embeddings/Gather")]
    nodes.append(helper.make_node("Identity", ["attention_mask"], ["unused"]))
    for number, name in enumerate(layers):
        last = number == len(layers) - 1
        names = [f"x{number}", f"{name}/kernel"], ["logits" if last else f"x{number + 1}"]
        nodes.append(helper.make_node("MatMul", *names, name=f"model/{name}/MatMul"))
    tensors = {"words": embeddings, **{f"{name}/kernel": values for name, values in layers.items()}}
    initializers = [numpy_helper.from_array(np.asarray(values, np.float32), name) for name, values in tensors.items()]
    inputs = [
        helper.make_tensor_value_info(n, TensorProto.INT64, [None, None]) for n in ("input_ids", "attention_mask")
    ]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [None, None, None])]
    graph = helper.make_graph(nodes, "graph", inputs, outputs, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def logits(model: onnx.ModelProto, ids: np.ndarray) -> np.ndarray:
    """The logits of onnxruntime. It also checks the model."""
    onnx.checker.check_model(model)
    run, _ = open_onnx(model.SerializeToString())
    return run(ids, np.ones_like(ids))
