"""JSON records: how they are wrapped, and label ids."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.converting import converted
from tests.data.sample_files import SAMPLES, read
from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.detection import open_reader


def test_ids_take_their_names_from_the_options():
    assert read("ids_with_names_elsewhere.jsonl")[0].labels == ("1", "0")
    assert read("ids_with_names_elsewhere.jsonl", label_names=("O", "B-PER"))[0].labels == ("B-PER", "O")


def test_ids_without_names_are_said():
    reader = open_reader(SAMPLES / "ids_with_names_elsewhere.jsonl", DataConfig(), Task.NER)
    assert "ids without names" in reader.notes[0]


WRAPPED = {
    '{"train": [{"tokens": ["Ada"], "tags": ["B-PER"]}]}': ["Ada/B-PER"],
    '{"tokens": [["Ada", "left"], ["Oslo"]], "tags": [["B-PER", "O"], ["B-LOC"]]}': ["Ada/B-PER left/O", "Oslo/B-LOC"],
    '[{"tokens": ["Ada"], "tags": ["B-PER"]}]': ["Ada/B-PER"],
    '{"tokens": ["Ada"], "tags": ["B-PER"]}': ["Ada/B-PER"],
    '{"data": [{"tokens": ["Ada"], "tags": ["B-PER"]}]}': ["Ada/B-PER"],
}


@pytest.mark.parametrize("content", WRAPPED)
def test_records_however_they_are_wrapped(tmp_path: Path, content: str):
    assert converted(tmp_path, "a.json", content).sentences == WRAPPED[content]


def test_several_splits_in_one_file_are_an_error(tmp_path: Path):
    result = converted(tmp_path, "a.json", '{"train": [{"tokens": ["a"], "tags": ["O"]}], "test": []}')
    assert result.exit_code == 2
    assert "contains several splits: train, test" in result.messages
