"""Choose the spans of sentences by their probabilities and the thresholds of their types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from tf_tokclf.labels.chain import Chain
from tf_tokclf.labels.label_set import LabelSet
from tf_tokclf.labels.lattice import LEAST_PROBABILITY, Lattice, ScoredSpan
from tf_tokclf.labels.spans import labels_of
from tf_tokclf.labels.tagged_sentence import TaggedSentence


@dataclass(frozen=True)
class Thresholding:
    """Predicts the spans whose probability reaches the threshold of their type.

    Overlapping candidates are resolved before the thresholds apply: the most probable one stays. The threshold of a
    type therefore changes no span of another type, and a higher threshold only removes spans. With one threshold for
    all types, the result is the same as if it applied first.

    thresholds: by type. review_from: the probability from which on other spans are for review; None for no review.
    crf: the transitions of a model with a CRF.
    """

    labels: LabelSet
    thresholds: Mapping[str, float]
    review_from: float | None = None
    crf: Chain | None = None

    @cached_property
    def lattice(self) -> Lattice:
        """The lattice of the labels."""
        return Lattice.of(self.labels, self.crf)

    def applied(self, sentences: Sequence[TaggedSentence]) -> list[TaggedSentence]:
        """The sentences with the spans that reach their thresholds, and labels that encode them."""
        limits = [*self.thresholds.values(), *([] if self.review_from is None else [self.review_from])]
        least = max(min(limits, default=1.0), LEAST_PROBABILITY)
        found = scored_spans(self.lattice, sentences, least=least)
        return [self._with_spans(tagged, spans) for tagged, spans in zip(sentences, found, strict=True)]

    def _with_spans(self, tagged: TaggedSentence, candidates: Sequence[ScoredSpan]) -> TaggedSentence:
        chosen = [one for one in candidates if one.probability >= self.thresholds[one.span.type]]
        others = [one for one in candidates if one.probability < self.thresholds[one.span.type]]
        review = [one for one in others if self.review_from is not None and one.probability >= self.review_from]
        labels = labels_of((one.span for one in chosen), len(tagged.sentence), self.labels.scheme)
        # A label set may lack one of the labels of a span that it can spell in another way.
        ids = np.array([self.labels.id_by_label.get(label, -1) for label in labels], np.int64)
        scores = np.where(ids < 0, np.nan, np.exp(tagged.log_probabilities[np.arange(len(ids)), ids]))
        return replace(
            tagged,
            labels=tuple(labels),
            scores=tuple(scores.tolist()),
            span_scores={one.span: one.probability for one in (*chosen, *review)},
            review=tuple(one.span for one in review),
        )


def scored_spans(
    lattice: Lattice, sentences: Sequence[TaggedSentence], *, least: float = LEAST_PROBABILITY
) -> list[list[ScoredSpan]]:
    """The candidates of each sentence without overlaps, with their probabilities."""
    scores = [one.log_probabilities if one.head_scores is None else one.head_scores for one in sentences]
    candidates = lattice.candidates(scores, least=least)
    return [lattice.resolved(one) for one in candidates]
