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

from tf_tokclf.data.schemes import (
    RULES,
    Scheme,
    ViolationKind,
    continuation_label,
    convert_labels,
    detect_scheme,
    label_for,
    labels_of,
    repair_labels,
    span_table,
    spans_of,
    split_label,
    transition_mask,
    violations,
)
from tf_tokclf.data.sentence import Span
from tf_tokclf.errors import UserError

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
    with pytest.raises(UserError, match="Two LOC spans touch at word 2, which IO cannot express"):
        convert_labels(["B-LOC", "B-LOC"], Scheme.IOB2, Scheme.IO)


def test_conversion_does_not_repair_in_silence():
    with pytest.raises(UserError, match=r"Word 2: I-LOC follows O.*Repair the labels"):
        convert_labels(["O", "I-LOC"], Scheme.IOB2, Scheme.BIOES)


def test_nothing_is_converted_to_or_from_no_scheme():
    with pytest.raises(UserError, match="without a scheme there are no spans"):
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
    assert str(found) == "IOB2: B- 9 times, I- 10 times; 1 place breaks IOB2, 9 would break IOB1"


@pytest.mark.parametrize("name", ["BIO", "iobes", "BILUO", "None"])
def test_other_names_of_schemes_are_understood(name):
    assert Scheme(name) in (Scheme.IOB2, Scheme.BIOES, Scheme.BILOU, Scheme.NONE)
