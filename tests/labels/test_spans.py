"""Spans: compared with seqeval, converted there and back, repaired."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval import scheme as seqeval_scheme
from seqeval.metrics.sequence_labeling import get_entities

from tests.labels.strategies import SPAN_SCHEMES, TYPES, label_lists, span_lists
from tests.values import check_values
from tf_tokclf.errors import UserError
from tf_tokclf.labels.schemes import Scheme, split_label
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
from tf_tokclf.labels.validation import violations

SEQEVAL_STRICT = {
    Scheme.IOB1: seqeval_scheme.IOB1,
    Scheme.IOB2: seqeval_scheme.IOB2,
    Scheme.BIOES: seqeval_scheme.IOBES,
    Scheme.BILOU: seqeval_scheme.BILOU,
}


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


def test_read_strictly_a_prefix_of_another_scheme_is_outside():
    assert spans_of(["B-X", "E-X"], Scheme.IOB2) == [Span(0, 2, "X")]
    assert spans_of(["B-X", "E-X"], Scheme.IOB2, strict=True) == [Span(0, 1, "X")]


def test_values():
    check_values(SpanTable)
