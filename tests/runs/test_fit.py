"""`fit` from the command line and from Python: a single run, several seeds, or a sweep."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import tf_tokclf
from tests.training.test_train import config_for
from tf_tokclf.cli.main import cli
from tf_tokclf.errors import UserError
from tf_tokclf.model.backend import keras
from tf_tokclf.runs.fit import planned
from tf_tokclf.runs.seeds import SeedSummary
from tf_tokclf.runs.sweep import SweepSummary
from tf_tokclf.training.train import RunResult

# These models are so small that tracing would take longer than computing without it.
pytestmark = pytest.mark.usefixtures("untraced")

SWEEP = {"training.label_smoothing": [0.0, 0.1]}


class Counted(keras.callbacks.Callback):
    """Counts the epochs of all runs."""

    n_epochs = 0

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.n_epochs += 1


def test_python_trains_several_seeds(conll_files: dict[str, str], tiny_bert: Path, tmp_path: Path):
    config = config_for(conll_files, tiny_bert, tmp_path / "run", **{"training.num_train_epochs": 1})
    counted = Counted()
    summary = tf_tokclf.fit(config, seeds=(1, 2), callbacks=[counted])
    assert isinstance(summary, SeedSummary)
    assert json.loads((tmp_path / "run" / "seeds.json").read_text(encoding="utf-8"))["median"] == summary.median
    assert counted.n_epochs == 2


def test_python_trains_a_sweep(conll_files: dict[str, str], tiny_bert: Path, tmp_path: Path):
    """Earlier, the Python function trained one run and ignored the sweep."""
    options = {"training.num_train_epochs": 1, "sweep": SWEEP}
    shown, counted = [], Counted()
    config = config_for(conll_files, tiny_bert, tmp_path / "run", **options)
    summary = tf_tokclf.fit(config, callbacks=[counted], show_plan=shown.append)
    assert isinstance(summary, SweepSummary)
    assert [trial.values for trial in summary.trials] == [{"training.label_smoothing": value} for value in (0.0, 0.1)]
    assert (tmp_path / "run" / "sweep.json").is_file()
    assert counted.n_epochs == 2
    assert shown == [[("sweep", "training.label_smoothing 0.0, 0.1: 2 trials")]]


def test_a_sweep_is_decided_by_the_measure_that_chooses_the_best_model(
    conll_files: dict[str, str], tiny_bert: Path, tmp_path: Path
):
    """The rate is so low that all trials have about the same F1, and the second one learns more."""
    options = {"training.num_train_epochs": 1, "training.metric_for_best_model": "loss"}
    sweep = {"optimizer.learning_rate": [1e-9, 1e-4]}
    config = config_for(conll_files, tiny_bert, tmp_path / "run", **options, sweep=sweep)
    summary = tf_tokclf.fit(config)
    assert isinstance(summary, SweepSummary)
    losses = {}
    for name in ("000", "001"):
        history = (tmp_path / "run" / "trials" / name / "history.jsonl").read_text(encoding="utf-8")
        losses[name] = json.loads(history.splitlines()[-1])["dev_loss"]
    assert losses["001"] < losses["000"]
    assert {trial.name: trial.value for trial in summary.trials} == losses
    assert summary.best.name == "001"
    stored = json.loads((tmp_path / "run" / "sweep.json").read_text(encoding="utf-8"))
    assert (stored["chosen_by"], stored["best"]) == ("loss on validation", "001")
    assert {name: trial["validation_loss"] for name, trial in stored["trials"].items()} == losses
    assert "with the best validation loss" in summary._repr_html_()
    # By F1, the other trial would have been chosen: it is better, or equal and the first.
    f1 = [trial.f1["validation"] for trial in summary.trials if trial.f1]
    assert f1[0] >= f1[1]


def test_python_continues_from_a_checkpoint_elsewhere(conll_files: dict[str, str], tiny_bert: Path, tmp_path: Path):
    def config(name: str) -> tf_tokclf.Config:
        options = {"training.num_train_epochs": 2, "training.keep_checkpoints": 1}
        return config_for(conll_files, tiny_bert, tmp_path / name, **options)

    first = tf_tokclf.fit(config("first"))
    shown, scored = [], []
    again = tf_tokclf.fit(
        config("second"), resume_from=str(tmp_path / "first"), show_plan=shown.append, show_scores=scored.append
    )
    assert isinstance(again, RunResult)
    assert again.history == first.history
    assert scored == [again]
    assert dict(shown[0])["output"] == str(tmp_path / "second")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seeds": (1, 2)}, "--seeds and a sweep cannot be combined. Sweep first"),
        ({"resume_from": "elsewhere"}, "--resume-from-checkpoint continues a single run. Continue a sweep"),
    ],
)
def test_what_cannot_be_combined_is_refused_by_both(
    arguments: dict, message: str, conll_files: dict[str, str], tiny_bert: Path, tmp_path: Path
):
    config = config_for(conll_files, tiny_bert, tmp_path / "run", sweep=SWEEP)
    with pytest.raises(UserError, match=message):
        tf_tokclf.fit(config, **arguments)
    option = {"seeds": "--seeds=1,2", "resume_from": "--resume-from-checkpoint=elsewhere"}[next(iter(arguments))]
    for dry_run in ([], ["--dry-run"]):
        args = ["fit", "--sweep=training.label_smoothing=0,0.1", f"--output-dir={tmp_path / 'run'}", option, *dry_run]
        done = CliRunner().invoke(cli, args)
        assert (done.exit_code, message in " ".join(done.stderr.split())) == (2, True)
    assert not (tmp_path / "run").exists()


def test_the_plan_of_a_sweep_is_that_of_its_first_trial(conll_files: dict[str, str], tiny_bert: Path, tmp_path: Path):
    config = config_for(conll_files, tiny_bert, tmp_path / "run", sweep={"training.num_train_epochs": [2, 3]})
    rows = dict(planned(config))
    assert "(2 epochs of " in rows["steps"]
    assert rows["sweep"] == "training.num_train_epochs 2, 3: 2 trials"
    assert not (tmp_path / "run").exists()
