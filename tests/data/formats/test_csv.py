"""CSV: one word per row, or one sentence per row with lists of words and labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.converting import case, converted
from tests.data.sample_files import labelled, read
from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.formats.csv import open_csv
from tf_tokclf.data.splits import read_sentences


def test_empty_sentence_numbers_go_on_with_the_sentence():
    sentences = read("sentence_number_on_first_word_latin1.csv", encoding="latin-1")
    assert labelled(sentences) == [[("José", "B-per"), ("lives", "O"), (",", "O")], [("Bye", "O")]]
    assert [s.origin.number for s in sentences] == [2, 5]


def test_lists_in_csv_as_anybody_prints_them():
    assert labelled(read("lists_as_python_and_numpy_print_them.csv")) == [
        [("New", "B-LOC"), ("York", "I-LOC")],
        [("It", "O"), ("rains", "O")],
        [("plain", "O"), ("words", "O")],
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("sentence_id,text,labels\n1,New York,B-LOC I-LOC\n2,Hi,O\n", [("New", "York"), ("Hi",)]),
        ("tokens,ner_tags\nHi,O\nBye,O\n", [("Hi",), ("Bye",)]),
        ("word,tag\nNew,B-LOC\nYork,I-LOC\n,\nHi,O\n", [("New", "York"), ("Hi",)]),
        ("tokens,ner_tags\n\"['it\\'s' \\n 'New York']\",[0 1]\n", [("it's", "New York")]),
        ("text\nHello\nHow are you\n", [("Hello",), ("How", "are", "you")]),
    ],
)
def test_shapes_of_csv(tmp_path, content, expected):
    (tmp_path / "a.csv").write_text(content.replace("\\n", "\n"), encoding="utf-8")
    assert [s.words for s in read_sentences(tmp_path / "a.csv", DataConfig())] == expected


def test_blanks_around_labels_are_ignored(tmp_path: Path):
    content = "w,l\nAda, B-PER\nleft,O \n\nOslo,\tB-LOC\n"
    (tmp_path / "a.csv").write_text(content, encoding="utf-8")
    expected = [[("Ada", "B-PER"), ("left", "O")], [("Oslo", "B-LOC")]]
    assert labelled(read_sentences(tmp_path / "a.csv", DataConfig())) == expected


@pytest.mark.parametrize(
    ("content", "options"),
    [
        ("w,l\nAda,B-PER\nleft,O\n\nOslo,B-LOC\n", {}),
        ("w,l\nAda,B-PER\nleft,O\n\nOslo,B-LOC\n", {"text_column_name": "w", "label_column_name": "l"}),
        ("Ada,B-PER\nleft,O\n\nOslo,B-LOC\n", {}),
        ("Ada,B-PER\nleft,O\n\nOslo,B-LOC\n", {"header": False}),
        ("Ada,B-PER\nleft,O\n\nOslo,B-LOC\n", {"text_column_name": 0, "label_column_name": 1}),
        ("s,w,l\n1,Ada,B-PER\n1,left,O\n2,Oslo,B-LOC\n", {"sentence_column_name": "s"}),
        ("1,Ada,B-PER\n1,left,O\n2,Oslo,B-LOC\n", {"sentence_column_name": 0}),
    ],
)
def test_one_word_per_row_is_recognised_without_names_of_columns(tmp_path: Path, content: str, options: dict):
    (tmp_path / "a.csv").write_text(content, encoding="utf-8")
    expected = [[("Ada", "B-PER"), ("left", "O")], [("Oslo", "B-LOC")]]
    assert labelled(read_sentences(tmp_path / "a.csv", DataConfig(**options))) == expected


@pytest.mark.parametrize(
    ("content", "options", "expected"),
    [
        # Without empty rows, each row is a sentence, unless a name says otherwise.
        (
            "query,slots\nOslo,B-LOC\nAda,B-PER\n",
            {"text_column_name": "query", "label_column_name": "slots"},
            [[("Oslo", "B-LOC")], [("Ada", "B-PER")]],
        ),
        # The index that pandas writes is no column of sentences.
        (",word,tag\n0,Ada,B-PER\n1,left,O\n", {}, [[("Ada", "B-PER"), ("left", "O")]]),
        ("w,l\nAda,B-PER\n\nOslo,B-LOC\n", {"label_column_name": ""}, [[("Ada", None)], [("Oslo", None)]]),
    ],
)
def test_one_word_per_row_is_not_guessed_without_a_border(tmp_path, content, options, expected):
    (tmp_path / "a.csv").write_text(content, encoding="utf-8")
    read_here = read_sentences(tmp_path / "a.csv", DataConfig(**options))
    assert [list(zip(s.words, s.labels or [None] * len(s.words))) for s in read_here] == expected


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_rows_that_may_be_sentences_or_words_are_not_guessed(tmp_path: Path, name: str):
    rows = {
        "a.csv": 'x,y\n"Oslo,is","B-LOC,O"\n\n"Ada","B-PER"\n',
        "a.jsonl": '{"x": "Oslo", "y": "B-LOC"}\n{"x": "Ada", "y": "B-PER"}\n',
    }
    result = converted(tmp_path, name, rows[name])
    assert result.exit_code == 2
    assert "Name it with --text-column-name" in result.messages


def test_rows_of_one_word_are_pointed_out(tmp_path: Path):
    (tmp_path / "a.csv").write_text("query,slots\nOslo,B-LOC\nAda,B-PER\n", encoding="utf-8")
    named = DataConfig(text_column_name="query", label_column_name="slots")
    assert any("each row has only one word" in note for note in notes(tmp_path / "a.csv", named))


def test_many_words_without_a_border_between_sentences_are_pointed_out(tmp_path: Path):
    rows = "".join(f"{i // 10},word{i},O\n" for i in range(300))
    (tmp_path / "a.csv").write_text(f"number,word,tag\n{rows}", encoding="utf-8")
    doubt = "there is no empty row among the first 200"
    assert any(doubt in note for note in notes(tmp_path / "a.csv", DataConfig()))
    named = DataConfig(sentence_column_name="number")
    assert not any(doubt in note for note in notes(tmp_path / "a.csv", named))
    (tmp_path / "a.csv").write_text("word,tag\n" + ",\n".join(f"word{i},O\n" for i in range(300)), encoding="utf-8")
    assert not any(doubt in note for note in notes(tmp_path / "a.csv", DataConfig()))


def notes(path: Path, data: DataConfig) -> tuple[str, ...]:
    return open_csv(path, data, Task.NER).notes


def test_an_empty_row_between_sentences_is_named(tmp_path: Path):
    result = converted(tmp_path, "a.csv", "tokens,ner_tags\nAda left,B-PER O\n\nOslo,B-LOC\n")
    assert result.exit_code == 2
    assert "line 3: the row is empty. Remove it." in result.messages


COMMAS = {
    '"Ada,left","B-PER,O"\n"Oslo","B-LOC"\n': ["Ada/B-PER left/O", "Oslo/B-LOC"],
    '"Ada, left","B-PER, O"\n': ["Ada/B-PER left/O"],
    'Ada left,"B-PER,O"\n': ["Ada/B-PER left/O"],
    "Ada left,B-PER O\n": ["Ada/B-PER left/O"],
    '"Oslo,",B-LOC\n': ["Oslo,/B-LOC"],
}


@pytest.mark.parametrize("rows", COMMAS)
def test_lists_with_commas_between_their_items(tmp_path: Path, rows: str):
    result = converted(tmp_path, "a.csv", "tokens,ner_tags\n" + rows)
    assert (result.exit_code, result.sentences) == (0, COMMAS[rows]), result.messages


def test_a_comma_that_is_a_word_is_an_error_with_its_line(tmp_path: Path):
    rows = '"Ada,left","B-PER,O"\n"Oslo,,now","B-LOC,O"\n'
    result = converted(tmp_path, "a.csv", "tokens,ner_tags\n" + rows)
    assert result.exit_code == 2
    assert "a.csv, line 3: " in result.messages


def test_a_header_with_a_name_twice_is_an_error_that_names_the_column():
    result = case("dup_cols.csv")
    assert result.exit_code == 2
    assert "the header has 2 columns named 'label' (numbers 1 and 2" in result.messages
    result = case("dup_cols.csv", "--label-column-name", "1")
    assert result.sentences == ["Marie/B-PER lives/O"]
