"""`history.jsonl` with one line per epoch, and the best epoch so far."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tf_tokclf.files import open_whole


@dataclass(frozen=True)
class EpochRecord:
    """The results of an epoch. Epochs are numbered from 1.

    The fields `dev_...` are about the validation split. train_loss: the mean over labelled subword tokens, weighted by
    training.span_weight. dev_loss: the mean over words.
    """

    epoch: int
    train_loss: float
    dev_loss: float
    dev_precision: float
    dev_recall: float
    dev_f1: float
    dev_token_accuracy: float
    learning_rate: float
    train_seconds: float
    dev_seconds: float
    words_per_second: float

    def logs(self) -> dict[str, float]:
        """The values under the names that Keras callbacks use."""
        return {
            "loss": self.train_loss,
            "val_loss": self.dev_loss,
            "val_precision": self.dev_precision,
            "val_recall": self.dev_recall,
            "val_f1": self.dev_f1,
            "val_accuracy": self.dev_token_accuracy,
        }


def best_epoch(records: Iterable[EpochRecord]) -> EpochRecord:
    """The record with the highest validation F1, the earliest one in case of a tie."""
    return max(records, key=lambda record: (record.dev_f1, -record.epoch))


def epochs_since_best(records: Sequence[EpochRecord]) -> int:
    """The number of epochs since the best one."""
    return records[-1].epoch - best_epoch(records).epoch


def write_history(path: Path, records: Iterable[EpochRecord]) -> None:
    """Write all epochs so far, completely or not at all. NaN (the loss without labelled words) becomes null."""
    with open_whole(path) as file:
        for record in records:
            values = {name: None if math.isnan(value) else value for name, value in asdict(record).items()}
            file.write(json.dumps(values) + "\n")


def read_history(path: Path) -> list[EpochRecord]:
    """The epochs in a history file."""
    lines: list[dict[str, Any]] = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    rows: list[dict[str, Any]] = [{k: math.nan if v is None else v for k, v in line.items()} for line in lines]
    return [EpochRecord(**row) for row in rows]
