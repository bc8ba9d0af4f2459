"""The progress of training: a bar on a terminal, else a log line every N steps."""

from __future__ import annotations

import logging
import time
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tf_tokclf.model.backend import keras
from tf_tokclf.report.terminal import duration, stderr_console

log = logging.getLogger(__name__)


class StepLog(keras.callbacks.Callback):
    """Logs the mean training loss every `logging_steps` steps, with the estimated time left."""

    def __init__(self, *, logging_steps: int, steps_per_epoch: int, n_epochs: int) -> None:
        super().__init__()
        self._every = logging_steps
        self._steps_per_epoch = steps_per_epoch
        self._n_epochs = n_epochs
        self._losses: list[float] = []
        self._epoch = 0
        self._n_seen = 0
        self._seconds = 0.0
        self._since = time.perf_counter()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch = epoch
        self._since = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        now = time.perf_counter()
        self._seconds += now - self._since
        self._since = now
        self._n_seen += 1
        self._losses.append((logs or {})["loss"])
        if (batch + 1) % self._every and batch + 1 != self._steps_per_epoch:
            return
        n_left = (self._n_epochs - self._epoch) * self._steps_per_epoch - batch - 1
        mean = sum(self._losses) / len(self._losses)
        self._losses.clear()
        log.info(
            "epoch %d/%d, step %d/%d: training loss %.4f%s",
            self._epoch + 1,
            self._n_epochs,
            batch + 1,
            self._steps_per_epoch,
            mean,
            f", {duration(n_left * self._seconds / self._n_seen)} left" if n_left else "",
        )


class ProgressBar(keras.callbacks.Callback):
    """A bar over all steps with the estimated time left, for terminals."""

    def __init__(self, *, steps_per_epoch: int, n_epochs: int) -> None:
        super().__init__()
        self._steps_per_epoch = steps_per_epoch
        self._n_epochs = n_epochs
        self._epoch = 0
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("training loss {task.fields[loss]}"),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("left"),
            console=stderr_console(),
            transient=True,
        )
        self._task = self._bar.add_task("training", total=steps_per_epoch * n_epochs, loss="-")

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._bar.start()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch = epoch
        description = f"epoch {epoch + 1}/{self._n_epochs}"
        self._bar.update(self._task, description=description, completed=epoch * self._steps_per_epoch)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._bar.update(self._task, advance=1, loss=f"{(logs or {})['loss']:.3f}")
        if batch + 1 == self._steps_per_epoch:
            self._bar.update(self._task, description=f"epoch {self._epoch + 1}/{self._n_epochs}, scoring validation")

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._bar.update(self._task, description=f"epoch {epoch + 1}/{self._n_epochs} done")

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._bar.stop()
