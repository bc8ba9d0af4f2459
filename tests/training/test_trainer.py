"""The loop reads losses late, but callbacks, checkpoints and messages about losses do not notice."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.training.test_train import config_for
from tf_tokclf import Config, fit
from tf_tokclf.errors import JobError
from tf_tokclf.model.backend import keras
from tf_tokclf.training import step_losses
from tf_tokclf.training.plan import plan_run
from tf_tokclf.training.step import TrainingStep

pytestmark = pytest.mark.usefixtures("untraced")

# The loss of step n of the run, from 0, is 1 / (n + 1), unless it is the step that fails.
FAILED = 5


class Losses:
    """Stands for the training step: it changes no weights, and counts how many losses nobody has read yet."""

    def __init__(self, failed: int | None, value: float = math.nan) -> None:
        self._failed = failed
        self._value = value
        self.n_steps = self.n_read = 0
        self.most_unread = 0

    def __call__(self, batches: Sequence[Any]) -> Any:
        number, losses = self.n_steps, self
        self.n_steps += 1
        self.most_unread = max(self.most_unread, self.n_steps - self.n_read)

        class Loss:
            def __float__(self) -> float:
                losses.n_read += 1
                return losses._value if number == losses._failed else 1 / (number + 1)

        return Loss()


@pytest.fixture
def train(
    conll_files: dict[str, str], tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Losses]:
    """Trains without a model, in batches of 4, and logs only at the end of an epoch. Returns its step."""

    def run(
        *, failed: int | None = None, callbacks: Sequence[Any] = (), value: float = math.nan, **more: Any
    ) -> Losses:
        step = Losses(failed, value)
        monkeypatch.setattr(TrainingStep, "__call__", lambda self, batches: step(batches))
        monkeypatch.setattr(step_losses, "SECONDS_BETWEEN", 60.0)
        options = {"training.logging_steps": 1000, "training.num_train_epochs": 1, "training.report_to": []}
        run.config = config_for(conll_files, tiny_bert, tmp_path / "run", **{**options, **more})
        run.step = step
        run.result = fit(run.config, callbacks=callbacks)
        return step

    return run


def place_of(config: Config, step: int) -> tuple[int, int, set[str]]:
    """Epoch and step as a message numbers them, and the places of the sentences of the step."""
    plan = plan_run(config)
    epoch, in_epoch = divmod(step, plan.timetable.steps_per_epoch)
    rows = plan.batches.plan(epoch).rows[in_epoch]
    sentences = [plan.batches.windows[int(row)]["sentence"] for row in rows]
    places = {str(next(iter(plan.splits.train.slice(number, 1))).origin) for number in sentences}
    return epoch + 1, in_epoch + 1, places


def test_no_loss_is_read_before_it_is_needed(train: Callable[..., Losses]):
    step = train()
    assert step.most_unread == step.n_steps == step.n_read > 5
    expected = sum(1 / (number + 1) for number in range(step.n_steps)) / step.n_steps
    assert train.result.history[0].train_loss == expected


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_read_late_is_reported_with_its_own_step(train: Callable[..., Losses], value: float):
    with pytest.raises(JobError, match=f"the training loss is {value} at step") as raised:
        train(failed=FAILED, value=value)
    assert train.step.n_steps > FAILED + 1
    epoch, number, places = place_of(train.config, FAILED)
    assert f"at step {number} of epoch {epoch}, on the sentences at" in str(raised.value)
    assert len(places) > 1
    assert all(place in str(raised.value) for place in places)


def test_a_checkpoint_that_is_due_later_is_not_written(train: Callable[..., Losses]):
    with pytest.raises(JobError):
        train(failed=FAILED, **{"training.checkpoint_steps": FAILED + 2})
    root = Path(train.config.output_dir)
    assert train.step.n_steps == FAILED + 2
    assert not list(root.glob("checkpoints/epoch-*"))
    assert not (root / "model").exists()


def test_the_callbacks_of_others_get_checked_numbers(train: Callable[..., Losses]):
    seen = []

    class Sees(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
            seen.append((logs or {})["loss"])

    with pytest.raises(JobError):
        train(failed=FAILED, callbacks=[Sees()])
    assert seen == [1 / (number + 1) for number in range(FAILED)]
    assert {type(loss) for loss in seen} == {float}
    assert train.step.most_unread == 1


def test_callbacks_that_see_only_epochs_cost_no_reading(train: Callable[..., Losses]):
    epochs = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None)
    assert train(callbacks=[epochs]).most_unread > 5
