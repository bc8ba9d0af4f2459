"""Scores compared with seqeval, in all label schemes and both modes."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval import scheme as seqeval_schemes
from seqeval.metrics.sequence_labeling import precision_recall_fscore_support
from seqeval.metrics.v1 import precision_recall_fscore_support as strict_scores

from tests.values import check_values
from tf_tokclf.errors import UserError
from tf_tokclf.labels.schemes import RULES, Scheme, label_for
from tf_tokclf.scoring.counts import Counts
from tf_tokclf.scoring.entities import MODES, entities_of
from tf_tokclf.scoring.scores import Scorer, Scores, numbers, score_sentences

SPAN_SCHEMES = [scheme for scheme in Scheme if scheme is not Scheme.NONE]
# Letters that seqeval does not support, mapped to those that it does: in its default mode and in strict mode.
DEFAULT_LETTERS = {"L": "E", "U": "S", "M": "I", "W": "S"}
STRICT_LETTERS = {"M": "I", "W": "S"}
STRICT_SCHEMES = {
    Scheme.IOB1: seqeval_schemes.IOB1,
    Scheme.IOB2: seqeval_schemes.IOB2,
    Scheme.BIOES: seqeval_schemes.IOBES,
    Scheme.BILOU: seqeval_schemes.BILOU,
    Scheme.BMES: seqeval_schemes.IOBES,
    Scheme.BMEOW: seqeval_schemes.IOBES,
}
TYPES = ("PER", "art-other", "O")


def labels(scheme: Scheme) -> list[str]:
    return ["O", *(label_for(letter, type_) for letter in RULES[scheme].letters.values() for type_ in TYPES)]


def sets(scheme: Scheme):
    pair = st.tuples(st.sampled_from(labels(scheme)), st.sampled_from(labels(scheme)))
    return st.lists(st.lists(pair, max_size=8), min_size=1, max_size=6)


def seqeval_scores(gold, predicted, scheme, mode):
    letters = STRICT_LETTERS if mode == "strict" else DEFAULT_LETTERS
    gold, predicted = ([[letters.get(x[0], x[0]) + x[1:] for x in row] for row in side] for side in (gold, predicted))
    results = {}
    for name, average in {"micro": "micro", "macro": "macro", "weighted": "weighted", "types": None}.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if mode == "strict":
                options = {"average": average, "scheme": STRICT_SCHEMES[scheme], "zero_division": 0}
                results[name] = strict_scores(gold, predicted, **options)
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
@given(data=st.data())
def test_conlleval_mode_equals_seqeval_on_any_labels(scheme, data):
    check_against_seqeval(data.draw(sets(scheme)), scheme, "conlleval")


@pytest.mark.parametrize("scheme", STRICT_SCHEMES)
@given(data=st.data())
def test_strict_mode_equals_seqeval_on_any_labels(scheme, data):
    check_against_seqeval(data.draw(sets(scheme)), scheme, "strict")


def test_a_span_never_runs_over_a_sentences_end():
    scores = score_sentences([(["B-X"], ["B-X"]), (["I-X"], ["O"])], Scheme.IOB2)
    assert scores.overall == Counts(correct=1, predicted=1, gold=2)


def test_spans_of_one_end_are_told_apart():
    gold, predicted = ["O", "O", "B-X", "I-X", "I-X"], ["B-Y", "I-Y", "I-Y", "I-Y", "I-Y"]
    assert score_sentences([(gold, predicted)], Scheme.IOB2).overall == Counts(0, 1, 1)


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
    """Labels such as ORG or OTHER without a prefix are not O in a file without a label scheme."""
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
        scores = score_sentences([], scheme)
        assert scores.token_accuracy == 0
        assert scores.table.per_sentence().shape == (0, 0, 3)
        result = scores.to_json()
        assert result["overall"]["f1"] == 0
        assert result["n_words"] == 0


def test_json_is_json_and_says_how_the_score_was_made():
    scores = score_sentences([(["B-X"], ["I-X"])], Scheme.IOB2).with_facts(n_unseen_words=3)
    result = json.loads(json.dumps(scores.to_json()))
    assert (result["scheme"], result["mode"], result["unit"]) == ("IOB2", "conlleval", "span")
    assert result["modes"]["conlleval"]["f1"] == 1
    assert result["modes"]["strict"]["f1"] == 0
    assert result["n_unseen_words"] == 3


ROWS = [
    ("New York saw Rome", "B-X I-X O B-Y", "B-X I-X B-Y O"),
    (".", "O", "O"),
    ("Rome ,", "I-X O", "B-X O"),
    ("New York !", "B-X I-X O", "B-Y O O"),
]


def scored(mode="conlleval") -> Scores:
    scorer = Scorer(Scheme.IOB2, mode=mode)
    for words, gold, predicted in ROWS:
        scorer.add(gold.split(), predicted.split(), words.split())
    return scorer.scores()


def row(correct, predicted, gold):
    ratios = (correct / predicted if predicted else 0, correct / gold, 2 * correct / (predicted + gold))
    said = dict(zip(("precision", "recall", "f1", "support"), (*ratios, gold)))
    return {**said, "correct": correct, "predicted": predicted}


def test_json_by_hand():
    result = scored().with_facts(n_unseen_words=0).with_facts(n_truncated_words=4).to_json()
    macro = {"precision": 0.5, "recall": pytest.approx(1 / 3), "f1": 0.4, "support": 4}
    weighted = {"precision": 0.75, "recall": 0.5, "f1": pytest.approx(0.6), "support": 4}
    assert result == {
        "scheme": "IOB2",
        "mode": "conlleval",
        "unit": "span",
        "overall": row(2, 4, 4),
        "macro": macro,
        "weighted": weighted,
        "by_type": {"X": row(2, 2, 3), "Y": row(0, 2, 1)},
        "token_accuracy": 0.5,
        "token_accuracy_without_o": pytest.approx(2 / 6),
        "n_sentences": 4,
        "n_words": 10,
        "n_unseen_words": 0,
        "n_truncated_words": 4,
        "modes": {"conlleval": row(2, 4, 4), "strict": row(1, 4, 3)},
        "lenient": {"partial": row(2.5, 4, 4), "boundary": row(2, 4, 4), "type": row(2, 4, 4)},
        "surface_forms": {"overall": row(2, 4, 3), "by_type": {"X": row(2, 2, 2), "Y": row(0, 2, 1)}},
    }
    assert list(result["by_type"]) == list(result["surface_forms"]["by_type"]) == ["X", "Y"]
    json.dumps(result)


def test_the_strict_mode_is_strict_in_all_that_is_said():
    result = scored("strict").to_json()
    assert (result["mode"], result["overall"], result["n_words"]) == ("strict", row(1, 4, 3), 10)
    assert result["modes"] == {"conlleval": row(2, 4, 4), "strict": row(1, 4, 3)}
    assert result["lenient"]["type"] == row(1, 4, 3)
    assert result["surface_forms"]["by_type"] == {"X": row(1, 2, 1), "Y": row(0, 2, 1)}
    other = scored().in_mode("strict")
    assert (other.mode, other.overall, other.by_type) == ("strict", Counts(1, 4, 3), scored("strict").by_type)
    assert score_sentences([(["I-X"], ["B-X"])], Scheme.IOB2, mode="strict").overall == Counts(0, 1, 0)
    assert MODES == ("conlleval", "strict")


def test_json_without_a_scheme_by_hand():
    result = score_sentences([(["N", "V"], ["N", "N"]), (["O"], ["O"])], Scheme.NONE).to_json()
    assert result == {
        "scheme": "none",
        "mode": None,
        "unit": "word",
        "overall": row(2, 3, 3),
        "macro": {"precision": 0.5, "recall": pytest.approx(2 / 3), "f1": pytest.approx((1 + 2 / 3) / 3), "support": 3},
        "weighted": {
            "precision": 0.5,
            "recall": pytest.approx(2 / 3),
            "f1": pytest.approx((1 + 2 / 3) / 3),
            "support": 3,
        },
        "by_type": {"N": row(1, 2, 1), "O": row(1, 1, 1), "V": row(0, 0, 1)},
        "token_accuracy": pytest.approx(2 / 3),
        "token_accuracy_without_o": None,
        "n_sentences": 2,
        "n_words": 3,
    }


def test_numbers_of_averages_have_no_counts():
    assert set(numbers(scored().macro)) == {"precision", "recall", "f1", "support"}


def test_values_and_what_they_hold_unless_told():
    check_values(Scores, by_identity=True)
    bare = Scores(Scheme.NONE, "strict", {}, 0, 0, 0, 0)
    assert (bare.lenient, bare.surface, bare.facts, bare.has_spans) == ({}, None, {}, False)
    assert scored().with_facts(a=1).with_facts(b=2, a=3).facts == {"a": 3, "b": 2}
    assert {type(value) for value in (scored().n_words, scored().n_right_words, scored().n_inside_words)} == {int}
    scorer = Scorer(Scheme.IOB2)
    assert (scorer.mode, scorer.scheme) == ("conlleval", Scheme.IOB2)
    assert score_sentences([], Scheme.IOB2).mode == "conlleval"


def test_scores_may_be_asked_for_at_any_time(monkeypatch):
    for at_once in (1, 3, 4, 100):
        monkeypatch.setattr("tf_tokclf.scoring.scores._WORDS_AT_ONCE", at_once)
        scorer = Scorer(Scheme.IOB2)
        for n, (words, gold, predicted) in enumerate(ROWS, 1):
            assert scorer.scores().n_sentences == n - 1
            scorer.add(gold.split(), predicted.split(), words.split())
        assert scorer.scores().to_json() == scorer.scores().to_json() == scored().to_json()


def test_the_words_are_counted_when_there_are_enough(monkeypatch):
    """Only counts are kept in memory, not the labels of sentences."""
    monkeypatch.setattr("tf_tokclf.scoring.scores._WORDS_AT_ONCE", 3)
    asked = []

    class Labels(list):
        def __iter__(self):
            asked.append(len(self))
            return super().__iter__()

    scorer, counted = Scorer(Scheme.IOB2), []
    for n in (2, 1, 2, 3):
        scorer.add(Labels(["O"] * n), ["O"] * n)
        counted.append(list(dict.fromkeys(asked)))
    assert counted == [[], [2, 1], [2, 1], [2, 1, 3]]
    assert scorer.scores().n_words == 8


@pytest.mark.parametrize("mode", MODES)
@given(data=st.data())
def test_surface_forms_are_sets_of_forms(mode, data):
    scheme = data.draw(st.sampled_from(SPAN_SCHEMES))
    sentences = data.draw(sets(scheme))
    scorer, kinds = Scorer(scheme, mode=mode), [set(), set(), set()]
    for sentence in sentences:
        words = data.draw(st.lists(st.sampled_from("ab"), min_size=len(sentence), max_size=len(sentence)))
        gold, predicted = ([pair[side] for pair in sentence] for side in (0, 1))
        scorer.add(gold, predicted, words)
        found = [set(entities_of(labels, scheme, mode)) for labels in (gold, predicted)]
        for forms, spans in zip(kinds, (found[0] & found[1], found[1], found[0])):
            forms |= {(span.type, tuple(words[span.start : span.end])) for span in spans}
    expected = {t: Counts(*(sum(form[0] == t for form in forms) for forms in kinds)) for t in TYPES}
    assert (scorer.scores().surface or {}) == {t: c for t, c in sorted(expected.items()) if c != Counts()}


def test_spans_of_bare_prefixes_have_a_name():
    scores = score_sentences([(["B", "I", "O"], ["B", "I", "B"])], Scheme.IOB2)
    assert scores.by_type == {"_": Counts(1, 2, 1)}


def test_without_words_there_are_no_surface_forms():
    scores = score_sentences([(["B-X"], ["B-X"])], Scheme.IOB2)
    assert scores.surface is None
    assert "surface_forms" not in scores.to_json()


@given(data=st.data())
def test_counts_stand_in_the_row_of_their_sentence(data):
    scheme = data.draw(st.sampled_from(SPAN_SCHEMES))
    pairs = [tuple(zip(*s)) if s else ((), ()) for s in data.draw(sets(scheme))]
    scores = score_sentences(pairs, scheme)
    for number, (gold, predicted) in enumerate(pairs):
        there, said = (set(entities_of(labels, scheme)) for labels in (gold, predicted))
        counted = scores.table.per_sentence(TYPES)[number]
        for counts, type_ in zip(counted.tolist(), TYPES):
            assert counts == [sum(x.type == type_ for x in kind) for kind in (there & said, said, there)]
    assert scores.n_sentences == len(pairs)
    assert scores.n_right_words == sum(a == b for pair in pairs for a, b in zip(*pair))
    assert scores.n_inside_words == sum(a != "O" for gold, _ in pairs for a in gold)


def test_types_of_numbers():
    assert repr(scored().surface["X"]) == "Counts(correct=2, predicted=2, gold=2)"
    table = scored().table
    assert (table.sentence.dtype, table.type.dtype, table.counts.dtype) == (np.int64, np.int64, np.int32)
    empty = score_sentences([], Scheme.IOB2).table
    assert (empty.sentence.dtype, empty.type.dtype, empty.counts.dtype) == (np.int64, np.int64, np.int32)


def test_the_sentence_of_another_length_is_numbered_from_the_first(monkeypatch):
    monkeypatch.setattr("tf_tokclf.scoring.scores._WORDS_AT_ONCE", 2)
    with pytest.raises(UserError) as error:
        score_sentences([(["O"], ["O"])] * 3 + [(["O", "O"], ["O"])], Scheme.IOB2)
    assert str(error.value) == (
        "Sentence 4 has 2 gold labels but 1 predicted label. Predictions and gold labels must be of the same words."
    )


def test_sentences_of_different_length_are_named():
    with pytest.raises(UserError, match="Sentence 2 has 1 gold label but 2"):
        score_sentences([(["O"], ["O"]), (["O"], ["O", "O"])], Scheme.IOB2)
