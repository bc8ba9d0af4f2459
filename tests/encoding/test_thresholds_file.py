"""`thresholds.json` from an unknown source: a damaged or foreign file is one message."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tf_tokclf.encoding.model_info import ModelInfo
from tf_tokclf.encoding.thresholds_file import FILE_NAME, Thresholds, read_thresholds, write_thresholds
from tf_tokclf.encoding.windows import WindowSettings
from tf_tokclf.errors import UserError
from tf_tokclf.labels.label_set import LabelSet
from tf_tokclf.labels.schemes import Scheme

INFO = ModelInfo(WindowSettings("first", max_length=64, overlap=8), LabelSet(("O", "B-X", "I-X"), Scheme.IOB2))
GOOD: dict[str, Any] = {
    "format_version": 1,
    "labels": ["O", "B-X", "I-X"],
    "scheme": "IOB2",
    "temperature": 1.0,
    "aggregation": "first",
    "weights": {"model.safetensors": "0" * 64},
    "confidence": 0.95,
    "data": {"name": "validation", "sha256": "0123456789abcdef", "n_sentences": 10},
    "versions": {"tf-tokclf": "0.1"},
    "types": {"X": {"threshold": 0.25, "target": {"measure": "recall", "least": 0.9}, "is_met": True}},
}


def stored(folder: Path, **changes: Any) -> Path:
    (folder / FILE_NAME).write_text(json.dumps({**GOOD, **changes}), encoding="utf-8")
    return folder


def test_a_file_is_read_as_it_was_written(tmp_path: Path):
    assert read_thresholds(tmp_path, INFO) is None
    thresholds = Thresholds.model_validate(GOOD)
    write_thresholds(tmp_path, thresholds)
    assert read_thresholds(tmp_path, INFO) == thresholds
    assert thresholds.summary() == "0.25 (recall>=0.9) for X"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": ["O", "B-Y", "I-Y"]}, "made for other labels"),
        ({"scheme": "BIOES"}, "made for other labels"),
        ({"types": {}}, "not have the same types, such as 'X'"),
        ({"types": {**GOOD["types"], "Z": {"threshold": 0.5}}}, "not have the same types, such as 'Z'"),
        ({"temperature": 2.0}, "made for the temperature 2"),
        ({"types": {"X": {"threshold": 1.5}}}, "types.X.threshold"),
        ({"types": {"X": {"threshold": "0.5"}}}, "types.X.threshold"),
        ({"types": {"X": {"threshold": float("nan")}}}, "types.X.threshold"),
        ({"types": {"X": {"threshold": True}}}, "types.X.threshold"),
        ({"types": [0.5]}, "types"),
        ({"confidence": float("inf")}, "confidence"),
        ({"confidence": 2}, "confidence"),
        ({"format_version": 99}, "newer version"),
        ({"data": {"name": "x", "sha256": "../etc", "n_sentences": 1}}, "data.sha256"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, changes: dict[str, Any], message: str):
    with pytest.raises(UserError, match=message) as error:
        read_thresholds(stored(tmp_path, **changes), INFO)
    assert "tf-tokclf thresholds MODEL --remove, or ignore them (predict, serve, redact: --no-thresholds)" in str(
        error.value
    )


@pytest.mark.parametrize("text", ["", "[]", "nul", "[" * 100_000, '{"format_version": 1}', '"x"', "1" * 5000])
def test_texts_that_are_no_thresholds_are_refused(tmp_path: Path, text: str):
    (tmp_path / FILE_NAME).write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=FILE_NAME):
        read_thresholds(tmp_path, INFO)


def test_a_folder_or_a_link_out_of_the_model_is_refused(tmp_path: Path):
    outside = stored(tmp_path) / FILE_NAME
    for name in ("linked", "nested"):
        (tmp_path / name).mkdir()
    (tmp_path / "linked" / FILE_NAME).symlink_to(outside)
    (tmp_path / "nested" / FILE_NAME).mkdir()
    for name in ("linked", "nested"):
        with pytest.raises(UserError, match=FILE_NAME):
            read_thresholds(tmp_path / name, INFO)


def test_other_weights_are_refused(tmp_path: Path):
    (tmp_path / "model.safetensors").write_bytes(b"other")
    with pytest.raises(UserError, match="made for other weights"):
        read_thresholds(stored(tmp_path), INFO)
