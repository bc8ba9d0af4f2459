"""What is checked before an export: its format, and the folder that it is written to."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

from tf_tokclf.config.schema import DataConfig
from tf_tokclf.data.inputs import data_files, data_files_of_run, model_files
from tf_tokclf.errors import UserError
from tf_tokclf.files import check_no_input, check_replaceable
from tf_tokclf.optional_packages import check_installed

# Every export has it.
AGREEMENT = "agreement.json"
QUANTIZATIONS = {"savedmodel": (), "tflite": ("float16", "int8"), "onnx": ("int8",)}
# Modules beside TensorFlow that write an export, or run it for the comparison.
MODULES = {"savedmodel": (), "tflite": ("ai_edge_litert",), "onnx": ("onnx", "onnxruntime", "tf2onnx")}


def check_format(format: str, quantize: str | None) -> None:
    """Raise UserError where a format does not have that quantisation, or where a package that it needs is missing."""
    if quantize is not None and quantize not in QUANTIZATIONS[format]:
        offered = ", ".join(QUANTIZATIONS[format]) or "none"
        raise UserError(f"{format} has no quantisation {quantize}.", hint=f"There is {offered}.")
    check_installed(f"export --format {format}", *MODULES[format], extra="export")


def check_free(output: Path, model: str | Path, data: DataConfig, *, force: bool) -> None:
    """Raise UserError where something is at `output` already, unless `force` is on and it is an export or empty, and
    where it contains what is read: `model`, or the `data` to compare on.
    """
    check_no_input(output, chain(model_files(str(model)), data_files(data), data_files_of_run(model)))
    if not (output.exists() or output.is_symlink()):
        return
    if not output.is_dir() or (any(output.iterdir()) and not (output / AGREEMENT).is_file()):
        raise UserError("is not an export, so it is not replaced.", path=output, hint="Choose another folder.")
    check_replaceable(output)
    if not force:
        raise UserError("already exists.", path=output, hint="Choose another folder, or pass --force.")
