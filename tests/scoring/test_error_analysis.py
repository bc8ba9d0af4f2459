"""The error analysis: kinds of errors and parts of the data."""

from __future__ import annotations

from itertools import permutations

from hypothesis import given

from tests.scoring.test_matching import bounds, overlap, spans
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.sentence import Sentence, Span
from tf_tokclf.scoring.counts import Counts
from tf_tokclf.scoring.error_analysis import Outcome, Training, analyse_errors, outcome_of, training_of
from tf_tokclf.scoring.matching import align_spans
from tf_tokclf.scoring.predictions import Prediction


def prediction(gold: str, predicted: str, **columns) -> Prediction:
    gold_labels, predicted_labels = tuple(gold.split()), tuple(predicted.split())
    words = columns.pop("words", tuple(f"w{i}" for i in range(len(gold_labels))))
    return Prediction(words=words, predicted=predicted_labels, gold=gold_labels, **columns)


def quality(pairs) -> tuple[int, int, int]:
    return (
        sum(bounds(a, b) for a, b in pairs),
        sum(a.type == b.type for a, b in pairs),
        len(pairs),
    )


def best_quality(gold, predicted) -> tuple[int, int, int]:
    short, long = sorted((gold, predicted), key=len)
    candidates = (zip(short, some) for some in permutations(long, len(short)))
    return max(quality([(a, b) for a, b in pairs if overlap(a, b)]) for pairs in candidates)


@given(gold=spans(), predicted=spans())
def test_spans_are_held_against_each_other_in_the_best_way(gold, predicted):
    pairs = align_spans(gold, predicted)
    assert sorted(a for a, _ in pairs if a) == sorted(gold)
    assert sorted(b for _, b in pairs if b) == sorted(predicted)
    assert quality([(a, b) for a, b in pairs if a and b]) == best_quality(gold, predicted)


@given(gold=spans(), predicted=spans())
def test_order_of_spans_does_not_matter(gold, predicted):
    assert align_spans(gold[::-1], predicted[::-1]) == align_spans(gold, predicted)


def test_each_kind_of_outcome():
    x, longer, other = Span(0, 1, "X"), Span(0, 2, "X"), Span(0, 2, "Y")
    assert outcome_of((x, x)) is Outcome.RIGHT
    assert outcome_of((x, longer)) is Outcome.WRONG_BOUNDARY
    assert outcome_of((longer, other)) is Outcome.WRONG_TYPE
    assert outcome_of((x, other)) is Outcome.WRONG_BOTH
    assert outcome_of((x, None)) is Outcome.MISSED
    assert outcome_of((None, x)) is Outcome.SPURIOUS


def test_outcomes_and_confusion_add_up():
    analysis = analyse_errors([prediction("B-X I-X O B-Y", "B-X O O B-X"), prediction("O B-X", "B-Y O")], Scheme.IOB2)
    assert analysis.totals == {
        Outcome.WRONG_BOUNDARY: 1,
        Outcome.WRONG_TYPE: 1,
        Outcome.MISSED: 1,
        Outcome.SPURIOUS: 1,
    }
    assert analysis.confusion == {("X", "X"): 1, ("Y", "X"): 1, ("X", ""): 1, ("", "Y"): 1}
    assert analysis.n_sentences == 2


def test_parts_add_up_to_the_whole():
    rows = [
        prediction("B-X I-X O B-Y", "B-X I-X O B-X"),
        prediction("O B-X " + "O " * 8, "B-Y B-X " + "O " * 8),
    ]
    analysis = analyse_errors(rows, Scheme.IOB2)
    for parts in analysis.parts.values():
        assert sum(parts.values(), Counts()) == Counts(correct=2, predicted=4, gold=3)
    assert list(analysis.parts["span length in words"]) == ["1", "2"]
    assert list(analysis.parts["sentence length in words"]) == ["1 - 5", "6 - 10"]


def test_seen_and_unseen_surface_forms():
    training = training_of([Sentence(("New", "York", "won"), ("B-X", "I-X", "O"))], Scheme.IOB2)
    assert training == Training({"X": frozenset({("New", "York")})}, {"X": 1})
    row = prediction("B-X I-X B-Y O", "B-Y I-Y B-Y O", words=("New", "York", "Rome", "!"))
    parts = analyse_errors([row], Scheme.IOB2, training=training).parts
    assert parts["surface form in training"] == {
        "seen with another type": Counts(0, 1, 0),
        "seen with this type": Counts(0, 0, 1),
        "unseen": Counts(1, 1, 1),
    }
    assert set(parts["spans of its type in training"]) == {"0", "1 - 9"}


def test_position_in_the_window():
    row = prediction("B-X O B-X B-X", "B-X O O O", positions=(1, 2, 70, None))
    parts = analyse_errors([row], Scheme.IOB2).parts["position in the window in pieces"]
    assert parts == {"0 - 15": Counts(1, 1, 1), "64 - 127": Counts(0, 0, 1), "never seen": Counts(0, 0, 1)}


def test_worst_sentences_have_the_highest_loss():
    rows = [prediction("O", "O", gold_scores=(score,)) for score in (0.9, 0.01, 0.5, None)]
    assert [one.number for one in analyse_errors(rows, Scheme.IOB2, n_kept=2).worst] == [2, 3]


def test_strongly_disputed_gold_labels_are_listed_surest_first():
    rows = [
        prediction("O B-X", "B-X B-X", scores=(0.95, 0.99)),
        prediction("O", "B-X", scores=(0.99,)),
        prediction("O", "B-X", scores=(0.5,)),
        prediction("O", "B-X"),
    ]
    assert [(one.number, one.position) for one in analyse_errors(rows, Scheme.IOB2).disputed] == [
        (2, 0),
        (1, 0),
    ]


def test_calibration_is_of_predicted_spans():
    rows = [
        prediction("B-X I-X O", "B-X I-X B-Y", scores=(0.9, 0.7, 0.4)),
        prediction("O", "O", scores=(0.2,)),
    ]
    calibration = analyse_errors(rows, Scheme.IOB2).calibration
    assert [(b.mean_score, b.accuracy) for b in calibration.bins] == [(0.4, 0), (0.7, 1)]
    assert analyse_errors([prediction("O", "B-X")], Scheme.IOB2).calibration is None


def test_without_a_scheme_words_are_what_errs():
    analysis = analyse_errors([prediction("NOUN NOUN VERB", "NOUN VERB VERB")], Scheme.NONE)
    assert analysis.totals == {Outcome.RIGHT: 2, Outcome.WRONG_TYPE: 1}
    assert analysis.confusion["NOUN", "VERB"] == 1


def test_strict_mode_reads_strictly():
    row = prediction("O B-X", "O I-X")
    assert analyse_errors([row], Scheme.IOB2).totals == {Outcome.RIGHT: 1}
    assert analyse_errors([row], Scheme.IOB2, mode="strict").totals == {Outcome.MISSED: 1}
