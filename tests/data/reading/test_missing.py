"""Words and records without labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.data.converting import CASES, case, convert, converted, of_records
from tests.data.sample_files import SAMPLES
from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.detection import open_reader
from tf_tokclf.data.reading.base import Problems
from tf_tokclf.data.splits import load_splits, read_sentences


def test_a_value_that_says_there_is_no_label_is_counted():
    problems = Problems()
    list(open_reader(SAMPLES / "header_and_metadata.tsv", DataConfig(), Task.NER).sentences(problems))
    (change,) = problems.changes()
    assert change.startswith("1 word without a label, ignored in training and scores")
    assert change.endswith("(first: header_and_metadata.tsv, line 4)")


@pytest.mark.parametrize(
    ("name", "sentence", "n", "place"),
    [
        ("ls_cancelled.json", "Marie/B-PER lives/O in/O Paris/O", 2, "row 2"),
        ("labels_null.jsonl", "Marie/B-PER lives/O", 2, "line 2"),
    ],
)
def test_records_without_annotation_are_left_out_and_counted(name, sentence, n, place):
    result = case(name)
    assert (result.exit_code, result.sentences) == (0, [sentence])
    assert f"{n} records left out: not annotated" in result.messages
    assert f"(first: {name}, {place})" in result.messages
    assert "data.unannotated=outside" in result.messages


@pytest.mark.parametrize("name", ["ls_cancelled.json", "labels_null.jsonl"])
def test_a_setting_reads_them_as_words_outside_of_all_spans(name):
    result = case(name, "--unannotated", "outside")
    assert [sentence.count("/O") == sentence.count("/") for sentence in result.sentences] == [False, True, True]
    assert "2 records without annotation read as O" in result.messages


@pytest.mark.parametrize(
    "record",
    [
        {"tokens": ["Tom", "left"], "tags": None},
        {"tokens": ["Tom", "left"]},
        {"tokens": ["Tom", "left"], "tags": [-100, -100]},
    ],
)
def test_lists_of_words_without_labels_are_not_annotated(tmp_path: Path, record: dict[str, Any]):
    result = of_records(tmp_path, [{"tokens": ["Ada"], "tags": ["B-PER"]}, record])
    assert result.sentences == ["Ada/B-PER"]
    assert "1 record left out: not annotated" in result.messages


def test_an_empty_field_of_csv_is_not_annotated_and_an_empty_list_is(tmp_path: Path):
    text = 'text,entities\nAda left,"[[0, 3, ""PER""]]"\nTom left,\nNobody,[]\n'
    result = converted(tmp_path, "a.csv", text)
    assert result.sentences == ["Ada/B-PER left/O", "Nobody/O"]
    assert "1 record left out: not annotated" in result.messages
    text = "tokens,tags\nAda left,B-PER O\nTom left,\n"
    assert converted(tmp_path, "b.csv", text).sentences == ["Ada/B-PER left/O"]


def test_rows_of_tables_without_labels_are_not_annotated(tmp_path: Path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = {"tokens": [["Ada", "left"], ["Tom"], ["a", "b"]], "ner_tags": [["B-PER", "O"], None, ["O", "O"]]}
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    result = convert(tmp_path / "a.parquet")
    assert result.sentences == ["Ada/B-PER left/O", "a/O b/O"]
    assert "1 record left out: not annotated" in result.messages


def test_annotated_records_may_begin_late(tmp_path: Path):
    records = [{"text": f"Tom {i}"} for i in range(80)] + [{"text": "Ada left", "labels": [[0, 3, "PER"]]}]
    result = of_records(tmp_path, records)
    assert result.sentences == ["Ada/B-PER left/O"]
    assert "80 records left out: not annotated" in result.messages


def test_a_file_in_which_nothing_is_annotated_is_an_error(tmp_path: Path):
    result = of_records(tmp_path, [{"text": "Tom left", "labels": None}] * 2)
    assert result.exit_code == 2
    assert "contains no sentences" in result.messages
    assert "2 records left out: not annotated" in result.messages


def test_an_id_that_says_there_is_no_label_is_no_class():
    result = case("ids_minus100.jsonl")
    assert result.sentences == ["Tom/1 left/0"]
    assert "1 sentence left out: a word has no label (first: ids_minus100.jsonl, line 1)" in result.messages
    named = DataConfig(label_names=("O", "B-PER"))
    sentences = list(read_sentences(CASES / "ids_minus100.jsonl", named))
    assert [sentence.labels for sentence in sentences] == [("B-PER", "O"), ("B-PER", "O")]
    assert [sentence.unlabelled for sentence in sentences] == [(1,), ()]
    outside = named.model_copy(update={"unannotated": "outside"})
    assert not any(sentence.unlabelled for sentence in read_sentences(CASES / "ids_minus100.jsonl", outside))


def test_many_missing_labels_do_not_hide_the_column_of_labels(tmp_path: Path):
    text = "Ada\tx\tB-PER\tNN\nleft\ty\t-100\tVB\nnow\tz\tO\tRB\n"
    assert converted(tmp_path, "a.conll", text).sentences == ["Ada/B-PER left/None now/O"]


@pytest.mark.parametrize("missing", [-100, -1])
def test_missing_ids_in_tables_and_columns(tmp_path: Path, missing: int):
    import datasets

    labels = datasets.Sequence(datasets.ClassLabel(names=["O", "B-PER"]))
    features = datasets.Features({"tokens": datasets.Sequence(datasets.Value("string")), "ner_tags": labels})
    rows = {"tokens": [["Ada", "left"], ["Tom"]], "ner_tags": [[1, missing], [1]]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "a.parquet")
    result = convert(tmp_path / "a.parquet")
    assert result.sentences == ["Ada/B-PER left/None", "Tom/B-PER"]
    assert "1 word without a label, ignored in training and scores" in result.messages
    (tmp_path / "a.conll").write_text(f"Ada\tB-PER\nleft\t{missing}\n\nTom\tO\n")
    result = convert(tmp_path / "a.conll")
    assert result.sentences == ["Ada/B-PER left/None", "Tom/O"]
    assert "1 word without a label, ignored in training and scores" in result.messages


def test_training_sentences_are_not_made_of_what_nobody_has_annotated():
    splits = load_splits(DataConfig(train_file=str(CASES / "ls_cancelled.json")), task=Task.NER, draw=False)
    assert len(splits.train) == 1
    assert any("2 records left out: not annotated" in note for note in splits.notes)
