"""Fit a temperature on the validation split and store it with the model, so that its scores are calibrated."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.run_settings import run_of
from tf_tokclf.data.split_cache import Split
from tf_tokclf.encoding.model_folders import local_model_folder
from tf_tokclf.encoding.model_info import FILE_NAME as MODEL_INFO
from tf_tokclf.encoding.model_info import ModelInfo, write_model_info
from tf_tokclf.encoding.thresholds_file import read_thresholds
from tf_tokclf.errors import UserError
from tf_tokclf.inference.evaluate import labelled_splits
from tf_tokclf.inference.tagger import Tagger
from tf_tokclf.labels.tagged_sentence import TaggedSentence
from tf_tokclf.run_lock import locked
from tf_tokclf.run_record import note_change
from tf_tokclf.scoring.calibration import (
    PredictedSpans,
    Reliability,
    fit_temperature,
    reliability,
    why_not_calibrated,
)
from tf_tokclf.scoring.entities import entities_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Calibration:
    """The new temperature of the model, and the reliability of the span scores without and with it."""

    temperature: float
    before: Reliability
    after: Reliability


def calibrate(
    reference: str | Path,
    *,
    split: str = "validation",
    data: DataConfig | None = None,
    task: Task | None = None,
    **options: Any,
) -> Calibration:
    """Fit the temperature of a model on `split` and store it in its folder (`tf_tokclf.json`).

    reference: a run or a model folder. data: the source of the split; by default that of the run. The split is read
    with the settings of the run, except those set in `data` and the `task`. options: those of `Tagger.load`.

    If no meaningful temperature can be fitted, the model keeps its temperature, and a warning gives the reason. Raises
    UserError if another process writes to the run's folder.
    """
    folder = local_model_folder(str(reference))
    if not Path(reference).is_dir():
        problem = f"{reference} is not a local folder, so the temperature cannot be saved."
        raise UserError(problem, hint="Name a run or a model folder.")
    run = run_of(reference)
    # Training must not replace the weights between loading them and storing their temperature.
    with locked(run, hint="Wait for it, or leave out --calibrate.") if run else nullcontext():
        tagger = Tagger.load(reference, thresholds=False, **options)
        labelled = labelled_splits(reference, split, data, tagger.info, task=task)[split]
        return _calibrate(tagger, folder, labelled)


def _calibrate(tagger: Tagger, folder: Path, labelled: Split) -> Calibration:
    """Fit a temperature on labelled sentences and store it in the model's folder if it is meaningful."""
    info = tagger.info
    tagger.info = info.with_temperature(1.0)
    spans = _predicted_spans(tagger.tag(labelled), tagger)
    temperature = fit_temperature(spans)
    if problem := why_not_calibrated(spans, temperature):
        log.warning(
            "no temperature was fitted on %s: %s. The model keeps its temperature of %.3f. Calibrate it on other data.",
            labelled.place,
            problem,
            info.temperature,
        )
        temperature = info.temperature
    else:
        write_model_info(folder, info.with_temperature(temperature))
        note_change(folder / MODEL_INFO)
        _warn_of_thresholds(folder, info.with_temperature(temperature))
    before, after = (reliability(spans.scores(t), spans.right) for t in (1.0, temperature))
    if not problem:
        log.info(
            "temperature %.3f fitted on %s: calibration error of span scores %.2f %% before, %.2f %% after",
            temperature,
            labelled.name,
            100 * before.expected_calibration_error,
            100 * after.expected_calibration_error,
        )
    return Calibration(temperature, before, after)


def _warn_of_thresholds(folder: Path, info: ModelInfo) -> None:
    """Log whether the thresholds in the model's folder cannot be used any more."""
    try:
        read_thresholds(folder, info)
    except UserError as error:
        log.warning("%s", error)


def _predicted_spans(sentences: Iterable[TaggedSentence], tagger: Tagger) -> PredictedSpans:
    """The predicted spans of labelled sentences. Only the scores of their words are kept in memory."""
    labels = tagger.labels
    scores, ids, lengths, right = [], [], [], []
    for tagged in (sentence.of_labelled_words() for sentence in sentences):
        gold = set(entities_of(tagged.sentence.labels or (), labels.scheme))
        for span in entities_of(tagged.labels, labels.scheme):
            words = slice(span.start, span.end)
            seen = ~np.isnan(tagged.log_probabilities[words, 0])
            if seen.any():
                scores.append(tagged.log_probabilities[words][seen])
                ids.append(np.array([labels.id_by_label[x] for x in tagged.labels[words]])[seen])
                lengths.append(int(seen.sum()))
                right.append(span in gold)
    return PredictedSpans(
        log_probabilities=np.concatenate([np.zeros((0, len(labels)), np.float32), *scores]),
        labels=np.concatenate([np.zeros(0, np.int64), *ids]),
        starts=np.cumsum([0, *lengths])[:-1],
        right=np.array(right, bool),
    )
