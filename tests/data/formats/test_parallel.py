"""A file of words and a file of labels."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.data.converting import convert
from tf_tokclf.cli.main import cli
from tf_tokclf.config.schema import DataConfig
from tf_tokclf.data.detection import detect_format
from tf_tokclf.data.splits import read_sentences


def test_label_names_name_the_ids_of_columns_and_of_parallel_files(tmp_path):
    named = DataConfig(label_names=("O", "B-LOC"))
    path = tmp_path / "ids.conll"
    path.write_text("in\t0\nOslo\t1\n")
    (tmp_path / "seq.in").write_text("in Oslo\n")
    (tmp_path / "seq.out").write_text("0 1\n")
    for place in (path, tmp_path / "seq.in"):
        assert [sentence.labels for sentence in read_sentences(place, named)] == [("O", "B-LOC")]


@pytest.mark.parametrize(
    ("words", "labels"),
    [("sentences.txt", "labels.txt"), ("text_train.txt", "labels_train.txt"), ("train.words", "train.tags")],
)
def test_pairs_of_files(tmp_path: Path, words: str, labels: str):
    (tmp_path / words).write_text("Ada left\nOslo\n")
    (tmp_path / labels).write_text("B-PER O\nB-LOC\n")
    for source in (tmp_path / words, tmp_path):
        assert convert(source).sentences == ["Ada/B-PER left/O", "Oslo/B-LOC"]


def test_a_file_of_one_label_a_line_is_no_pair(tmp_path: Path):
    (tmp_path / "text.txt").write_text("Ada/PER left/O\nOslo/LOC too/O\n")
    (tmp_path / "labels.txt").write_text("positive\nnegative\n")
    assert detect_format(tmp_path / "text.txt") == "inline-tags"


def test_a_data_set_of_pairs_of_files(tmp_path: Path):
    for split in ("train", "test"):
        (tmp_path / f"sentences_{split}.txt").write_text("Ada left\nOslo\n")
        (tmp_path / f"labels_{split}.txt").write_text("B-PER O\nB-LOC\n")
    found = json.loads(CliRunner().invoke(cli, ["inspect", "--dataset-name", str(tmp_path), "--json"]).stdout)
    assert [(split["name"], split["n_words"]) for split in found["splits"]] == [("train", 3), ("test", 3)]
