"""The progress of training in a notebook: the epochs so far as a table, and a bar with the time left, in one output."""

from __future__ import annotations

import time
from typing import Any

from tf_tokclf.model.backend import keras
from tf_tokclf.report.html_tables import html_table
from tf_tokclf.report.notebook_display import UpdatedOutput
from tf_tokclf.report.page_environment import page_environment
from tf_tokclf.report.result_tables import epochs_table
from tf_tokclf.report.terminal import duration
from tf_tokclf.training.checkpoints import Position
from tf_tokclf.training.progress import SHOWN_EVERY, Steps
from tf_tokclf.training.timetable import Timetable


class NotebookProgress(keras.callbacks.Callback):
    """A table of the scorings so far, and a bar over all steps with the estimated time left. At the end, the table
    remains.

    name: that of the run, above the table.
    """

    def __init__(self, timetable: Timetable, position: Position, *, name: str) -> None:
        super().__init__()
        self._name = name
        self._steps = Steps(timetable, position)
        self._n_before = self._steps.n_done
        self._scorings: list[tuple[float, dict[str, float]]] = [(one.epoch, one.logs()) for one in position.history]
        self._output = UpdatedOutput()
        self._begun = self._shown = time.perf_counter()

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._begun = time.perf_counter()
        self._show_bar()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._steps.end_step(batch)
        if not self._steps.is_scored and time.perf_counter() - self._shown < SHOWN_EVERY:
            return
        loss = f"training loss {float((logs or {})['loss']):.3f}"
        self._show_bar(
            loss, "scoring validation" if self._steps.is_scored else f"{duration(self._seconds_left())} left"
        )

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._scorings.append((self._steps.timetable.epochs(self._steps.n_done), dict(logs or {})))
        self._show_bar()
        self._steps.end_stretch()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if self._scorings:
            self._show(None, "")

    def _seconds_left(self) -> float:
        """The time for the remaining steps, each as long as the mean so far, with the scoring of validation."""
        n_done, n_left = self._steps.n_done, self._steps.timetable.n_steps - self._steps.n_done
        return n_left * (time.perf_counter() - self._begun) / (n_done - self._n_before)

    def _show_bar(self, *about: str) -> None:
        epoch, _ = self._steps.place
        self._show(self._steps.n_done, ", ".join([f"epoch {epoch + 1}/{self._steps.timetable.n_epochs}", *about]))

    def _show(self, n_done: int | None, stage: str) -> None:
        """Update the output. n_done: number of steps for the bar; None without a bar."""
        self._shown = time.perf_counter()
        table = html_table(epochs_table(self._scorings), caption=self._name) if self._scorings else ""
        bar = page_environment().get_template("progress.html.jinja")
        html = bar.render(table=table, n_done=n_done, n_steps=self._steps.timetable.n_steps, stage=stage)
        self._output.show(html, text=f"{self._name}: {stage or 'trained'}")
