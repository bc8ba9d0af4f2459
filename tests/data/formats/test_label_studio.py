"""Tasks of Label Studio: which tasks are annotated, and which text was annotated."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.data.converting import converted
from tests.data.sample_files import read
from tf_tokclf.cli.main import cli
from tf_tokclf.errors import UserError


def test_the_wrong_unit_is_told_by_the_text_that_comes_with_a_span():
    with pytest.raises(UserError, match="offset_unit=utf16"):
        read("label_studio_utf16.json")


def test_tasks_with_predictions_alone_are_not_annotated(tmp_path: Path):
    value = {"start": 0, "end": 3, "labels": ["PER"]}
    predicted = {"data": {"text": "Tom left"}, "predictions": [{"result": [{"type": "labels", "value": value}]}]}
    imported = {"data": {"text": "Ada left"}}
    done = {"data": {"text": "Bob left"}, "annotations": [{"result": [{"type": "labels", "value": value}]}]}
    result = converted(tmp_path, "a.json", json.dumps([predicted, imported, done]))
    assert (result.exit_code, result.sentences) == (0, ["Bob/B-PER left/O"])
    assert "2 records left out: not annotated" in result.messages
    result = converted(tmp_path, "b.json", json.dumps([predicted, imported]))
    assert result.exit_code == 2
    assert "contains no sentences" in result.messages
    assert "2 records left out: not annotated" in result.messages
    result = CliRunner().invoke(cli, ["inspect", str(tmp_path / "b.json")])
    assert result.exit_code == 2
    assert "2 records left out: not annotated" in result.output
    result = converted(tmp_path, "c.json", json.dumps([predicted]), "--unannotated", "outside")
    assert result.sentences == ["Tom/O left/O"]


def test_a_submitted_annotation_without_spans_is_a_sentence_of_o(tmp_path: Path):
    done = {"data": {"text": "Nobody here"}, "annotations": [{"was_cancelled": False, "result": []}]}
    predicted = {"data": {"text": "Tom left"}, "annotations": [], "predictions": [{"result": [{"value": {}}]}]}
    result = converted(tmp_path, "a.json", json.dumps([done, predicted]))
    assert result.sentences == ["Nobody/O here/O"]
    assert "1 record left out: not annotated" in result.messages


@pytest.mark.parametrize(
    "data",
    [{"id": "a long name of a record", "body": "Ada left"}, {"text": "A title that is long", "body": "Ada left"}],
)
def test_the_text_of_a_task_is_the_one_that_its_spans_cover(tmp_path: Path, data: dict[str, str]):
    value = {"start": 0, "end": 3, "text": "Ada", "labels": ["PER"]}
    task = {"data": data, "annotations": [{"result": [{"value": value}]}]}
    assert converted(tmp_path, "a.json", json.dumps([task])).sentences == ["Ada/B-PER left/O"]
