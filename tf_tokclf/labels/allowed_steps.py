"""The best predecessor of each label, searched only among those that the rules of a scheme allow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tf_tokclf.labels.chain import Chain

# Labels with at most this many predecessors, such as I-X with B-X and I-X, are searched together.
_FEW = 4


@dataclass(frozen=True)
class AllowedSteps:
    """The labels that may come before each label.

    The labels of a scheme share few sets of predecessors. In IOB2, O and all B- may follow anything, and I-X only B-X
    and I-X. With 79 labels, searching these takes a fortieth of the time of comparing all pairs of labels.

    shared: (predecessors, followers) of each large set. few: (labels, predecessors), repeated where a label has fewer
    than others, of the labels `with_few`. All are in ascending order.
    """

    shared: tuple[tuple[np.ndarray, np.ndarray], ...]
    few: np.ndarray
    with_few: np.ndarray

    @classmethod
    def of(cls, chain: Chain) -> AllowedSteps | None:
        """The steps of a chain of rules; None for learned transitions, or if some label may follow none."""
        is_allowed = chain.transitions == 0
        if not (is_allowed | np.isneginf(chain.transitions)).all() or not is_allowed.any(axis=0).all():
            return None
        with_few = np.flatnonzero(is_allowed.sum(axis=0) <= _FEW)
        before = [np.flatnonzero(is_allowed[:, label]) for label in with_few]
        most = max(map(len, before), default=0)
        few = np.array([np.pad(one, (0, most - len(one)), mode="edge") for one in before], np.int64)
        rest = np.flatnonzero(is_allowed.sum(axis=0) > _FEW)
        columns, number = np.unique(is_allowed[:, rest], axis=1, return_inverse=True)
        shared = tuple((np.flatnonzero(columns[:, i]), rest[number.reshape(-1) == i]) for i in range(columns.shape[1]))
        return cls(shared, few.reshape(len(with_few), most), with_few)

    def best(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For each label, its predecessor with the highest score, and that score. Ties go to the smaller id.

        scores: (sentences, labels) of the word before. Both results have the same shape.
        """
        labels, values = np.empty(scores.shape, np.int32), np.empty_like(scores)
        for before, after in self.shared:
            own = scores if len(before) == scores.shape[1] else scores[:, before]
            top = own.argmax(axis=1)[:, None]
            labels[:, after] = before[top]
            values[:, after] = np.take_along_axis(own, top, axis=1)
        if len(self.with_few):
            own = scores[:, self.few]
            top = own.argmax(axis=2)
            labels[:, self.with_few] = self.few[np.arange(len(self.few)), top]
            values[:, self.with_few] = own.max(axis=2)
        return labels, values
