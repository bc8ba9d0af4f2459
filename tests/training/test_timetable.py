"""Steps, epochs and scorings of a run, and runs of a given number of steps."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from tests.training.test_train import config_for
from tf_tokclf import fit
from tf_tokclf.config.loading import load_config
from tf_tokclf.config.schema import TrainingConfig
from tf_tokclf.errors import UserError
from tf_tokclf.training.history import read_history
from tf_tokclf.training.plan import plan_run
from tf_tokclf.training.timetable import Timetable

pytestmark = pytest.mark.usefixtures("untraced")


def timetable(n_batches: int, **settings: object) -> Timetable:
    return Timetable.of(TrainingConfig(**settings), n_batches)


def test_each_epoch_is_scored_at_its_end():
    found = timetable(7, gradient_accumulation_steps=2, num_train_epochs=3)
    assert (found.steps_per_epoch, found.n_steps, list(found.scored)) == (4, 12, [4, 8, 12])
    assert found.about == "12 (3 epochs of 4 steps)"


@pytest.mark.parametrize(
    ("max_steps", "scored", "n_epochs", "about"),
    [
        (3, [3], 1, "3 (0.75 epochs of 4 steps)"),
        (4, [4], 1, "4 (1 epoch of 4 steps)"),
        (9, [4, 8, 9], 3, "9 (2.25 epochs of 4 steps)"),
    ],
)
def test_a_number_of_steps_overrides_the_epochs(max_steps: int, scored: list[int], n_epochs: int, about: str):
    found = timetable(4, max_steps=max_steps, num_train_epochs=7)
    assert (found.n_steps, list(found.scored), found.n_epochs, found.about) == (max_steps, scored, n_epochs, about)


def test_the_next_scoring_is_after_the_steps_so_far():
    found = timetable(4, max_steps=9)
    assert [found.next_scored(n_done) for n_done in (0, 3, 4, 8)] == [4, 4, 8, 9]


def test_minus_one_is_no_number_of_steps():
    """It is transformers' default."""
    assert load_config(options={"training.max_steps": -1}).training.max_steps is None
    with pytest.raises(UserError, match="max_steps"):
        load_config(options={"training.max_steps": 0})


@pytest.mark.parametrize(
    ("settings", "scored"),
    [
        ({"eval_steps": 3}, [3, 6, 8]),
        ({"eval_steps": 4}, [4, 8]),
        ({"eval_steps": 100}, [8]),
        ({"eval_strategy": "steps", "eval_steps": 5}, [5, 8]),
        # As in transformers, logging_steps applies.
        ({"eval_strategy": "steps", "logging_steps": 6}, [6, 8]),
        ({"eval_strategy": "epoch", "eval_steps": 3}, [4, 8]),
        ({"eval_strategy": "no"}, [8]),
        ({"eval_strategy": "no", "max_steps": 6}, [6]),
        ({"eval_steps": 3, "max_steps": 5}, [3, 5]),
    ],
)
def test_scorings_are_every_few_steps_and_at_the_end(settings: dict[str, object], scored: list[int]):
    assert list(timetable(4, num_train_epochs=2, **settings).scored) == scored


def test_no_is_a_strategy_that_yaml_reads_as_false():
    assert load_config(assignments=["training.eval_strategy=no"]).training.eval_strategy == "no"


@pytest.mark.parametrize("name", ["loss", "eval_loss", "overall_loss", "eval_overall_loss"])
def test_measures_have_the_names_of_transformers_too(name: str):
    assert load_config(options={"training.metric_for_best_model": name}).training.metric_for_best_model == "loss"


def test_patience_counts_scorings(
    conll_files: dict[str, str], tiny_bert: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """Weights that do not change are never better than the first ones."""
    options = {"training.eval_steps": 2, "training.patience": 2, "optimizer.learning_rate": 1e-15}
    config = config_for(conll_files, tiny_bert, tmp_path / "run", **options)
    with caplog.at_level(logging.INFO, "tf_tokclf"):
        history = fit(config).history
    n_per_epoch = plan_run(config).timetable.steps_per_epoch
    assert [record.epoch for record in history] == [pytest.approx(n / n_per_epoch, abs=1e-4) for n in (2, 4, 6)]
    assert "stopped early: no better validation F1 for 2 scorings" in caplog.text
    assert f"best epoch: {history[0].epoch}, validation F1" in caplog.text


def test_without_scorings_the_last_model_is_kept(conll_files: dict[str, str], tiny_bert: Path, tmp_path: Path):
    options = {"training.eval_strategy": "no", "training.num_train_epochs": 2}
    result = fit(config_for(conll_files, tiny_bert, tmp_path / "run", **options))
    (record,) = result.history
    assert record.epoch == 2
    assert result.evaluations["validation"].scores.overall.f1 == record.dev_f1
    n_words = plan_run(config_for(conll_files, tiny_bert, tmp_path / "run", **options)).splits.train.n_words
    assert record.words_per_second == pytest.approx(2 * n_words / record.train_seconds)


def test_a_run_of_a_number_of_steps_ends_there_and_saves_what_it_scored(
    conll_files: dict[str, str], tiny_bert: Path, tmp_path: Path
):
    """The learning rate decays to the last step, in the middle of the third epoch."""
    config = config_for(conll_files, tiny_bert, tmp_path / "run")
    n_per_epoch = plan_run(config).timetable.steps_per_epoch
    assert n_per_epoch > 2
    n_steps = 2 * n_per_epoch + 2
    options = {"training.max_steps": n_steps, "training.num_train_epochs": 1, "training.keep_checkpoints": 1}
    result = fit(config_for(conll_files, tiny_bert, tmp_path / "run", **options))
    last = round(2 + 2 / n_per_epoch, 4)
    assert [record.epoch for record in result.history] == [1, 2, last]
    assert result.history[-1].learning_rate == pytest.approx(3e-3 / n_steps)
    assert read_history(result.run.history) == list(result.history)
    assert json.loads(result.run.results.read_text(encoding="utf-8"))["n_epochs"] == last
    (checkpoint,) = result.run.checkpoints.iterdir()
    assert checkpoint.name == "epoch-0002-step-0000002-scored"
    best = max(record.dev_f1 for record in result.history)
    assert result.evaluations["validation"].scores.overall.f1 == pytest.approx(best)


def test_a_run_can_be_shorter_than_an_epoch(conll_files: dict[str, str], tiny_bert: Path, tmp_path: Path):
    options = {"training.max_steps": 1, "optimizer.lr_scheduler_type": "constant"}
    result = fit(config_for(conll_files, tiny_bert, tmp_path / "run", **options))
    (record,) = result.history
    assert 0 < record.epoch < 1
    assert record.learning_rate == pytest.approx(3e-3)
    assert result.evaluations["test"].scores.overall.gold
