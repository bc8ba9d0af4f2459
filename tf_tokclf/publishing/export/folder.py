"""Check the format and the output folder of an export before it is written."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from tf_tokclf.config.schema import DataConfig
from tf_tokclf.data.inputs import data_files, data_files_of_run, model_files
from tf_tokclf.encoding.model_folders import ONNX_FILES
from tf_tokclf.errors import UserError
from tf_tokclf.files import check_no_input, check_replaceable
from tf_tokclf.optional_packages import check_full_install, check_installed
from tf_tokclf.publishing.export.scripts import scripts_in

# int8 with as few columns and layers in float32 as the limits allow.
AUTO = "auto"
# Every export contains this file.
AGREEMENT = "agreement.json"
QUANTIZATIONS = {"savedmodel": (), "tflite": ("float16", "int8"), "onnx": ("float16", "int8", "int4", AUTO)}
# What to do about a format that a model cannot be converted to, or in which its export does not run.
OTHER_FORMATS = (
    "Every type of model can be exported with --format savedmodel. docs/encoders.md lists the other formats."
)
# The modules that are needed to write an export and run it for the comparison, in addition to TensorFlow.
MODULES = {"savedmodel": (), "tflite": ("ai_edge_litert",), "onnx": ("onnx", "onnxruntime", "tf2onnx")}


def model_file(format: str, quantize: str | None) -> str:
    """What the runtime loads, relative to the folder of the export."""
    return (
        ONNX_FILES["int8" if quantize == AUTO else quantize]
        if format == "onnx"
        else {"savedmodel": "1", "tflite": "model.tflite"}[format]
    )


def check_format(format: str, quantize: str | None, keep_float32: Sequence[str] = ()) -> None:
    """Raise UserError if the format does not support the quantisation, or a package that it needs is missing."""
    if keep_float32 and (format != "onnx" or quantize not in ("int8", "int4", AUTO)):
        hint = "Add --format onnx --quantize int8, or leave out --keep-float32."
        raise UserError("--keep-float32 is for ONNX exports in int8 or int4.", hint=hint)
    if quantize is not None and quantize not in QUANTIZATIONS[format]:
        offered = " or ".join(f"--quantize {name}" for name in QUANTIZATIONS[format])
        hint = f"Use {offered}, or leave it out." if offered else "Leave out --quantize."
        raise UserError(f"{format} does not support quantisation to {quantize}.", hint=hint)
    check_full_install("export")
    check_installed(f"export --format {format}", *MODULES[format], extra="export")


def check_free(output: Path, model: str | Path, data: DataConfig, *, texts: str | None = None, force: bool) -> None:
    """Raise UserError if `output` must not be written.

    That is the case if it contains the `model`, the `data` to compare on or the file `texts`, or if it exists, unless
    `force` is set and it is an export or empty. texts: a value of --trim-vocabulary. Unknown scripts in it are refused.
    """
    more = data_files(DataConfig(test_file=texts)) if texts and not scripts_in(texts) else ()
    check_no_input(output, chain(model_files(str(model)), data_files(data), data_files_of_run(model), more))
    if not (output.exists() or output.is_symlink()):
        return
    if not output.is_dir() or (any(output.iterdir()) and not (output / AGREEMENT).is_file()):
        raise UserError("exists and is not an export.", path=output, hint="Choose another folder.")
    check_replaceable(output)
    if not force:
        raise UserError("already exists.", path=output, hint="Choose another folder, or pass --force.")
