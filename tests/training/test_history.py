"""history.jsonl."""

from __future__ import annotations

import json
import math
from dataclasses import fields
from pathlib import Path

from tf_tokclf.training.history import EpochRecord, read_history, write_history


def test_a_loss_that_nobody_can_tell_is_null_in_the_file_and_comes_back(tmp_path: Path):
    values = {field.name: 1 for field in fields(EpochRecord)} | {"dev_loss": math.nan}
    write_history(tmp_path / "history.jsonl", [EpochRecord(**values)])
    assert json.loads((tmp_path / "history.jsonl").read_text())["dev_loss"] is None
    (record,) = read_history(tmp_path / "history.jsonl")
    assert math.isnan(record.dev_loss)
