"""Align predicted spans with gold spans if their boundaries or types differ.

Gold spans never overlap each other, nor do predicted ones. So the overlapping pairs can be sorted such that both the
gold and the predicted spans are in text order, and one pass over this order finds the best one-to-one matching. The
result is exact and does not depend on the order in which the spans are given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tf_tokclf.labels.sentence import Span
from tf_tokclf.scoring.counts import Counts


@dataclass(frozen=True, slots=True, eq=False)
class SpanArrays:
    """Spans in text order as arrays. start, end: positions in the concatenated sentences. type: ids of types."""

    start: np.ndarray
    end: np.ndarray
    type: np.ndarray

    def __len__(self) -> int:
        return len(self.start)

    def keep(self, mask: np.ndarray) -> SpanArrays:
        """The spans where `mask` is true."""
        return SpanArrays(self.start[mask], self.end[mask], self.type[mask])


def overlapping_pairs(gold: SpanArrays, predicted: SpanArrays) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the gold and predicted spans that share a word. Both sequences are non-decreasing."""
    first = np.searchsorted(predicted.end, gold.start, side="right")
    last = np.searchsorted(predicted.start, gold.end)
    n_pairs = np.maximum(last - first, 0)
    of_gold = np.repeat(np.arange(len(gold)), n_pairs)
    position = np.arange(n_pairs.sum()) - np.repeat(np.cumsum(n_pairs) - n_pairs, n_pairs)
    return of_gold, np.repeat(first, n_pairs) + position


def best_matching(pairs: Sequence[tuple[int, int]], weights: Sequence[int]) -> list[int]:
    """Indices into `pairs` of a one-to-one matching with the greatest total weight.

    pairs: in the order of `overlapping_pairs`. Of several best matchings, the one with the earlier pairs is returned.

    >>> best_matching([(0, 0), (0, 1), (1, 1)], [1, 3, 1])
    [1]
    >>> best_matching([(0, 0), (0, 1), (1, 1)], [2, 3, 2])
    [0, 2]
    """
    best = [0]
    before: list[int] = []  # number of earlier pairs that share no span with this one
    first_of_gold: dict[int, int] = {}
    first_of_predicted: dict[int, int] = {}
    for i, ((gold, predicted), weight) in enumerate(zip(pairs, weights)):
        before.append(min(first_of_gold.setdefault(gold, i), first_of_predicted.setdefault(predicted, i)))
        best.append(max(best[i], best[before[i]] + weight))
    chosen = []
    i = len(pairs)
    while i:
        if best[i] > best[i - 1]:
            chosen.append(i - 1)
            i = before[i - 1]
        else:
            i -= 1
    return chosen[::-1]


def lenient_counts(gold: SpanArrays, predicted: SpanArrays) -> dict[str, Counts]:
    """Counts under three lenient criteria. Each gold and each predicted span is matched at most once.

    boundary: both ends are right; the type is ignored.
    type: the type is right and at least one word is shared.
    partial: 1 if both ends are right, 1/2 if a word is shared; the type is ignored (partial match of SemEval-2013).
    """
    totals = {"predicted": len(predicted), "gold": len(gold)}
    of_gold, of_predicted = overlapping_pairs(gold, predicted)
    same_bounds = (gold.start[of_gold] == predicted.start[of_predicted]) & (
        gold.end[of_gold] == predicted.end[of_predicted]
    )
    same_type = gold.type[of_gold] == predicted.type[of_predicted]
    n_bounds = int(same_bounds.sum())
    # Spans with the same boundaries overlap no other spans, so every matching contains their pair.
    n_type = int((same_bounds & same_type).sum()) + _n_matched(of_gold, of_predicted, ~same_bounds & same_type)
    n_shared = _n_matched(of_gold, of_predicted, ~same_bounds)
    return {
        "partial": Counts(correct=n_bounds + n_shared / 2, **totals),
        "boundary": Counts(correct=n_bounds, **totals),
        "type": Counts(correct=n_type, **totals),
    }


def _n_matched(of_gold: np.ndarray, of_predicted: np.ndarray, mask: np.ndarray) -> int:
    pairs = list(zip(of_gold[mask].tolist(), of_predicted[mask].tolist()))
    return len(best_matching(pairs, [1] * len(pairs)))


Pair = tuple[Span | None, Span | None]


def align_spans(gold: Sequence[Span], predicted: Sequence[Span]) -> list[Pair]:
    """Pair each gold span of a sentence with a predicted span, or with None, and vice versa. In text order.

    Of all one-to-one matchings of spans that share a word, this is the one with the most equal boundaries, then the
    most equal types, then the most pairs, then the most shared words.

    >>> align_spans([Span(0, 2, "X"), Span(4, 5, "Y")], [Span(1, 2, "X")])
    [(Span(start=0, end=2, type='X'), Span(start=1, end=2, type='X')), (Span(start=4, end=5, type='Y'), None)]
    """
    gold, predicted = sorted(gold), sorted(predicted)
    pairs = _overlaps(gold, predicted)
    n = min(len(gold), len(predicted)) + 1
    n_words = sum(span.length for span in gold) + 1

    def weight(a: Span, b: Span) -> int:
        # Spans with equal boundaries overlap no others, so they are paired regardless of their weight.
        shared = min(a.end, b.end) - max(a.start, b.start)
        return ((a.type == b.type) * n + 1) * n_words + shared

    weights = [weight(gold[i], predicted[j]) for i, j in pairs]
    chosen = [pairs[k] for k in best_matching(pairs, weights)]
    matched_gold, matched_predicted = {i for i, _ in chosen}, {j for _, j in chosen}
    aligned: list[Pair] = [(gold[i], predicted[j]) for i, j in chosen]
    aligned += [(span, None) for i, span in enumerate(gold) if i not in matched_gold]
    aligned += [(None, span) for j, span in enumerate(predicted) if j not in matched_predicted]
    return sorted(aligned, key=lambda pair: min(span for span in pair if span))


def _overlaps(gold: Sequence[Span], predicted: Sequence[Span]) -> list[tuple[int, int]]:
    pairs = []
    i = j = 0
    while i < len(gold) and j < len(predicted):
        if gold[i].start < predicted[j].end and predicted[j].start < gold[i].end:
            pairs.append((i, j))
        if gold[i].end < predicted[j].end:
            i += 1
        else:
            j += 1
    return pairs
