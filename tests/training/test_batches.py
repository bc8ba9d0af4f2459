"""Batches: shapes are known in advance, the order depends on seed and epoch, and each window occurs once."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset, concatenate_datasets

from tf_tokclf.encoding.tokenizers import load_tokenizer
from tf_tokclf.errors import UserError
from tf_tokclf.model.backend import transformers
from tf_tokclf.training.batches import TrainingBatches, bucket_widths


def windows_of(lengths: list[int]) -> Dataset:
    rows = [[number] * length for number, length in enumerate(lengths)]
    return Dataset.from_dict({"input_ids": rows, "labels": [[1] * length for length in lengths]})


def batches_of(lengths: list[int], folder: Path, size: int = 4, seed: int = 1) -> TrainingBatches:
    return TrainingBatches(windows_of(lengths), load_tokenizer(folder), batch_size=size, seed=seed)


def test_one_long_row_among_short_ones_is_no_accident(tiny_bert: Path):
    """Dataset.to_tf_dataset infers shapes from 20 rows: with 40 of length 8 and one of 9, the epoch ended early."""
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


@pytest.mark.parametrize("side", ["right", "left"])
def test_batches_are_those_of_the_collator_of_transformers(tiny_bert: Path, side: str):
    tokenizer = load_tokenizer(tiny_bert)
    tokenizer.padding_side = side
    rng = np.random.default_rng(6)
    rows = [rng.integers(5, 50, n).tolist() for n in rng.integers(3, 20, 30)]
    labels = [[-100, *rng.integers(0, 3, len(row) - 1).tolist()] for row in rows]
    # From a table in several parts, as one in the cache is.
    whole = {"input_ids": rows, "labels": labels, "sentence": list(range(30))}
    parts = [Dataset.from_dict({name: values[i : i + 7] for name, values in whole.items()}) for i in range(0, 30, 7)]
    batches = TrainingBatches(concatenate_datasets(parts), tokenizer, batch_size=4, seed=1)
    plan = batches.plan(0)
    for number, batch in enumerate(batches.dataset(plan)):
        theirs = transformers.DataCollatorForTokenClassification(
            tokenizer, padding="max_length", max_length=int(plan.widths[number]), return_tensors="np"
        )
        expected = theirs([{"input_ids": rows[i], "labels": labels[i]} for i in plan.rows[number].tolist()])
        for name, values in batch.items():
            np.testing.assert_array_equal(values, expected[name])


def test_batches_that_are_made_in_advance_are_the_same(tiny_bert: Path):
    batches = batches_of([int(n) for n in np.random.default_rng(3).integers(3, 60, 50)], tiny_bert)
    made_when_asked, ahead = (list(batches.dataset(batches.plan(0), device=device)) for device in (None, "/CPU:0"))
    for one, other in zip(made_when_asked, ahead, strict=True):
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


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


def test_no_thread_tunes_the_dataset(tiny_bert: Path):
    """The end of an epoch of 20 s used to wait another 20 s for TensorFlow's autotuning thread."""
    batches = batches_of([5, 6, 7, 8, 9], tiny_bert)
    assert batches.dataset(batches.plan(0)).options().autotune.enabled is False


def budgeted(lengths: list[int], folder: Path, max_pieces: int, seed: int = 1) -> TrainingBatches:
    tokenizer = load_tokenizer(folder)
    return TrainingBatches(windows_of(lengths), tokenizer, batch_size=4, seed=seed, max_pieces=max_pieces)


LENGTHS = [int(n) for n in np.random.default_rng(4).gamma(4, 4, 300).clip(3, 60)]


def test_a_budget_in_pieces_fills_narrow_batches_with_more_windows(tiny_bert: Path):
    batches = budgeted(LENGTHS, tiny_bert, max_pieces=256)
    rows, sizes = [], {}
    for batch in batches.dataset(batches.plan(2)):
        n_windows, width = batch["input_ids"].shape
        assert n_windows * width <= 256
        sizes.setdefault(width, set()).add(n_windows)
        rows += [int(row[0]) for row in batch["input_ids"].numpy()]
    assert sorted(rows) == list(range(300))
    assert max(sizes[min(sizes)]) > 3 * max(sizes[max(sizes)])


@pytest.mark.parametrize("max_pieces", [60, 256, 100_000])
def test_a_budget_in_pieces_makes_as_many_batches_in_every_epoch(tiny_bert: Path, max_pieces: int):
    batches = budgeted(LENGTHS, tiny_bert, max_pieces=max_pieces)
    assert [len(batches.plan(epoch)) for epoch in range(5)] == [len(batches)] * 5


def test_a_budget_that_the_longest_window_is_more_than_is_refused(tiny_bert: Path):
    problem = r"--max-pieces-per-batch 59 is too small .* has 60 subword tokens.* at least 60"
    with pytest.raises(UserError, match=problem):
        len(budgeted([5, 60], tiny_bert, max_pieces=59))


@pytest.mark.parametrize("max_pieces", [None, 40])
def test_the_rest_of_an_epoch_is_the_same_batches(tiny_bert: Path, max_pieces: int | None):
    """The incomplete batch used to shift the following ones, so that the rest of a resumed epoch differed."""
    tokenizer = load_tokenizer(tiny_bert)
    windows = windows_of([10] * 18 + [4] * 7)
    batches = TrainingBatches(windows, tokenizer, batch_size=4, seed=3, max_pieces=max_pieces)

    def rows(first: int) -> list[list[int]]:
        return [batch["input_ids"][:, 0].numpy().tolist() for batch in batches.dataset(batches.plan(0)[first:])]

    whole = rows(0)
    assert whole == [batch.tolist() for batch in batches.plan(0).rows]
    assert len(whole[-1]) == 4  # A full batch follows the incomplete one.
    assert [rows(first) for first in range(1, len(whole))] == [whole[first:] for first in range(1, len(whole))]


@pytest.mark.parametrize("max_pieces", [None, 256])
def test_for_a_compiler_each_width_has_one_shape(tiny_bert: Path, max_pieces: int | None):
    tokenizer = load_tokenizer(tiny_bert)
    options = {"batch_size": 16, "max_pieces": max_pieces, "one_shape_a_width": True}
    batches = TrainingBatches(windows_of(LENGTHS), tokenizer, seed=1, **options)
    shapes, rows = set(), []
    for batch in batches.dataset(batches.plan(1)):
        labels = batch["labels"].numpy()
        shapes.add(labels.shape)
        scored = (labels != -100).any(axis=1)
        rows += batch["input_ids"].numpy()[scored, 0].tolist()
    assert sorted(rows) == list(range(300))
    assert len(shapes) == len({width for _, width in shapes}) <= 4


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


@pytest.mark.parametrize("one_shape_a_width", [False, True])
def test_each_window_keeps_its_weight(tiny_bert: Path, one_shape_a_width: bool):
    lengths = [int(n) for n in np.random.default_rng(3).integers(3, 60, 50)]
    weights = np.linspace(0, 1, 50, dtype=np.float32)
    batches = TrainingBatches(
        windows_of(lengths),
        load_tokenizer(tiny_bert),
        batch_size=4,
        seed=1,
        one_shape_a_width=one_shape_a_width,
        weights=weights,
    )
    seen = 0
    for batch in batches.dataset(batches.plan(0)):
        assert batch["weights"].shape == batch["labels"].shape[:1]
        real = (batch["labels"].numpy() == 1).any(axis=1)
        np.testing.assert_array_equal(batch["weights"][real], weights[batch["input_ids"].numpy()[real, 0]])
        seen += int(real.sum())
    assert seen == 50
