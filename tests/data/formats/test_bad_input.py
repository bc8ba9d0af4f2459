"""Common mistakes in input, and the messages about them: place, problem and remedy."""

from __future__ import annotations

import logging

import pytest

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.splits import load_splits, read_sentences
from tf_tokclf.errors import UserError

GOOD = b"Ada\tB-PER\nsmiled\tO\n\n"

TABLE = {
    "ragged line": ("a.conll", GOOD + b"Bob\tB-PER\textra\n", {}, "line 4: the line has 3 columns instead of 2"),
    "missing column": (
        "a.conll",
        GOOD + b"Bob\n",
        {},
        "line 4: the line has 1 column instead of 2: 'Bob'. Correct",
    ),
    "empty label": ("a.conll", GOOD + b"Bob\t\n", {}, "line 4: the label is empty"),
    "empty word": ("a.conll", GOOD + b"\tO\n", {}, "line 4: the word is empty"),
    "wrong byte": (
        "a.conll",
        GOOD + b"Jos\xe9\tB-PER\n",
        {},
        "line 4: byte 0xe9 is not valid utf-8 in 'Jos\ufffd\\tB-PER'.",
    ),
    "unknown encoding": ("a.conll", GOOD, {"encoding": "klingon"}, "no encoding named 'klingon'"),
    "no such column": (
        "a.conll",
        GOOD,
        {"label_column_name": 5},
        "there is no column 5. The columns are 0 to 1.",
    ),
    "no such name": (
        "a.conll",
        GOOD,
        {"label_column_name": "ner"},
        "there is no column 'ner'. The file has no header",
    ),
    "no such layer": ("a.conll", GOOD, {"layer": 3}, "there is no layer 3."),
    "no such format": (
        "a.conll",
        GOOD,
        {"format": "conl"},
        "there is no format 'conl'. Did you mean conll? Known formats: argilla, bigbio",
    ),
    "header of another width": (
        "a.conll",
        b"token\tpos\tner\nAda\tB-PER\n",
        {},
        "line 1: no other line has 3 columns like the first one: 'token\\tpos\\tner'. Set the separator",
    ),
    "empty file": ("a.conll", b"\n \n", {}, "a.conll: contains no words."),
    "json that breaks off": (
        "a.jsonl",
        b'{"tokens": ["a"], "tags": ["O"]}\n{"tokens": [\n',
        {},
        "line 2: is not valid JSON",
    ),
    "json that is no record": (
        "a.jsonl",
        b'{"tokens": ["a"], "tags": ["O"]}\n5\n',
        {},
        "line 2: is not a JSON object",
    ),
    "tags of another length": (
        "a.jsonl",
        b'{"tokens": ["a", "b"], "tags": ["O"]}\n',
        {},
        "line 1: 2 words in 'tokens', but 1 label in 'tags'. Each word needs exactly one label.",
    ),
    "no words among fields": (
        "a.jsonl",
        b'{"x": 1}\n',
        {},
        "none of the columns x seems to contain words or texts. Name it with",
    ),
    "id without a name": (
        "a.jsonl",
        b'{"tokens": ["a"], "tags": [7]}\n',
        {"label_names": ("O", "B-X")},
        "there is no label with id 7. There are 2 labels",
    ),
    "empty json": ("a.json", b"", {}, "contains no records"),
    "json that is not a list": ("a.json", b"5\n", {}, "is not a list of records: '5'"),
    "csv with odd line ends": ("a.csv", b"tokens,tags\na\rb,O\n", {}, "is not valid CSV"),
    "broken json list": ("a.json", b'[\n{"tokens": [1,,]}]', {}, "line 2: is not valid JSON"),
    "csv row too long": ("a.csv", b"tokens,tags\na,O,O\n", {}, "line 2: the row has 3 fields instead of 2"),
    "csv list that is none": (
        "a.csv",
        b'tokens,tags\n"[a, b]",O O\n',
        {},
        "line 2: 'tokens' is not a list: '[a, b]'",
    ),
    "conllu with nine columns": (
        "a.conllu",
        b"1\ta\t_\tX\t_\t_\t0\t_\t_\t_\n\n1\ta\t_\tX\n",
        {},
        "line 3: the line has 4 columns instead of 10",
    ),
    "conllu with a word for an id": (
        "a.conllu",
        b"1\ta\t_\tX\t_\t_\t0\t_\t_\t_\n\nx\ta\t_\tX\t_\t_\t0\t_\t_\t_\n",
        {},
        "line 3: is not valid CoNLL-U",
    ),
    "conllu field": (
        "a.conllu",
        b"1\ta\t_\tX\t_\t_\t0\t_\t_\t_\n",
        {"label_column_name": "ner"},
        "no field 'ner'",
    ),
    "span past the end": (
        "a.jsonl",
        b'{"text": "Ada", "entities": [[0, 9, "PER"]]}\n',
        {},
        "PER (0 to 9) is not valid in a text",
    ),
    "span that cuts a word": (
        "a.jsonl",
        b'{"text": "in Paris", "entities": [[3, 5, "LOC"]]}\n',
        {},
        "line 1: the span LOC 'Pa' (3 to 5) begins or ends inside a word. The whole words are 'Paris'. Correct it",
    ),
    "span with white space": (
        "a.jsonl",
        b'{"text": "in Paris", "entities": [[2, 8, "LOC"]]}\n',
        {},
        "the span LOC ' Paris' (2 to 8) has white space at its ends",
    ),
    "spans that overlap": (
        "a.jsonl",
        b'{"text": "New York Times", "entities": [[0, 8, "LOC"], [4, 14, "ORG"]]}\n',
        {},
        "the spans LOC 'New York' and ORG 'York Times' overlap",
    ),
    "span without a type": (
        "a.jsonl",
        b'{"text": "Ada", "entities": [{"start": 0, "end": 3}]}\n',
        {},
        "is not a span",
    ),
    "parquet that is none": ("a.parquet", b"not parquet at all", {}, "a.parquet: is not a Parquet file"),
}


@pytest.mark.parametrize("case", TABLE)
def test_the_message_has_place_problem_and_remedy(tmp_path, case):
    name, content, options, expected = TABLE[case]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        list(read_sentences(path, DataConfig(**options)))
    assert expected in str(caught.value)
    assert str(path) in str(caught.value)
    assert caught.value.hint


def test_a_missing_file_comes_with_a_similar_name(tmp_path):
    (tmp_path / "train.conll").write_bytes(GOOD)
    with pytest.raises(UserError, match=r"there is no such file\. Did you mean .*train\.conll"):
        list(read_sentences(tmp_path / "trian.conll", DataConfig()))


def test_parallel_files_of_different_length(tmp_path):
    (tmp_path / "seq.in").write_text("a b\nc\n", encoding="utf-8")
    (tmp_path / "seq.out").write_text("O O\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"seq\.in, line 2: 1 word, but 0 labels in seq\.out"):
        list(read_sentences(tmp_path, DataConfig()))


def test_a_missing_file_of_brat(tmp_path):
    (tmp_path / "a.ann").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match=r"a\.txt: there is no such file"):
        list(read_sentences(tmp_path, DataConfig()))


def test_a_folder_that_holds_splits_is_no_training_file(tmp_path):
    for name in ("train.tsv", "test.tsv"):
        (tmp_path / name).write_bytes(GOOD)
    with pytest.raises(UserError, match=r"contains several splits: test\.tsv, train\.tsv"):
        list(read_sentences(tmp_path, DataConfig()))


SKIPPABLE = {
    "ragged line": ("a.conll", GOOD + b"Bob\tB-PER\textra\nran\tO\n\n" + GOOD),
    "wrong byte": ("a.conll", GOOD + b"ran\tO\nJos\xe9\tB-PER\n\n" + GOOD),
    "tags of another length": (
        "a.jsonl",
        b'{"tokens": ["Ada", "smiled"], "tags": ["B-PER", "O"]}\n{"tokens": ["a"], "tags": []}\n'
        b'{"tokens": ["Ada", "smiled"], "tags": ["B-PER", "O"]}\n',
    ),
    "no json": (
        "a.jsonl",
        b'{"tokens": ["Ada", "smiled"], "tags": ["B-PER", "O"]}\n{{{\n'
        b'{"tokens": ["Ada", "smiled"], "tags": ["B-PER", "O"]}\n',
    ),
}


@pytest.mark.parametrize("case", SKIPPABLE)
def test_skipping_leaves_out_the_bad_sentence_alone_and_lists_it(tmp_path, caplog, case):
    name, content = SKIPPABLE[case]
    path = tmp_path / name
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        sentences = list(read_sentences(path, DataConfig(on_error="skip")))
    assert [s.words for s in sentences] == [("Ada", "smiled")] * 2
    assert "1 sentence left out" in caplog.text
    assert str(path) in caplog.text


def test_skipped_sentences_are_counted_and_listed_in_splits_from_the_cache_too(tmp_path, caplog):
    path = tmp_path / "a.conll"
    path.write_bytes(SKIPPABLE["ragged line"][1])
    data = DataConfig(train_file=str(path), on_error="skip")
    for _ in range(2):
        splits = load_splits(data, task=Task.NER, draw=False)
        assert splits.train.metadata.n_skipped == 1
        assert "train: 1 sentence left out (unreadable)" in splits.notes
    assert caplog.text.count("line 4: the line has 3 columns instead of 2") == 2
