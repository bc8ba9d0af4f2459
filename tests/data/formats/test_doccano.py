"""Records of doccano: several annotators, and types by id."""

from __future__ import annotations

from pathlib import Path

from tests.data.converting import CASES, case, of_records
from tf_tokclf.config.schema import DataConfig
from tf_tokclf.data.splits import read_sentences


def test_annotators_of_doccano_stand_in_one_list(tmp_path: Path):
    spans = [
        {"start_offset": 0, "end_offset": 5, "label": "PER", "user": 1},
        {"start_offset": 11, "end_offset": 16, "label": "LOC", "user": 2},
    ]
    records = [{"text": "Marie left Paris", "annotations": spans}]
    result = of_records(tmp_path, records)
    assert result.sentences == ["Marie/B-PER left/O Paris/O"]
    assert "1 record with several annotations" in result.messages
    assert of_records(tmp_path, records, "--annotations", "2").sentences == ["Marie/O left/O Paris/B-LOC"]


def test_label_ids_without_names_are_reported_and_names_can_be_given():
    result = case("doccano_annotations_ids.jsonl")
    assert result.sentences[0] == "Marie/B-2 lives/O in/O Paris/O"
    assert "1 span whose type is an id without a name (set data.label_names)" in result.messages
    named = DataConfig(label_names=("LOC", "ORG", "PER"))
    first = next(iter(read_sentences(CASES / "doccano_annotations_ids.jsonl", named)))
    assert first.labels == ("B-PER", "O", "O", "O")
