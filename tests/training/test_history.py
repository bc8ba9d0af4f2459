"""history.jsonl."""

from __future__ import annotations

import json
import math
from dataclasses import fields
from pathlib import Path

import pytest

from tf_tokclf.scoring.measures import MEASURES
from tf_tokclf.training.history import EpochRecord, best_epoch, read_history, scorings_since_best, write_history


def record(epoch: float, **scores: float) -> EpochRecord:
    return EpochRecord(**{field.name: 0.5 for field in fields(EpochRecord)} | {"epoch": epoch} | scores)


def test_a_loss_that_nobody_can_tell_is_null_in_the_file_and_comes_back(tmp_path: Path):
    values = {field.name: 1 for field in fields(EpochRecord)} | {"dev_loss": math.nan}
    write_history(tmp_path / "history.jsonl", [EpochRecord(**values)])
    assert json.loads((tmp_path / "history.jsonl").read_text())["dev_loss"] is None
    (record,) = read_history(tmp_path / "history.jsonl")
    assert math.isnan(record.dev_loss)


@pytest.mark.parametrize(
    ("measure", "best", "since"), [("f1", 0.5, 2), ("precision", 1, 1), ("recall", 0.5, 2), ("loss", 1.5, 0)]
)
def test_the_best_one_follows_from_the_measure_and_is_the_earliest_of_several(measure: str, best: float, since: int):
    records = [
        record(0.5, dev_f1=0.8, dev_precision=0.7, dev_loss=math.nan),
        record(1, dev_f1=0.8, dev_precision=0.9, dev_loss=0.4),
        record(1.5, dev_f1=0.6, dev_precision=0.9, dev_loss=0.3),
    ]
    assert best_epoch(records, MEASURES[measure]).epoch == best
    assert scorings_since_best(records, MEASURES[measure]) == since
