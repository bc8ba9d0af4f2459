"""Files of predictions, from this and other programs."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from tests.prediction_files import write_predictions
from tf_tokclf.config.schema import DataConfig
from tf_tokclf.errors import UserError
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.sentence import Origin
from tf_tokclf.report.conlleval import conlleval_text
from tf_tokclf.report.table_formats import percent
from tf_tokclf.scoring.evaluation import evaluate_file
from tf_tokclf.scoring.predictions import Prediction, read_predictions

SAMPLES = Path(__file__).parent.parent / "data" / "scoring"


def _score(*files: Path, **options):
    return evaluate_file(*files, **options).scores


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["wnut17_spinningbytes", "wnut17_arcada", "any_labels"])
def test_output_is_that_of_the_official_script(name):
    text = conlleval_text(_score(SAMPLES / f"{name}.tsv"))
    assert text == (SAMPLES / f"{name}.conlleval.txt").read_text()


@pytest.mark.parametrize(
    ("system", "f1", "surface"), [("spinningbytes.txt", "40.78", "39.33"), ("arcada", "39.98", "37.77")]
)
def test_real_system_outputs_score_what_the_shared_task_published(shared_data, system, f1, surface):
    folder = shared_data / "wnut17"
    result = _score(folder / "system_outputs" / system, folder / "emerging.test.annotated").to_json()
    assert percent(result["overall"]["f1"]) == f1
    assert percent(result["surface_forms"]["overall"]["f1"]) == surface


def test_two_files_of_two_columns_score_as_one_of_three(tmp_path):
    rows = [line.split("\t") for line in (SAMPLES / "wnut17_arcada.tsv").read_text().split("\n")]
    gold = write(tmp_path / "gold.conll", "\n".join("\t".join(row[:2]) for row in rows))
    predicted = write(tmp_path / "predicted", "\r\n".join(" ".join(row[::2]) for row in rows))
    together = _score(SAMPLES / "wnut17_arcada.tsv")
    assert _score(predicted, gold).to_json() == together.to_json()


def test_our_own_lines_come_back_whole(tmp_path):
    predictions = [
        Prediction(
            words=("Rome", "\u2028"),
            predicted=("B-X", "O"),
            gold=("B-X", "B-Y"),
            scores=(0.9, None),
            gold_scores=(0.9, 0.1),
            positions=(1, None),
            origin=Origin("a.conll", 7),
        ),
        Prediction(words=(), predicted=()),
    ]
    write_predictions(tmp_path / "p.jsonl", predictions)
    first, second = read_predictions(tmp_path / "p.jsonl")
    assert first == predictions[0]
    assert (second.words, second.gold) == ((), None)


def test_words_without_a_score_are_counted(tmp_path):
    line = {"words": ["a", "b"], "gold": ["O", "B-X"], "predicted": ["O", "O"], "scores": [0.5, None]}
    scores = _score(write(tmp_path / "p.jsonl", json.dumps(line) + "\n"))
    assert scores.facts == {"n_unseen_words": 1}


def test_scheme_is_that_of_the_gold_labels_unless_named(tmp_path):
    file = write(tmp_path / "p.tsv", "a\tI-X\tI-X\nb\tO\tB-X\n\n")
    assert _score(file).scheme is Scheme.IO
    assert _score(file, data=DataConfig(scheme="IOB2")).scheme is Scheme.IOB2
    assert _score(write(tmp_path / "pos.tsv", "a\tNOUN\tVERB\n\n")).scheme is Scheme.NONE


def test_other_words_of_the_same_number_are_said(tmp_path, caplog):
    gold = write(tmp_path / "gold.conll", "a\tB-X\nb\tO\n\n")
    predicted = write(tmp_path / "predicted.conll", "a\tB-X\n&amp;\tO\n\n")
    with caplog.at_level(logging.WARNING):
        assert _score(predicted, gold).overall.f1 == 1
    assert "1 word differs from the gold file" in caplog.text


@pytest.mark.parametrize(
    ("gold", "predicted", "message"),
    [
        ("a\tB-X\n\n", "a\tB-X\n\nb\tO\n\n", "ends after 1 sentence"),
        ("a\tB-X\n\nb\tO\n\n", "a\tB-X\n\n", "ends after 1 sentence"),
        ("a\tB-X\nb\tO\n\n", "a\tB-X\n\n", "1 word, but 2 in"),
    ],
)
def test_other_sentences_are_refused(tmp_path, gold, predicted, message):
    files = write(tmp_path / "predicted.conll", predicted), write(tmp_path / "gold.conll", gold)
    with pytest.raises(UserError, match=message):
        _score(*files)


def test_predictions_without_gold_need_a_gold_file(tmp_path):
    with pytest.raises(UserError, match="only predicted labels"):
        _score(write(tmp_path / "p.conll", "a\tB-X\n\n"))
    line = json.dumps({"words": ["a"], "predicted": ["O"]})
    with pytest.raises(UserError, match="no gold labels"):
        _score(write(tmp_path / "p.jsonl", line + "\n"))


@pytest.mark.parametrize("line", ["[]", '{"words": ["a"]}', "{", '{"words": ["a"], "predicted": []}'])
def test_a_broken_line_is_named(tmp_path, line):
    good = json.dumps({"words": ["a"], "predicted": ["O"], "gold": ["O"]})
    with pytest.raises(UserError, match=r"p.jsonl, line 2"):
        list(read_predictions(write(tmp_path / "p.jsonl", f"{good}\n{line}\n")))


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        ({"words": 3, "predicted": ["O"]}, "words is not a list of texts"),
        ({"words": ["a"], "predicted": None}, "has no words or no predicted labels"),
        ({"words": ["a"], "predicted": ["O"], "gold": [None]}, "gold is not a list of texts"),
        ({"words": ["a"], "predicted": ["O"], "scores": ["high"]}, "scores is not a list of numbers"),
        ({"words": ["a"], "predicted": []}, "1 word but 0 predicted"),
    ],
)
def test_a_line_of_other_values_is_told_with_its_place(tmp_path, record, problem):
    path = write(tmp_path / "p.jsonl", json.dumps(record) + "\n")
    with pytest.raises(UserError, match=rf"p\.jsonl, line 1: {problem}"):
        list(read_predictions(path))


def test_an_origin_of_somebody_else_is_not_taken_for_ours(tmp_path):
    record = {"words": ["a"], "predicted": ["O"], "gold": ["O"], "origin": {"file": "x"}}
    (one,) = read_predictions(write(tmp_path / "p.jsonl", json.dumps(record) + "\n"))
    assert one.origin == Origin(str(tmp_path / "p.jsonl"), 1)


def test_a_format_that_is_named_wins_over_the_name_of_the_file(tmp_path):
    path = write(tmp_path / "columns.csv", "a O O\nb B-X B-X\n")
    assert _score(path, data=DataConfig(format="conll")).overall.f1 == 1.0
