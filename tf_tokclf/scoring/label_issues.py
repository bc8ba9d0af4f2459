"""Find labels that are probably wrong, from probabilities by models that did not see them in training.

The methods are those of cleanlab for token classification. Its confident learning (Northcutt, Jiang and Chuang 2021,
doi:10.1613/jair.1.12125) decides which words probably have a wrong label, and its label quality score of a word, here
the probability of the given label, ranks them (Wang and Mueller 2022, arXiv:2210.03920). Words are combined to spans:
the given spans are aligned with those of the model, as in the analysis of errors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tf_tokclf.labels.label_set import LabelSet
from tf_tokclf.labels.schemes import OUTSIDE_LABEL, Scheme, split_label
from tf_tokclf.labels.sentence import Sentence, Span
from tf_tokclf.labels.spans import spans_of
from tf_tokclf.optional_packages import check_installed
from tf_tokclf.scoring.error_analysis import Outcome, outcome_of
from tf_tokclf.scoring.matching import align_spans


@dataclass(frozen=True)
class Judged:
    """A sentence with given labels, and what a model that did not see it says.

    probabilities: (words, labels) float64, the columns in the order of the label set; a row of NaN for a word that the
    model did not see. predicted: the label of each word. confidence: (words,) the probability of that label, which is
    not always the highest of the word, because Viterbi decoding chooses the best sequence. known: the types that the
    model can predict, without a label scheme its labels.
    """

    sentence: Sentence
    probabilities: np.ndarray
    predicted: tuple[str, ...]
    confidence: np.ndarray
    known: frozenset[str]


@dataclass(frozen=True)
class WordScores:
    """What cleanlab finds. quality: for each sentence (words,) float64, the label quality score of each word, NaN for
    words without one. flagged: (sentence, word) from 0, the words whose label is probably wrong, the surest first.
    """

    quality: tuple[np.ndarray, ...]
    flagged: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class LabelIssue:
    """A span whose label may be wrong.

    kind: `missed` is a span that lacks its label, and `spurious` a labelled span that should have none. sentence: its
    index. before: the given span, None if there is none. after: that of the model. quality: the lowest label quality
    score among the words whose labels differ. confidence: the lowest probability among the model's labels of the
    words of its span; if it has none, of the given span. flagged: whether cleanlab flags one of the words.
    """

    kind: Outcome
    sentence: int
    before: Span | None
    after: Span | None
    quality: float
    confidence: float
    flagged: bool

    @property
    def place(self) -> Span:
        """The span whose words the issue is about."""
        span = self.after or self.before
        assert span is not None, "an issue has at least one span"
        return span


@dataclass(frozen=True)
class FoundIssues:
    """The issues, the most probable first. n_unknown: the number of given spans with a type that the model could not
    know, because it occurs in a single fold.
    """

    issues: tuple[LabelIssue, ...]
    n_unknown: int


def check_cleanlab() -> None:
    """Raise UserError if cleanlab is not installed."""
    check_installed("label-issues", "cleanlab", extra="label-issues")


def word_scores(judged: Sequence[Judged], labels: LabelSet) -> WordScores:
    """Apply cleanlab to all words that have a label and that the model saw."""
    check_cleanlab()
    # Imported here, because it takes seconds.
    from cleanlab.token_classification.filter import find_label_issues
    from cleanlab.token_classification.rank import get_label_quality_scores

    kept = [_scored_words(one) for one in judged]
    places = [i for i, words in enumerate(kept) if len(words)]
    quality = [np.full(len(one.sentence), np.nan) for one in judged]
    if not places:
        return WordScores(tuple(quality), ())
    given = [[labels.id_by_label[judged[i].sentence.labels[word]] for word in kept[i]] for i in places]  # type: ignore[index]
    probabilities = [judged[i].probabilities[kept[i]] for i in places]
    _, scores = get_label_quality_scores(given, probabilities)
    for i, of_words in zip(places, scores):
        quality[i][kept[i]] = of_words.to_numpy()
    # With several processes, cleanlab would fork this one, in which TensorFlow runs threads.
    found = find_label_issues(given, probabilities, n_jobs=1)
    return WordScores(tuple(quality), tuple((places[i], int(kept[places[i]][word])) for i, word in found))


def _scored_words(one: Judged) -> np.ndarray:
    """The positions of the words that have a label and probabilities."""
    is_scored = ~np.isnan(one.probabilities).any(axis=1)
    is_scored[list(one.sentence.unlabelled)] = False
    return np.flatnonzero(is_scored)


def find_issues(judged: Sequence[Judged], scores: WordScores, scheme: Scheme) -> FoundIssues:
    """All spans on which the given labels and the model differ, ranked by the label quality score of their words."""
    flagged: dict[int, set[int]] = {}
    for sentence, word in scores.flagged:
        flagged.setdefault(sentence, set()).add(word)
    issues: list[LabelIssue] = []
    n_unknown = 0
    for index, one in enumerate(judged):
        given = labelled_spans(one.sentence.labels or (), scheme)
        n_unknown += sum(span.type not in one.known for span in given)
        issues += _issues_of(index, one, given, scores.quality[index], flagged.get(index, set()), scheme)
    ranked = sorted(issues, key=lambda issue: (issue.quality, -issue.confidence, issue.sentence, issue.place))
    return FoundIssues(tuple(ranked), n_unknown)


def labelled_spans(labels: Sequence[str], scheme: Scheme) -> list[Span]:
    """The spans of a sentence; without a label scheme, each word is one, and its label the type."""
    if scheme is Scheme.NONE:
        return [Span(i, i + 1, label) for i, label in enumerate(labels)]
    return spans_of(labels, scheme)


def known_types(names: Sequence[str], scheme: Scheme) -> frozenset[str]:
    """The types of labels; without a label scheme, the labels themselves."""
    if scheme is Scheme.NONE:
        return frozenset(names)
    return frozenset(split_label(name)[1] for name in names if name != OUTSIDE_LABEL)


def _issues_of(
    index: int, one: Judged, given: Sequence[Span], quality: np.ndarray, flagged: set[int], scheme: Scheme
) -> Iterator[LabelIssue]:
    labels = one.sentence.labels or ()
    # The model takes the place of the gold labels: what it finds and the given labels lack was missed by people.
    for after, before in align_spans(labelled_spans(one.predicted, scheme), given):
        kind = outcome_of((after, before))
        if kind is Outcome.RIGHT or (before is not None and before.type not in one.known):
            continue
        spans = [span for span in (before, after) if span]
        words = range(min(span.start for span in spans), max(span.end for span in spans))
        # A difference outside of the spans is one of spelling only.
        differing = [word for word in words if labels[word] != one.predicted[word]] or list(words)
        if np.isnan(quality[differing]).any():
            continue  # not seen by the model, or without a label
        place = after or before
        assert place is not None, "aligned spans are not both missing"
        yield LabelIssue(
            kind=kind,
            sentence=index,
            before=before,
            after=after,
            quality=float(quality[differing].min()),
            confidence=min((p for p in one.confidence[place.start : place.end].tolist() if p == p), default=0.0),
            flagged=not flagged.isdisjoint(differing),
        )
