"""Sentences that differ: one of each group, for dense vectors and for the parts of words."""

from __future__ import annotations

import numpy as np

from tf_tokclf.inference.diversity import diverse, surface_vectors
from tf_tokclf.labels.sentence import Sentence


def groups_of(vectors: np.ndarray, weights: np.ndarray, n: int, groups: np.ndarray, seed: int) -> list[int]:
    return sorted(groups[diverse(vectors, weights, n, seed=seed)].tolist())


def test_each_group_is_in_the_selection():
    rng = np.random.default_rng(2)
    centres = np.eye(6, 12) * 10
    groups = np.repeat(np.arange(6), (90, 3, 40, 3, 40, 3))
    vectors = centres[groups] + rng.normal(0, 0.2, (len(groups), 12))
    weights = rng.uniform(0.5, 1, len(groups))
    for seed in range(4):
        assert groups_of(vectors, weights, 6, groups, seed) == list(range(6))
    assert diverse(vectors, weights, 6, seed=1) == diverse(vectors, weights, 6, seed=1)


def test_equal_vectors_are_chosen_once():
    vectors = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    chosen = diverse(vectors, np.array([0.1, 0.9, 0.0]), 3, seed=0)
    # Of two equal ones, the more uncertain.
    assert chosen == [1, 2]


def test_the_parts_of_words_need_no_encoder():
    texts = ["flights to oslo please", "flight to oslo please", "who sang this song", "who sang that song"]
    vectors = surface_vectors([Sentence(tuple(text.split())) for text in texts])
    chosen = diverse(vectors, np.ones(4), 2, seed=0)
    assert len({i // 2 for i in chosen}) == 2
