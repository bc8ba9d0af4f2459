"""Batches: shapes never guessed, order a function of seed and epoch, every window once."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset

from tf_tokclf.data.tokenizers import load_tokenizer
from tf_tokclf.training.batches import TrainingBatches, bucket_widths


def windows_of(lengths: list[int]) -> Dataset:
    rows = [[number] * length for number, length in enumerate(lengths)]
    return Dataset.from_dict({"input_ids": rows, "labels": [[1] * length for length in lengths]})


def batches_of(lengths: list[int], folder: Path, size: int = 4, seed: int = 1) -> TrainingBatches:
    return TrainingBatches(windows_of(lengths), load_tokenizer(folder), batch_size=size, seed=seed)


def test_one_long_row_among_short_ones_is_no_accident(tiny_bert: Path):
    """Dataset.to_tf_dataset guesses shapes from 20 rows: 40 of length 8 and one of 9 used to end the epoch."""
    batches = batches_of([8] * 40 + [9], tiny_bert)
    seen = [int(row[0]) for batch in batches.dataset(batches.plan(0)) for row in batch["input_ids"].numpy()]
    assert sorted(seen) == list(range(41))


def test_every_window_comes_once_an_epoch_and_padding_is_not_scored(tiny_bert: Path):
    lengths = [int(n) for n in np.random.default_rng(3).integers(3, 60, 103)]
    batches = batches_of(lengths, tiny_bert)
    rows = []
    for batch in batches.dataset(batches.plan(5)):
        ids, mask, labels = (batch[name].numpy() for name in ("input_ids", "attention_mask", "labels"))
        assert ids.shape == mask.shape == labels.shape
        assert (labels[mask == 0] == -100).all()
        assert (labels[mask == 1] == 1).all()
        rows += [(int(row[0]), int(m.sum())) for row, m in zip(ids, mask)]
    assert sorted(rows) == list(enumerate(lengths))


def test_all_batches_are_full_but_one(tiny_bert: Path):
    batches = batches_of([int(n) for n in np.random.default_rng(3).integers(3, 60, 103)], tiny_bert)
    sizes = sorted(len(rows) for rows in batches.plan(0).rows)
    assert len(sizes) == len(batches) == 26
    assert sizes[1:] == [4] * 25


def test_order_depends_on_seed_and_epoch_alone(tiny_bert: Path):
    lengths = [int(n) for n in np.random.default_rng(3).integers(3, 60, 50)]

    def order(seed: int, epoch: int) -> list[list[int]]:
        return [rows.tolist() for rows in batches_of(lengths, tiny_bert, seed=seed).plan(epoch).rows]

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1)
    assert order(1, 0) != order(2, 0)


def test_the_callers_random_numbers_stay_their_own(tiny_bert: Path):
    batches = batches_of([5, 6, 7, 8, 9], tiny_bert)
    random.seed(5)
    expected = random.random()
    random.seed(5)
    list(batches.dataset(batches.plan(0)))
    assert random.random() == expected


def brute_force_padding(lengths: np.ndarray, n_widths: int) -> int:
    from itertools import combinations

    values = np.unique(lengths)
    choices = combinations(values[:-1], min(n_widths, len(values)) - 1)
    widths = (np.array([*chosen, values[-1]]) for chosen in choices)
    return min(int((w[np.searchsorted(w, lengths)] - lengths).sum()) for w in widths)


@pytest.mark.parametrize("seed", range(8))
def test_widths_pad_least(seed: int):
    lengths = np.random.default_rng(seed).integers(1, 14, 30)
    widths = bucket_widths(lengths, max_widths=3, max_padding=0.0)
    assert int((widths[np.searchsorted(widths, lengths)] - lengths).sum()) == brute_force_padding(lengths, 3)
