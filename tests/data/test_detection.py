"""The format, confidence, reason and other possible formats that `inspect` reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from click.testing import CliRunner
from pyarrow import parquet

from tests.data.sample_files import SAMPLES
from tf_tokclf.cli.main import cli
from tf_tokclf.data.detection import detect_format, rank_formats
from tf_tokclf.data.formats.registry import BUILT_IN

SPANS = [{"start": 3, "end": 7, "entity": "city"}]


def inspected(source: Path, *options: str) -> dict[str, Any]:
    result = CliRunner().invoke(cli, ["inspect", str(source), "--json", *options], catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    (found,) = json.loads(result.stdout)["formats"]
    return found


def others(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["format"], one["confidence"]) for one in found["others"]]


def written(folder: Path, files: dict[str, str]) -> Path:
    """The first of the files, or their folder if the file's name is empty."""
    for name, content in files.items():
        if name:
            (folder / name).write_text(content, encoding="utf-8")
    return folder / next(iter(files))


RASA = json.dumps({"text": "to Oslo", "intent": "go", "entities": SPANS})
AMBIGUOUS = {
    "a name that the content contradicts": (
        {"a.csv": '{"tokens": ["Ada"], "tags": ["B-PER"]}\n'},
        ("jsonl", "given", "set by the options"),
        [("csv", "certain")],
    ),
    "lines with labels that are as long as each other": (
        {"a.txt": "The/DT cat/NN ran/VBD\nA/DT dog/NN sat/VBD\n"},
        ("inline-tags", "likely", "each word in its first lines is followed by a label"),
        [("conll", "likely")],
    ),
    "texts with tags": (
        {"a.txt": "<PER>Ada</PER> left\nIt rains a lot\n"},
        ("inline-xml", "likely", "each tag in its first lines is closed on the same line"),
        [("text", "possible")],
    ),
    "columns between commas": (
        {"a.txt": "word,tag\nAda,B-PER\nleft,O\n"},
        ("csv", "given", "set by the options"),
        [("conll", "possible")],
    ),
    "records that several tools write": (
        {"a.jsonl": RASA + "\n"},
        ("rasa", "likely", "its record has 'text' and 'entities' in the form of this format"),
        [("spacy", "likely"), ("doccano", "likely")],
    ),
    "a pair of files": (
        {"text.txt": "Ada left\nOslo\n", "labels.txt": "B-PER O\nB-LOC\n"},
        ("parallel", "certain", "its labels are in labels.txt beside it"),
        [("text", "possible")],
    ),
    "a folder of texts with annotations": (
        {"": "", "a.ann": "T1\tPER 0 3\tAda\n", "a.txt": "Ada left\n"},
        ("brat", "likely", "the folder contains .ann files"),
        [("folder", "possible")],
    ),
}


def test_a_parquet_file_can_be_inspected_although_it_is_not_text(tmp_path: Path):
    records = {"tokens": [["Ada", "left"], ["Oslo"]], "ner_tags": [["B-PER", "O"], ["B-LOC"]]}
    parquet.write_table(pyarrow.table(records), tmp_path / "train.parquet")
    result = CliRunner().invoke(cli, ["inspect", str(tmp_path / "train.parquet")])
    assert result.exit_code == 0, result.output
    assert "format parquet (certain: its name ends in .parquet)" in " ".join(result.output.split())


@pytest.mark.parametrize("case", AMBIGUOUS)
def test_what_an_ambiguous_file_could_be(tmp_path: Path, case: str):
    files, (format, confidence, reason), rest = AMBIGUOUS[case]
    options = ("--format", format) if confidence == "given" else ()
    found = inspected(written(tmp_path, files), *options)
    assert (found["format"], found["confidence"], found["reason"]) == (format, confidence, reason)
    assert others(found) == rest


def test_the_other_format_is_taken_where_it_is_named(tmp_path: Path):
    path = written(tmp_path, {"a.jsonl": RASA + "\n"})
    found = inspected(path, "--format", "spacy")
    assert (found["format"], found["confidence"], others(found)) == (
        "spacy",
        "given",
        [("rasa", "likely"), ("doccano", "likely")],
    )
    assert inspected(path, "--set", "data.format=spacy") == found


def test_the_report_says_how_to_choose_another_format(tmp_path: Path):
    path = written(tmp_path, {"a.txt": "<PER>Ada</PER> left\nIt rains a lot\n"})
    report = " ".join(CliRunner().invoke(cli, ["inspect", str(path)]).stdout.split())
    assert "format inline-xml (likely: each tag in its first lines is closed on the same line)" in report
    assert "could also be text (possible: its lines are words separated by spaces)" in report
    assert "pass --format NAME (in other commands --set data.format=NAME)" in report


def test_the_files_of_a_folder_are_what_is_recognised(tmp_path: Path):
    for name in ("a.conll", "b.conll"):
        (tmp_path / name).write_text("Ada B-PER\nleft O\n\n")
    found = inspected(tmp_path)
    assert (found["format"], found["confidence"]) == ("conll", "likely")
    assert found["reason"] == "its lines have 2 columns separated by spaces"


def test_splits_in_different_formats_are_told_apart(tmp_path: Path):
    (tmp_path / "train.conll").write_text("Ada B-PER\nleft O\n\n")
    (tmp_path / "test.jsonl").write_text('{"tokens": ["Ada"], "tags": ["B-PER"]}\n')
    result = CliRunner().invoke(cli, ["inspect", "--dataset-name", str(tmp_path)])
    assert "train: format conll (likely: its lines have 2 columns separated by spaces)" in result.stdout
    assert "test: format jsonl (certain: its name ends in .jsonl)" in result.stdout


def test_a_pair_of_files_is_surer_than_annotations(tmp_path: Path):
    written(tmp_path, {"seq.in": "Ada\n", "seq.out": "B-PER\n", "a.ann": "", "a.txt": "Bob\n"})
    ranked = [(one.format.name, str(one.match.confidence)) for one in rank_formats(tmp_path)]
    assert ranked == [("parallel", "certain"), ("brat", "likely"), ("folder", "possible")]
    assert detect_format(tmp_path) == "parallel"


def test_a_name_tells_the_format_of_a_file_that_is_not_there():
    assert detect_format(Path("nowhere/a.parquet")) == "parquet"


@pytest.mark.parametrize("content", ["", "\n\n", "Ada\nleft\n", "a b c\nd e\n", "\0\0\0"])
def test_columns_are_what_nothing_else_is(tmp_path: Path, content: str):
    (tmp_path / "a.txt").write_text(content)
    assert detect_format(tmp_path / "a.txt") == "conll"


def test_the_first_of_the_ranking_is_the_format_that_is_read():
    samples = [path for name in ("cases", "samples") for path in (Path(__file__).parent / name).iterdir()]
    assert len(samples) > 40
    assert [detect_format(path) for path in samples] == [rank_formats(path)[0].format.name for path in samples]


def test_each_format_has_one_entry_with_a_description():
    names = [format.name for format in BUILT_IN]
    assert len(set(names)) == len(names)
    assert all(format.description for format in BUILT_IN)
    suffixes = [suffix for format in BUILT_IN for suffix in (*format.suffixes, *format.usual_suffixes)]
    assert len(set(suffixes)) == len(suffixes)


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("lone_tabs_between_sentences.conll", "conll"),
        ("header_and_metadata.tsv", "conll"),
        ("ranges_and_empty_nodes.conllu", "conllu"),
        ("lists_as_python_and_numpy_print_them.csv", "csv"),
        ("doccano_triples.jsonl", "jsonl"),
        ("brat", "brat"),
    ],
)
def test_formats_are_found_out(name, format):
    assert detect_format(SAMPLES / name) == format


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("ranges_and_empty_nodes.conllu", "conllu"),
        ("doccano_triples.jsonl", "jsonl"),
        ("windows_line_ends.conll", "conll"),
    ],
)
def test_formats_are_found_out_by_content_too(tmp_path, name, format):
    path = tmp_path / "data"
    path.write_bytes((SAMPLES / name).read_bytes())
    assert detect_format(path) == format


@pytest.mark.parametrize("text", ["Ada\tB-PER\nleft/O\tO\n", "<b>x</b>\tO\nAda\tB-PER\n", "word/NN\tO\n"])
def test_columns_stay_columns(tmp_path: Path, text: str):
    (tmp_path / "a.conll").write_text(text)
    assert detect_format(tmp_path / "a.conll") == "conll"
