"""Label sets: the order of ids, and the fallback label."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.values import check_values
from tf_tokclf.labels.label_set import LabelSet
from tf_tokclf.labels.schemes import Scheme


def test_labels_of_all_splits_are_ordered_by_type_with_o_first():
    counts = {"train": Counter({"I-PER": 1, "B-PER": 2, "O": 9}), "test": Counter({"B-LOC": 1})}
    assert LabelSet.of(counts, Scheme.IOB2).names == ("O", "B-LOC", "B-PER", "I-PER")


def test_the_order_of_a_class_label_is_kept_and_new_labels_come_last():
    labels = LabelSet.of({"train": Counter({"B-X": 1, "B-NEW": 1})}, Scheme.IOB2, names=["B-X", "I-X", "O"])
    assert labels.names == ("B-X", "I-X", "O", "B-NEW")


def test_case_twins_stay_two_labels():
    labels = LabelSet.of({"train": Counter({"B-per": 1, "B-PER": 1})}, Scheme.IOB2)
    assert labels.types == ("PER", "per")


def test_without_a_scheme_the_most_frequent_label_stands_for_unseen_words():
    labels = LabelSet.of({"train": Counter({"NOUN": 3, "ADJ": 1})}, Scheme.NONE)
    assert (labels.names, labels.outside, labels.fallback) == (("ADJ", "NOUN"), None, "NOUN")


def test_spans_have_an_outside_even_if_no_word_is_outside():
    labels = LabelSet.of({"train": Counter({"B-NP": 1})}, Scheme.IOB2)
    assert (labels.names, labels.outside, labels.fallback) == (("O", "B-NP"), "O", "O")


def test_ids_and_names_map_both_ways():
    labels = LabelSet(("O", "B-X", "I-X"), Scheme.IOB2)
    assert labels.names == ("O", "B-X", "I-X")
    assert labels.id_by_label == {"O": 0, "B-X": 1, "I-X": 2}
    assert len(labels) == 3


def test_later_pieces_keep_their_label_where_the_set_has_no_inside():
    labels = LabelSet(("O", "B-X", "I-X", "B-Y"), Scheme.IOB2)
    assert labels.continuation_ids == (0, 2, 2, 3)


def test_a_label_set_without_labels_or_with_twins_is_refused():
    with pytest.raises(ValueError, match=r"^label names must be unique, with at least one name: \(\)$"):
        LabelSet((), Scheme.IOB2)
    with pytest.raises(ValueError, match=r"^label names must be unique, with at least one name: \('O', 'O'\)$"):
        LabelSet(("O", "O"), Scheme.IOB2)


def test_label_sets_are_values():
    check_values(LabelSet)
    assert LabelSet(("O", "B-X"), Scheme.IOB2) == LabelSet(("O", "B-X"), Scheme.IOB2, "O")


def test_the_fallback_is_o_or_else_the_first():
    assert LabelSet(("B-X", "O"), Scheme.IOB2).fallback == "O"
    assert LabelSet(("NOUN", "VERB"), Scheme.NONE).fallback == "NOUN"
    assert LabelSet(("NOUN", "VERB"), Scheme.NONE, "VERB").fallback == "VERB"


def test_labels_are_ordered_by_type_and_then_by_prefix():
    counts = {"train": Counter(["I-B", "B-B", "B-A", "I-A", "O", "ZZ"])}
    assert LabelSet.of(counts, Scheme.IOB2).names == ("O", "B-A", "I-A", "B-B", "I-B", "ZZ")
    given = LabelSet.of(counts, Scheme.IOB2, names=["I-A", "B-A"])
    assert given.names == ("I-A", "B-A", "O", "B-B", "I-B", "ZZ")
    assert given.fallback == "O"


def test_without_a_scheme_labels_are_types_and_the_rarest_is_not_the_fallback():
    labels = LabelSet.of({"a": Counter({"ADJ": 1, "NOUN": 5}), "b": Counter({"VERB": 4, "ADJ": 3})}, Scheme.NONE)
    assert (labels.names, labels.fallback, labels.outside) == (("ADJ", "NOUN", "VERB"), "NOUN", None)
    assert labels.types == labels.names
    given = LabelSet.of({"a": Counter({"ADJ": 1})}, Scheme.NONE, names=["X", "ADJ"])
    assert (given.names, given.fallback) == (("X", "ADJ"), "ADJ")
    with pytest.raises(ValueError, match="at least one name"):
        LabelSet.of({}, Scheme.NONE)


def test_types_are_those_of_spans():
    labels = LabelSet(("I-Y", "B-X", "O", "I-X"), Scheme.IOB2)
    assert (labels.types, labels.outside) == (("X", "Y"), "O")
