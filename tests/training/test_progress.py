"""Log lines about the progress of training, and the progress bar."""

from __future__ import annotations

import io
import logging
import re

import pytest
from rich.console import Console

from tf_tokclf.training import progress
from tf_tokclf.training.checkpoints import Position
from tf_tokclf.training.progress import ProgressBar, StepLog
from tf_tokclf.training.timetable import Timetable


def lines_of(show: StepLog, timetable: Timetable, caplog: pytest.LogCaptureFixture, *, skip: int = 0) -> list[str]:
    """The log lines of all steps after the first `skip`, as the trainer reports them to callbacks."""
    before = 0
    with caplog.at_level(logging.INFO, "tf_tokclf"):
        for number, end in enumerate(timetable.scored):
            if end > skip:
                show.on_epoch_begin(number)
                for step in range(max(before, skip), end):
                    show.on_train_batch_end(step - before, {"loss": step + 1})
                show.on_epoch_end(number)
            before = end
    return [record.getMessage().partition(", 0")[0] for record in caplog.records]


def test_lines_come_every_few_steps_and_at_the_ends_of_epochs_and_stretches(caplog: pytest.LogCaptureFixture):
    # Scored within the first epoch, and after an incomplete third one.
    timetable = Timetable(5, 12, [3, 5, 10, 12])
    lines = lines_of(StepLog(timetable, Position(), logging_steps=4), timetable, caplog)
    assert [line.partition(":")[0] for line in lines] == [
        *("epoch 1/3, step 3/5", "epoch 1/3, step 4/5", "epoch 1/3, step 5/5"),
        *("epoch 2/3, step 4/5", "epoch 2/3, step 5/5", "epoch 3/3, step 2/2"),
    ]
    assert lines[0].endswith("training loss 2.0000")
    assert lines[-1].endswith("training loss 11.5000")


def test_a_resumed_run_goes_on_counting(caplog: pytest.LogCaptureFixture):
    timetable = Timetable(5, 10, [5, 10])
    show = StepLog(timetable, Position(epoch=1, step=2, n_unscored=2), logging_steps=4)
    lines = lines_of(show, timetable, caplog, skip=7)
    assert [line.partition(":")[0] for line in lines] == ["epoch 2/2, step 4/5", "epoch 2/2, step 5/5"]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What a terminal receives."""
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    monkeypatch.setattr(progress, "stderr_console", lambda: console)
    return console.file


def run_steps(n_steps: int) -> None:
    """Show the bar, and let it see some of six steps."""
    bar = ProgressBar(Timetable(6, 6, [6]), Position())
    bar.on_train_begin()
    bar.on_epoch_begin(0)
    for step in range(n_steps):
        bar.on_train_batch_end(step, {"loss": 0.25})
    bar.on_train_end()


def test_before_the_first_step_the_bar_shows_only_what_is_known(screen: io.StringIO):
    run_steps(0)
    assert "epoch 1/1" in screen.getvalue()
    assert "0/6" in screen.getvalue()
    assert not re.search("loss|left|--:--", screen.getvalue())


_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.mark.parametrize("width", [100, 80, 60, 40, 20])
def test_the_bar_never_wraps(monkeypatch: pytest.MonkeyPatch, width: int):
    """A line that wraps would stay on the screen after each update."""
    console = Console(file=io.StringIO(), force_terminal=True, width=width)
    monkeypatch.setattr(progress, "stderr_console", lambda: console)
    bar = ProgressBar(Timetable(1200, 24_000, [24_000]), Position(epoch=18, step=1190))
    bar.on_train_begin()
    bar.on_epoch_begin(0)
    for step in range(10):
        bar.on_train_batch_end(step, {"loss": 10.25})
    bar._bar.refresh()
    shown = console.file.getvalue()
    bar.on_train_end()
    lines = _ESCAPES.sub("", shown).split("\r")
    assert "\n" not in "".join(lines)
    assert max(map(len, lines)) <= width
    last = lines[-1]
    assert last.startswith("epoch 19/20"[:width])
    assert ("\u2501" in last) == (width >= 80)
    assert ("22800/24000" in last) == (width >= 40)


def test_later_the_bar_shows_loss_and_time(screen: io.StringIO):
    run_steps(5)
    assert "5/6" in screen.getvalue()
    assert "training loss 0.250" in screen.getvalue()
    assert re.search(r"\d:\d\d:\d\d left", screen.getvalue())
