"""Columns of Arrow tables."""

from __future__ import annotations

from pathlib import Path

from tests.data.converting import convert, converted


def test_spans_as_a_data_set_s_columns(tmp_path: Path):
    import datasets

    number = datasets.Value("int32")
    span = {"start": number, "end": number, "label": datasets.ClassLabel(names=["PER"])}
    features = datasets.Features({"text": datasets.Value("string"), "entities": datasets.Sequence(span)})
    rows = {"text": ["Ada left"], "entities": [{"start": [0], "end": [3], "label": [0]}]}
    made = datasets.Dataset.from_dict(rows, features=features)
    made.save_to_disk(str(tmp_path / "set"))
    made.to_parquet(tmp_path / "a.parquet")
    for source in (tmp_path / "set", tmp_path / "a.parquet"):
        assert convert(source).sentences == ["Ada/B-PER left/O"]


def test_a_name_twice_in_columns_and_in_tables(tmp_path: Path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    result = converted(tmp_path, "a.conll", "token\tner\tner\nAda\tB-PER\tO\n")
    assert result.exit_code == 2
    assert "2 columns named 'ner' (numbers 1 and 2" in result.messages
    columns = [pa.array([["Ada"]]), pa.array([["O"]]), pa.array([["B-PER"]])]
    table = pa.Table.from_arrays(columns, ["tokens", "tags", "tags"])
    pq.write_table(table, tmp_path / "a.parquet")
    result = convert(tmp_path / "a.parquet")
    assert result.exit_code == 2
    assert "2 columns named 'tags' (numbers 1 and 2" in result.messages
    assert convert(tmp_path / "a.parquet", "--label-column-name", "2").sentences == ["Ada/B-PER"]


def test_blanks_around_labels_and_types_are_ignored(tmp_path: Path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"tokens": [["Ada", "left"]], "ner_tags": [["B-PER ", " O"]]}), tmp_path / "a.parquet")
    assert convert(tmp_path / "a.parquet").sentences == ["Ada/B-PER left/O"]
    records = {
        "words.jsonl": '{"tokens": ["Ada", "left"], "ner_tags": ["B-PER ", " O"]}\n',
        "spans.jsonl": '{"text": "Ada left", "entities": [{"start": 0, "end": 3, "label": " PER "}]}\n',
    }
    for name, record in records.items():
        assert converted(tmp_path, name, record).sentences == ["Ada/B-PER left/O"]
