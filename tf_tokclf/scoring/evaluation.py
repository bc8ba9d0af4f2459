"""The result of an evaluation: scores with confidence intervals, loss and error analysis."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.splits import load_split
from tf_tokclf.html_form import HtmlForm
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.scoring.bootstrap import Interval, ScoreName, intervals_json, score_intervals
from tf_tokclf.scoring.entities import Mode
from tf_tokclf.scoring.error_analysis import ErrorAnalysis, Training, analyse_errors, training_of
from tf_tokclf.scoring.predictions import Prediction, PredictionFile, score_predictions
from tf_tokclf.scoring.scores import Scores, numbers
from tf_tokclf.scoring.slices import SliceCounter, Slices, slice_counter


@dataclass(frozen=True)
class Evaluation(HtmlForm):
    """Scores of one set of sentences.

    Attributes:
        scores: Precision, recall and F1, as fractions.
        loss: Mean negative log-probability of the gold labels, over all words for which it is known; nan if there are
            none.
        errors: The error analysis. None unless it was requested.
        by_argmax: Scores of each word's most probable label, if the labels come from another decoding.
        engine: The library that computed the scores of the labels, with its version, and the precision. None for
            predictions from a file.
        slices: Scores of slices of the data. None unless they were requested.
        thresholds: The thresholds by which spans were chosen. None if labels come from plain decoding.
    """

    scores: Scores
    loss: float = math.nan
    errors: ErrorAnalysis | None = None
    by_argmax: Scores | None = None
    engine: str | None = None
    slices: Slices | None = None
    thresholds: str | None = None

    @property
    def intervals(self) -> dict[str, Interval]:
        """95 % confidence intervals of F1 by type, and of all types together under the key ""."""
        return self.score_intervals["f1"]

    @cached_property
    def score_intervals(self) -> dict[ScoreName, dict[str, Interval]]:
        """95 % confidence intervals of precision, recall and F1, see `bootstrap.score_intervals`."""
        return score_intervals(self.scores.table)

    def to_json(self) -> dict[str, Any]:
        """The entry of one split in results.json."""
        result = {
            **self.scores.to_json(),
            **{f"{name}_interval": intervals_json(intervals) for name, intervals in self.score_intervals.items()},
            "loss": None if math.isnan(self.loss) else self.loss,
        }
        if self.slices is not None:
            result["slices"] = self.slices.to_json()
        if self.scores.leaks is not None:
            result["leaks"] = self.scores.leaks.to_json()
        if self.by_argmax is not None:
            result["by_argmax"] = numbers(self.by_argmax.overall)
        if self.engine is not None:
            result["engine"] = self.engine
        if self.thresholds is not None:
            result["thresholds"] = self.thresholds
        return result if self.errors is None else {**result, "errors": self.errors.to_json()}


def evaluate_file(
    path: str | Path,
    gold: str | Path | None = None,
    *,
    data: DataConfig | None = None,
    task: Task | None = None,
    predicted_column: str | int | None = None,
    mode: Mode = "conlleval",
    errors: bool = False,
    by: Sequence[str] = (),
) -> Evaluation:
    """Score a file of predictions. The label scheme is detected from all gold labels, unless `data` names it.

    path, gold, data, task, predicted_column: as for `PredictionFile`. errors: also analyse the errors.
    by: names of divisions into slices, see `slice_counter`; for `seen`, `data` has to name a training file.
    """
    file = PredictionFile(
        Path(path),
        Path(gold) if gold else None,
        data or DataConfig(),
        task or Task.NER,
        predicted_column=predicted_column,
    )
    scheme = file.scheme
    file.survey.check()
    training = None
    if "seen" in by and data and data.train_file:
        own = data.model_copy(update={"scheme": scheme.value})
        training = training_of(load_split(data.train_file, own, task=file.task), scheme)
    counter = slice_counter(by, scheme, mode, data=file.data, task=file.task, training=training) if by else None
    return evaluate_predictions(file.in_scheme(scheme), scheme, mode=mode, errors=errors, slices=counter)


def evaluate_predictions(
    predictions: Callable[[], Iterable[Prediction]],
    scheme: Scheme,
    *,
    mode: Mode = "conlleval",
    errors: bool = False,
    training: Training | None = None,
    slices: SliceCounter | None = None,
) -> Evaluation:
    """Score predictions that have gold labels. `predictions` is called again for the error analysis and for slices."""
    scores = score_predictions(predictions, scheme, mode=mode)
    analysis = analyse_errors(predictions(), scheme, mode=mode, training=training) if errors else None
    if slices:
        for prediction in predictions():
            slices.add(prediction)
    return Evaluation(scores, errors=analysis, slices=slices.result() if slices else None)
