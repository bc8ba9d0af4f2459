"""`history.jsonl` with one line per scoring of the validation sentences, and the best one so far."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tf_tokclf.files import open_whole
from tf_tokclf.run_history import epoch_rows
from tf_tokclf.scoring.measures import Measure


@dataclass(frozen=True)
class EpochRecord:
    """The results of the training since the last scoring, usually of an epoch.

    epoch: the number of epochs so far, with a fraction if the last one is not complete. The fields `dev_...` are about
    the validation split. train_loss: the mean over labelled subword tokens, weighted by training.span_weight. dev_loss:
    the mean over words.
    """

    epoch: int | float
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


def best_epoch(records: Sequence[EpochRecord], measure: Measure) -> EpochRecord:
    """The best record, the earliest one in case of a tie."""
    return records[_best(records, measure)]


def scorings_since_best(records: Sequence[EpochRecord], measure: Measure) -> int:
    """The number of records after the best one."""
    return len(records) - 1 - _best(records, measure)


def _best(records: Sequence[EpochRecord], measure: Measure) -> int:
    ranks = [measure.rank(getattr(record, measure.field)) for record in records]
    return ranks.index(max(ranks))


def write_history(path: Path, records: Iterable[EpochRecord]) -> None:
    """Write all epochs so far, completely or not at all. NaN (the loss without labelled words) becomes null."""
    with open_whole(path) as file:
        for record in records:
            values = {name: None if math.isnan(value) else value for name, value in asdict(record).items()}
            file.write(json.dumps(values) + "\n")


def read_history(path: Path) -> list[EpochRecord]:
    """The epochs in a history file. Raises UserError if it is damaged."""
    lines = epoch_rows(path)
    rows: list[dict[str, Any]] = [{k: math.nan if v is None else v for k, v in line.items()} for line in lines]
    return [EpochRecord(**row) for row in rows]
