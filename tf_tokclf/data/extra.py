"""Further training sentences whose labels are less certain: predictions of a model, or labels of other annotators.

The training file defines the labels. Sentences that are also validation or test sentences are left out, so that scores
stay honest.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_tokclf.config.schema import Config, DataConfig, Task
from tf_tokclf.counted import counted
from tf_tokclf.data.cache import Cache
from tf_tokclf.data.formats.jsonl import json_records
from tf_tokclf.data.reading.base import Problems
from tf_tokclf.data.run_settings import settings_for
from tf_tokclf.data.sentence_batches import batches_of, chosen_rows, sentences_of
from tf_tokclf.data.soft_labels import SoftLabels, has_soft_labels, soft_labels
from tf_tokclf.data.split_cache import Split, transformed
from tf_tokclf.data.splits import Splits, load_split, repaired_split, scheme_of
from tf_tokclf.errors import UserError
from tf_tokclf.labels.label_set import LabelSet
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.sentence import Sentence
from tf_tokclf.labels.spans import translated_labels

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

# The fields in which `predict` writes the probability of each word's label.
_SCORES = ("scores", "predicted_scores")
_LABELS_SHOWN = 8


@dataclass(frozen=True)
class Extra:
    """The sentences of `data.extra_file` to train on.

    n_held_out: sentences left out because they are also validation or test sentences. n_unsure: words whose label is
    not used because its score is below `data.extra_min_score`. n_empty: sentences left out because no label is left.
    soft: the probabilities of the words' labels; None if only their labels are learned.
    """

    split: Split
    n_held_out: int = 0
    n_unsure: int = 0
    n_empty: int = 0
    soft: SoftLabels | None = None

    @property
    def left_out(self) -> list[str]:
        """What is not used, in words."""
        what = {
            f"{counted(self.n_held_out, 'sentence')} of validation or test left out": self.n_held_out,
            f"{counted(self.n_unsure, 'word')} below the least score not used": self.n_unsure,
            f"{counted(self.n_empty, 'sentence')} without a label left out": self.n_empty,
        }
        return [text for text, n in what.items() if n]


def load_extra(data: DataConfig, *, task: Task, splits: Splits, can_be_soft: bool = True) -> Extra | None:
    """The sentences of `data.extra_file` with labels in the scheme of `splits`. None if no file is named.

    The file is read with the settings of the training file that apply to it. can_be_soft: whether soft labels can be
    used if `data.extra_labels` is auto. Raises UserError if the file has labels that the training data lacks.
    """
    if data.extra_file is None:
        return None
    options = settings_for(data.extra_file, DataConfig(), Config(data=data, task=task), task=task)
    split = replace(load_split(data.extra_file, options, task=task), name="extra")
    for note in split.notes:
        log.info("extra: %s", note)
    if split.metadata.n_skipped:
        n_skipped = counted(split.metadata.n_skipped, "sentence")
        log.warning("extra: %s left out:\n%s", n_skipped, "\n".join(split.metadata.skipped))
    if not split.has_labels:
        hint = "Label them first, such as with: tf-tokclf predict MODEL FILE -o LABELLED.jsonl."
        raise UserError("the extra file has sentences without labels.", path=split.place, hint=hint)
    cache = Cache.of(data)
    n_read = len(split)
    split = _without_held_out(split, splits, cache)
    n_held_out = n_read - len(split)
    split, scheme = _in_known_labels(split, splits, options, cache)
    n_unsure = _n_unlabelled(split)
    if data.extra_min_score is not None:
        split = _marked_by_score(split, data.extra_min_score, splits.trained_labels, options, cache)
    n_unsure, n_marked = _n_unlabelled(split) - n_unsure, len(split)
    split = transformed(split, "sentences with labels", _with_labels, cache=cache)
    if not len(split):
        hint = "Check the file, and a limit with --extra-min-score."
        raise UserError("no sentences of the extra file are left to train on.", path=data.extra_file, hint=hint)
    n_empty = n_marked - len(split)
    if data.repair != "none":
        split = repaired_split(split, splits.scheme, data.repair, cache)[0]
    soft = None
    can_be_soft = can_be_soft and scheme is splits.trained_labels.scheme
    if data.extra_labels == "soft" or (data.extra_labels == "auto" and can_be_soft and _has_soft(split, options)):
        soft = _soft(split, splits.trained_labels, options, scheme)
    return Extra(split, n_held_out, n_unsure, n_empty, soft)


def _has_soft(split: Split, options: DataConfig) -> bool:
    return has_soft_labels(_Records(options.encoding).of(next(split.slice(0, 1))))


def _soft(split: Split, labels: LabelSet, options: DataConfig, scheme: Scheme) -> SoftLabels:
    """The probabilities of labels in the records of a split. scheme: that of the file."""
    if scheme is not labels.scheme:
        problem = f"the probabilities of labels in {scheme} cannot be used for labels in {labels.scheme}."
        hint = "Use the labels without their probabilities: --extra-labels hard."
        raise UserError(problem, path=split.place, hint=hint)
    records = _Records(options.encoding)
    return soft_labels(((sentence, records.of(sentence)) for sentence in split), labels)


def _without_held_out(split: Split, splits: Splits, cache: Cache) -> Split:
    """The split without the sentences whose words are those of a validation or test sentence."""
    import pyarrow as pa
    import pyarrow.compute as pc

    held_out = [other for other in (splits.validation, splits.test) if other]
    there = [pc.binary_join(words, "\0") for other in held_out for words in other.table.column("words").chunks]
    known = pa.concat_arrays(there) if there else pa.array([], pa.string())

    def change(batch: pa.RecordBatch, first: int) -> pa.RecordBatch:
        is_known = pc.is_in(pc.binary_join(batch.column("words"), "\0"), value_set=known)
        return chosen_rows(batch, ~is_known.to_numpy(zero_copy_only=False))

    return transformed(split, f"without {[other.fingerprint for other in held_out]}", change, cache=cache)


def _in_known_labels(split: Split, splits: Splits, options: DataConfig, cache: Cache) -> tuple[Split, Scheme]:
    """The split with labels in the scheme of the training data, and its own scheme. Raises UserError for others."""
    labels, scheme = splits.trained_labels, splits.scheme
    if len(split):
        scheme, _ = scheme_of([split], options)
    unknown = _unknown(split, labels)
    if unknown or scheme is not labels.scheme:
        split = _translated(split, scheme, labels, cache)
        if scheme is not labels.scheme and Scheme.NONE not in (scheme, labels.scheme):
            log.info("extra: labels in %s are translated to %s", scheme, labels.scheme)
        unknown = _unknown(split, labels)
    if unknown:
        shown = [f"{label} ({counted(n, 'word')})" for label, n in unknown.most_common(_LABELS_SHOWN)]
        more = [f"{len(unknown) - len(shown)} others"] if len(unknown) > len(shown) else []
        hint = (
            "The training file defines the labels. Rename or remove these in the extra file, or add sentences with "
            "them to the training file."
        )
        problem = f"the extra file has labels that the training data lacks: {', '.join([*shown, *more])}."
        raise UserError(problem, path=split.place, hint=hint)
    return split, scheme


def _unknown(split: Split, labels: LabelSet) -> Counter[str]:
    """The number of words with each label that is not one of `labels`."""
    return Counter({label: n for label, n in split.label_counts().items() if label not in labels.id_by_label})


def _translated(split: Split, scheme: Scheme, labels: LabelSet, cache: Cache) -> Split:
    """The split in the scheme of `labels`, with one of them for words without a label."""

    def translated(sentence: Sentence) -> Sentence:
        in_scheme = translated_labels(sentence.labels or (), scheme, labels.scheme)
        return _marked(replace(sentence, labels=tuple(in_scheme)), sentence.unlabelled, labels)

    what = f"from {scheme.value} to {labels.scheme.value}, {labels.fallback}"
    return transformed(split, what, lambda batch, first: _each(batch, translated), cache=cache)


def _marked(sentence: Sentence, unlabelled: Sequence[int], labels: LabelSet) -> Sentence:
    """The sentence without the labels of words at `unlabelled`."""
    kept = list(sentence.labels or ())
    for position in unlabelled:
        kept[position] = labels.fallback
    return replace(sentence, labels=tuple(kept), unlabelled=tuple(unlabelled))


def _each(batch: pa.RecordBatch, change: Any) -> pa.RecordBatch:
    return next(batches_of(map(change, sentences_of(batch))))


def _n_unlabelled(split: Split) -> int:
    return sum(len(chunk.flatten()) for chunk in split.table.column("unlabelled").chunks)


def _with_labels(batch: pa.RecordBatch, first: int) -> pa.RecordBatch:
    """The sentences in which at least one word has a label."""
    return chosen_rows(batch, np.array([len(one.words) > len(one.unlabelled) for one in sentences_of(batch)], bool))


def _marked_by_score(split: Split, least: float, labels: LabelSet, options: DataConfig, cache: Cache) -> Split:
    """The split without the labels whose score is below `least`, or that have none."""
    records: _Records

    def marked(sentence: Sentence) -> Sentence:
        scores = _scores(records.of(sentence), sentence)
        unsure = {i for i, score in enumerate(scores) if score is None or score < least}
        return _marked(sentence, sorted({*unsure, *sentence.unlabelled}), labels) if unsure else sentence

    def change(batch: pa.RecordBatch, first: int) -> pa.RecordBatch:
        nonlocal records
        if first == 0:
            records = _Records(options.encoding)
        return _each(batch, marked)

    return transformed(split, f"scores from {least}, {labels.fallback}", change, cache=cache)


def _scores(record: Mapping[str, Any], sentence: Sentence) -> Sequence[float | None]:
    """The score of each word, None for those that the model did not see. Raises UserError if there are none."""
    found = next((record[name] for name in _SCORES if name in record), None)
    scores = found if isinstance(found, list) else []
    if len(scores) != len(sentence.words) or not all(one is None or isinstance(one, int | float) for one in scores):
        raise UserError(
            "there is no score for each word, which --extra-min-score needs.",
            path=str(sentence.origin or ""),
            hint="Write the file with: tf-tokclf predict MODEL FILE --output-format jsonl -o LABELLED.jsonl.",
        )
    return scores


class _Records:
    """The JSON records of sentences, looked up in their order."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._path = ""
        self._records: Iterator[tuple[Any, Mapping[str, Any]]] = iter(())

    def of(self, sentence: Sentence) -> Mapping[str, Any]:
        """The record of a sentence; an empty one if the file has no JSON records."""
        origin = sentence.origin
        if origin is None:
            return {}
        if origin.path != self._path:
            self._path = origin.path
            self._records = json_records(Path(origin.path), self._encoding, Problems(skip=True))
        try:
            return next((record for place, record in self._records if place.number == origin.number), {})
        except UserError:
            return {}
