"""Choose thresholds for a model on labelled data, and store them with the model."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.counted import counted
from tf_tokclf.data.run_settings import run_of
from tf_tokclf.data.split_cache import Split
from tf_tokclf.encoding.model_folders import local_model_folder
from tf_tokclf.encoding.onnx_record import weights_sha256
from tf_tokclf.encoding.thresholds_file import (
    FILE_NAME,
    FORMAT_VERSION,
    CalibrationData,
    StoredTarget,
    StoredThreshold,
    Thresholds,
    write_thresholds,
)
from tf_tokclf.errors import UserError
from tf_tokclf.inference.evaluate import check_data, labelled_splits
from tf_tokclf.inference.tagger import Tagger
from tf_tokclf.inference.thresholding import scored_spans
from tf_tokclf.labels.lattice import Lattice
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.run_lock import locked
from tf_tokclf.run_record import note_change
from tf_tokclf.scoring.counts import Counts
from tf_tokclf.scoring.entities import entities_of
from tf_tokclf.scoring.operating_points import (
    OperatingPoint,
    SpanCounter,
    Target,
    check_types,
    curve,
    operating_point,
    target_of,
    total_curve,
)
from tf_tokclf.version import __version__

log = logging.getLogger(__name__)

CONFIDENCE = 0.95


@dataclass(frozen=True)
class OperatingPoints:
    """The thresholds of a model, and what they cost on the calibration data.

    points: by type. curves: the counts at each threshold of a curve by type, and of all types together under "".
    stored: what is written to the model's folder.
    """

    points: Mapping[str, OperatingPoint]
    curves: Mapping[str, Sequence[tuple[float, Counts]]]
    stored: Thresholds

    def to_json(self) -> dict[str, Any]:
        """The result as plain values."""
        return {
            "confidence": self.stored.confidence,
            "data": self.stored.data.model_dump(mode="json"),
            "thresholds": {name: point.to_json() for name, point in self.points.items()},
            "curves": {name or "overall": [_row(*one) for one in points] for name, points in self.curves.items()},
        }


def _row(threshold: float, counts: Counts) -> dict[str, float]:
    return {"threshold": threshold, "precision": counts.precision, "recall": counts.recall, "f1": counts.f1}


def choose_thresholds(
    reference: str | Path,
    targets: Sequence[Target],
    *,
    confidence: float = CONFIDENCE,
    split: str = "validation",
    data: DataConfig | None = None,
    task: Task | None = None,
    store: bool = True,
    **options: Any,
) -> OperatingPoints:
    """Choose the threshold of each type that keeps its target, see `scoring.operating_points` for what it promises.

    Args:
        reference: A run or a model folder.
        targets: The targets, see `parse_targets`.
        confidence: The probability of keeping the target, for each type by itself.
        split: The split of the run's data on which they are chosen.
        data: Other data that contains the split, read with the settings of the run.
        task: The task, if it differs from that of the run.
        store: Whether to write `thresholds.json` to the model's folder, for `predict`, `serve` and `load`.
        **options: The options of `Tagger.load`.

    Raises:
        UserError: The model or the data cannot be used, or a target names no type of the model.
    """
    if store and not Path(reference).is_dir():
        problem = f"{reference} is not a local folder, so thresholds cannot be stored."
        raise UserError(problem, hint="Name a run or a model folder, or pass --dry-run.")
    check_data(str(reference), split, data)  # before the model is loaded
    run = run_of(reference) if store else None
    # Training must not replace the weights for which thresholds are stored.
    with locked(run, hint="Wait for it, or pass --dry-run.") if run else nullcontext():
        tagger = Tagger.load(reference, thresholds=False, **options)
        if tagger.labels.scheme is Scheme.NONE:
            problem = "thresholds are for spans, but the model's labels form no spans."
            raise UserError(problem, hint="Use a model with a label scheme.")
        check_types(targets, tagger.labels.types)
        splits = labelled_splits(reference, split, data, tagger.info, task=task)
        counter = count_spans(tagger, splits[split], splits.scheme)
        folder = local_model_folder(str(reference), engine="auto", weights=False, revision=options.get("revision"))
        place = Path(splits[split].place).name if data and getattr(data, f"{split}_file") else split
        found = _chosen(tagger, counter, targets, confidence, _Origin(folder, splits[split], place))
        if store:
            write_thresholds(folder, found.stored)
            note_change(folder / FILE_NAME)
            log.info("stored in %s, which predict, serve and load use", folder / FILE_NAME)
    return found


def remove_thresholds(reference: str | Path) -> Path:
    """Remove the thresholds that are stored with a model. Returns their file.

    Raises UserError if there are none.
    """
    path = local_model_folder(str(reference), engine="auto", weights=False) / FILE_NAME
    if not Path(reference).is_dir() or not path.is_file():
        raise UserError("has no thresholds.", path=reference, hint="Name a run or a model folder that has some.")
    run = run_of(reference)
    with locked(run, hint="Wait for it.") if run else nullcontext():
        path.unlink()
        note_change(path)
    return path


def count_spans(tagger: Tagger, sentences: Split, scheme: Scheme) -> SpanCounter:
    """The gold and the scored spans of labelled sentences. scheme: that of the gold labels.

    Spans that contain a word without a gold label are left out.
    """
    lattice, counter = Lattice.of(tagger.labels, tagger.info.crf), SpanCounter(tagger.labels.types)
    for block in tagger.tag_blocks(sentences):
        for tagged, scored in zip(block, scored_spans(lattice, block), strict=True):
            sentence = tagged.sentence
            known = np.ones(len(sentence), bool)
            known[list(sentence.unlabelled)] = False
            plain = entities_of(tagged.labels, tagger.labels.scheme)
            counter.add(
                entities_of(sentence.labels or (), scheme),
                [(one.span, one.probability) for one in scored if known[one.span.start : one.span.end].all()],
                [span for span in plain if known[span.start : span.end].all()],
            )
    return counter


@dataclass(frozen=True)
class _Origin:
    """The model's folder, the sentences, and their name in the file."""

    folder: Path
    sentences: Split
    name: str


def _chosen(
    tagger: Tagger, counter: SpanCounter, targets: Sequence[Target], confidence: float, origin: _Origin
) -> OperatingPoints:
    every = {name: counter.calibration(name) for name in counter.types}
    points = {name: operating_point(name, found, target_of(name, targets), confidence) for name, found in every.items()}
    curves = {"": total_curve(every), **{name: curve(found) for name, found in every.items()}}
    if missed := [name for name, point in points.items() if not point.is_met]:
        shown = ", ".join(missed[:5]) + (", ..." if len(missed) > 5 else "")
        log.warning("the target of %s is not reachable: %s", counted(len(missed), "type"), shown)
    data = CalibrationData(name=origin.name, sha256=origin.sentences.fingerprint, n_sentences=len(origin.sentences))
    # Values from the command are checked like those from a file.
    stored = Thresholds.model_validate(
        {
            "format_version": FORMAT_VERSION,
            "labels": tagger.labels.names,
            "scheme": tagger.labels.scheme.value,
            "temperature": tagger.info.temperature,
            "aggregation": tagger.aggregation,
            "weights": weights_sha256(origin.folder),
            "confidence": confidence,
            "data": data,
            "versions": {"tf-tokclf": __version__, "engine": tagger.forward_pass.facts.engine},
            "types": {name: _stored(point) for name, point in points.items()},
        }
    )
    return OperatingPoints(points, curves, stored)


def _stored(point: OperatingPoint) -> StoredThreshold:
    target = StoredTarget(measure=point.target.measure, least=point.target.least) if point.target else None
    return StoredThreshold(
        threshold=point.threshold, target=target, is_met=point.is_met, value=point.value, low=point.low
    )
