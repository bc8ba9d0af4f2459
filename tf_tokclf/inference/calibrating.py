"""Fit a temperature on the dev split and store it with the model, so that its scores mean what they say."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tf_tokclf.config.schema import DataConfig
from tf_tokclf.data.model_folders import local_model_folder
from tf_tokclf.data.model_info import write_model_info
from tf_tokclf.errors import UserError
from tf_tokclf.inference.api import labelled_splits
from tf_tokclf.inference.tagger import TaggedSentence, Tagger
from tf_tokclf.scoring.calibration import Reliability, fit_temperature, reliability, span_score, temper
from tf_tokclf.scoring.error_analysis import spans_in

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Calibration:
    """The temperature, and how well span scores of the dev split came true without and with it."""

    temperature: float
    before: Reliability
    after: Reliability


def calibrate(
    reference: str | Path, *, split: str = "validation", data: DataConfig | None = None, **options: Any
) -> Calibration:
    """Fit the temperature of a model on `split` and store it in its folder (`tf_tokclf.json`).

    reference: a run or a model folder. data: where the split is; by default that of the run. options: those
    of `Tagger.load`.
    """
    folder = local_model_folder(str(reference))
    if not Path(reference).is_dir():
        raise UserError(f"{reference} is no folder of yours to store a temperature in.", hint="Give a run.")
    labelled = labelled_splits(reference, split, data)[split]
    tagger = Tagger.load(reference, **options)
    info = tagger.info
    tagger.info = info.with_temperature(1.0)
    kept = [_Kept.of(tagged) for tagged in tagger.tag(labelled)]
    gold = np.concatenate([one.gold for one in kept])
    temperature = fit_temperature(np.concatenate([one.log_probabilities for one in kept]), gold)
    write_model_info(folder, info.with_temperature(temperature))
    result = Calibration(temperature, _reliability(kept, tagger, 1.0), _reliability(kept, tagger, temperature))
    log.info(
        "temperature %.3f fitted on %s: calibration error of span scores %.2f %% before, %.2f %% after",
        temperature,
        split,
        100 * result.before.expected_calibration_error,
        100 * result.after.expected_calibration_error,
    )
    return result


@dataclass(frozen=True)
class _Kept:
    """What is needed of a sentence: (words, labels) scores, gold ids (-1: unknown), labels of both sides."""

    log_probabilities: np.ndarray
    gold: np.ndarray
    gold_labels: tuple[str, ...]
    predicted: tuple[str, ...]

    @classmethod
    def of(cls, tagged: TaggedSentence) -> _Kept:
        labels = tagged.sentence.labels or ()
        ids = np.array([tagged.label_set.id_by_label.get(label, -1) for label in labels], np.int64)
        return cls(tagged.log_probabilities.copy(), ids, labels, tagged.labels)


def _reliability(kept: list[_Kept], tagger: Tagger, temperature: float) -> Reliability:
    scores, right = [], []
    for one in kept:
        ids = [tagger.labels.id_by_label[label] for label in one.predicted]
        chosen = np.exp(temper(one.log_probabilities, temperature)[np.arange(len(ids)), ids]).tolist()
        probabilities = [None if p != p else p for p in chosen]
        gold = set(spans_in(one.gold_labels, tagger.labels.scheme))
        for span in spans_in(one.predicted, tagger.labels.scheme):
            score = span_score(probabilities, span)
            if score is not None:
                scores.append(score)
                right.append(span in gold)
    return reliability(scores, right)
