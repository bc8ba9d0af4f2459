"""Missing labels. A word or record that nobody labelled is not the same as one outside all spans (O)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tf_tokclf.config.schema import DataConfig
from tf_tokclf.data.reading.base import Changes
from tf_tokclf.data.reading.guessing import MISSING_IDS, MISSING_LABELS
from tf_tokclf.labels.schemes import OUTSIDE_LABEL
from tf_tokclf.labels.sentence import Origin, Sentence

NOT_ANNOTATED = "records left out: not annotated (to read all their words as O: data.unannotated=outside)"
_AS_OUTSIDE = "records without annotation read as O"
_UNLABELLED = "words without a label, ignored in training and scores (to read them as O: data.unannotated=outside)"
_FILLED = "words without a label read as O"
_PARTLY = "sentences left out: a word has no label"


def is_missing(value: Any) -> bool:
    """Whether a value means that a word has no label.

    >>> is_missing(-100), is_missing("-100"), is_missing(None), is_missing("O")
    (True, True, True, False)
    """
    return value is None or (isinstance(value, str) and value in MISSING_LABELS) or _is_missing_id(value)


def _is_missing_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value in MISSING_IDS


@dataclass(frozen=True)
class MissingLabels:
    """How missing labels are read. as_outside: as O, in records without annotation too. has_outside: whether the
    labels include O.
    """

    as_outside: bool
    has_outside: bool

    @classmethod
    def of(cls, data: DataConfig, *, has_outside: bool = True) -> MissingLabels:
        """From the options."""
        return cls(data.unannotated == "outside", has_outside)

    def labelled(
        self, bare: Sentence, labels: Sequence[str | None] | None, origin: Origin, changes: Changes
    ) -> Sentence | None:
        """A sentence with these labels, or None if the record is left out. The reason is counted in `changes`.

        labels: None for a record without annotation, and None for each word without a label.
        """
        if labels and None not in labels:
            return replace(bare, labels=tuple(labels))  # type: ignore[arg-type]
        if labels is None or (labels and all(label is None for label in labels)):
            if self.as_outside and self.has_outside:
                changes.note(_AS_OUTSIDE, origin)
                return replace(bare, labels=(OUTSIDE_LABEL,) * len(bare))
            changes.note(NOT_ANNOTATED if self.has_outside else NOT_ANNOTATED.partition(" (")[0], origin)
            return None
        unlabelled = tuple(position for position, label in enumerate(labels) if label is None)
        if unlabelled and not self.has_outside:
            changes.note(_PARTLY, origin)
            return None
        if unlabelled:
            changes.note(_FILLED if self.as_outside else _UNLABELLED, origin, len(unlabelled))
        filled = tuple(OUTSIDE_LABEL if label is None else label for label in labels)
        return replace(bare, labels=filled, unlabelled=() if self.as_outside else unlabelled)
