"""Describe the ONNX file of an export in its record, which prediction checks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tf_tokclf.encoding.onnx_record import OnnxFile, OnnxPrecision, write_onnx_record
from tf_tokclf.files import sha256_of


def write_record_of(path: Path, folder: Path, *, precision: OnnxPrecision, weights: Mapping[str, str]) -> None:
    """Write the record of the ONNX file `path` in the folder of an export.

    weights: the SHA-256 of each weight file of the model that was exported.
    """
    file = OnnxFile(file=path.name, precision=precision, sha256=sha256_of(path), opset=_opset(path))
    write_onnx_record(folder, [file], weights=weights)


def _opset(path: Path) -> int:
    """The version of ONNX's own operators that the file uses."""
    import onnx

    versions = onnx.load(str(path), load_external_data=False).opset_import
    return next(int(used.version) for used in versions if used.domain in ("", "ai.onnx"))
