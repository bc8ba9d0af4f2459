"""Store the weights of an ONNX model with fewer bits.

- float16: all weights. The model still computes in float32.
- int8: matrices have a scale per column, and are multiplied with inputs that are rounded to 8 bits when the model runs.
  A few columns of the inputs, which are far larger than the others, are multiplied in float32 (as in LLM.int8(),
  Dettmers et al. 2022, arXiv:2208.07339, but always the same columns).
- int4: matrices have a scale and a zero point per block of 32 numbers (MatMulNBits of onnxruntime).

Embeddings have a scale per row with int8 and per block with int4. Only standard operations read them, so that they can
be read by every runtime.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# Smaller tensors are biases, scales of norms and constants. They take hardly any space.
SMALLEST = 4096
BLOCK = 32
# Matrices use 7 of the 8 bits. On x86 processors without VNNI, sums of products of 8 bits would overflow, and the model
# would compute something else than on the machine that compared it.
LARGEST_WEIGHT = 63
DOMAIN = "com.microsoft"
# The end of the name of an operation in a layer: .../output/dense/Tensordot/MatMul, .../embeddings/Gather_1
_OPERATION = re.compile(r"(/Tensordot)?/(MatMul|Gather|GatherV2|embedding_lookup)(_\d+)?(__\d+)?$")


def with_float16_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of `model` with weights in float16. It still computes in float32."""
    casts, tensors = [], []
    for weight in model.graph.initializer:
        if weight.data_type == TensorProto.FLOAT and np.prod(weight.dims) >= SMALLEST:
            name = weight.name
            half = numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float16), f"{name}_float16")
            casts.append(helper.make_node("Cast", [half.name], [name], name=f"{name}_cast", to=TensorProto.FLOAT))
            tensors.append(half)
        else:
            tensors.append(weight)
    return _with_graph(model, [*casts, *model.graph.node], tensors)


@dataclass(frozen=True)
class Weight:
    """A matrix or embedding table that can be quantized. nodes: the operations that use it.

    values: (rows, columns). inputs: for each operation, the tensor that it multiplies with the matrix, or the ids that
    it reads embeddings for.
    """

    layer: str
    nodes: tuple[onnx.NodeProto, ...]
    tensor: onnx.TensorProto
    is_embedding: bool

    @property
    def values(self) -> np.ndarray:
        return numpy_helper.to_array(self.tensor)

    @property
    def inputs(self) -> list[str]:
        return [node.input[1 if self.is_embedding else 0] for node in self.nodes]


def weights_of(model: onnx.ModelProto) -> dict[str, Weight]:
    """The weights that can be quantized, by the name of their tensor, in the order of the graph.

    These are large matrices that are only multiplied with, or that only embeddings are read from.
    """
    tensors = {tensor.name: tensor for tensor in model.graph.initializer if _is_large_matrix(tensor)}
    uses: dict[str, list[tuple[onnx.NodeProto, int]]] = {}
    for node in model.graph.node:
        for position, name in enumerate(node.input):
            if name in tensors:
                uses.setdefault(name, []).append((node, position))
    found = {}
    for name, users in uses.items():
        nodes = tuple(node for node, _ in users)
        for operation, place in (("MatMul", 1), ("Gather", 0)):
            if all(node.op_type == operation and position == place and not _axis(node) for node, position in users):
                is_embedding = operation == "Gather"
                found[name] = Weight(layer_name(nodes[0].name), nodes, tensors[name], is_embedding)
    return found


def layer_name(node: str) -> str:
    """The layer to which an operation belongs, as messages and --keep-float32 name it.

    >>> layer_name("tf_bert_for_token_classification/bert/encoder/layer_._0/output/dense/MatMul")
    'bert/encoder/layer_._0/output/dense'
    >>> layer_name("tf_bert_for_token_classification/classifier/Tensordot/MatMul")
    'classifier'
    """
    inner = _OPERATION.sub("", node)
    return inner.partition("/")[2] or inner


def layers_of(model: onnx.ModelProto) -> list[str]:
    """The names of the layers that can be quantized."""
    return list(dict.fromkeys(weight.layer for weight in weights_of(model).values()))


def quantized(
    model: onnx.ModelProto,
    kind: str,
    *,
    keep: Set[str] = frozenset(),
    smoothing: Mapping[str, np.ndarray] | None = None,
    columns: Mapping[str, np.ndarray] | None = None,
) -> onnx.ModelProto:
    """A copy of `model` with all layers in int8 or int4, except those in `keep`.

    kind: "int8" or "int4". smoothing: for the inputs of matrices, a divisor of each column (see `calibration.py`).
    columns: for the inputs of matrices, the columns whose products stay in float32 (int8 only).
    """
    writer = _Writer(kind, smoothing or {}, columns or {}, _biases(model))
    weights = {name: weight for name, weight in weights_of(model).items() if weight.layer not in keep}
    of_node = {node.output[0]: name for name, weight in weights.items() for node in weight.nodes}
    for node in model.graph.node:
        name = of_node.get(node.output[0])
        if name is None:
            writer.copy(node)
        else:
            writer.replace(node, name, weights[name])
    tensors = [tensor for tensor in model.graph.initializer if tensor.name not in weights]
    return _with_graph(model, writer.nodes, [*tensors, *writer.tensors.values()])


def _biases(model: onnx.ModelProto) -> dict[str, str]:
    """For each tensor that is read only where a constant of one dimension is added, the sum."""
    vectors = {tensor.name for tensor in model.graph.initializer if len(tensor.dims) == 1}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    only = {name: found[0] for name, found in readers.items() if len(found) == 1}
    return {name: add.output[0] for name, add in only.items() if add.op_type == "Add" and vectors & {*add.input}}


class _Writer:
    """The operations and tensors of a quantized graph. biases: see `_biases`."""

    def __init__(
        self,
        kind: str,
        smoothing: Mapping[str, np.ndarray],
        columns: Mapping[str, np.ndarray],
        biases: Mapping[str, str],
    ) -> None:
        self._kind = kind
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: dict[str, onnx.TensorProto] = {}
        self._smoothing, self._columns, self._biases = smoothing, columns, biases
        self._written: set[str] = set()
        # By the tensor that they belong to: products of columns in float32 that are added after the bias.
        self._to_add: dict[str, str] = {}

    def copy(self, node: onnx.NodeProto) -> None:
        """Write an operation that is not quantised."""
        product = self._to_add.pop(node.output[0], None)
        if product is None:
            self.nodes.append(node)
            return
        # onnxruntime computes a product of whole numbers and its bias as one operation, so that they stay together.
        result, without = node.output[0], f"{node.output[0]}_whole"
        self._add(node.op_type, node.input, [without], name=node.name)
        self._add("Add", [without, product], [result])

    def replace(self, node: onnx.NodeProto, name: str, weight: Weight) -> None:
        """Write what computes the result of `node` with the quantized tensor `name`."""
        write = {
            ("int8", False): self._matrix_int8,
            ("int8", True): self._embedding_int8,
            ("int4", False): self._matrix_int4,
            ("int4", True): self._embedding_int4,
        }[self._kind, weight.is_embedding]
        write(node, name, weight)

    def _matrix_int8(self, node: onnx.NodeProto, name: str, weight: Weight) -> None:
        values, source, result = weight.values, node.input[0], node.output[0]
        is_single = len(weight.nodes) == 1
        columns = self._columns.get(source, np.zeros(0, np.int64)) if is_single else np.zeros(0, np.int64)
        divisor = self._smoothing.get(source) if is_single else None
        if len(columns):
            self._columns_float32(node, name, values, columns)
        if divisor is not None or len(columns):
            divisor = np.ones(len(values), np.float32) if divisor is None else divisor
            values, factor, smooth = values * divisor[:, None], np.float32(1) / divisor, f"{source}_smooth"
            values[columns], factor[columns] = 0, 0
            self._once("Mul", [source, self._tensor(f"{source}_factor", factor)], [smooth])
            source = smooth
        whole, scale = whole_numbers(values, LARGEST_WEIGHT, axis=0)
        rounded, input_scale, zero = f"{source}_int8", f"{source}_scale", f"{source}_zero"
        self._once("DynamicQuantizeLinear", [source], [rounded, input_scale, zero])
        sums, in_float, scales = f"{result}_sums", f"{result}_float", f"{result}_scales"
        self._add("MatMulInteger", [rounded, self._tensor(f"{name}_int8", whole), zero], [sums])
        self._add("Cast", [sums], [in_float], to=TensorProto.FLOAT)
        self._add("Mul", [input_scale, self._tensor(f"{name}_scale", scale[0])], [scales])
        if not len(columns):
            self._add("Mul", [in_float, scales], [result], name=node.name)
        elif bias := self._biases.get(result):
            self._add("Mul", [in_float, scales], [result], name=node.name)
            self._to_add[bias] = f"{result}_columns"
        else:
            self._add("Mul", [in_float, scales], [f"{result}_whole"], name=node.name)
            self._add("Add", [f"{result}_whole", f"{result}_columns"], [result])

    def _columns_float32(self, node: onnx.NodeProto, name: str, values: np.ndarray, columns: np.ndarray) -> None:
        """Multiply some columns of the input with their rows of the matrix."""
        source, result = node.input[0], node.output[0]
        numbers = self._tensor(f"{source}_column_numbers", columns)
        self._once("Gather", [source, numbers], [f"{source}_chosen"], axis=-1)
        rows = self._tensor(f"{name}_rows", values[columns])
        self._add("MatMul", [f"{source}_chosen", rows], [f"{result}_columns"])

    def _matrix_int4(self, node: onnx.NodeProto, name: str, weight: Weight) -> None:
        n_rows, n_columns = weight.tensor.dims
        blocks = _blocks(weight.values.T)
        low = np.minimum(blocks.min(-1), 0)
        scale = (np.maximum(blocks.max(-1), 0) - low) / 15
        scale = np.where(scale == 0, 1, scale).astype(np.float32)
        zero = np.clip(np.round(-low / scale), 0, 15).astype(np.uint8)
        whole = np.clip(np.round(blocks / scale[..., None]) + zero[..., None], 0, 15).astype(np.uint8)
        inputs = [
            node.input[0],
            self._tensor(f"{name}_int4", _packed(whole)),
            self._tensor(f"{name}_scale", scale.reshape(-1)),
            self._tensor(f"{name}_zero", _packed(zero).reshape(-1)),
        ]
        # Level 4: the inputs are rounded to 8 bits in blocks, too, which is faster.
        sizes = {"K": n_rows, "N": n_columns, "bits": 4, "block_size": BLOCK, "accuracy_level": 4}
        self._add("MatMulNBits", inputs, [node.output[0]], name=node.name, domain=DOMAIN, **sizes)

    def _embedding_int8(self, node: onnx.NodeProto, name: str, weight: Weight) -> None:
        whole, scale = whole_numbers(weight.values, 127, axis=1)
        prefix, ids = node.output[0], node.input[1]
        self._add("Gather", [self._tensor(f"{name}_int8", whole), ids], [f"{prefix}_whole"])
        self._add("Gather", [self._tensor(f"{name}_scale", scale), ids], [f"{prefix}_scales"])
        self._add("Cast", [f"{prefix}_whole"], [f"{prefix}_float"], to=TensorProto.FLOAT)
        self._add("Mul", [f"{prefix}_float", f"{prefix}_scales"], [prefix], name=node.name)

    def _embedding_int4(self, node: onnx.NodeProto, name: str, weight: Weight) -> None:
        """The left half of a row is in the low bits of its bytes, the right half in the high bits."""
        whole, scale = whole_numbers(_blocks(weight.values, multiple=2 * BLOCK), 7, axis=2)
        bits = (whole + 8).astype(np.uint8).reshape(len(whole), -1)
        width, half = bits.shape[1], bits.shape[1] // 2
        packed = self._tensor(f"{name}_int4", bits[:, :half] | (bits[:, half:] << 4))
        scales = self._tensor(f"{name}_scale", scale.astype(np.float16))
        prefix, ids = node.output[0], node.input[1]

        def add(operation: str, inputs: list[str], end: str, **attributes: Any) -> str:
            self._add(operation, inputs, [f"{prefix}_{end}"], **attributes)
            return f"{prefix}_{end}"

        flat = add("Reshape", [ids, self._whole("flat", -1)], "ids")
        stored, four = add("Gather", [packed, flat], "bytes"), self._tensor("four_bits", np.array(4, np.uint8))
        high = add("BitShift", [stored, four], "high", direction="RIGHT")
        shifted = add("BitShift", [stored, four], "shifted", direction="LEFT")
        low = add("BitShift", [shifted, four], "low", direction="RIGHT")
        together = add("Concat", [low, high], "whole", axis=1)
        positive = add("Cast", [together], "float", to=TensorProto.FLOAT)
        centred = add("Sub", [positive, self._tensor("eight", np.array(8, np.float32))], "centred")
        in_blocks = add("Reshape", [centred, self._whole("in_blocks", -1, width // BLOCK, BLOCK)], "in_blocks")
        scale_rows = add("Cast", [add("Gather", [scales, flat], "scales")], "scales_float", to=TensorProto.FLOAT)
        scaled = add("Mul", [in_blocks, scale_rows], "scaled")
        padded = add("Reshape", [scaled, self._whole("in_rows", -1, width)], "padded")
        n_columns = weight.tensor.dims[1]
        bounds = [self._whole("zero", 0), self._whole(f"columns_{n_columns}", n_columns), self._whole("one", 1)]
        rows = add("Slice", [padded, *bounds], "rows")
        shape = add("Concat", [add("Shape", [ids], "shape"), bounds[1]], "full_shape", axis=0)
        self._add("Reshape", [rows, shape], [prefix], name=node.name)

    def _whole(self, name: str, *values: int) -> str:
        return self._tensor("_".join(["int64", name, *map(str, values)]), np.array(values, np.int64))

    def _tensor(self, name: str, values: np.ndarray) -> str:
        self.tensors.setdefault(name, numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def _add(self, operation: str, inputs: Sequence[str], outputs: list[str], **attributes: Any) -> None:
        self.nodes.append(helper.make_node(operation, inputs, outputs, **attributes))

    def _once(self, operation: str, inputs: list[str], outputs: list[str], **attributes: Any) -> None:
        """Add an operation on the input of several matrices, if it is not there yet."""
        if outputs[0] not in self._written:
            self._written.add(outputs[0])
            self._add(operation, inputs, outputs, **attributes)


def whole_numbers(values: np.ndarray, largest: int, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers from -largest to largest, int8, and scales, float32. Their product is close to `values`.

    All values along `axis` have the same scale. In the scales, this axis has length 1.
    """
    scale = np.abs(values).max(axis=axis, keepdims=True) / largest
    scale = np.where(scale == 0, 1, scale).astype(np.float32)
    return np.clip(np.round(values / scale), -largest, largest).astype(np.int8), scale


def _blocks(rows: np.ndarray, multiple: int = BLOCK) -> np.ndarray:
    """Rows in blocks of 32 numbers, (rows, blocks, 32), filled with zeros to a multiple of `multiple` numbers."""
    return np.pad(rows, ((0, 0), (0, -rows.shape[1] % multiple))).reshape(len(rows), -1, BLOCK)


def _packed(whole: np.ndarray) -> np.ndarray:
    """Two numbers of four bits in each byte of the last axis, the first one in the low bits."""
    if whole.shape[-1] % 2:
        whole = np.pad(whole, [(0, 0)] * (whole.ndim - 1) + [(0, 1)])
    return whole[..., 0::2] | (whole[..., 1::2] << 4)


def _is_large_matrix(tensor: onnx.TensorProto) -> bool:
    return tensor.data_type == TensorProto.FLOAT and len(tensor.dims) == 2 and np.prod(tensor.dims) >= SMALLEST


def _axis(node: onnx.NodeProto) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)


def _with_graph(
    model: onnx.ModelProto, nodes: Iterable[onnx.NodeProto], tensors: Iterable[onnx.TensorProto]
) -> onnx.ModelProto:
    """A model with the inputs, outputs and opset of `model`."""
    graph = helper.make_graph([*nodes], model.graph.name, model.graph.input, model.graph.output, [*tensors])
    domains = [*model.opset_import]
    if any(node.domain == DOMAIN for node in graph.node) and all(one.domain != DOMAIN for one in domains):
        domains.append(helper.make_opsetid(DOMAIN, 1))
    return helper.make_model(graph, opset_imports=domains, ir_version=model.ir_version)
