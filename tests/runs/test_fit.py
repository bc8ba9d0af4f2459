"""`fit` from the command line and from Python: a single run, several seeds, or a sweep."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import tf_tokclf
from tests.training.test_train import config_for
from tf_tokclf.cli.main import cli
from tf_tokclf.errors import JobError, UserError
from tf_tokclf.model.backend import keras, tf
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


class OutOfMemory(keras.callbacks.Callback):
    """Fails as TensorFlow does when memory runs out."""

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")


@pytest.mark.parametrize(("precision", "exception"), [("float32", ""), ("mixed_bfloat16", " (except for rounding in")])
def test_without_enough_memory_the_options_with_the_same_result_are_named(
    conll_files: dict[str, str], tiny_bert: Path, tmp_path: Path, precision: str, exception: str
):
    config = config_for(conll_files, tiny_bert, tmp_path / "run", **{"training.precision": precision})
    with pytest.raises(JobError) as caught:
        tf_tokclf.fit(config, callbacks=[OutOfMemory()])
    exception = f"{exception} bfloat16)" if exception else ""
    smaller = "--per-device-train-batch-size 2 --gradient-accumulation-steps 2"
    assert f"Try --gradient-checkpointing{exception} or {smaller}, which give the same result" in str(caught.value)


def damaged_history(history: Path, how: str) -> None:
    if how == "missing":
        history.unlink()
        return
    rows = [json.loads(line) for line in history.read_text(encoding="utf-8").splitlines()]
    history.write_text("".join(json.dumps({**row, "dev_loss": None}) + "\n" for row in rows), encoding="utf-8")


@pytest.mark.parametrize("how", ["missing", "null"])
def test_without_the_measure_in_the_history_the_results_are_used(
    conll_files: dict[str, str], tiny_bert: Path, tmp_path: Path, how: str
):
    """These runs ended with a traceback."""
    options = {"training.num_train_epochs": 1, "training.metric_for_best_model": "loss"}
    config = config_for(conll_files, tiny_bert, tmp_path / "run", **options)
    first = tf_tokclf.fit(config, seeds=(1, 2))
    seed_1 = tmp_path / "run" / "seed-1"
    damaged_history(seed_1 / "history.jsonl", how)
    # The record of a run contains a checksum of its history, and earlier runs have no record.
    (seed_1 / "finished.json").unlink()
    again = tf_tokclf.fit(config, seeds=(1, 2), resume=True)
    assert isinstance(first, SeedSummary)
    assert isinstance(again, SeedSummary)
    results = json.loads((seed_1 / "results.json").read_text(encoding="utf-8"))
    assert again.scores[0].value == results["splits"]["validation"]["loss"]
    assert again.scores[0].value == pytest.approx(first.scores[0].value, rel=1e-5)
    assert again.scores[1] == first.scores[1]

    results["splits"]["validation"]["loss"] = None
    (seed_1 / "results.json").write_text(json.dumps(results), encoding="utf-8")
    with pytest.raises(UserError, match=r"seed-1: the validation loss of this run is unknown.* --metric-for-best"):
        tf_tokclf.fit(config, seeds=(1, 2), resume=True)


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
