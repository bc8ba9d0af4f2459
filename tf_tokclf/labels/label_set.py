"""The labels that a model predicts, in a fixed order. A label's id is its position in that order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from tf_tokclf.labels.schemes import OUTSIDE_LABEL, Scheme, split_label
from tf_tokclf.labels.spans import continuation_label


@dataclass(frozen=True)
class LabelSet:
    """Label names in the order of their ids, and their label scheme.

    fallback: the label for words that the model does not see; by default `O` if it exists, else the first label.

    >>> labels = LabelSet(("O", "B-LOC", "I-LOC"), Scheme.IOB2)
    >>> labels.id_by_label["I-LOC"], labels.types, labels.fallback
    (2, ('LOC',), 'O')
    """

    names: tuple[str, ...]
    scheme: Scheme
    fallback: str = ""

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.names) or not self.names:
            raise ValueError(f"label names must be unique, with at least one name: {self.names}")
        if not self.fallback:
            object.__setattr__(self, "fallback", OUTSIDE_LABEL if OUTSIDE_LABEL in self.names else self.names[0])

    @classmethod
    def of(cls, splits: Mapping[str, Counter[str]], scheme: Scheme, names: Sequence[str] | None = None) -> LabelSet:
        """The labels of all splits together: O first, then sorted by type and prefix.

        names: label order given by the data set (a `ClassLabel`). This order is kept; other labels are appended.

        >>> counts = {"train": Counter({"B-PER": 2, "B-LOC": 1}), "test": Counter({"I-LOC": 1})}
        >>> LabelSet.of(counts, Scheme.IOB2).names
        ('O', 'B-LOC', 'I-LOC', 'B-PER')
        """
        counts = sum(splits.values(), Counter[str]())
        found = set(counts)
        if scheme is not Scheme.NONE:
            found.add(OUTSIDE_LABEL)
        ordered = list(names or ())
        ordered += sorted(found.difference(ordered), key=_by_type)
        # Without a scheme, words that the model does not see get the most frequent label.
        fallback = max(ordered, key=lambda name: counts[name], default="") if scheme is Scheme.NONE else OUTSIDE_LABEL
        return cls(tuple(ordered), scheme, fallback)

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def id_by_label(self) -> dict[str, int]:
        """Label name -> id."""
        return {name: i for i, name in enumerate(self.names)}

    @cached_property
    def types(self) -> tuple[str, ...]:
        """The span types, sorted; without a scheme, the labels themselves."""
        if self.scheme is Scheme.NONE:
            return self.names
        return tuple(sorted({split_label(name)[1] for name in self.names if name != OUTSIDE_LABEL}))

    @property
    def outside(self) -> str | None:
        """The label of words outside all spans; None for label sets without spans."""
        return None if self.scheme is Scheme.NONE else OUTSIDE_LABEL

    @cached_property
    def continuation_ids(self) -> tuple[int, ...]:
        """For each label id, the id for a word's later subword tokens; the same id if the set has no such label."""
        going_on = (continuation_label(name, self.scheme) for name in self.names)
        return tuple(self.id_by_label.get(label, i) for i, label in enumerate(going_on))


def _by_type(label: str) -> tuple[bool, str, str]:
    prefix, type_ = split_label(label)
    return label != OUTSIDE_LABEL, type_, prefix
