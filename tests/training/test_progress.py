"""Log lines about the progress of training."""

from __future__ import annotations

import logging

import pytest

from tf_tokclf.training.checkpoints import Position
from tf_tokclf.training.progress import StepLog
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
