"""Reading records of any content: none is lost, none is added, and each keeps its content."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tf_tokclf.config.schema import DataConfig
from tf_tokclf.errors import UserError
from tf_tokclf.labels.word_splitting import rule_keeping
from tf_tokclf.records.base import Record
from tf_tokclf.records.stream import open_records


def read(
    path: Path, content: bytes | str = b"", *, keep: bool = False, skip: int = 0, **options: object
) -> list[Record]:
    if content:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(open_records(str(path), DataConfig(**options), keep_errors=keep).records(skip=skip))


def words(records: list[Record]) -> list[tuple[str, ...]]:
    return [record.sentence.words for record in records]


def test_each_line_is_a_record_and_each_word_stands_at_its_place(tmp_path: Path):
    lines = ["Ada left.\r", "", "  \t", "e\u0301te\u0301 👩‍🚀 x\r", "\u00a0東京へ", "no end"]
    records = read(tmp_path / "in.txt", "\n".join(lines))
    assert [record.sentence.text for record in records] == [line.removesuffix("\r") for line in lines]
    for record in records:
        sentence = record.sentence
        assert sentence.words == tuple((sentence.text or "")[a:b] for a, b in sentence.offsets or ())
    assert words(records)[0] == ("Ada", "left", ".")
    assert words(records)[3][0] == "e\u0301te\u0301"


def test_a_folder_of_text_files_has_the_lines_of_its_files_as_records(tmp_path: Path):
    """Lines with the same number of words look like columns, but a folder is read as text, like a single file."""
    texts = {"1.txt": ["Ada visited London", "Grace left Oslo"], "2.txt": ["x likes it", "", "Ada saw Grace"]}
    folder = tmp_path / "texts"
    folder.mkdir()
    for name, lines in texts.items():
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = read(folder)
    assert [record.sentence.text for record in found] == [line for lines in texts.values() for line in lines]
    assert [tuple((record.sentence.text or "").split()) for record in found] == words(found)
    places = [f"{folder / name}, line {number}" for name in texts for number in range(1, 1 + len(texts[name]))]
    assert [str(record.origin) for record in found] == places
    assert [record.sentence.document for record in found] == ["1", "1", "2", "2", "2"]
    (folder / "2.txt").unlink()
    assert words(read(folder, format="conll")) == [("Ada", "Grace")]


def test_a_line_of_a_folder_that_cannot_be_decoded_is_kept_with_its_problem(tmp_path: Path):
    (tmp_path / "1.txt").write_bytes(b"Ada left\n")
    (tmp_path / "2.txt").write_bytes(b"\ncaf\xe9 noir\nOslo\n")
    with pytest.raises(UserError, match=r"2\.txt, line 2: byte 0xe9 is not valid utf-8.* pass --on-error keep"):
        read(tmp_path)
    kept = read(tmp_path, keep=True)
    assert words(kept) == [("Ada", "left"), (), (), ("Oslo",)]
    assert [bool(record.problem) for record in kept] == [False, False, True, False]


def test_the_note_says_what_in_a_folder_is_not_read(tmp_path: Path):
    (tmp_path / "1.txt").write_text("Ada left\n", encoding="utf-8")
    one_file = str(open_records(str(tmp_path), DataConfig(word_splitting="words")))
    expected = f"{tmp_path}: text, 1 file, one sentence per line, split into words with --word-splitting words"
    assert one_file == expected
    for name in ("README.md", "LICENSE", "notes.pdf", "table.dat", ".hidden"):
        (tmp_path / name).write_text("x", encoding="utf-8")
    (tmp_path / "more").mkdir()
    noted = str(open_records(str(tmp_path), DataConfig(word_splitting="words")))
    others = "1 subfolder (more) and 4 other files (LICENSE, README.md, notes.pdf, ...)"
    assert noted == f"{expected}; not read: {others}"


def test_a_folder_of_columns_is_read_by_its_content(tmp_path: Path):
    (tmp_path / "columns").mkdir()
    (tmp_path / "columns" / "1.conll").write_text("Ada\tB-PER\nleft\tO\n\nOslo\tB-LOC\n", encoding="utf-8")
    assert words(read(tmp_path / "columns")) == [("Ada", "left"), ("Oslo",)]


@pytest.mark.parametrize(
    ("line", "warned"),
    [('{"text": "ada"}', True), ('\ufeff{"text": "ada"}', True), ("{ada} left", False), ("[1]", False)],
)
def test_json_lines_that_are_read_as_text_are_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, line: str, warned: bool
):
    records = read(tmp_path / "in.txt", f"{line}\n{line}\n")
    assert [record.sentence.text for record in records] == [line.removeprefix("\ufeff"), line]
    assert caplog.text.count("For JSON lines, pass --format jsonl") == warned


def test_an_empty_file_has_no_records(tmp_path: Path):
    for name in ("a.txt", "a.conll", "a.jsonl", "a.csv"):
        (tmp_path / name).touch()
        assert read(tmp_path / name) == []


def test_blocks_of_columns_keep_all_their_lines(tmp_path: Path):
    text = "-DOCSTART- -X- O\n\nAda NNP\nleft VBD\n\n\n \nOslo NNP\n\n# id = 7\n"
    records = read(tmp_path / "in.conll", text)
    assert words(records) == [("Ada", "left"), ("Oslo",)]
    assert "".join(line for record in records for line in record.source) == text
    assert [record.origin.number for record in records] == [1, 8]


def test_json_records_hold_words_or_a_text_each(tmp_path: Path):
    lines = [{"tokens": ["Ada", "", "x y"]}, {"tokens": "Ada left"}, {"tokens": []}]
    records = read(tmp_path / "in.jsonl", "\n\n".join(map(json.dumps, lines)))
    assert words(records) == [("Ada", "", "x y"), ("Ada", "left"), ()]


def test_a_json_list_is_a_list_of_records(tmp_path: Path):
    records = read(tmp_path / "in.json", json.dumps([{"text": "Ada left"}, {"text": ""}], indent=1))
    assert words(records) == [("Ada", "left"), ()]


@pytest.mark.parametrize("bad", [b"{broken", b'["a"]', b'{"other": 1}', b'{"text": 3}', b'{"text": "\xff"}'])
def test_a_bad_line_stops_or_is_kept_in_its_place(tmp_path: Path, bad: bytes):
    content = b'{"text": "Ada left"}\n' + bad + b'\n{"text": "x"}\n'
    with pytest.raises(UserError, match=r"in.jsonl, line 2: .*--on-error keep"):
        read(tmp_path / "in.jsonl", content)
    records = read(tmp_path / "in.jsonl", keep=True)
    assert [record.problem is None for record in records] == [True, False, True]
    assert words(records) == [("Ada", "left"), (), ("x",)]


def test_csv_with_a_text_a_row(tmp_path: Path):
    content = 'id,text\n1,"Ada, left\nOslo"\n2,""\n3,"' + "long " * 40_000 + '"\n'
    records = read(tmp_path / "in.csv", content)
    assert words(records)[:2] == [("Ada", ",", "left", "Oslo"), ()]
    assert len(records[2].sentence) == 40_000


def test_csv_with_a_word_a_row(tmp_path: Path):
    content = "sentence_id,word\n1,Ada\n1,left\n2,Oslo\n"
    assert words(read(tmp_path / "in.csv", content)) == [("Ada", "left"), ("Oslo",)]


def test_parquet_rows(tmp_path: Path):
    pq.write_table(pa.table({"id": [1, 2], "text": ["Ada left", None]}), tmp_path / "in.parquet")
    with pytest.raises(UserError, match="row 2"):
        read(tmp_path / "in.parquet")
    assert words(read(tmp_path / "in.parquet", keep=True)) == [("Ada", "left"), ()]


def test_compressed_input_is_read_as_it_is(tmp_path: Path):
    text = b"Ada left\n\nOslo\n"
    plain = words(read(tmp_path / "in.txt", text))
    assert words(read(tmp_path / "in.txt.gz", gzip.compress(text[:3]) + gzip.compress(text[3:]))) == plain
    packed = pa.compress(text, codec="zstd", asbytes=True)
    assert words(read(tmp_path / "in.txt.zst", packed)) == plain
    with pytest.raises(UserError, match="damaged"):
        read(tmp_path / "broken.gz", gzip.compress(text * 99)[:-9])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("in.txt", "".join(f"line {i}\n" for i in range(9))),
        ("in.conll", "".join(f"word{i}\tO\n\n" for i in range(9))),
        ("in.jsonl", "".join(f'{{"text": "line {i}"}}\n' for i in range(9))),
        ("in.csv", "text\n" + "".join(f"line {i}\n" for i in range(9))),
    ],
)
def test_records_after_the_first_ones_are_the_same_records(tmp_path: Path, name: str, content: str):
    records = read(tmp_path / name, content)
    assert len(records) == 9
    assert read(tmp_path / name, skip=4) == records[4:]


@pytest.mark.parametrize(
    ("training_words", "rule"),
    [
        (["I", "can", "'t", ",", "go", "."], "words"),
        (["i", "can't", "go", "mr.", "x"], "whitespace"),
        (["我", "在", "北", "京", "2", "0"], "characters"),
        (["ราคา", "ปี", "2552", "."], "words"),
        ([], "words"),
    ],
)
def test_the_rule_of_splitting_is_seen_in_the_words(training_words: list[str], rule: str):
    assert rule_keeping(training_words) == rule


def test_a_carriage_return_in_csv_is_part_of_its_row(tmp_path: Path):
    records = read(tmp_path / "in.csv", "text\nAda left\nx\ry z\nOslo\n", text_column_name="text")
    assert words(records) == [("Ada", "left"), ("x", "y", "z"), ("Oslo",)]


def test_a_broken_row_of_csv_is_kept_as_it_stood(tmp_path: Path):
    records = read(tmp_path / "in.csv", "id,text\n1,Ada left\n2\r,x\n3,Oslo\n", keep=True)
    assert words(records) == [("Ada", "left"), (), ("Oslo",)]
    assert records[1].source == ["2\r,x"]
    assert "the row has 1 field instead of 2" in (records[1].problem or "")
