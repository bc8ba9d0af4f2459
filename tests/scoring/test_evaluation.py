"""The result of an evaluation in results.json."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.prediction_files import write_predictions
from tests.values import check_values
from tf_tokclf.config.schema import DataConfig
from tf_tokclf.errors import UserError
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.scoring.bootstrap import f1_intervals, intervals_json, score_intervals
from tf_tokclf.scoring.error_analysis import Training, analyse_errors
from tf_tokclf.scoring.evaluation import Evaluation, evaluate_file, evaluate_predictions
from tf_tokclf.scoring.predictions import Prediction
from tf_tokclf.scoring.scores import numbers, score_sentences

ROWS = [
    Prediction(("Rome", "!"), ("B-X", "O"), ("B-X", "O")),
    Prediction(("New", "York"), ("I-X", "I-X"), ("B-X", "I-X")),
    Prediction(("a", "b"), ("B-Y", "O"), ("O", "B-X")),
]
PAIRS = [(row.gold, row.predicted) for row in ROWS]


def written(folder: Path) -> Path:
    path = folder / "predictions.jsonl"
    write_predictions(path, ROWS)
    return path


def test_an_evaluation_is_its_scores_and_what_is_known_besides():
    check_values(Evaluation)
    scores = score_sentences(PAIRS, Scheme.IOB2)
    bare = Evaluation(scores)
    assert bare.to_json() == {
        **scores.to_json(),
        **{f"{name}_interval": intervals_json(one) for name, one in score_intervals(scores.table).items()},
        "loss": None,
    }
    assert bare.intervals == f1_intervals(scores.table)
    assert bare.intervals is bare.intervals
    strict = scores.in_mode("strict")
    whole = Evaluation(scores, 0.25, analyse_errors(ROWS, Scheme.IOB2), strict)
    assert whole.to_json() == {
        **bare.to_json(),
        "loss": 0.25,
        "by_argmax": numbers(strict.overall),
        "errors": analyse_errors(ROWS, Scheme.IOB2).to_json(),
    }


@pytest.mark.parametrize("mode", ["conlleval", "strict"])
@pytest.mark.parametrize("errors", [False, True])
def test_predictions_are_scored_and_analysed_in_one_reading(mode, errors):
    training = Training({"X": frozenset({("Rome",)})}, {"X": 1})
    found = evaluate_predictions(lambda: iter(ROWS), Scheme.IOB2, mode=mode, errors=errors, training=training)
    scores = score_sentences(PAIRS, Scheme.IOB2, mode=mode)
    assert (found.scores.mode, found.scores.overall) == (mode, scores.overall)
    if errors:
        expected = analyse_errors(ROWS, Scheme.IOB2, mode=mode, training=training)
        assert found.errors.to_json() == expected.to_json()
        assert "surface form in training" in found.errors.parts
    else:
        assert found.errors is None
    assert evaluate_predictions(lambda: iter(ROWS), Scheme.IOB2).errors is None
    assert evaluate_predictions(lambda: iter(ROWS), Scheme.IOB2).scores.mode == "conlleval"


def test_a_file_is_scored_by_the_scheme_of_its_gold(tmp_path):
    path = written(tmp_path)
    found = evaluate_file(path)
    assert (found.scores.scheme, found.scores.mode, found.errors) == (Scheme.IOB2, "conlleval", None)
    assert found.scores.overall == score_sentences(PAIRS, Scheme.IOB2).overall
    assert evaluate_file(path, mode="strict").scores.mode == "strict"
    assert evaluate_file(path, errors=True).errors.n_sentences == 3
    assert evaluate_file(path, data=DataConfig(scheme="IOB1")).scores.scheme is Scheme.IOB1


def test_gold_labels_may_be_in_a_file_of_their_own(tmp_path):
    path = tmp_path / "predicted.conll"
    path.write_text("Rome B-X\n! O\n", encoding="utf-8")
    gold = tmp_path / "gold.conll"
    gold.write_text("Rome B-X\n! B-X\n", encoding="utf-8")
    found = evaluate_file(path, gold).scores.overall
    assert (found.correct, found.predicted, found.gold) == (1, 1, 2)


def test_a_file_without_sentences_is_named(tmp_path):
    path = tmp_path / "empty.jsonl"
    path.write_text("", encoding="utf-8")
    with pytest.raises(UserError, match=r"empty\.jsonl"):
        evaluate_file(path)
