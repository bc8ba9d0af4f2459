"""A sentence with predicted labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from tf_tokclf.labels.label_set import LabelSet
from tf_tokclf.labels.sentence import Sentence, Span, of_labelled_words
from tf_tokclf.labels.spans import spans_of


@dataclass(frozen=True)
class TaggedSentence:
    """A sentence with a predicted label for each word.

    Attributes:
        sentence: The words.
        labels: The predicted label of each word.
        scores: The probability of each word's label, nan for words that the model did not see.
        n_empty: Number of words without a subword token. The model does not see them.
        n_truncated: Number of words after the first window, with `truncate`. The model does not see them.
        log_probabilities: Array of shape (words, labels), float32.
        label_set: The labels of the model and their scheme.
        positions: Position of each word's first subword token in its window, None for words that were not seen.
        span_scores: If spans were chosen by thresholds, the probability of each span over all label sequences that the
            scheme allows. Otherwise None.
        head_scores: Array like `log_probabilities`: the log-probabilities of the head of a CRF, of which
            `log_probabilities` are the marginals. None without a CRF.
        review: Spans below their threshold that people should look at. They are not among `labels` and `spans`.
    """

    sentence: Sentence
    labels: tuple[str, ...]
    scores: tuple[float, ...]
    n_empty: int
    n_truncated: int
    log_probabilities: np.ndarray
    label_set: LabelSet
    positions: tuple[int | None, ...]
    span_scores: Mapping[Span, float] | None = None
    review: tuple[Span, ...] = ()
    head_scores: np.ndarray | None = None

    @cached_property
    def spans(self) -> list[Span]:
        """The predicted spans; invalid label sequences are read like conlleval reads them."""
        return spans_of(self.labels, self.label_set.scheme)

    def span_score(self, span: Span) -> float:
        """The smallest probability among the labels of the span's words; nan if the model saw none of the words.

        If spans were chosen by thresholds, the probability of the span.
        """
        if self.span_scores is not None and span in self.span_scores:
            return self.span_scores[span]
        seen = [score for score in self.scores[span.start : span.end] if score == score]
        return min(seen, default=float("nan"))

    def top(self, k: int) -> list[list[tuple[str, float]]]:
        """The `k` most probable labels of each word with their probabilities; empty for words that were not seen."""
        names = self.label_set.names
        best = np.argsort(-self.log_probabilities, axis=1, kind="stable")[:, :k]
        found = []
        for row, ids in zip(self.log_probabilities, best.tolist()):
            found.append([(names[i], float(np.exp(row[i]))) for i in ids] if row[0] == row[0] else [])
        return found

    def of_labelled_words(self) -> TaggedSentence:
        """A copy without the words that have no gold label."""
        sentence = self.sentence
        if not sentence.unlabelled:
            return self
        kept = list(of_labelled_words(sentence, range(len(sentence))))
        words, gold = (tuple(of_labelled_words(sentence, one)) for one in (sentence.words, sentence.labels or ()))
        return replace(
            self,
            sentence=Sentence(words, gold, sentence.origin, document=sentence.document),
            labels=tuple(of_labelled_words(sentence, self.labels)),
            scores=tuple(of_labelled_words(sentence, self.scores)),
            positions=tuple(of_labelled_words(sentence, self.positions)),
            log_probabilities=self.log_probabilities[kept],
            span_scores=None,
            review=(),
            head_scores=None,
        )

    def without_spans_below(self, threshold: float, *, review_from: float | None = None) -> TaggedSentence:
        """A copy without the spans whose score is below `threshold`; their words become O.

        review_from: the spans from this score on are for review.
        """
        outside = self.label_set.outside
        dropped = [span for span in self.spans if self.span_score(span) < threshold]
        if not dropped or outside is None:
            return self
        labels, scores = list(self.labels), list(self.scores)
        of_outside = self.log_probabilities[:, self.label_set.id_by_label[outside]]
        for span in dropped:
            for word in range(span.start, span.end):
                labels[word] = outside
                scores[word] = float(np.exp(of_outside[word]))
        known = {span: self.span_score(span) for span in self.spans}
        review = tuple(span for span in dropped if review_from is not None and known[span] >= review_from)
        return replace(self, labels=tuple(labels), scores=tuple(scores), span_scores=known, review=review)
