"""The rules that replace seqeval where it is not installed give the entities that seqeval gives."""

from __future__ import annotations

import itertools
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval import scheme as seqeval_scheme
from seqeval.metrics.sequence_labeling import get_entities

from tf_tokclf.labels.schemes import RULES, Scheme, label_for
from tf_tokclf.scoring import entities
from tf_tokclf.scoring.entities import EntityReader
from tf_tokclf.scoring.entity_rules import conlleval_entities, strict_entities

PREFIXES = {"IOB1": "BI", "IOB2": "BI", "IOBES": "BIES", "BILOU": "BILU"}
TYPES = ("-X", "-Y", "", "-X-Y", "-_", "--X", "-X-")


def conlleval_of_seqeval(labels: list[str]) -> list[tuple[int, int, str]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [(first, last + 1, type_) for type_, first, last in get_entities(labels)]


def strict_of_seqeval(labels: list[str], scheme: str) -> list[tuple[int, int, str]]:
    [found] = seqeval_scheme.Entities([labels], getattr(seqeval_scheme, scheme)).entities
    return [(entity.start, entity.end, entity.tag) for entity in found]


@pytest.mark.parametrize("scheme", PREFIXES)
def test_every_short_sentence_is_read_like_seqeval_reads_it(scheme: str):
    labels = ["O", *(prefix + type_ for prefix in PREFIXES[scheme] for type_ in ("-X", "-Y"))]
    for length in range(5):
        for sentence in map(list, itertools.product(labels, repeat=length)):
            assert strict_entities(sentence, scheme) == strict_of_seqeval(sentence, scheme), sentence
            if scheme != "BILOU":
                assert conlleval_entities(sentence) == conlleval_of_seqeval(sentence), sentence


@pytest.mark.parametrize("scheme", PREFIXES)
@given(data=st.data())
def test_long_sentences_with_odd_types_too(scheme: str, data: st.DataObject):
    known = ["O", *(prefix + type_ for prefix in PREFIXES[scheme] for type_ in TYPES)]
    labels = data.draw(st.lists(st.sampled_from(known), max_size=30))
    assert strict_entities(labels, scheme) == strict_of_seqeval(labels, scheme)
    if scheme != "BILOU":
        assert conlleval_entities(labels) == conlleval_of_seqeval(labels)


@pytest.mark.parametrize("scheme", RULES)
def test_scores_do_not_depend_on_whether_seqeval_is_installed(scheme: Scheme, monkeypatch: pytest.MonkeyPatch):
    labels = ["O", *(label_for(letter, type_) for letter in RULES[scheme].letters.values() for type_ in "XY")]
    sentences = list(itertools.product(labels, repeat=3))
    with_seqeval = [EntityReader(scheme).read(sentence) for sentence in sentences]
    monkeypatch.setattr(entities, "_has_seqeval", lambda: False)
    monkeypatch.setattr(entities, "_seqeval", None)
    assert [EntityReader(scheme).read(sentence) for sentence in sentences] == with_seqeval
