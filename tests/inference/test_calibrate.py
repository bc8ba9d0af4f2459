"""Confidence of a trained model, what its predictions file says, and decoding by the scheme."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.training.test_train import config_for
from tf_tokclf import fit
from tf_tokclf.inference.calibrate import calibrate
from tf_tokclf.inference.evaluate import evaluate
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.validation import violations
from tf_tokclf.run_dir import RunDir
from tf_tokclf.scoring.predictions import Prediction, read_predictions


@pytest.fixture(scope="module")
def run(conll_files: dict[str, str], tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """A run of one epoch, so that the model still errs and doubts."""
    folder = tmp_path_factory.mktemp("runs") / "calibrated"
    return fit(config_for(conll_files, tiny_bert, folder, **{"training.num_train_epochs": 1})).run


def test_report_of_a_run_shows_its_confidence(run: RunDir):
    assert "Reliability of span scores" in run.report.read_text(encoding="utf-8")


def test_predictions_say_how_sure_they_are_and_where_words_stood(run: RunDir):
    for line in read_predictions(run.predictions_for("test")):
        assert line.positions[0] == 1
        assert list(line.positions) == sorted(line.positions)
        for gold, predicted, score, gold_score in zip(line.gold, line.predicted, line.scores, line.gold_scores):
            assert gold_score == score if gold == predicted else gold_score <= score


def test_results_hold_an_interval_around_the_score(run: RunDir):
    scores = json.loads(run.results.read_text(encoding="utf-8"))["splits"]["test"]
    low, high = scores["f1_interval"]["overall"]
    assert low <= scores["overall"]["f1"] <= high


def test_errors_of_a_run_know_its_training_data(run: RunDir):
    assert "surface form in training" in evaluate(run.root, errors=True).errors.parts


def test_viterbi_gives_only_what_the_scheme_allows(run: RunDir, tmp_path: Path):
    output = tmp_path / "predictions.jsonl"
    scores = evaluate(run.root, decoding="viterbi", predictions=output).scores
    assert scores.tables["strict"].overall == scores.tables["conlleval"].overall
    lines: list[Prediction] = list(read_predictions(output))
    assert lines
    assert not [fault for line in lines for fault in violations(line.predicted, Scheme.IOB2)]


def test_temperature_is_stored_and_makes_scores_foretell_better_but_no_label_differ(run: RunDir):
    before = evaluate(run.root, split="validation", errors=True)
    result = calibrate(run.root)
    stored = json.loads((run.model / "tf_tokclf.json").read_text(encoding="utf-8"))["temperature"]
    after = evaluate(run.root, split="validation", errors=True)
    assert stored == result.temperature != 1
    assert result.after.log_loss < result.before.log_loss
    assert before.errors.calibration.log_loss == pytest.approx(result.before.log_loss, rel=1e-4)
    assert after.errors.calibration.log_loss == pytest.approx(result.after.log_loss, rel=1e-4)
    assert after.scores.to_json() == before.scores.to_json()
    assert calibrate(run.root).temperature == pytest.approx(result.temperature, rel=1e-3)
