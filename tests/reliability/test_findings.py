"""Bugs found by fuzzing, each with the smallest input that reproduces it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tf_tokclf.config.loading import load_config
from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.arrow import batches_of
from tf_tokclf.data.splits import read_sentences
from tf_tokclf.errors import UserError
from tf_tokclf.records.stream import open_records
from tf_tokclf.scoring.predictions import read_predictions

RECORD = {"tokens": ["a"], "ner_tags": ["O"]}
SPAN = {"text": "a b", "entities": [[0, 1, "X"]]}

READ = {
    "an encoding that is none of text": ("a.conll", b"a\tO\n", {"encoding": "hex"}),
    "utf-7 that spells half a character": ("a.txt", b"+2AA-\n", {"encoding": "utf-7", "format": "text"}),
    "half a character in a field of csv": ("a.csv", b"tokens\n+2AA-\n", {"encoding": "utf-7"}),
    "half a character in JSON": ("a.jsonl", b'{"tokens": ["\\ud800"], "ner_tags": ["O"]}\n', {}),
    "half a character in a text with spans": ("a.jsonl", b'{"text": "\\ud800", "entities": []}\n', {}),
    "a layer below the outermost": ("a.jsonl", json.dumps(SPAN).encode(), {"layer": -1}),
    "a superscript for an id": (
        "a.jsonl",
        b'{"tokens": ["a"], "ner_tags": ["\\u00b2", "9"]}\n',
        {"label_names": ("O",)},
    ),
    "a superscript for a column": ("a.conll", b"a\tO\n", {"label_column_name": "\u00b2"}),
    "two hyphens before a column": ("a.conll", b"a\tO\n", {"label_column_name": "--1"}),
    "a separator of two signs": ("a.csv", b"tokens,tags\na,O\n", {"separator": "::"}),
    "a line feed between fields": ("a.csv", b"tokens,tags\na,O\n", {"separator": "\n"}),
    "an unhashable key in a printed list": ("a.csv", b'tokens,tags\n"[{[]: 1}]",O\n', {}),
    "half a character in a printed list": ("a.csv", b"tokens,tags\n\"['N\\ud800']\",O\n", {}),
    "annotations that are no mappings": ("a.json", b'[{"data": {"text": "a"}, "annotations": [5]}]', {}),
    "annotations that are no list": ("a.json", b'[{"data": {"text": "a"}, "annotations": {"b": 1}}]', {}),
    "results that are no list": ("a.json", b'[{"data": {"text": "a"}, "annotations": [{"result": 5}]}]', {}),
    "values that are no mappings": (
        "a.json",
        b'[{"data": {"text": "a"}, "annotations": [{"result": [{"value": true}]}]}]',
        {},
    ),
    "points that are no mappings": (
        "a.json",
        b'[{"content": "a", "annotation": [{"label": ["X"], "points": ["b"]}]}]',
        {"format": "dataturks"},
    ),
    "tokens at places that are no numbers": (
        "a.json",
        b'[{"text": "a", "spans": [], "tokens": [{"start": 0, "end": "1"}]}]',
        {"format": "prodigy"},
    ),
    "brackets without end": ("a.jsonl", b"[" * 100_000 + b"\n", {}),
    "a number of 5000 digits": ("a.json", b"[\n" + b"9" * 5000 + b"]", {}),
}


@pytest.mark.parametrize("case", READ)
def test_readers_end_in_one_message(tmp_path: Path, case: str):
    name, content, options = READ[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        list(batches_of(iter(read_sentences(tmp_path / name, DataConfig(**options), task=Task.NER))))
    assert caught.value.hint


def test_a_document_named_in_wrong_bytes_is_read(tmp_path: Path):
    path = tmp_path / "a.conll"
    path.write_bytes(b"# newdoc id = \xc3\na\tO\n")
    (sentence,) = read_sentences(path, DataConfig())
    assert sentence.document == "\N{REPLACEMENT CHARACTER}"
    assert list(batches_of(iter([sentence])))


@pytest.mark.parametrize("content", [b"seed: 2024-99-99", b"a: !!bool maybe", b"a: !!int ''", b"a: 0o(", b"[" * 99_999])
def test_configurations_that_yaml_stumbles_over(tmp_path: Path, content: bytes):
    path = tmp_path / "c.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"c\.yaml"):
        load_config(path)


@pytest.mark.parametrize("content", [b'[5, {"tokens": ["a"]}]', b'[{"tokens": ["\\ud800"]}]'])
def test_every_record_to_label_comes_out(tmp_path: Path, content: bytes):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    stream = open_records(str(path), DataConfig(), keep_errors=True)
    try:
        assert len(list(stream.records())) == len(json.loads(content))
    finally:
        stream.close()


def test_predictions_nested_without_end(tmp_path: Path):
    path = tmp_path / "p.jsonl"
    path.write_bytes(b'{"words": ["a"], "predicted": ["O"], "gold": ["O"]}\n' + b"[" * 100_000)
    with pytest.raises(UserError, match="line 2: is not valid JSON"):
        list(read_predictions(path))
