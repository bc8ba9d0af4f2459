"""Validation: errors in label sequences, allowed transitions, and the detection of schemes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.labels.strategies import SPAN_SCHEMES, label_lists
from tests.values import check_values
from tf_tokclf.labels.schemes import RULES, Scheme
from tf_tokclf.labels.sentence import Span
from tf_tokclf.labels.spans import spans_of
from tf_tokclf.labels.validation import (
    Detection,
    Violation,
    ViolationKind,
    detect_scheme,
    pair_violations,
    scheme_of_names,
    transition_mask,
    violations,
)


@pytest.mark.parametrize(
    ("scheme", "labels", "expected"),
    [
        (Scheme.IOB2, "O I-X", [(1, ViolationKind.NO_BEGIN)]),
        (Scheme.IOB2, "B-X I-Y", [(1, ViolationKind.TYPE_CHANGE)]),
        (Scheme.IOB2, "B-X I-x", [(1, ViolationKind.TYPE_CHANGE)]),
        (Scheme.IOB2, "B-X E-X", [(1, ViolationKind.FOREIGN_PREFIX)]),
        (Scheme.IOB2, "B-X ORG", [(1, ViolationKind.NO_PREFIX)]),
        (Scheme.IOB1, "B-X I-X", [(0, ViolationKind.NEEDLESS_BEGIN)]),
        (Scheme.IOB1, "I-X B-X I-Y", []),
        (Scheme.IO, "I-X B-X", [(1, ViolationKind.FOREIGN_PREFIX)]),
        (Scheme.BIOES, "B-X O", [(0, ViolationKind.UNFINISHED)]),
        (Scheme.BIOES, "B-X I-X", [(1, ViolationKind.UNFINISHED)]),
        (Scheme.BIOES, "S-X E-X", [(1, ViolationKind.NO_BEGIN)]),
        (Scheme.BIOES, "B-X E-X I-X", [(2, ViolationKind.NO_BEGIN), (2, ViolationKind.UNFINISHED)]),
        (Scheme.BILOU, "B-X L-Y", [(1, ViolationKind.TYPE_CHANGE)]),
        (Scheme.BMES, "B-X M-X E-X S-X", []),
        (Scheme.BMEOW, "B-X M-X E-X W-X S-X", [(4, ViolationKind.FOREIGN_PREFIX)]),
        (Scheme.NONE, "NOUN ORG", []),
    ],
)
def test_each_kind_of_violation_is_found_at_its_word(scheme, labels, expected):
    assert [(v.position, v.kind) for v in violations(labels.split(), scheme)] == expected


@pytest.mark.parametrize("scheme", [*SPAN_SCHEMES, Scheme.NONE])
@given(data=st.data())
def test_the_transition_mask_allows_exactly_the_valid_sequences(scheme, data):
    sentence = data.draw(label_lists(scheme if scheme is not Scheme.NONE else Scheme.BIOES).filter(bool))
    names = sorted(set(sentence))
    start, between, end = transition_mask(names, scheme)
    ids = [names.index(x) for x in sentence]
    allowed = start[ids[0]] and end[ids[-1]] and all(between[i, j] for i, j in itertools.pairwise(ids))
    assert bool(allowed) == (violations(sentence, scheme) == [])


@pytest.mark.parametrize(
    ("sentences", "scheme"),
    [
        (["O B-LOC I-LOC", "B-PER O"], Scheme.IOB2),
        (["B-LOC B-LOC O"], Scheme.IOB2),
        (["B-art-other I-art-other O-"], Scheme.IOB2),
        (["I-LOC I-LOC O I-PER"], Scheme.IO),
        (["I-LOC B-LOC O I-PER", "I-LOC O"], Scheme.IOB1),
        (["B-LOC I-LOC E-LOC O S-PER"], Scheme.BIOES),
        (["B-LOC L-LOC O U-PER"], Scheme.BILOU),
        (["U-PER O"], Scheme.BILOU),
        (["B-LOC M-LOC E-LOC S-PER"], Scheme.BMES),
        (["B-LOC M-LOC E-LOC W-PER"], Scheme.BMEOW),
        (["B-PER O I-LOC"], Scheme.IOB2),
        (["B M E S S", "B E"], Scheme.BMES),
        (["B I O O B"], Scheme.IOB2),
        (["O O O"], Scheme.IOB2),
        (["O EVENT O"], Scheme.NONE),
        (["ORG OTHER O"], Scheme.NONE),
        (["NOUN VERB ADJ"], Scheme.NONE),
        (["S V B E I O", "V S"], Scheme.NONE),
        (["E S B I S E I"], Scheme.NONE),
        (["-LRB- NN -RRB-"], Scheme.NONE),
        ([], Scheme.IOB2),
    ],
)
def test_schemes_are_detected(sentences, scheme):
    assert detect_scheme(s.split() for s in sentences).scheme is scheme


def test_a_few_wrong_places_do_not_change_the_detected_scheme():
    sentences = [["O", "B-LOC", "I-LOC"]] * 9 + [["O", "I-LOC"]]
    found = detect_scheme(sentences)
    assert found.scheme is Scheme.IOB2
    assert found.violations[Scheme.IOB2] == 1
    assert str(found) == "label scheme IOB2, 1 error (IOB1 has 9)"


@pytest.mark.parametrize(
    ("scheme", "labels", "message"),
    [
        (Scheme.IOB2, "O I-X", "I-X follows O, which IOB2 does not allow. The span should start with B-X."),
        (Scheme.IOB2, "B-X I-Y", "I-Y follows B-X, which IOB2 does not allow. The span should start with B-Y."),
        (Scheme.BMES, "O M-X E-X", "M-X follows O, which BMES does not allow. The span should start with B-X."),
        (Scheme.IOB2, "B-X E-X", "E-X is not a label of IOB2, which has the prefixes B-, I-."),
        (Scheme.BMEOW, "S-X", "S-X is not a label of BMEOW, which has the prefixes B-, M-, E-, W-."),
        (Scheme.IO, "B-X", "B-X is not a label of IO, which has the prefixes I-."),
        (Scheme.IOB2, "ORG", "ORG has no prefix. A label of IOB2 is O, or a prefix (B-, I-) and a type."),
        (Scheme.BIOES, "B-X O", "O follows B-X, which BIOES does not allow. The span should end with S-X."),
        (
            Scheme.BILOU,
            "B-X I-X U-Y",
            "U-Y follows I-X, which BILOU does not allow. The span should end with L-X.",
        ),
        (Scheme.BMEOW, "B-X", "O follows B-X, which BMEOW does not allow. The span should end with W-X."),
        (
            Scheme.IOB1,
            "O B-X",
            "B-X follows O, which IOB1 does not allow. Only adjacent spans of one type need B-.",
        ),
        (
            Scheme.IOB1,
            "I-Y B-X",
            "B-X follows I-Y, which IOB1 does not allow. Only adjacent spans of one type need B-.",
        ),
    ],
)
def test_a_violation_says_what_would_be_right(scheme, labels, message):
    assert [v.message for v in violations(labels.split(), scheme)] == [message]


def test_kinds_of_violations_have_names():
    assert [str(kind) for kind in ViolationKind] == [
        "no prefix",
        "prefix of another scheme",
        "start of the span not marked",
        "type changes inside a span",
        "end of the span not marked",
        "unnecessary B-",
    ]


def test_bare_prefixes_touch_nothing_outside():
    """Both O and bare prefixes have an empty type."""
    assert [v.kind for v in violations(["O", "B"], Scheme.IOB1)] == [ViolationKind.NEEDLESS_BEGIN]
    assert violations(["I", "B"], Scheme.IOB1) == []
    assert spans_of(["O", "B"], Scheme.IOB1, strict=True) == []
    assert spans_of(["I", "B"], Scheme.IOB1, strict=True) == [Span(0, 1, ""), Span(1, 2, "")]


def test_a_place_may_break_a_scheme_twice():
    found = pair_violations("B-X", "ORG", Scheme.BIOES)
    assert [(v.position, v.kind) for v in found] == [(-1, ViolationKind.UNFINISHED), (0, ViolationKind.NO_PREFIX)]
    assert pair_violations("B-X", "ORG", Scheme.NONE) == ()


def test_the_mask_of_no_labels_is_empty():
    start, between, end = transition_mask([], Scheme.IOB2)
    assert (start.shape, between.shape, end.shape) == ((0,), (0, 0), (0,))
    assert (start.dtype, between.dtype, end.dtype) == (bool, bool, bool)
    assert {array.dtype for array in transition_mask(["O", "B-X"], Scheme.IOB2)} == {np.dtype(bool)}


@pytest.mark.parametrize(
    ("sentences", "said"),
    [
        ([], "label scheme IOB2, no errors (O is the only label)"),
        (["O O"], "label scheme IOB2, no errors (O is the only label)"),
        (
            ["O B-X I-X I-X", "O"],
            "label scheme IOB2, no errors",
        ),
        (
            ["O I-X I-X"] + ["B-X I-X"] * 1200,
            "label scheme IOB2, 1 error (IOB1 has 1,200)",
        ),
        (
            ["O I-X", "I-X"] + ["B-X I-X"] * 20,
            "label scheme IOB2, 2 errors (IOB1 has 20)",
        ),
        (
            ["B-X E-X S-Y"],
            "label scheme BIOES, no errors (BMES fits equally well)",
        ),
        (["B-X M-X E-X W-Y"], "label scheme BMEOW, no errors"),
        (
            ["I-X O", "I-Y"],
            "label scheme IO, no errors (IOB1 fits equally well)",
        ),
        (["B-X I-X ORG"], "label scheme IOB2, 1 error"),
        (
            ["B-X O", "B-X I-X O", "U-X O", "B-X L-X"],
            "label scheme BILOU, 2 errors; 2 spans without a marked end, as in IOB2: the data may mix label schemes",
        ),
        (["B-X O"] + ["B-X L-X", "U-X O"] * 10, "label scheme BILOU, 1 error"),
        (["NOUN VERB"], "no label scheme: labels such as NOUN, VERB have no prefix like B- or I-"),
        (
            ["NOUN VERB NOUN ADJ VERB NOUN"],
            "no label scheme: labels such as NOUN, VERB, ADJ have no prefix like B- or I-",
        ),
        (["A A A A C C C D D G"], "no label scheme: labels such as A, C, D, ... have no prefix like B- or I-"),
    ],
)
def test_what_is_found_says_why(sentences, said):
    assert str(detect_scheme(s.split() for s in sentences)) == said


def test_what_is_found_counts_prefixes_and_broken_places():
    found = detect_scheme([["O", "B-X", "I-X", "ORG"], ["I-X", "I-X"]])
    assert found.prefixes == {"B": 1, "I": 3, "": 1}
    assert set(found.violations) == set(RULES)
    assert (found.violations[Scheme.IOB2], found.violations[Scheme.IOB1], found.violations[Scheme.IO]) == (2, 2, 2)
    raw = detect_scheme([["NOUN", "B", "NOUN"]])
    assert (raw.scheme, raw.prefixes) == (Scheme.NONE, {"": 3})
    assert raw.violations[Scheme.IOB2] == 2
    assert detect_scheme([["O"]]).violations == {}


@pytest.mark.parametrize(
    ("sentences", "scheme"),
    [
        # At least half of the labels must have a prefix.
        (["B-X NOUN"], Scheme.IOB2),
        (["B-X NOUN VERB"], Scheme.NONE),
        # Single letters are prefixes if at most 10 % of them are errors.
        (["B I I I I I I I I B", "O I"], Scheme.IOB2),
        (["B I I I I I I B", "O I"], Scheme.NONE),
        (["B-X I-X", "O I-X", "O I-X"], Scheme.IOB1),
    ],
)
def test_where_detection_turns(sentences, scheme):
    assert detect_scheme(s.split() for s in sentences).scheme is scheme


@pytest.mark.parametrize(
    ("names", "scheme"),
    [
        ("O I-X", Scheme.IO),
        ("O B-X I-X", Scheme.IOB2),
        ("B-X", Scheme.IOB2),
        ("O B-X I-X E-X S-X", Scheme.BIOES),
        ("O U-X", Scheme.BILOU),
        ("O M-X", Scheme.BMES),
        ("O W-X M-X", Scheme.BMEOW),
        ("O B-X ORG", Scheme.NONE),
        ("O", Scheme.NONE),
        ("", Scheme.NONE),
    ],
)
def test_names_of_labels_tell_a_scheme(names, scheme):
    assert scheme_of_names(names.split()) is scheme


def test_values():
    check_values(Violation, slots=True)
    check_values(Detection)
    assert len({Violation(0, ViolationKind.NO_PREFIX, "x"), Violation(0, ViolationKind.NO_PREFIX, "x")}) == 1
    assert str(Detection(Scheme.IOB2, "so")) == "label scheme IOB2, so"
    assert (Detection(Scheme.IOB2, "").prefixes, Detection(Scheme.IOB2, "").violations) == ({}, {})
