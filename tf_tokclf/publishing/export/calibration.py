"""Make the inputs of matrices easier to round to 8 bits.

A few columns of the inputs of a layer have values that are far larger than the others. Since all columns are rounded
with one scale, the others lose most of their bits. There are two remedies:

- Each column is divided by a factor, and the row of the matrix that it is multiplied with is multiplied by the same
  factor (SmoothQuant, Xiao et al. 2023, arXiv:2211.10438). In float32 the products are the same.
- The columns that are still much larger are not rounded. Their part of the product is computed in float32.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from tf_tokclf.publishing.export.quantization import Weight, weights_of

# The share of the difficulty that moves from the inputs to the matrix. On SNIPS, MiniLM's logits changed by 0.41 (root
# mean square) with 0.5, 0.24 with 0.6, 0.197 with 0.7, 0.200 with 0.8, and 0.29 without smoothing.
STRENGTH = 0.7
_SMALLEST = 1e-5
# Columns are large if they exceed this share of the others by this factor. In MiniLM-L6 these are 8 columns.
_OTHERS = 0.98
_FACTOR = 2.0
_LARGEST_SHARE = 16


@dataclass(frozen=True)
class Calibration:
    """What the inputs of matrices look like, by the names of their tensors.

    divisors: for each column, the factor of the smoothing, float32. sizes: the largest absolute value of each column
    after the smoothing.
    """

    divisors: dict[str, np.ndarray]
    sizes: dict[str, np.ndarray]

    def large_columns(self, at_least: int) -> dict[str, np.ndarray]:
        """For each input, the columns that are far larger than the others.

        They are at least the `at_least` largest ones, but in narrow layers no more than a 16th of all columns.
        """
        found = {}
        for name, sizes in self.sizes.items():
            n_large = int((sizes > _FACTOR * np.quantile(sizes, _OTHERS)).sum())
            order = np.argsort(-sizes, kind="stable")
            found[name] = np.sort(order[: max(n_large, min(at_least, len(sizes) // _LARGEST_SHARE))])
        return found


def calibrated(model: onnx.ModelProto, batches: Iterable[dict[str, np.ndarray]]) -> Calibration:
    """Run `model` on batches of its inputs, and measure the inputs of its matrices."""
    by_input: dict[str, list[Weight]] = {}
    for weight in weights_of(model).values():
        if not weight.is_embedding and len(weight.nodes) == 1:
            by_input.setdefault(weight.inputs[0], []).append(weight)
    largest = _largest(model, list(by_input), batches)
    divisors = {
        name: _divisor(sizes, np.max([np.abs(weight.values).max(axis=1) for weight in by_input[name]], axis=0))
        for name, sizes in largest.items()
    }
    return Calibration(divisors, {name: sizes / divisors[name] for name, sizes in largest.items()})


def _divisor(largest_input: np.ndarray, largest_weight: np.ndarray) -> np.ndarray:
    inputs, weights = np.maximum(largest_input, _SMALLEST), np.maximum(largest_weight, _SMALLEST)
    divisor = inputs**STRENGTH / weights ** (1 - STRENGTH)
    return (divisor / np.exp(np.log(divisor).mean())).astype(np.float32)


def _largest(
    model: onnx.ModelProto, names: list[str], batches: Iterable[dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """The largest absolute value in each column of the tensors `names`."""
    graph = onnx.ModelProto()
    graph.CopyFrom(model)
    graph.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    found: dict[str, np.ndarray] = {}
    for batch in batches:
        for name, values in zip(names, session.run(names, batch)):
            largest = np.abs(values.reshape(-1, values.shape[-1])).max(axis=0)
            found[name] = np.maximum(found.get(name, largest), largest)
    return found
