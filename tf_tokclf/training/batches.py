"""Batches of windows of similar length, in an order that depends only on (seed, epoch).

Windows are grouped by the width that they are padded to. The windows that do not fill a batch of their width move up to
the next width, so that only the last batch of the widest group is incomplete. The size of a batch is a number of
windows, or a number of subword tokens including padding. In the second case narrow batches contain more windows than
wide ones, and a batch may also be half full.

The plan of an epoch is a data set with a row for each batch. `Dataset.to_tf_dataset` reads it with a collator that
fetches the windows of the batch and pads them to its width.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyarrow import compute

from tf_tokclf.counted import counted
from tf_tokclf.data.soft_labels import SoftLabels
from tf_tokclf.encoding.encoder import UNSCORED
from tf_tokclf.errors import UserError
from tf_tokclf.model.backend import tf

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerFast

# More widths need less padding but cost more: the math library prepares each shape once, about 0.2 s on two cores.
MAX_WIDTHS = 12
MAX_PADDING = 0.06
# XLA compiles a step for each shape, which takes seconds.
MAX_COMPILED_WIDTHS = 4
# On GPUs: one batch that is being copied, and one that is being prepared.
_BATCHES_AHEAD = 2


@dataclass(frozen=True)
class BatchPlan:
    """One epoch. rows: the indices of the windows of each batch. widths: (batches,) the width of each batch."""

    rows: list[np.ndarray]
    widths: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rest: slice) -> BatchPlan:
        return BatchPlan(self.rows[rest], self.widths[rest])


class TrainingBatches:
    """The batches of every epoch over encoded windows (columns input_ids and labels)."""

    def __init__(
        self,
        windows: Dataset,
        tokenizer: PreTrainedTokenizerFast,
        *,
        batch_size: int,
        seed: int,
        max_pieces: int | None = None,
        one_shape_a_width: bool = False,
        weights: np.ndarray | None = None,
        soft: SoftTargets | None = None,
    ) -> None:
        """batch_size: windows per batch. max_pieces: subword tokens per batch, including padding, instead of
        batch_size.

        one_shape_a_width: use few widths, and fill incomplete batches with unscored rows, so that XLA compiles few
        shapes.

        weights: (windows,) float32 weights in the loss. None: all windows have weight 1, and batches have no weights.
        soft: the probabilities of labels for the words in the column `numbers`; then batches have targets.
        """
        self.windows = windows
        self.soft = soft
        self.weights = weights
        self.batch_size = batch_size
        self.max_pieces = max_pieces
        self.one_shape_a_width = one_shape_a_width
        self.seed = seed
        self._tokenizer = tokenizer

    @property
    def more(self) -> tuple[str, ...]:
        """What batches contain besides input_ids, attention_mask and labels."""
        return (*(["weights"] if self.weights is not None else []), *(["targets"] if self.soft is not None else []))

    @cached_property
    def lengths(self) -> np.ndarray:
        """(windows,) the length of each window in subword tokens."""
        column = self.windows.data.column("input_ids")
        return np.concatenate([compute.list_value_length(chunk).to_numpy() for chunk in column.chunks])

    @cached_property
    def widths(self) -> np.ndarray:
        """The widths that windows are padded to, in ascending order."""
        return bucket_widths(self.lengths, max_widths=MAX_COMPILED_WIDTHS if self.one_shape_a_width else MAX_WIDTHS)

    @cached_property
    def sizes(self) -> np.ndarray:
        """Windows in a full batch of each width. Raises UserError if a single window is longer than `max_pieces`."""
        if self.max_pieces is None:
            return np.full(len(self.widths), self.batch_size)
        if self.widths[-1] > self.max_pieces:
            raise UserError(
                f"--max-pieces-per-batch {self.max_pieces:,} is too small for the longest window, which has "
                f"{counted(self.widths[-1], 'subword token')}.",
                hint=f"Pass at least {self.widths[-1]}, or limit windows with --max-length {self.max_pieces}.",
            )
        return self.max_pieces // self.widths

    @cached_property
    def _n_batches(self) -> int:
        n_batches = left_over = 0
        for n_rows, size in zip(np.bincount(np.searchsorted(self.widths, self.lengths)), self.sizes):
            n_own, left_over = self._cut(left_over + int(n_rows), int(size))
            n_batches += n_own
        return n_batches + (left_over > 0)

    def _cut(self, n_rows: int, size: int) -> tuple[int, int]:
        """The number of batches that `n_rows` windows of one width make, and how many windows move up to the next
        width.

        If batches are limited by subword tokens, a batch that is half full stays, because small data sets have few full
        batches. (SNIPS sample at 1,024 subword tokens: 27 batches, of which 6.4 % is padding. If all moved up, 10.1 %.)
        """
        n_full, rest = divmod(n_rows, size)
        return (n_full + 1, 0) if self.max_pieces is not None and 2 * rest >= size else (n_full, rest)

    def __len__(self) -> int:
        """Batches per epoch. All epochs have the same number, because it does not depend on the order of windows."""
        return self._n_batches if len(self.windows) else 0

    def plan(self, epoch: int) -> BatchPlan:
        """The windows of each batch of `epoch` (from 0), in the order of the batches."""
        rng = np.random.default_rng((self.seed, epoch))
        shuffled = rng.permutation(len(self.lengths))
        bucket = np.searchsorted(self.widths, self.lengths[shuffled])
        batches: list[tuple[int, np.ndarray]] = []
        left_over = np.zeros(0, dtype=np.int64)
        for i, (width, size) in enumerate(zip(self.widths.tolist(), self.sizes.tolist())):
            rows = np.concatenate([left_over, shuffled[bucket == i]])
            _, n_left_over = self._cut(len(rows), size)
            own, left_over = np.split(rows, [len(rows) - n_left_over])
            batches += [(width, own[first : first + size]) for first in range(0, len(own), size)]
        if len(left_over):
            longest = int(self.lengths[left_over].max())
            width = int(self.widths[np.searchsorted(self.widths, longest)]) if self.one_shape_a_width else longest
            batches.append((width, left_over))
        order = rng.permutation(len(batches))
        return BatchPlan([batches[i][1] for i in order], np.array([batches[i][0] for i in order]))

    def dataset(self, plan: BatchPlan, *, device: str | None = None) -> tf.data.Dataset:
        """Batches of input_ids, attention_mask and labels, (batch_size, width) int64 each, in the order of `plan`. If
        windows have weights, also of weights, (batch_size,) float32. With soft labels, also of targets, (batch_size,
        width, labels) float32, which sum to 1 where there is a label.

        device: where batches are copied in advance. None: each is prepared when it is needed.
        """
        from datasets import Dataset
        from datasets.table import InMemoryTable

        n_rows = self.sizes[np.searchsorted(self.widths, plan.widths)] if self.one_shape_a_width else [0] * len(plan)
        starts = np.cumsum([0, *map(len, plan.rows)])
        rows = pa.LargeListArray.from_arrays(pa.array(starts, pa.int64()), pa.array(np.concatenate(plan.rows)))
        columns = {"rows": rows, "width": pa.array(plan.widths), "n_rows": pa.array(n_rows, pa.int64())}
        planned = Dataset(InMemoryTable(pa.table(columns)), fingerprint="batches")
        random_state = random.getstate()
        batches = planned.to_tf_dataset(
            batch_size=1,
            shuffle=False,
            collate_fn=BatchCollator(self.windows, self._tokenizer, self.weights, self.soft),
            drop_remainder=False,
            prefetch=False,
            # The collator's shapes do not depend on the batch, so one is enough to determine them.
            num_test_batches=1,
        )
        # to_tf_dataset draws from Python's random numbers. The state of the caller is kept.
        random.setstate(random_state)
        shaped = batches.map(_in_rows).with_options(_options())
        if device is None:
            return shaped
        return shaped.prefetch(_BATCHES_AHEAD).apply(tf.data.experimental.prefetch_to_device(device, _BATCHES_AHEAD))


_COLUMNS = ("attention_mask", "input_ids", "labels")


def _in_rows(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """The columns of a batch as (rows, width). If there are weights, as (rows,); targets as (rows, width, labels)."""
    shape = tf.concat([[-1], batch["width"]], axis=0)
    more = {name: values for name, values in batch.items() if name == "weights"}
    if "targets" in batch:
        n_labels = tf.size(batch["targets"], tf.int64) // tf.size(batch["labels"], tf.int64)
        more["targets"] = tf.reshape(batch["targets"], tf.concat([shape, [n_labels]], axis=0))
    return {name: tf.reshape(batch[name], shape) for name in _COLUMNS} | more


def _options() -> tf.data.Options:
    """Autotuning is off: there is nothing to tune, and the end of an epoch sometimes waited 20 s for its thread."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return options


@dataclass(frozen=True)
class SoftTargets:
    """The probabilities of labels that are learned. n_labels: of the model."""

    labels: SoftLabels
    n_labels: int

    def targets(self, labels: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """(rows, width, labels) float32: for each subword token with a label, the probabilities of its word, or 1 for
        the label if the word has no number.

        labels: (rows, width) ids, -100 for none. numbers: (rows, width) numbers of words, negative for none.
        """
        found = np.zeros((*labels.shape, self.n_labels), np.float32)
        is_scored, is_soft = labels != UNSCORED, numbers >= 0
        hard, soft = is_scored & ~is_soft, is_scored & is_soft
        found[(*np.nonzero(hard), labels[hard])] = 1
        found[soft] = self.labels.dense(numbers[soft], self.n_labels)
        return found


class BatchCollator:
    """Fetches and pads the windows of a batch, as transformers' DataCollatorForTokenClassification would.

    That collator converts each window to lists of Python numbers. For a batch of 128 windows of about 32 subword tokens
    it took 6 ms of one core. This one takes 1 ms.
    """

    def __init__(
        self,
        windows: Dataset,
        tokenizer: PreTrainedTokenizerFast,
        weights: np.ndarray | None = None,
        soft: SoftTargets | None = None,
    ) -> None:
        self._weights = weights
        self._soft = soft
        self._pads = {"input_ids": tokenizer.pad_token_id or 0, "labels": UNSCORED}
        if soft is not None:
            self._pads["numbers"] = -1
        self._windows = windows.with_format("arrow", columns=list(self._pads))
        self._pads_left = tokenizer.padding_side == "left"

    def __call__(self, features: Sequence[dict[str, Any]]) -> dict[str, np.ndarray]:
        """input_ids, attention_mask and labels of a single batch, (rows * width,) int64 each, and width, (1,). If there
        are weights, also weights, (rows,) float32. With soft labels, also targets, (rows * width * labels,) float32.

        features: the batch as a row of the plan. Missing rows repeat the last row and are not scored.
        """
        (batch,) = features
        width = int(batch["width"])
        windows = self._windows[batch["rows"]]
        lengths = compute.list_value_length(windows.column("input_ids")).to_numpy()[:, None]
        place = np.arange(width)
        real = place >= width - lengths if self._pads_left else place < lengths
        columns = {"attention_mask": real.astype(np.int64)}
        for name, pad in self._pads.items():
            columns[name] = np.full(real.shape, pad, dtype=np.int64)
            columns[name][real] = compute.list_flatten(windows.column(name)).to_numpy()
        if (n_lacking := int(batch["n_rows"]) - len(real)) > 0:
            columns = {name: np.pad(values, ((0, n_lacking), (0, 0)), mode="edge") for name, values in columns.items()}
            columns["labels"][len(real) :] = UNSCORED
        if self._soft is not None:
            columns["targets"] = self._soft.targets(columns["labels"], columns.pop("numbers"))
        found = {name: values.ravel() for name, values in columns.items()} | {"width": np.array([width])}
        if self._weights is not None:
            # Padding windows are not scored, so that their weight does not matter.
            found["weights"] = np.pad(self._weights[batch["rows"]], (0, max(n_lacking, 0)))
        return found


def bucket_widths(lengths: np.ndarray, *, max_widths: int = MAX_WIDTHS, max_padding: float = MAX_PADDING) -> np.ndarray:
    """The fewest widths, at most `max_widths`, with which padding is at most the share `max_padding` of all subword
    tokens, in ascending order.

    Dynamic programming over the histogram of lengths finds the widths with the least padding for each number of widths.

    >>> bucket_widths(np.array([5, 5, 5, 40]))
    array([ 5, 40])
    """
    values, counts = np.unique(lengths, return_counts=True)
    n = len(values)
    rows = np.concatenate([[0], np.cumsum(counts)])
    pieces = np.concatenate([[0], np.cumsum(values * counts)])
    # padding[i, j]: subword tokens added if the lengths i to j are padded to the longest of them.
    padding = (rows[None, 1:] - rows[:-1, None]) * values[None, :] - (pieces[None, 1:] - pieces[:-1, None])
    padding = np.where(np.arange(n)[:, None] <= np.arange(n)[None, :], padding, np.iinfo(np.int64).max // 4)
    least = padding[0]
    cuts: list[np.ndarray] = []
    while least[-1] > max_padding * (pieces[-1] + least[-1]) and len(cuts) + 1 < min(max_widths, n):
        totals = np.concatenate([[0], least[:-1]])[:, None] + padding
        cuts.append(totals.argmin(axis=0))
        least = totals.min(axis=0)
    ends = [n - 1]
    for cut in reversed(cuts):
        if cut[ends[-1]] == 0:
            break
        ends.append(int(cut[ends[-1]]) - 1)
    return values[ends[::-1]]
