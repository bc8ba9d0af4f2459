"""Entities are the same as those that seqeval reads, for any labels and any way of passing them."""

from __future__ import annotations

import random
import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval import scheme as seqeval_scheme
from seqeval.metrics.sequence_labeling import get_entities

from tf_tokclf.labels.schemes import RULES, Scheme, label_for
from tf_tokclf.labels.sentence import Span
from tf_tokclf.labels.spans import convert_labels, labels_of
from tf_tokclf.labels.validation import violations
from tf_tokclf.scoring import entities
from tf_tokclf.scoring.entities import MODES, EntityReader, entities_of, entity_reader

SPAN_SCHEMES = tuple(RULES)
TYPES = ("PER", "per", "art-other", "O", "B", "-x", "x", "x-", "é", "_", "0", "")
# Letters that seqeval's default mode does not support, mapped to those that it does.
CONLLEVAL_LETTERS = {"M": "I", "L": "E", "U": "S", "W": "S"}
STRICT_SCHEMES = {
    Scheme.IO: seqeval_scheme.IOB2,
    Scheme.IOB1: seqeval_scheme.IOB1,
    Scheme.IOB2: seqeval_scheme.IOB2,
    Scheme.BIOES: seqeval_scheme.IOBES,
    Scheme.BILOU: seqeval_scheme.BILOU,
    Scheme.BMES: seqeval_scheme.IOBES,
    Scheme.BMEOW: seqeval_scheme.IOBES,
}


def label_lists(scheme: Scheme, types: Sequence[str] = TYPES) -> st.SearchStrategy[list[str]]:
    """Labels of the scheme in any order, valid or invalid, with runs of O."""
    labels = [label_for(letter, type_) for letter in RULES[scheme].letters.values() for type_ in types]
    runs = st.one_of(st.lists(st.sampled_from(labels), max_size=6), st.integers(0, 3).map(lambda n: ["O"] * n))
    few = st.lists(st.sampled_from(labels), min_size=1, max_size=3).flatmap(
        lambda some: st.lists(st.sampled_from(["O", *some]), max_size=12)
    )
    return st.one_of(few, st.lists(runs, max_size=5).map(lambda parts: [label for part in parts for label in part]))


def in_letters(labels: Sequence[str], letters: dict[str, str]) -> list[str]:
    return [letters.get(label[0], label[0]) + label[1:] for label in labels]


def conlleval_of_the_whole_sentence(labels: list[str], scheme: Scheme) -> list[Span]:
    found = get_entities(in_letters(labels, CONLLEVAL_LETTERS))
    return [Span(start, end + 1, type_) for type_, start, end in found]


def strict_of_the_whole_sentence(labels: list[str], scheme: Scheme) -> list[Span]:
    if scheme is Scheme.IO:
        types = ["" if x == "O" else x[1:].strip("-") or "_" for x in labels]
        begins = [type_ and type_ != last for last, type_ in zip(["", *types], types)]
        labels = ["B" + x[1:] if first else x for first, x in zip(begins, labels)]
    if scheme in (Scheme.BMES, Scheme.BMEOW):
        labels = in_letters(labels, {"M": "I", "W": "S"})
    [found] = seqeval_scheme.Entities([labels], STRICT_SCHEMES[scheme]).entities
    return [Span(entity.start, entity.end, entity.tag) for entity in found]


@pytest.mark.parametrize("scheme", SPAN_SCHEMES)
@given(data=st.data())
def test_both_readings_are_those_that_seqeval_gives_the_whole_sentence(scheme, data):
    labels = data.draw(label_lists(scheme))
    assert entities_of(labels, scheme) == conlleval_of_the_whole_sentence(labels, scheme)
    assert entities_of(labels, scheme, "strict") == strict_of_the_whole_sentence(labels, scheme)


@pytest.mark.parametrize("scheme", SPAN_SCHEMES)
def test_long_sentences_are_read_like_short_ones(scheme):
    rng = random.Random(7)
    labels = [label_for(letter, type_) for letter in RULES[scheme].letters.values() for type_ in TYPES[:2]]
    labels = [rng.choice(labels) for _ in range(5000)]
    assert entities_of(labels, scheme) == conlleval_of_the_whole_sentence(labels, scheme)
    assert entities_of(labels, scheme, "strict") == strict_of_the_whole_sentence(labels, scheme)


@pytest.mark.parametrize("scheme", SPAN_SCHEMES)
@given(data=st.data())
def test_both_modes_agree_on_valid_labels_of_every_scheme(scheme, data):
    labels = data.draw(label_lists(scheme, ("PER", "art-other")).filter(lambda x: not violations(x, scheme)))
    found = entities_of(labels, scheme)
    assert entities_of(labels, scheme, "strict") == found
    assert labels_of(found, len(labels), scheme) == labels
    if scheme is not Scheme.IO:
        assert entities_of(convert_labels(labels, scheme, Scheme.BIOES), Scheme.BIOES, "strict") == found


@pytest.mark.parametrize("scheme", SPAN_SCHEMES)
@given(data=st.data())
def test_what_seqeval_does_not_know_is_outside_and_nothing_is_said(scheme, data):
    """seqeval reads NOUN as an entity OUN, with a warning, and in strict mode it rejects prefixes of other schemes."""
    odd = ["NOUN", "ORG", "OTHER", "O-X", "b-X", "B_X", "-X", "", "X", "é", "BX", "EVENT"]
    own = [label_for(letter, "X") for letter in RULES[scheme].letters.values()]
    foreign = [f"{letter}-X" for letter in "BIESLUMW" if f"{letter}-X" not in own]
    labels = data.draw(st.lists(st.sampled_from(["O", *own, *odd, *foreign]), max_size=10))
    without_odd = ["O" if label in odd else label for label in labels]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert entities_of(labels, scheme) == conlleval_of_the_whole_sentence(without_odd, scheme)
        own_only = ["O" if label in foreign else label for label in without_odd]
        assert entities_of(labels, scheme, "strict") == strict_of_the_whole_sentence(own_only, scheme)


def examples_of_the_documentation() -> list[tuple[Scheme, str, dict[str, str]]]:
    """The rows of the table of examples in docs/scoring.md: scheme, labels, entities by mode."""
    page = (Path(__file__).parents[2] / "docs" / "scoring.md").read_text(encoding="utf-8")
    rows = (line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ") and "-X" in line)
    return [(Scheme(scheme), labels.strip("`"), dict(zip(MODES, modes))) for scheme, labels, *modes in rows]


@pytest.mark.parametrize(("scheme", "labels", "expected"), examples_of_the_documentation())
def test_the_examples_of_the_documentation(scheme, labels, expected):
    for mode, said in expected.items():
        found = entities_of(labels.split(), scheme, mode)
        assert (", ".join(f"{span.type} {span.start + 1}-{span.end}" for span in found) or "none") == said


def test_the_documentation_has_an_example_of_each_scheme():
    assert {scheme for scheme, *_ in examples_of_the_documentation()} == set(RULES)


@pytest.mark.parametrize(
    ("scheme", "labels", "conlleval", "strict"),
    [
        (Scheme.IOB1, "O B-X O", [Span(1, 2, "X")], []),
        (Scheme.BIOES, "S-X E-X", [Span(0, 1, "X"), Span(1, 2, "X")], [Span(0, 1, "X")]),
        (Scheme.IO, "I-X B-X", [Span(0, 1, "X"), Span(1, 2, "X")], [Span(0, 1, "X")]),
        (Scheme.IOB2, "B I B", [Span(0, 2, "_"), Span(2, 3, "_")], [Span(0, 2, "_"), Span(2, 3, "_")]),
        (Scheme.IOB2, "B-X E-X ORG", [Span(0, 2, "X")], [Span(0, 1, "X")]),
    ],
)
def test_readings_by_hand(scheme, labels, conlleval, strict):
    assert entities_of(labels.split(), scheme) == conlleval
    assert entities_of(labels.split(), scheme, "strict") == strict


def test_without_a_scheme_each_word_is_one():
    assert entities_of(["NOUN", "O"], Scheme.NONE, "strict") == [Span(0, 1, "NOUN"), Span(1, 2, "O")]


def test_a_sentence_without_words_has_no_entities():
    for scheme in SPAN_SCHEMES:
        assert entity_reader(scheme).read([]) == {mode: [] for mode in MODES}


def test_a_stretch_that_comes_again_is_not_read_again(monkeypatch):
    read = []

    def counting(labels):
        read.append(labels)
        return []

    monkeypatch.setattr(entities, "_conlleval_entities", counting)
    reader = EntityReader(Scheme.IOB2)
    for labels in ("B-X I-X O B-Y", "O B-Y B-Y O O B-X I-X", "O O", "I-X I-Y"):
        reader.read(labels.split())
    assert read == [["B-X", "I-X"], ["B-Y"], ["I-X"], ["I-Y"]]


def test_seqeval_is_loaded_when_something_is_read():
    """It loads scikit-learn, which takes 1.4 s."""
    code = (
        "import sys; from tf_tokclf.scoring import comparison, entities, evaluation;"
        "from tf_tokclf.labels.schemes import Scheme;"
        "entities.entities_of(['NOUN'], Scheme.NONE); entities.entities_of(['O', 'O'], Scheme.IOB2);"
        "early = {'seqeval', 'sklearn'} & set(sys.modules);"
        "entities.entities_of(['B-X'], Scheme.IOB2); sys.exit(bool(early) or 'seqeval' not in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
