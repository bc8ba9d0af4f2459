"""Soft labels: probabilities of labels in records, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tf_tokclf.data.soft_labels import soft_labels
from tf_tokclf.errors import UserError
from tf_tokclf.labels.label_set import LabelSet
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.sentence import Sentence

LABELS = LabelSet(("O", "B-X", "I-X"), Scheme.IOB2)


def top(*pairs: tuple[str, Any]) -> list[dict[str, Any]]:
    return [{"label": label, "score": score} for label, score in pairs]


def test_probabilities_sum_to_1_and_unseen_words_keep_their_label():
    one = Sentence(("a", "b"), ("B-X", "I-X")), {"top": [top(("B-X", 0.6), ("O", 0.2)), []]}
    other = Sentence(("c",), ("O",)), {"predicted_top": [top(("O", 0.5), ("B-X", 0.3), ("I-X", 0.0))]}
    soft = soft_labels([one, other], LABELS)
    expected = [[0.25, 0.75, 0], [0, 0, 1], [0.625, 0.375, 0]]
    np.testing.assert_allclose(soft.dense(np.array([0, 1, 2]), 3), expected, rtol=1e-6)
    np.testing.assert_allclose(soft.dense(np.array([2]), 3), expected[2:], rtol=1e-6)
    assert soft.content_hash() != soft_labels([other, one], LABELS).content_hash()


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        ({}, "there are no probabilities of labels for each word.*--top-k"),
        ({"top": [top(("O", 1.0))]}, "there are no probabilities of labels for each word"),
        ({"top": [top(("O", 1.0)), ["O"]]}, "is not a list of labels with scores"),
        ({"top": [top(("O", 1.0)), top(("O", 1.5))]}, "a probability is not between 0 and 1"),
        ({"top": [top(("O", 1.0)), top(("O", float("nan")))]}, "a probability is not between 0 and 1"),
        ({"top": [top(("O", 1.0)), top(("B-Y", 0.5))]}, "lacks the label B-Y.*--extra-labels hard"),
    ],
    ids=str,
)
def test_records_that_cannot_be_used_are_refused(record: dict[str, Any], problem: str):
    with pytest.raises(UserError, match=problem):
        soft_labels([(Sentence(("a", "b"), ("O", "O")), record)], LABELS)
