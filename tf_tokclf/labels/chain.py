"""Scores of a label's place in a sequence: which label begins, follows another, and ends a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.validation import transition_mask


@dataclass(frozen=True, eq=False)
class Chain:
    """The transitions of a linear-chain model. The rules of a label scheme are a chain with the scores 0 and -inf.

    start: (labels,) the score of each label at the first word. transitions: (labels, labels) from row to column. end:
    (labels,) the score at the last word. All are float64, and -inf for what is not allowed.
    """

    start: np.ndarray
    transitions: np.ndarray
    end: np.ndarray

    @classmethod
    def of_rules(cls, names: Sequence[str], scheme: Scheme) -> Chain:
        """The rules of a scheme.

        >>> Chain.of_rules(["O", "B-X", "I-X"], Scheme.IOB2).start.tolist()
        [0.0, 0.0, -inf]
        """
        return cls(*(np.where(allowed, 0.0, -np.inf) for allowed in transition_mask(names, scheme)))

    @property
    def parts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Start, transitions and end."""
        return self.start, self.transitions, self.end

    def with_score(self, forbidden: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Start, transitions and end with the score `forbidden` instead of -inf."""
        start, transitions, end = (np.maximum(part, forbidden) for part in self.parts)
        return start, transitions, end
