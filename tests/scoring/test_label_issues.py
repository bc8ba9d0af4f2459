"""Label issues from probabilities: the scores are cleanlab's, and differences of spans have the right kind."""

from __future__ import annotations

import numpy as np
import pytest

from tests.requirements import need_modules
from tf_tokclf.labels.label_set import LabelSet
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.sentence import Sentence, Span
from tf_tokclf.scoring.error_analysis import Outcome
from tf_tokclf.scoring.label_issues import Judged, WordScores, find_issues, word_scores

need_modules("cleanlab", extra="label-issues")

from cleanlab.token_classification.filter import find_label_issues  # noqa: E402
from cleanlab.token_classification.rank import get_label_quality_scores  # noqa: E402

LABELS = LabelSet(("O", "B-LOC", "I-LOC", "B-PER", "I-PER"), Scheme.IOB2)
KNOWN = frozenset(["LOC", "PER"])


def judged(given: str, predicted: str, *, known: frozenset[str] = KNOWN, **changes: object) -> Judged:
    """A sentence whose model gives 0.9 to each of its labels."""
    labels, own = tuple(given.split()), tuple(predicted.split())
    probabilities = np.full((len(own), len(LABELS)), 0.025)
    for word, label in enumerate(own):
        probabilities[word, LABELS.id_by_label[label]] = 0.9
    words = tuple(f"w{i}" for i in range(len(labels)))
    sentence = Sentence(words, labels, **changes)  # type: ignore[arg-type]
    return Judged(sentence, probabilities, own, probabilities.max(axis=1), known)


def random_sentences(n: int) -> list[Judged]:
    rng = np.random.default_rng(5)
    found = []
    for _ in range(n):
        length = int(rng.integers(1, 9))
        probabilities = rng.dirichlet(np.full(len(LABELS), 0.3), length)
        labels = tuple(LABELS.names[rng.choice(len(LABELS), p=row)] for row in probabilities)
        own = tuple(LABELS.names[i] for i in probabilities.argmax(axis=1))
        words = tuple("abcdefghi"[:length])
        found.append(Judged(Sentence(words, labels), probabilities, own, probabilities.max(axis=1), KNOWN))
    return found


def test_scores_and_flags_are_those_of_cleanlab():
    sentences = random_sentences(60)
    scores = word_scores(sentences, LABELS)
    given = [[LABELS.id_by_label[label] for label in one.sentence.labels or ()] for one in sentences]
    probabilities = [one.probabilities for one in sentences]
    _, expected = get_label_quality_scores(given, probabilities)
    for ours, theirs in zip(scores.quality, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs.to_numpy())
    assert list(scores.flagged) == find_label_issues(given, probabilities)
    assert scores.flagged


def test_words_without_label_or_probabilities_have_no_score():
    sentences = random_sentences(40)
    unseen = sentences[0].probabilities.copy()
    unseen[0] = np.nan
    sentences[0] = Judged(sentences[0].sentence, unseen, sentences[0].predicted, sentences[0].confidence, KNOWN)
    sentences.append(judged("O O B-LOC", "O B-PER B-LOC", unlabelled=(1,)))
    sentences.append(Judged(Sentence((), ()), np.empty((0, 5)), (), np.empty(0), KNOWN))
    scores = word_scores(sentences, LABELS)
    assert np.isnan(scores.quality[0]).tolist() == [True] + [False] * (len(sentences[0].sentence) - 1)
    assert np.isnan(scores.quality[-2]).tolist() == [False, True, False]
    assert not {(0, 0), (len(sentences) - 2, 1)} & set(scores.flagged)
    found = find_issues(sentences, scores, Scheme.IOB2)
    assert not [one for one in found.issues if one.sentence == len(sentences) - 2]


@pytest.mark.parametrize(
    ("given", "predicted", "kind", "before", "after"),
    [
        ("O O O", "O B-LOC I-LOC", Outcome.MISSED, None, Span(1, 3, "LOC")),
        ("O B-LOC O", "O O O", Outcome.SPURIOUS, Span(1, 2, "LOC"), None),
        ("B-LOC I-LOC", "B-PER I-PER", Outcome.WRONG_TYPE, Span(0, 2, "LOC"), Span(0, 2, "PER")),
        ("B-LOC O O", "B-LOC I-LOC O", Outcome.WRONG_BOUNDARY, Span(0, 1, "LOC"), Span(0, 2, "LOC")),
        ("B-LOC O O", "B-PER I-PER O", Outcome.WRONG_BOTH, Span(0, 1, "LOC"), Span(0, 2, "PER")),
    ],
)
def test_kinds(given: str, predicted: str, kind: Outcome, before: Span | None, after: Span | None):
    one = judged(given, predicted)
    given_labels = one.sentence.labels or ()
    quality = np.array([one.probabilities[i, LABELS.id_by_label[label]] for i, label in enumerate(given_labels)])
    (issue,) = find_issues([one], WordScores((quality,), ((0, 1),)), Scheme.IOB2).issues
    assert (issue.kind, issue.before, issue.after) == (kind, before, after)
    assert (issue.quality, issue.confidence) == (0.025, 0.9)
    assert issue.flagged == (given_labels[1] != one.predicted[1])


def test_issues_are_ranked_by_quality_and_unknown_types_are_not_judged():
    sentences = [judged("O B-LOC", "O O"), judged("O O", "B-PER O"), judged("B-LOC O", "O O", known=frozenset(["PER"]))]
    quality = tuple(np.array(one) for one in ([0.9, 0.3], [0.1, 0.9], [0.01, 0.9]))
    found = find_issues(sentences, WordScores(quality, ()), Scheme.IOB2)
    assert [(one.sentence, one.kind) for one in found.issues] == [(1, Outcome.MISSED), (0, Outcome.SPURIOUS)]
    assert found.n_unknown == 1


def test_without_a_scheme_each_word_is_judged():
    labels = LabelSet(("NN", "VB"), Scheme.NONE)
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2]])
    one = Judged(
        Sentence(("a", "b"), ("NN", "VB")), probabilities, ("NN", "NN"), probabilities[:, 0], frozenset(labels.names)
    )
    scores = WordScores((np.array([0.9, 0.2]),), ())
    (issue,) = find_issues([one], scores, Scheme.NONE).issues
    assert (issue.kind, issue.before, issue.after) == (Outcome.WRONG_TYPE, Span(1, 2, "VB"), Span(1, 2, "NN"))
