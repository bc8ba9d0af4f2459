"""Detect the fields of words and labels in records."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.data.converting import converted, of_records


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", '[{"entity_group": "PER", "score": 0.9, "word": "Ada", "start": 0, "end": 3}]'),
        ("a.csv", "text,entities\nAda left,\"{'entities': [(0, 3, 'PER')]}\"\n"),
    ],
)
def test_labels_that_are_not_understood_are_an_error(tmp_path: Path, name: str, text: str):
    result = converted(tmp_path, name, text)
    assert result.exit_code == 2
    assert "may contain labels, but cannot be interpreted" in result.messages


def test_a_column_of_labels_with_any_name(tmp_path: Path):
    result = converted(tmp_path, "a.csv", "word,pos,gold\nAda,NN,B-PER\n[1],CD,O\nleft,VB,O\n")
    assert result.sentences == ["Ada/B-PER [1]/O left/O"]
    result = converted(tmp_path, "a.csv", "word,gold,other\nAda,B-PER,O\nleft,O,O\n")
    assert (result.exit_code, "several fields may contain the labels: gold, other" in result.messages) == (2, True)
    assert converted(tmp_path, "a.csv", "word,pos\nAda,NN\n").sentences == ["Ada"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"tokens": ["Ada"], "tags": ["B-PER"]}, {"tokens": ["Tom"], "ner_tags": ["B-PER"]}),
        ({"text": "Ada", "entities": [[0, 3, "PER"]]}, {"text": "Tom", "label": [[0, 3, "PER"]]}),
    ],
)
def test_labels_in_another_field_are_not_taken_for_none(tmp_path: Path, first: dict, second: dict):
    result = converted(tmp_path, "a.jsonl", f"{json.dumps(first)}\n{json.dumps(second)}\n")
    assert result.exit_code == 2
    assert "may contain labels" in result.messages


@pytest.mark.parametrize(
    ("record", "field"),
    [
        ({"text": "Ada left", "entityLabels": [{"from": 0, "to": 3, "name": "PER"}]}, "entityLabels"),
        ({"text": "Ada left", "marks": [[0, 3, "PER"]], "id": 1}, "marks"),
        ({"text": "Ada left", "gold": {"a": {"s": 0, "e": 3, "t": "PER"}}}, "gold"),
        ({"tokens": ["Ada", "left"], "pos_tags": ["NNP", "VBD"]}, "pos_tags"),
        ({"tokens": ["Ada", "left"], "upper_tags": ["A", "O"], "fine_labels": ["B", "O"]}, "upper_tags, fine_labels"),
    ],
)
def test_what_could_be_labels_and_is_not_understood_is_an_error_that_shows_it(tmp_path, record, field):
    result = of_records(tmp_path, [record])
    assert result.exit_code == 2
    assert field in result.messages
    assert "--label-column-name" in result.messages
    bare = of_records(tmp_path, [record], "--label-column-name", "")
    assert (bare.exit_code, bare.sentences) == (0, ["Ada left"])


def test_a_list_of_labels_beside_the_words_is_found_whatever_its_name(tmp_path: Path):
    result = of_records(tmp_path, [{"words": ["Ada", "left"], "bboxes": [[1, 2], [3, 4]], "word_labels": [1, 0]}])
    assert result.sentences == ["Ada/1 left/0"]
    assert "labels in 'word_labels'" in result.messages
    records = [{"tokens": ["Ada", "left"], "gold": ["B-PER", "O"]}]
    assert of_records(tmp_path, records).sentences == ["Ada/B-PER left/O"]
