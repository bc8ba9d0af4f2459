"""Scores against seqeval, on all schemes and both modes."""

from __future__ import annotations

import json
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_tokclf.data.schemes import RULES, Scheme, label_for, labels_of
from tf_tokclf.data.sentence import Span
from tf_tokclf.errors import UserError
from tf_tokclf.scoring.counts import Counts
from tf_tokclf.scoring.scores import Scorer, score_sentences

SPAN_SCHEMES = [scheme for scheme in Scheme if scheme is not Scheme.NONE]
# Letters that seqeval does not know, by those it does; and its classes for the strict reading.
SEQEVAL_LETTERS = {"L": "E", "U": "S", "M": "I", "W": "S"}
SEQEVAL_STRICT = {
    Scheme.IOB2: "IOB2",
    Scheme.BIOES: "IOBES",
    Scheme.BILOU: "IOBES",
    Scheme.BMES: "IOBES",
    Scheme.BMEOW: "IOBES",
}
TYPES = ("PER", "art-other", "O")


def labels(scheme: Scheme) -> list[str]:
    return ["O", *(label_for(letter, type_) for letter in RULES[scheme].letters.values() for type_ in TYPES)]


def sets(scheme: Scheme):
    pair = st.tuples(st.sampled_from(labels(scheme)), st.sampled_from(labels(scheme)))
    return st.lists(st.lists(pair, max_size=8), min_size=1, max_size=6)


def in_seqeval_letters(label: str) -> str:
    return SEQEVAL_LETTERS.get(label[0], label[0]) + label[1:]


def seqeval_scores(gold, predicted, scheme, mode):
    from seqeval.metrics.sequence_labeling import precision_recall_fscore_support
    from seqeval.metrics.v1 import precision_recall_fscore_support as strict_scores
    from seqeval.scheme import IOB2, IOBES

    gold, predicted = ([[in_seqeval_letters(x) for x in row] for row in side] for side in (gold, predicted))
    results = {}
    for name, average in {"micro": "micro", "macro": "macro", "weighted": "weighted", "types": None}.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if mode == "strict":
                seqeval_scheme = {"IOB2": IOB2, "IOBES": IOBES}[SEQEVAL_STRICT[scheme]]
                results[name] = strict_scores(gold, predicted, average=average, scheme=seqeval_scheme, zero_division=0)
            else:
                results[name] = precision_recall_fscore_support(gold, predicted, average=average, zero_division=0)
    return results


def check_against_seqeval(sentences, scheme, mode):
    gold = [[g for g, _ in sentence] for sentence in sentences]
    predicted = [[p for _, p in sentence] for sentence in sentences]
    ours = score_sentences(zip(gold, predicted), scheme, mode=mode)
    theirs = seqeval_scores(gold, predicted, scheme, mode)
    for name, scored in (("micro", ours.overall), ("macro", ours.macro), ("weighted", ours.weighted)):
        if not ours.by_type:  # seqeval averages nothing into nan
            assert scored.f1 == 0
            continue
        precision, recall, f1, support = theirs[name]
        assert (scored.precision, scored.recall, scored.f1) == pytest.approx((precision, recall, f1), abs=1e-12), name
        assert scored.support == support
    by_type = list(zip(*theirs["types"]))
    assert [(c.precision, c.recall, c.f1, c.support) for c in ours.by_type.values()] == [
        pytest.approx(row, abs=1e-12) for row in by_type
    ]


@pytest.mark.parametrize("scheme", SPAN_SCHEMES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_conlleval_mode_equals_seqeval_on_any_labels(scheme, data):
    check_against_seqeval(data.draw(sets(scheme)), scheme, "conlleval")


@pytest.mark.parametrize("scheme", SEQEVAL_STRICT)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_strict_mode_equals_seqeval_on_any_labels(scheme, data):
    check_against_seqeval(data.draw(sets(scheme)), scheme, "strict")


@pytest.mark.parametrize("scheme", [Scheme.IO, Scheme.IOB1])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_modes_agree_on_valid_labels(scheme, data):
    """seqeval has no strict IO, and its strict IOB1 has quirks; on valid labels all agree."""
    side = st.lists(st.lists(st.tuples(st.integers(1, 3), st.sampled_from(("X", "Y")), st.integers(1, 2)), max_size=3))

    def spell(pieces):
        spans, position = [], 0
        for length, type_, gap in pieces:
            spans.append(Span(position, position + length, type_))
            position += length + gap
        return labels_of(spans, position + 1, scheme)

    pairs = []
    for gold, predicted in zip(data.draw(side), data.draw(side)):
        gold, predicted = spell(gold), spell(predicted)
        n_words = max(len(gold), len(predicted))
        pairs.append(tuple(row + ["O"] * (n_words - len(row)) for row in (gold, predicted)))
    scores = score_sentences(pairs, scheme)
    assert scores.tables["strict"].by_type == scores.tables["conlleval"].by_type
    check_against_seqeval([list(zip(*pair)) for pair in pairs] or [[]], scheme, "conlleval")


def test_a_span_never_runs_over_a_sentences_end():
    scores = score_sentences([(["B-X"], ["B-X"]), (["I-X"], ["O"])], Scheme.IOB2)
    assert scores.overall == Counts(correct=1, predicted=1, gold=2)


def test_halves_add_up_to_the_whole():
    one, two = (["B-X", "O"], ["B-X", "B-Y"]), (["B-Y", "I-Y"], ["B-Y", "O"])
    halves = [score_sentences([pair], Scheme.IOB2).overall for pair in (one, two)]
    assert sum(halves, Counts()) == score_sentences([one, two], Scheme.IOB2).overall


def test_counts_do_not_depend_on_where_the_buffer_ends(monkeypatch):
    pairs = [(["B-X", "I-X", "O"], ["B-X", "I-X", "B-Z"]), ([], []), (["B-Z"], ["B-X"]), (["O"], ["B-Q"])] * 5
    whole = score_sentences(pairs, Scheme.IOB2)
    monkeypatch.setattr("tf_tokclf.scoring.scores._WORDS_AT_ONCE", 2)
    parts = score_sentences(pairs, Scheme.IOB2)
    assert parts.to_json() == whole.to_json()
    types = ["Q", "X", "Z"]
    assert (parts.table.per_sentence(types) == whole.table.per_sentence(types)).all()


def test_labels_without_a_scheme_are_scored_as_words():
    scores = score_sentences([(["NOUN", "VERB", "NOUN"], ["NOUN", "NOUN", "NOUN"])], Scheme.NONE)
    assert scores.token_accuracy == pytest.approx(2 / 3)
    assert scores.by_type == {"NOUN": Counts(2, 3, 2), "VERB": Counts(0, 0, 1)}
    assert scores.token_accuracy_without_o is None
    assert "modes" not in scores.to_json()


def test_raw_labels_that_begin_with_o_are_labels_like_others():
    """A raw ORG or OTHER read as outside gave an F1 of 0 elsewhere."""
    scores = score_sentences([(["ORG", "OTHER"], ["ORG", "OTHER"])], Scheme.NONE)
    assert scores.overall.f1 == 1


def test_token_accuracy_with_and_without_o():
    scores = score_sentences([(["B-X", "O", "O", "I-X"], ["B-X", "O", "B-X", "O"])], Scheme.IOB2)
    assert scores.token_accuracy == 0.5
    assert scores.token_accuracy_without_o == 0.5
    assert score_sentences([(["O"], ["O"])], Scheme.IOB2).token_accuracy_without_o == 0


def test_surface_forms_count_once():
    scorer = Scorer(Scheme.IOB2)
    for predicted in (["B-X"], ["B-X"], ["O"]):
        scorer.add(["B-X"], predicted, words=["Rome"])
    scorer.add(["B-X"], ["O"], words=["rome"])
    scores = scorer.scores()
    assert scores.overall == Counts(2, 2, 4)
    assert scores.surface == {"X": Counts(1, 1, 2)}


def test_nothing_scored_gives_zeros():
    for scheme in Scheme:
        result = score_sentences([], scheme).to_json()
        assert result["overall"]["f1"] == 0
        assert result["n_words"] == 0


def test_json_is_json_and_says_how_the_score_was_made():
    scores = score_sentences([(["B-X"], ["I-X"])], Scheme.IOB2).with_facts(n_unseen_words=3)
    result = json.loads(json.dumps(scores.to_json()))
    assert (result["scheme"], result["mode"], result["unit"]) == ("IOB2", "conlleval", "span")
    assert result["modes"]["conlleval"]["f1"] == 1
    assert result["modes"]["strict"]["f1"] == 0
    assert result["n_unseen_words"] == 3


def test_sentences_of_different_length_are_named():
    with pytest.raises(UserError, match="Sentence 2 has 1 gold labels but 2"):
        score_sentences([(["O"], ["O"]), (["O"], ["O", "O"])], Scheme.IOB2)
