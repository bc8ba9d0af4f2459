"""The progress of training: a bar on a terminal, else a log line every N steps."""

from __future__ import annotations

import logging
import math
import time
from typing import Any, SupportsFloat

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn

from tf_tokclf.model.backend import keras
from tf_tokclf.report.progress import OneLineProgress, TimeLeftColumn
from tf_tokclf.report.terminal import duration, stderr_console
from tf_tokclf.training.checkpoints import Position
from tf_tokclf.training.timetable import Timetable

log = logging.getLogger(__name__)

# Seconds between two updates while nothing is scored. Each update reads the loss, which makes a GPU wait. In a
# notebook, it is also a message to the browser.
SHOWN_EVERY = 0.5


class Steps:
    """The number of steps of the run so far. Callbacks see each stretch between two scorings as an epoch.

    position: where training begins.
    """

    def __init__(self, timetable: Timetable, position: Position) -> None:
        self.timetable = timetable
        self.n_done = position.n_steps(timetable)
        self._begin = self.n_done - position.n_unscored

    def end_step(self, step: int) -> None:
        """Move behind a step of the stretch. They are numbered from 0."""
        self.n_done = self._begin + step + 1

    def end_stretch(self) -> None:
        """Move to the next stretch."""
        self._begin = self.n_done

    @property
    def is_scored(self) -> bool:
        """Whether the stretch is complete."""
        return self.n_done == self.timetable.next_scored(self._begin)

    @property
    def place(self) -> tuple[int, int]:
        """The epoch of the last step, from 0, and the number of steps in it so far."""
        epoch = max(self.n_done - 1, 0) // self.timetable.steps_per_epoch
        return epoch, self.n_done - epoch * self.timetable.steps_per_epoch


class StepLog(keras.callbacks.Callback):
    """Logs the mean training loss every `logging_steps` steps, with the estimated time left."""

    def __init__(self, timetable: Timetable, position: Position, *, logging_steps: int) -> None:
        super().__init__()
        self._every = logging_steps
        self._steps = Steps(timetable, position)
        self._losses: list[SupportsFloat] = []
        self._n_seen = 0
        self._seconds = 0.0
        self._since = time.perf_counter()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._since = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._steps.end_stretch()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._n_seen += 1
        self._losses.append((logs or {})["loss"])
        self._steps.end_step(batch)
        timetable = self._steps.timetable
        epoch, step = self._steps.place
        n_in_epoch = timetable.steps_in(epoch)
        if step % self._every and step != n_in_epoch and not self._steps.is_scored:
            return
        mean = sum(map(float, self._losses)) / len(self._losses)
        self._losses.clear()
        # On a GPU, the steps have ended only when their losses are read.
        now = time.perf_counter()
        self._seconds += now - self._since
        self._since = now
        n_left = timetable.n_steps - self._steps.n_done
        log.info(
            "epoch %d/%d, step %d/%d: training loss %.4f%s",
            epoch + 1,
            timetable.n_epochs,
            step,
            n_in_epoch,
            mean,
            f", {duration(n_left * self._seconds / self._n_seen)} left" if n_left else "",
        )


class ProgressBar(keras.callbacks.Callback):
    """A bar over all steps with the estimated time left, for terminals."""

    def __init__(self, timetable: Timetable, position: Position) -> None:
        super().__init__()
        self._steps = Steps(timetable, position)
        self._bar = OneLineProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[loss]}"),
            TimeLeftColumn(),
            console=stderr_console(),
            transient=True,
        )
        self._task = self._bar.add_task("training", total=timetable.n_steps, loss="")
        self._shown = -math.inf

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._bar.start()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        current = self._steps.n_done // self._steps.timetable.steps_per_epoch
        self._bar.update(self._task, description=self._about(current), completed=self._steps.n_done)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._steps.end_step(batch)
        about = self._about(self._steps.place[0]) + (", scoring validation" if self._steps.is_scored else "")
        self._bar.update(self._task, description=about, completed=self._steps.n_done)
        if self._steps.is_scored or time.perf_counter() - self._shown >= SHOWN_EVERY:
            self._bar.update(self._task, loss=f"training loss {float((logs or {})['loss']):.3f}")
            self._shown = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        current, step = self._steps.place
        done = " done" if step == self._steps.timetable.steps_in(current) else ""
        self._bar.update(self._task, description=self._about(current) + done)
        self._steps.end_stretch()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._bar.stop()

    def _about(self, epoch: int) -> str:
        return f"epoch {epoch + 1}/{self._steps.timetable.n_epochs}"
