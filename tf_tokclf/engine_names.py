"""The names of engines, the libraries that compute a forward pass, and of the precisions that each has."""

from __future__ import annotations

ENGINES = ("auto", "tensorflow", "onnx")
# For TensorFlow these are settings of the computation, for ONNX each is a file.
TENSORFLOW_PRECISIONS = ("auto", "float32", "mixed_float16", "mixed_bfloat16")
ONNX_PRECISIONS = ("float32", "float16", "int8", "int4")
ONLY_ONNX = frozenset(ONNX_PRECISIONS) - frozenset(TENSORFLOW_PRECISIONS)
