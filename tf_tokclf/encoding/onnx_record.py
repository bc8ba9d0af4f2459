"""`onnx/record.json` in a model folder: its ONNX files, and the weights that they were exported from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tf_tokclf.encoding.crf_file import FILE_NAME as CRF
from tf_tokclf.encoding.crf_file import crf_sha256
from tf_tokclf.encoding.folder_files import is_there
from tf_tokclf.encoding.weight_files import weight_files
from tf_tokclf.engine_names import ONNX_PRECISIONS
from tf_tokclf.errors import UserError
from tf_tokclf.files import check_links, sha256_of, write_json
from tf_tokclf.json_text import read_json

FOLDER = "onnx"
RECORD = f"{FOLDER}/record.json"
FORMAT_VERSION = 1
EXPORT_AGAIN = "Export the model again: tf-tokclf export MODEL --format onnx."

OnnxPrecision = Literal["float32", "float16", "int8", "int4"]

_Sha256 = Field(pattern="^[0-9a-f]{64}$")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class OnnxFile(_Part):
    """An ONNX file. file: its name in the folder of the record. precision: the number format of its weights."""

    file: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.onnx$")
    precision: OnnxPrecision
    sha256: str = _Sha256
    opset: int = Field(ge=1)


class OnnxRecord(_Part):
    """The ONNX files of a model folder.

    weights: the SHA-256 of each weight file of the model that was exported, by name. default: the precision of the file
    to use unless the user chooses another. files: one for each precision. crf: the SHA-256 of crf.json, None for a
    model without a CRF.
    """

    format_version: int = Field(ge=1)
    weights: Mapping[str, str]
    default: OnnxPrecision
    files: tuple[OnnxFile, ...] = Field(min_length=1, max_length=len(ONNX_PRECISIONS), strict=False)
    crf: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")

    @model_validator(mode="after")
    def _consistent(self) -> OnnxRecord:
        given = [file.precision for file in self.files]
        if len(set(given)) < len(given):
            raise ValueError("two files have the same precision")
        if self.default not in given:
            raise ValueError(f"there is no file in the default precision {self.default}")
        return self

    @property
    def precisions(self) -> tuple[OnnxPrecision, ...]:
        """The precisions of the files."""
        return tuple(file.precision for file in self.files)

    def file_in(self, precision: str) -> OnnxFile | None:
        """The file in this precision, if there is one."""
        return next((file for file in self.files if file.precision == precision), None)


def write_onnx_record(folder: Path, files: Iterable[OnnxFile], *, weights: Mapping[str, str]) -> None:
    """Write the record of `files` to a model folder. The first of them is the default. If the model has a CRF, its file
    must already be in the folder.
    """
    files = tuple(files)
    record = OnnxRecord(
        format_version=FORMAT_VERSION,
        weights=weights,
        default=files[0].precision,
        files=files,
        crf=crf_sha256(folder),
    )
    write_json(folder / RECORD, record.model_dump(mode="json"))


def read_onnx_record(folder: Path) -> OnnxRecord | None:
    """The record of the ONNX files in a model folder; None if there is none.

    Raises UserError if it is damaged, or was written by a newer version of this program.
    """
    path = folder / RECORD
    if not is_there(path):
        return None
    check_links(folder, [path], hint="Copy the file into the folder.")
    values: Any = read_json(path, hint=EXPORT_AGAIN)
    version = values.get("format_version") if isinstance(values, dict) else None
    if isinstance(version, int) and version > FORMAT_VERSION:
        hint = "Upgrade with pip install -U tf-tokclf."
        raise UserError("was written by a newer version of tf-tokclf.", path=path, hint=hint)
    try:
        return OnnxRecord.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        problem = re.sub("^Value error, ", "", first["msg"])
        raise UserError(f"{place + ': ' if place else ''}{problem}.", path=path, hint=EXPORT_AGAIN) from error


def check_crf(folder: Path, record: OnnxRecord) -> None:
    """Raise UserError unless the folder has the CRF of the model that was exported, or none if that had none."""
    if crf_sha256(folder) != record.crf:
        raise UserError("does not match onnx/record.json.", path=folder / CRF, hint=EXPORT_AGAIN)


def weights_sha256(folder: Path) -> dict[str, str]:
    """The SHA-256 of each weight file in a model folder, by name; empty for a folder without weights."""
    return {path.name: sha256_of(path) for path in weight_files(folder)}
