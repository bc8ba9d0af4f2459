"""The output below a cell that trains, which is updated in place. tests/test_notebook.py sees it in a real kernel."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest

from tf_tokclf.report.notebook_display import in_notebook
from tf_tokclf.training import notebook_progress
from tf_tokclf.training.checkpoints import Position
from tf_tokclf.training.history import EpochRecord
from tf_tokclf.training.notebook_progress import NotebookProgress
from tf_tokclf.training.timetable import Timetable

LOGS = {"loss": 0.5, "val_loss": 0.25, "val_precision": 0.75, "val_recall": 0.5, "val_f1": 0.6, "val_accuracy": 0.9}


class Recorder:
    """Stands for the output of a notebook, and keeps what it showed."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, str]] = []

    def show(self, html: str, *, text: str) -> None:
        self.shown.append((html, text))


@pytest.fixture
def output(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr(notebook_progress, "UpdatedOutput", lambda: recorder)
    return recorder


def bar_in(html: str) -> tuple[int, int]:
    found = re.search(r'<progress value="(\d+)" max="(\d+)"', html)
    assert found is not None
    return int(found[1]), int(found[2])


def rows_in(html: str) -> list[str]:
    """The first column of the table."""
    return re.findall(r"<tr[^>]*><td [^>]*>([\d.]+)</td>", html)


def timetable(n_epochs: int, *, scored_every: int = 2) -> Timetable:
    """Epochs of two steps."""
    n_steps = 2 * n_epochs
    return Timetable(2, n_steps, range(scored_every, n_steps + 1, scored_every))


def test_the_bar_covers_all_epochs_and_the_table_those_that_are_done(output: Recorder, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(notebook_progress, "SHOWN_EVERY", 0.0)
    progress = NotebookProgress(timetable(2), Position(), name="runs/<b>")
    progress.on_train_begin()
    bars = [bar_in(output.shown[-1][0])]
    for epoch in range(2):
        for batch in range(2):
            progress.on_train_batch_end(batch, {"loss": 0.125})
            bars.append(bar_in(output.shown[-1][0]))
        progress.on_epoch_end(epoch, LOGS)
    assert bars == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    texts = [text for _, text in output.shown]
    assert re.fullmatch(r"runs/<b>: epoch 1/2, training loss 0\.125, \d+\.\d s left", texts[1])
    assert "runs/<b>: epoch 2/2, training loss 0.125, scoring validation" in texts
    progress.on_train_end()
    html, text = output.shown[-1]
    assert ("<progress" in html, "<b>" in html, text) == (False, False, "runs/<b>: trained")
    assert rows_in(html) == ["1", "2"]


def test_steps_in_quick_succession_are_not_all_shown(output: Recorder):
    progress = NotebookProgress(timetable(500, scored_every=1000), Position(), name="run")
    progress.on_train_begin()
    for batch in range(1000):
        progress.on_train_batch_end(batch, {"loss": 0.5})
    assert len(output.shown) < 100


def test_a_resumed_run_goes_on_where_it_stopped(output: Recorder):
    values = {field.name: 0.5 for field in fields(EpochRecord)}
    before = tuple(EpochRecord(**{**values, "epoch": epoch}) for epoch in (0.5, 1))
    progress = NotebookProgress(timetable(3, scored_every=1), Position(epoch=1, history=before), name="run")
    progress.on_train_begin()
    html, _ = output.shown[-1]
    assert (bar_in(html), rows_in(html)) == ((2, 6), ["0.5", "1"])
    progress.on_train_batch_end(0, {"loss": 0.5})
    progress.on_epoch_end(2, LOGS)
    html, _ = output.shown[-1]
    assert (bar_in(html), rows_in(html)) == ((3, 6), ["0.5", "1", "1.5"])


def test_these_tests_run_in_no_notebook():
    assert not in_notebook()
