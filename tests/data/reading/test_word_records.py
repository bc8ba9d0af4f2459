"""Records of words and spans of words: inclusive and exclusive ends, nested spans, invalid spans."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.data.converting import converted


@pytest.mark.parametrize(
    ("ner", "words", "options", "sentence"),
    [
        # A span that ends after the last word, or at its own start, shows how ends are counted.
        ([[0, 2, "PER"]], ["Ada", "Lovelace"], (), "Ada/B-PER Lovelace/I-PER"),
        ([[0, 1, "PER"], [2, 2, "X"]], ["Ada", "Lovelace", "left"], (), "Ada/B-PER Lovelace/I-PER left/B-X"),
        ([[0, 1, "PER"]], ["Ada", "Lovelace", "left"], (), "Ada/B-PER Lovelace/I-PER left/O"),
        ([[0, 1, "PER"]], ["Ada", "Lovelace", "left"], ("--offset-end", "exclusive"), "Ada/B-PER Lovelace/O left/O"),
    ],
)
def test_ends_of_spans_of_words_are_found_out(tmp_path, ner, words, options, sentence):
    record = json.dumps({"tokenized_text": words, "ner": ner})
    assert converted(tmp_path, "a.jsonl", record + "\n", *options).sentences == [sentence]


def test_ends_that_contradict_each_other_are_an_error(tmp_path: Path):
    record = json.dumps({"tokenized_text": ["Ada", "left"], "ner": [[0, 0, "PER"], [0, 2, "X"]]})
    result = converted(tmp_path, "a.jsonl", record + "\n")
    assert result.exit_code == 2
    assert "data.offset_end" in result.messages


def test_spans_of_words_that_are_not_there(tmp_path: Path):
    record = json.dumps({"tokens": ["Ada", "left"], "entities": [{"type": "PER", "start": 0, "end": 9}]})
    result = converted(tmp_path, "a.jsonl", record + "\n")
    assert result.exit_code == 2
    assert "the span PER from word 0 to 9 is not valid in a sentence of 2 words" in result.messages
    result = converted(tmp_path, "a.jsonl", record + "\n", "--on-error", "skip")
    assert result.sentences == ["Ada/O left/O"]
    assert "1 span dropped: words out of range" in result.messages


def test_nested_spans_of_words_are_layers(tmp_path: Path):
    record = json.dumps({"tokenized_text": ["New", "York", "Times"], "ner": [[0, 2, "ORG"], [0, 1, "LOC"]]})
    assert converted(tmp_path, "a.jsonl", record + "\n").exit_code == 2
    assert converted(tmp_path, "a.jsonl", record, "--layer", "1").sentences == ["New/B-LOC York/I-LOC Times/O"]
