"""Calibration of a trained model, its file of predictions, and decoding by the scheme."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.training.test_train import config_for
from tf_tokclf import fit
from tf_tokclf.cli.main import cli
from tf_tokclf.inference.calibrate import calibrate
from tf_tokclf.inference.evaluate import evaluate
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.validation import violations
from tf_tokclf.run_dir import RunDir
from tf_tokclf.run_lock import locked
from tf_tokclf.scoring.predictions import Prediction, read_predictions

# These models are so small that tracing would take longer than computing without it.
pytestmark = pytest.mark.usefixtures("untraced")


@pytest.fixture(scope="module")
def run(conll_files: dict[str, str], tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """A run of one epoch, so that the model still makes errors and is uncertain."""
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


@pytest.fixture
def own_run(run: RunDir, tmp_path: Path) -> RunDir:
    return RunDir(shutil.copytree(run.root, tmp_path / "run"))


@pytest.mark.parametrize(
    ("labels", "n", "why"),
    [
        ("predicted", 200, "predicted spans there are right, and some of each kind are needed"),
        ("outside", 200, "predicted spans there are wrong, and some of each kind are needed"),
        ("predicted", 1, "and at least 10 are needed"),
    ],
)
def test_a_temperature_that_means_nothing_is_not_stored(own_run: RunDir, tmp_path: Path, labels: str, n: int, why: str):
    """The model keeps its temperature, and a warning gives the reason."""
    stored = own_run.model / "tf_tokclf.json"
    about = json.loads(stored.read_text(encoding="utf-8"))
    stored.write_text(json.dumps({**about, "temperature": 1.5}), encoding="utf-8")
    lines = [line for line in read_predictions(own_run.predictions_for("validation")) if set(line.predicted) != {"O"}]
    with (tmp_path / "validation.conll").open("w", encoding="utf-8") as file:
        for line in lines[:n]:
            gold = line.predicted if labels == "predicted" else ["O"] * len(line.words)
            file.writelines(f"{word}\t{label}\n" for word, label in zip(line.words, gold))
            file.write("\n")
    args = ["evaluate", str(own_run.root), "--calibrate", f"--set=data.validation_file={tmp_path / 'validation.conll'}"]
    result = CliRunner().invoke(cli, args)
    assert result.exit_code == 0, result.stderr
    message = " ".join(result.stderr.split())
    assert why in message
    assert "The model keeps its temperature of 1.500." in message
    assert json.loads(stored.read_text(encoding="utf-8"))["temperature"] == 1.5


def test_calibration_is_refused_during_a_training_in_the_same_folder(own_run: RunDir):
    before = (own_run.model / "tf_tokclf.json").read_bytes()
    with locked(own_run):
        for reference in (own_run.root, own_run.model):
            result = CliRunner().invoke(cli, ["evaluate", str(reference), "--calibrate"])
            assert result.exit_code == 2
            assert "another run is writing in this folder. Wait for it, or leave out --calibrate." in " ".join(
                result.stderr.split()
            )
    assert (own_run.model / "tf_tokclf.json").read_bytes() == before
    assert CliRunner().invoke(cli, ["evaluate", str(own_run.root), "--calibrate"]).exit_code == 0
    assert not own_run.lock.exists()
