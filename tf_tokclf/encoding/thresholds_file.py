"""`thresholds.json` in a model folder: the least score of predicted spans of each type, and what it promises."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tf_tokclf.counted import counted
from tf_tokclf.encoding.folder_files import is_there
from tf_tokclf.encoding.model_info import ModelInfo
from tf_tokclf.encoding.onnx_record import weights_sha256
from tf_tokclf.errors import UserError
from tf_tokclf.files import check_links, write_json
from tf_tokclf.json_text import read_json
from tf_tokclf.labels.label_set import LabelSet

FILE_NAME = "thresholds.json"
FORMAT_VERSION = 1
_REMOVE = "tf-tokclf thresholds MODEL --remove, or ignore them (predict, serve, redact: --no-thresholds)."
MAKE_AGAIN = f"Make them again with tf-tokclf thresholds, remove them with {_REMOVE}"
_LONGEST_FILE = 1 << 22
_MOST_TYPES = 100_000

_Share = Field(ge=0, le=1, allow_inf_nan=False)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class StoredTarget(_Part):
    """What a threshold is for: a measure of the spans of a type, and the least value that it should have."""

    measure: Literal["recall", "precision"]
    least: float = Field(gt=0, lt=1, allow_inf_nan=False)

    def __str__(self) -> str:
        return f"{self.measure}>={self.least:g}"


class StoredThreshold(_Part):
    """The threshold of a type.

    target: None if none was set. is_met: whether the threshold keeps the target with the confidence of the file. value,
    low: the measure on the calibration data, and its lower bound. Without a target, they are None.
    """

    threshold: float = _Share
    target: StoredTarget | None = None
    is_met: bool = True
    value: float | None = Field(None, ge=0, le=1, allow_inf_nan=False)
    low: float | None = Field(None, ge=0, le=1, allow_inf_nan=False)


class CalibrationData(_Part):
    """The data with which thresholds were chosen. name: a split, or the name of a file, without its folder."""

    name: str = Field(max_length=1000)
    sha256: str = Field(pattern="^[0-9a-f]{8,64}$")
    n_sentences: int = Field(ge=0)


class Thresholds(_Part):
    """All thresholds of a model, and what they were made for.

    labels, scheme, temperature: those of the model. weights: the SHA-256 of each of its weight files, by name.
    aggregation: how the scores of a word's subword tokens became the word's score. versions: of the programs, by name.
    """

    format_version: int = Field(ge=1)
    labels: tuple[str, ...] = Field(max_length=_MOST_TYPES, strict=False)
    scheme: str
    temperature: float = Field(gt=0, allow_inf_nan=False)
    aggregation: Literal["first", "average", "max"]
    weights: Mapping[str, str]
    confidence: float = Field(gt=0, lt=1, allow_inf_nan=False)
    data: CalibrationData
    versions: Mapping[str, str]
    types: Mapping[str, StoredThreshold] = Field(max_length=_MOST_TYPES)

    def summary(self, *, most: int | None = None) -> str:
        """The thresholds in one line, those with the same target and threshold together. most: of them, if not all.

        >>> types = {"LOC": StoredThreshold(threshold=0.5), "PER": StoredThreshold(threshold=0.25)}
        >>> print(Thresholds.model_construct(types=types).summary())
        0.5 for LOC; 0.25 for PER
        >>> print(Thresholds.model_construct(types=types).summary(most=1))
        0.5 for LOC; others for 1 more type
        """
        names: dict[str, list[str]] = {}
        for name, one in sorted(self.types.items()):
            kept = f" ({one.target}{'' if one.is_met else ' not reached'})" if one.target else ""
            names.setdefault(f"{one.threshold:g}{kept}", []).append(name)
        shown = list(names.items())[:most]
        groups = [f"{threshold} for {_few(of_threshold)}" for threshold, of_threshold in shown]
        if n_left := len(self.types) - sum(len(of_threshold) for _, of_threshold in shown):
            groups.append(f"others for {counted(n_left, 'more type')}")
        return "; ".join(groups)


def _few(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 3 else f"{', '.join(names[:2])} and {len(names) - 2} more"


def write_thresholds(folder: Path, thresholds: Thresholds) -> None:
    """Write `thresholds.json` to a model folder, completely or not at all."""
    write_json(folder / FILE_NAME, thresholds.model_dump(mode="json"))


def read_thresholds(folder: Path, info: ModelInfo) -> Thresholds | None:
    """The thresholds in a model folder; None if there are none.

    Raises UserError if the file is damaged, or was made for other labels, another temperature or other weights.
    """
    return read_thresholds_for(folder, info.labels, info.temperature)


def read_thresholds_for(folder: Path, labels: LabelSet, temperature: float) -> Thresholds | None:
    """Like `read_thresholds`, for the labels and the temperature of a model."""
    found = stored_thresholds(folder)
    if found and (misfit := _misfit(found, labels, temperature, folder)):
        raise UserError(f"the thresholds {misfit}.", path=folder / FILE_NAME, hint=MAKE_AGAIN)
    return found


def stored_thresholds(folder: Path) -> Thresholds | None:
    """Like `read_thresholds`, but not compared with the model."""
    path = folder / FILE_NAME
    if not is_there(path):
        return None
    check_links(folder, [path], hint="Copy the file into the folder.")
    values: Any = read_json(path, hint=MAKE_AGAIN, longest=_LONGEST_FILE)
    version = values.get("format_version") if isinstance(values, dict) else None
    if isinstance(version, int) and version > FORMAT_VERSION:
        hint = f"Upgrade with pip install -U tf-tokclf, remove the thresholds with {_REMOVE}"
        raise UserError("was written by a newer version of tf-tokclf.", path=path, hint=hint)
    try:
        return Thresholds.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))[:200]
        problem = re.sub("^Value error, ", "", first["msg"])
        raise UserError(f"{place + ': ' if place else ''}{problem}.", path=path, hint=MAKE_AGAIN) from error


def _misfit(found: Thresholds, labels: LabelSet, temperature: float, folder: Path) -> str | None:
    """Why thresholds do not belong to a model; None if they do."""
    if (set(found.labels), found.scheme) != (set(labels.names), labels.scheme.value):
        return "were made for other labels"
    if missing := sorted(set(labels.types).symmetric_difference(found.types)):
        return f"and the model's labels do not have the same types, such as {missing[0][:100]!r}"
    if found.temperature != temperature:
        return f"were made for the temperature {found.temperature:.4g}, but the model has {temperature:.4g}"
    weights = weights_sha256(folder)
    # An export has no weights of its own.
    if weights and weights != found.weights:
        return "were made for other weights"
    return None
