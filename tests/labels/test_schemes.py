"""Schemes: readings against seqeval, conversions as round trips, detection, repair."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval import scheme as seqeval_scheme
from seqeval.metrics.sequence_labeling import get_entities

from tests.values import check_values
from tf_tokclf.errors import UserError
from tf_tokclf.labels.schemes import RULES, PrefixReading, Rules, Scheme, label_for, split_label
from tf_tokclf.labels.sentence import Span
from tf_tokclf.labels.spans import (
    SpanTable,
    continuation_label,
    convert_labels,
    labels_of,
    repair_labels,
    span_table,
    spans_of,
    translated_labels,
)
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

TYPES = ("LOC", "loc", "art-other", "O", "ORG")
SPAN_SCHEMES = tuple(RULES)
SEQEVAL_STRICT = {
    Scheme.IOB1: seqeval_scheme.IOB1,
    Scheme.IOB2: seqeval_scheme.IOB2,
    Scheme.BIOES: seqeval_scheme.IOBES,
    Scheme.BILOU: seqeval_scheme.BILOU,
}


def label_lists(scheme: Scheme, types: Sequence[str] = TYPES[:3]) -> st.SearchStrategy[list[str]]:
    """Any labels of the scheme in any order, valid or not."""
    labels = ["O", *(label_for(prefix, type_) for prefix in RULES[scheme].prefixes for type_ in types)]
    return st.lists(st.sampled_from(sorted(labels)), max_size=12)


@st.composite
def span_lists(draw: st.DrawFn, *, touching_twins: bool = True) -> tuple[list[Span], int]:
    """Spans that do not overlap and a sentence length; `touching_twins`: neighbours may share their type."""
    spans: list[Span] = []
    at = 0
    for gap, length, type_ in draw(
        st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4), st.sampled_from(TYPES)), max_size=5)
    ):
        twin = gap == 0 and bool(spans) and spans[-1].type == type_
        start = at + gap + (1 if twin and not touching_twins else 0)
        spans.append(Span(start, start + length, type_))
        at = start + length
    return spans, at + draw(st.integers(0, 2))


@pytest.mark.parametrize(
    ("label", "parts"),
    [
        ("O", ("O", "")),
        ("B-art-other", ("B", "art-other")),
        ("I-", ("", "I-")),
        ("O-X", ("", "O-X")),
        ("B-O", ("B", "O")),
        ("ORG", ("", "ORG")),
        ("OTHER", ("", "OTHER")),
        ("EVENT", ("", "EVENT")),
        ("-LRB-", ("", "-LRB-")),
        ("U-LOC", ("U", "LOC")),
        ("W-LOC", ("W", "LOC")),
        ("B", ("B", "")),
    ],
)
def test_labels_are_split_at_their_prefix_and_joined_again(label, parts):
    assert split_label(label) == parts
    assert label_for(*parts) == label


@pytest.mark.parametrize("scheme", [Scheme.IO, Scheme.IOB1, Scheme.IOB2, Scheme.BIOES])
@given(data=st.data())
def test_the_default_reading_is_that_of_seqeval(scheme, data):
    labels = data.draw(label_lists(scheme))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expected = [Span(start, end + 1, type_) for type_, start, end in get_entities(labels)]
    assert spans_of(labels, scheme) == expected


@pytest.mark.parametrize("scheme", [Scheme.IOB2, Scheme.BIOES, Scheme.BILOU])
@given(data=st.data())
def test_the_strict_reading_is_that_of_seqeval(scheme, data):
    labels = data.draw(label_lists(scheme))
    assert spans_of(labels, scheme, strict=True) == seqeval_strict(labels, scheme)


@given(span_lists())
def test_the_strict_reading_of_valid_iob1_is_that_of_seqeval(spans_and_length):
    labels = labels_of(*spans_and_length, Scheme.IOB1)
    assert spans_of(labels, Scheme.IOB1, strict=True) == seqeval_strict(labels, Scheme.IOB1)


def seqeval_strict(labels: list[str], scheme: Scheme) -> list[Span]:
    entities = seqeval_scheme.Entities([labels], SEQEVAL_STRICT[scheme]).entities[0]
    return [Span(e.start, e.end, e.tag) for e in entities]


def test_strict_iob1_drops_a_span_that_a_needless_b_begins():
    assert spans_of(["O", "B-LOC", "I-LOC"], Scheme.IOB1, strict=True) == []


@pytest.mark.parametrize("scheme", SPAN_SCHEMES)
@given(spans_and_length=span_lists(touching_twins=False))
def test_spans_become_labels_and_spans_again(scheme, spans_and_length):
    spans, n_words = spans_and_length
    labels = labels_of(spans, n_words, scheme)
    assert violations(labels, scheme) == []
    assert spans_of(labels, scheme) == spans == spans_of(labels, scheme, strict=True)


@pytest.mark.parametrize("source", SPAN_SCHEMES)
@pytest.mark.parametrize("target", SPAN_SCHEMES)
@given(data=st.data())
@settings(max_examples=25)
def test_conversions_round_trip_between_all_pairs(source, target, data):
    spans, n_words = data.draw(span_lists(touching_twins=Scheme.IO not in (source, target)))
    labels = labels_of(spans, n_words, source)
    there = convert_labels(labels, source, target)
    assert spans_of(there, target) == spans
    assert convert_labels(there, target, source) == labels


def test_io_refuses_touching_spans_of_one_type():
    with pytest.raises(UserError, match="IO cannot separate the two adjacent LOC spans at word 2"):
        convert_labels(["B-LOC", "B-LOC"], Scheme.IOB2, Scheme.IO)


def test_conversion_does_not_repair_in_silence():
    with pytest.raises(UserError, match=r"Word 2: I-LOC follows O.*Repair the labels"):
        convert_labels(["O", "I-LOC"], Scheme.IOB2, Scheme.BIOES)


def test_nothing_is_converted_to_or_from_no_scheme():
    with pytest.raises(UserError, match="labels without a scheme have no spans"):
        convert_labels(["NOUN"], Scheme.NONE, Scheme.IOB2)


@pytest.mark.parametrize("scheme", SPAN_SCHEMES)
@pytest.mark.parametrize("strict", [False, True])
@given(data=st.data())
def test_span_table_equals_spans_of(scheme, strict, data):
    labels = ["O", "NOUN", "B", "I", *(f"{p}-{t}" for p in "BIESULMW" for t in TYPES[:2])]
    sentences = data.draw(st.lists(st.lists(st.sampled_from(labels), max_size=8), max_size=6))
    ids = np.array([labels.index(x) for sentence in sentences for x in sentence], np.int32)
    starts = np.cumsum([0, *(len(s) for s in sentences)])[:-1].astype(int)
    table = span_table(ids, starts, labels, scheme, strict=strict)
    expected = [
        Span(int(start) + s.start, int(start) + s.end, s.type)
        for start, sentence in zip(starts, sentences)
        for s in spans_of(sentence, scheme, strict=strict)
    ]
    rows = zip(table.starts.tolist(), table.ends.tolist(), table.type_ids.tolist())
    assert [Span(start, end, table.types[i]) for start, end, i in rows] == expected


def test_without_a_scheme_there_are_no_spans():
    assert spans_of(["B-LOC", "NOUN"], Scheme.NONE) == []
    assert len(span_table(np.array([0]), np.array([0]), ["B-LOC"], Scheme.NONE)) == 0


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


@pytest.mark.parametrize("scheme", SPAN_SCHEMES)
@pytest.mark.parametrize("method", ["conlleval", "discard"])
@given(data=st.data())
def test_repaired_labels_are_valid_and_valid_ones_stay(scheme, method, data):
    labels = data.draw(label_lists(scheme))
    repaired = repair_labels(labels, scheme, method)
    assert violations(repaired, scheme) == []
    assert spans_of(repaired, scheme) == spans_of(labels, scheme, strict=method == "discard")
    if not violations(labels, scheme):
        assert repaired == labels


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
    ("label", "scheme", "expected"),
    [
        ("O", Scheme.IOB2, "O"),
        ("B-LOC", Scheme.IOB2, "I-LOC"),
        ("I-art-other", Scheme.IOB1, "I-art-other"),
        ("S-LOC", Scheme.BIOES, "I-LOC"),
        ("E-LOC", Scheme.BMES, "M-LOC"),
        ("W-LOC", Scheme.BMEOW, "M-LOC"),
        ("B", Scheme.IOB2, "I"),
        ("NOUN", Scheme.NONE, "NOUN"),
        ("S-LOC", Scheme.NONE, "S-LOC"),
    ],
)
def test_later_pieces_stand_inside_the_span_of_their_word(label, scheme, expected):
    assert continuation_label(label, scheme) == expected


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
    ("name", "scheme"),
    [
        ("BIO", Scheme.IOB2),
        ("bio2", Scheme.IOB2),
        ("iob", Scheme.IOB1),
        ("iobes", Scheme.BIOES),
        ("BILUO", Scheme.BILOU),
        ("BMESO", Scheme.BMES),
        ("None", Scheme.NONE),
        *((scheme.value.lower(), scheme) for scheme in Scheme),
        *((scheme.value.upper(), scheme) for scheme in Scheme),
    ],
)
def test_other_names_of_schemes_are_understood(name, scheme):
    assert Scheme(name) is scheme


def test_names_of_schemes():
    assert [str(scheme) for scheme in Scheme] == ["IO", "IOB1", "IOB2", "BIOES", "BILOU", "BMES", "BMEOW", "none"]
    with pytest.raises(ValueError, match="'XIO' is not a valid Scheme"):
        Scheme("XIO")


def test_values():
    check_values(Violation, slots=True)
    check_values(Rules, Detection)
    check_values(SpanTable)
    assert len({Violation(0, ViolationKind.NO_PREFIX, "x"), Violation(0, ViolationKind.NO_PREFIX, "x")}) == 1
    assert PrefixReading._fields == ("role", "type")
    assert str(Detection(Scheme.IOB2, "so")) == "label scheme IOB2, so"
    assert (Detection(Scheme.IOB2, "").prefixes, Detection(Scheme.IOB2, "").violations) == ({}, {})


@pytest.mark.parametrize(
    ("scheme", "labels", "message"),
    [
        (Scheme.IOB2, "O I-X", "I-X follows O, which IOB2 does not allow. The span should start with B-X."),
        (Scheme.IOB2, "B-X I-Y", "I-Y follows B-X, which IOB2 does not allow. The span should start with B-Y."),
        (Scheme.BMES, "O M-X E-X", "M-X follows O, which BMES does not allow. The span should start with B-X."),
        (Scheme.IOB2, "B-X E-X", "E-X is not a label of IOB2, which has the prefixes B-, I-."),
        (Scheme.BMEOW, "S-X", "S-X is not a label of BMEOW, which has the prefixes B-, M-, E-, W-."),
        (Scheme.IO, "B-X", "B-X is not a label of IO, which has the prefixes I-."),
        (Scheme.IOB2, "ORG", "ORG has no prefix. IOB2 labels are O, or a prefix (B-, I-) and a type."),
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
    """Outside has the empty type, and so have bare prefixes."""
    assert [v.kind for v in violations(["O", "B"], Scheme.IOB1)] == [ViolationKind.NEEDLESS_BEGIN]
    assert violations(["I", "B"], Scheme.IOB1) == []
    assert spans_of(["O", "B"], Scheme.IOB1, strict=True) == []
    assert spans_of(["I", "B"], Scheme.IOB1, strict=True) == [Span(0, 1, ""), Span(1, 2, "")]


def test_a_place_may_break_a_scheme_twice():
    found = pair_violations("B-X", "ORG", Scheme.BIOES)
    assert [(v.position, v.kind) for v in found] == [(-1, ViolationKind.UNFINISHED), (0, ViolationKind.NO_PREFIX)]
    assert pair_violations("B-X", "ORG", Scheme.NONE) == ()


@pytest.mark.parametrize(
    ("spans", "n_words"), [([Span(0, 2, "X"), Span(1, 3, "X")], 3), ([Span(0, 3, "X")], 2), ([Span(2, 3, "X")], 2)]
)
def test_spans_that_overlap_or_leave_the_sentence_cannot_be_spelled(spans, n_words):
    with pytest.raises(ValueError, match=r"Span\(.*\) overlaps .* or ends after the last of \d words"):
        labels_of(spans, n_words, Scheme.IOB2)


def test_spans_are_spelled_in_any_order():
    spans = [Span(2, 3, "Y"), Span(0, 2, "X")]
    assert labels_of(iter(spans), 4, Scheme.IOB1) == ["I-X", "I-X", "I-Y", "O"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: labels_of([], 1, Scheme.NONE),
            "Spans need a label scheme. Choose one, such as IOB2.",
        ),
        (
            lambda: labels_of([Span(0, 1, "X"), Span(1, 2, "X")], 2, Scheme.IO),
            "IO cannot separate the two adjacent X spans at word 2."
            " Choose a scheme that marks the start of spans, such as IOB2.",
        ),
        (
            lambda: convert_labels(["NOUN"], Scheme.NONE, Scheme.IOB2),
            "Labels cannot be converted from none to IOB2: labels without a scheme have no spans.",
        ),
        (
            lambda: convert_labels(["B-X"], Scheme.IOB2, Scheme.NONE),
            "Labels cannot be converted from IOB2 to none: labels without a scheme have no spans.",
        ),
        (
            lambda: convert_labels(["O", "I-X", "I-Y"], Scheme.IOB2, Scheme.IO),
            "Word 2: I-X follows O, which IOB2 does not allow. The span should start with B-X."
            " Repair the labels first (conlleval or discard).",
        ),
    ],
)
def test_what_cannot_be_written_says_what_to_do(call, message):
    with pytest.raises(UserError) as error:
        call()
    assert str(error.value) == message


def test_conversion_into_the_same_scheme_changes_nothing():
    labels = ("O", "I-X")
    assert convert_labels(labels, Scheme.IOB2, Scheme.IOB2) == ["O", "I-X"]
    assert convert_labels(("A", "B"), Scheme.NONE, Scheme.NONE) == ["A", "B"]


@pytest.mark.parametrize("source", SPAN_SCHEMES)
@pytest.mark.parametrize("target", SPAN_SCHEMES)
@given(data=st.data())
@settings(max_examples=20)
def test_translated_labels_spell_the_same_spans_as_well_as_they_can(source, target, data):
    labels = data.draw(label_lists(source))
    translated = translated_labels(labels, source, target)
    if source is target:
        assert translated == labels
        return
    spans = spans_of(labels, source)
    assert violations(translated, target) == []
    if target is not Scheme.IO:
        assert spans_of(translated, target) == spans
    inside = {i: span.type for span in spans for i in range(span.start, span.end)}
    assert [split_label(label)[1] for label in translated] == [inside.get(i, "") for i in range(len(labels))]


def test_labels_without_a_scheme_are_translated_to_themselves():
    assert translated_labels(("NOUN", "B-X"), Scheme.NONE, Scheme.IOB2) == ["NOUN", "B-X"]
    assert translated_labels(("O", "I-X"), Scheme.IOB2, Scheme.NONE) == ["O", "I-X"]
    assert repair_labels(("O", "I-X"), Scheme.NONE, "discard") == ["O", "I-X"]


def test_the_mask_of_no_labels_is_empty():
    start, between, end = transition_mask([], Scheme.IOB2)
    assert (start.shape, between.shape, end.shape) == ((0,), (0, 0), (0,))
    assert (start.dtype, between.dtype, end.dtype) == (bool, bool, bool)
    assert {array.dtype for array in transition_mask(["O", "B-X"], Scheme.IOB2)} == {np.dtype(bool)}


def test_tables_of_spans_are_indices():
    for ids, starts in (([], []), ([0, 1, 2], [0, 2])):
        for scheme in (Scheme.IOB2, Scheme.BIOES, Scheme.NONE):
            table = span_table(np.array(ids, int), np.array(starts, int), ["B-X", "I-X", "O"], scheme)
            assert {a.dtype for a in (table.starts, table.ends, table.type_ids)} == {np.dtype(np.int64)}
    assert len(table) == 0
    assert table.types == ()
    table = span_table(np.array([], int), np.array([0, 0]), ["B-Y", "O", "I-X"], Scheme.IOB2)
    assert (len(table), table.types) == (0, ("", "X", "Y"))


def test_the_first_word_opens_a_sentence_wherever_the_starts_are_counted_from():
    table = span_table(np.array([0, 0]), np.array([1]), ["I-X"], Scheme.IOB2)
    assert list(zip(table.starts.tolist(), table.ends.tolist())) == [(0, 1), (1, 2)]


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
        # Half of the labels have to have a prefix.
        (["B-X NOUN"], Scheme.IOB2),
        (["B-X NOUN VERB"], Scheme.NONE),
        # Bare letters are prefixes where a tenth of their places is broken at most.
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


def test_read_strictly_a_prefix_of_another_scheme_is_outside():
    assert spans_of(["B-X", "E-X"], Scheme.IOB2) == [Span(0, 2, "X")]
    assert spans_of(["B-X", "E-X"], Scheme.IOB2, strict=True) == [Span(0, 1, "X")]
