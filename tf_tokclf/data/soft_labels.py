"""Soft labels: the probabilities of the most probable labels of each word, as `predict --top-k` writes them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tf_tokclf.errors import UserError
from tf_tokclf.labels.label_set import LabelSet
from tf_tokclf.labels.sentence import Sentence

# The fields in which `predict --top-k` writes the most probable labels of each word.
_FIELDS = ("top", "predicted_top")
_HINT = "Write the file with: tf-tokclf predict MODEL FILE --top-k 5 --output-format jsonl -o LABELLED.jsonl."


@dataclass(frozen=True)
class SoftLabels:
    """The probabilities of labels for the words of a split, which are numbered over all of its sentences.

    ids: (words, k) int32 label ids. probabilities: (words, k) float32. Each row sums to 1; unused places are 0.
    """

    ids: np.ndarray
    probabilities: np.ndarray

    def dense(self, words: np.ndarray, n_labels: int) -> np.ndarray:
        """(len(words), n_labels) float32 probabilities of all labels for the words with these numbers."""
        found = np.zeros((len(words), n_labels), np.float32)
        np.add.at(found, (np.arange(len(words))[:, None], self.ids[words]), self.probabilities[words])
        return found

    def content_hash(self) -> str:
        """A hash of all probabilities."""
        parts = self.ids.astype("<i4").tobytes(), self.probabilities.astype("<f4").tobytes()
        return hashlib.blake2b(b"".join(parts), digest_size=16).hexdigest()


def has_soft_labels(record: Mapping[str, Any]) -> bool:
    """Whether a record has the most probable labels of words."""
    return any(name in record for name in _FIELDS)


def soft_labels(sentences: Iterable[tuple[Sentence, Mapping[str, Any]]], labels: LabelSet) -> SoftLabels:
    """The soft labels of sentences, which come with their records. Words that the teacher did not see keep their label.

    The probabilities of a word are divided by their sum, because the record lacks those of improbable labels. Raises
    UserError for a record without probabilities, and for labels that are not among `labels`.
    """
    rows: list[list[tuple[int, float]]] = []
    for sentence, record in sentences:
        found = next((record[name] for name in _FIELDS if name in record), None)
        tops = found if isinstance(found, list) else []
        if len(tops) != len(sentence.words):
            raise _error(sentence, "there are no probabilities of labels for each word.", _HINT)
        for top, label in zip(tops, sentence.labels or ()):
            rows.append(_row(top, labels, sentence) or [(labels.id_by_label[label], 1.0)])
    width = max(map(len, rows), default=0)
    ids, probabilities = np.zeros((len(rows), width), np.int32), np.zeros((len(rows), width), np.float32)
    for number, row in enumerate(rows):
        ids[number, : len(row)], probabilities[number, : len(row)] = zip(*row)
    return SoftLabels(ids, probabilities / probabilities.sum(axis=1, keepdims=True))


def _row(top: Any, labels: LabelSet, sentence: Sentence) -> list[tuple[int, float]]:
    """The ids and probabilities above 0 of a word's most probable labels."""
    try:
        pairs = [(one["label"], float(one["score"])) for one in top]
    except (TypeError, KeyError, ValueError):
        raise _error(sentence, f"{str(top)[:60]!r} is not a list of labels with scores.", _HINT) from None
    if any(not 0 <= score <= 1 for _, score in pairs):
        raise _error(sentence, "a probability is not between 0 and 1.", _HINT)
    if unknown := [name for name, _ in pairs if name not in labels.id_by_label]:
        hint = "Use the labels without their probabilities: --extra-labels hard."
        raise _error(sentence, f"the training data lacks the label {unknown[0]}, which has a probability.", hint)
    return [(labels.id_by_label[name], score) for name, score in pairs if score > 0]


def _error(sentence: Sentence, problem: str, hint: str) -> UserError:
    return UserError(problem, path=str(sentence.origin or ""), hint=hint)
