"""Extra training sentences: which of them are used, and with which labels."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.extra import Extra, load_extra
from tf_tokclf.data.split_cache import content_hash
from tf_tokclf.data.splits import load_splits
from tf_tokclf.errors import UserError

GOLD = "Ada\tB-PER\nByron\tI-PER\nin\tO\nParis\tB-LOC\n\nBob\tB-PER\nleft\tO\n"
HELD_OUT = {"validation": "Eve\tB-PER\nsmiled\tO\n", "test": "Rome\tB-LOC\nwaits\tO\n"}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    found = {}
    for name, text in {"train": GOLD, **HELD_OUT}.items():
        (tmp_path / f"{name}.conll").write_text(text, encoding="utf-8")
        found[f"{name}_file"] = str(tmp_path / f"{name}.conll")
    return found


def load(files: dict[str, str], extra: Path | None, **settings: Any) -> Extra | None:
    data = DataConfig(**files, extra_file=None if extra is None else str(extra), **settings)
    return load_extra(data, task=Task.NER, splits=load_splits(data, task=Task.NER))


def records(path: Path, *rows: tuple[str, str, Sequence[float | None]]) -> Path:
    """The records that `predict` writes: words, labels and scores."""
    lines = (
        json.dumps({"words": words.split(), "labels": labels.split(), "scores": scores})
        for words, labels, scores in rows
    )
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_without_a_file_there_is_nothing(files: dict[str, str]):
    assert load(files, None) is None


def test_another_format_and_scheme_are_read_and_held_out_sentences_are_left_out(
    files: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    extra = records(
        tmp_path / "silver.jsonl",
        ("Eve smiled", "S-LOC O", [1, 1]),
        ("Max Mayer left", "B-PER E-PER O", [1, 1, 1]),
        ("Rome waits", "O O", [1, 1]),
        ("Oslo", "S-LOC", [1]),
    )
    with caplog.at_level(logging.INFO):
        found = load(files, extra, format="auto")
    assert [(one.words, one.labels) for one in found.split] == [
        (("Max", "Mayer", "left"), ("B-PER", "I-PER", "O")),
        (("Oslo",), ("B-LOC",)),
    ]
    assert (found.split.name, found.n_held_out) == ("extra", 2)
    assert found.left_out == ["2 sentences of validation or test left out"]
    assert "labels in BIOES are translated to IOB2" in caplog.text


def test_settings_of_the_training_file_apply_only_where_they_can(files: dict[str, str], tmp_path: Path):
    extra = records(tmp_path / "silver.jsonl", ("Max left", "B-PER O", [1, 1]))
    found = load(files, extra, format="conll", separator="tab", text_column_name=0, label_column_name=1)
    assert [one.words for one in found.split] == [("Max", "left")]


def test_labels_that_the_training_file_lacks_are_named(files: dict[str, str], tmp_path: Path):
    extra = records(tmp_path / "silver.jsonl", ("Acme hired Max", "B-ORG O B-PER", [1] * 3), ("Acme", "B-ORG", [1]))
    with pytest.raises(UserError, match=r"labels that the training data lacks: B-ORG \(2 words\)\.") as raised:
        load(files, extra)
    assert "The training file defines the labels." in str(raised.value)


def test_sentences_without_labels_are_refused(files: dict[str, str], tmp_path: Path):
    (tmp_path / "raw.jsonl").write_text(json.dumps({"words": ["Max", "left"]}) + "\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"sentences without labels.*tf-tokclf predict"):
        load(files, tmp_path / "raw.jsonl")


def test_only_labels_with_a_high_score_are_used(files: dict[str, str], tmp_path: Path):
    extra = records(
        tmp_path / "silver.jsonl",
        ("Max left Oslo", "B-PER O B-LOC", [0.9, 0.95, 0.5]),
        ("Eve smiled", "B-PER O", [0.1, 0.1]),
        ("Kim", "B-PER", [0.3]),
        ("Lee slept", "B-PER O", [0.99, None]),
    )
    found = load(files, extra, extra_min_score=0.9)
    assert [(one.words, one.labels, one.unlabelled) for one in found.split] == [
        (("Max", "left", "Oslo"), ("B-PER", "O", "O"), (2,)),
        (("Lee", "slept"), ("B-PER", "O"), (1,)),
    ]
    assert (found.n_held_out, found.n_unsure, found.n_empty) == (1, 3, 1)
    again = load(files, extra, extra_min_score=0.9)
    assert (again.n_held_out, again.n_unsure, again.n_empty) == (1, 3, 1)
    # The run's identity depends on which words have a label.
    hashes = {
        content_hash(load(files, extra, extra_min_score=s).split, with_unlabelled=True) for s in (0.9, 0.94, 0.97)
    }
    assert len(hashes) == 3


def test_without_scores_a_least_score_is_refused(files: dict[str, str], tmp_path: Path):
    conll = tmp_path / "silver.conll"
    conll.write_text("Max\tB-PER\nleft\tO\n", encoding="utf-8")
    short = records(tmp_path / "silver.jsonl", ("Max left", "B-PER O", [0.9]))
    for extra in (conll, short):
        with pytest.raises(UserError, match="there is no score for each word"):
            load(files, extra, extra_min_score=0.9)


def test_a_file_of_which_nothing_is_left_is_refused(files: dict[str, str], tmp_path: Path):
    extra = records(tmp_path / "silver.jsonl", ("Eve smiled", "B-PER O", [1, 1]))
    with pytest.raises(UserError, match="no sentences of the extra file are left"):
        load(files, extra)
    extra = records(tmp_path / "silver.jsonl", ("Max left", "B-PER O", [0.1, 0.1]))
    with pytest.raises(UserError, match="no sentences of the extra file are left"):
        load(files, extra, extra_min_score=0.9)
