"""Encode a split as windows for the model, and cache them."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tf_tokclf.config.schema import DataConfig
from tf_tokclf.data.cache import Cache
from tf_tokclf.encoding.chain_codes import chain_codes
from tf_tokclf.encoding.encoder import UNSCORED, Encoder, piece_labels
from tf_tokclf.encoding.windows import WindowSettings

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerFast

    from tf_tokclf.data.splits import Split
    from tf_tokclf.labels.label_set import LabelSet


log = logging.getLogger(__name__)


# Part of the cache key. Increase it when the same input gives different rows.
ENCODING_VERSION = 3


SENTENCES_AT_ONCE = 4096


def encode_split(
    split: Split,
    labels: LabelSet,
    tokenizer: PreTrainedTokenizerFast,
    reading: WindowSettings,
    *,
    cache: Cache | None = None,
    n_embeddings: int | None = None,
    for_crf: bool = False,
    numbered: bool = False,
) -> Dataset:
    """The windows of a split as a data set: input_ids, labels, sentence (its row in the split).

    for_crf: the labels are `chain_codes` instead of label ids. numbered: they are the numbers of words, counted over
    all sentences of the split, for all subword tokens of each word.

    They are reused from the cache if split, labels, tokenizer and window settings have the same content.
    """
    from datasets import Dataset
    from datasets.table import InMemoryTable

    def batches() -> Iterator[pa.RecordBatch]:
        return _encoded_batches(split, labels, Encoder(tokenizer, reading, n_embeddings=n_embeddings), kind)

    kind = "crf" if for_crf else "numbers" if numbered else ""
    key = _fingerprint(split, labels, tokenizer, reading, n_embeddings, kind)
    source = f"{split.place}: {split.name}"
    found = (cache or Cache.of(DataConfig())).load_or_build("windows", key, _SCHEMA, batches, dict, source=source)
    if not found.is_new:
        log.info("%s split: windows reused from the cache", split.name)
    return Dataset(InMemoryTable(found.table), fingerprint=key)


def joined_windows(windows: Dataset, others: Dataset, *, n_sentences: int, numbers: Dataset | None = None) -> Dataset:
    """The windows of two splits. The first has `n_sentences` sentences, from which those of the second are numbered.

    numbers: the second split encoded with `numbered`. There is then a column of the numbers, -1 in the first split.
    """
    from datasets import Dataset
    from datasets.table import InMemoryTable

    table, more = windows.data.table, others.data.table
    place = more.schema.get_field_index("sentence")
    more = more.set_column(place, _SCHEMA.field("sentence"), pc.add(more.column("sentence"), n_sentences))
    if numbers is not None:
        table = table.append_column("numbers", _without_numbers(table.column("labels")))
        more = more.append_column("numbers", numbers.data.table.column("labels"))
    fingerprint = hashlib.sha256(f"{windows._fingerprint} {others._fingerprint}".encode()).hexdigest()[:32]
    return Dataset(InMemoryTable(pa.concat_tables([table, more])), fingerprint=fingerprint)


def _without_numbers(labels: pa.ChunkedArray) -> pa.ChunkedArray:
    """-1 for each label."""
    chunks = labels.combine_chunks()
    none = pa.array(np.full(len(chunks.flatten()), -1, np.int32))
    lengths = pc.list_value_length(chunks).to_numpy()
    starts = np.concatenate([[0], np.cumsum(lengths)])
    return pa.chunked_array([pa.ListArray.from_arrays(pa.array(starts, pa.int32()), none)])


def _encoded_batches(split: Split, labels: LabelSet, encoder: Encoder, kind: str) -> Iterator[pa.RecordBatch]:
    first_words = _first_words(split) if kind == "numbers" else None
    for start, rows in sentence_batches(split, margin=encoder.reading.context_sentences):
        windows = encoder.windows(rows["words"], rows["document"])
        windows = windows.rows((windows.sentence >= rows["begin"]) & (windows.sentence < rows["end"]))
        strategy, unlabelled = encoder.reading.strategy, rows["unlabelled"]
        label_ids = piece_labels(windows, rows["labels"], labels, strategy, unlabelled=unlabelled)
        if kind == "crf":
            label_ids = chain_codes(windows, label_ids, np.cumsum([0, *map(len, rows["words"])]))
        elif first_words is not None:
            numbers = first_words[np.repeat(windows.sentence + start, windows.lengths)] + windows.word
            label_ids = np.where(windows.word >= 0, numbers, UNSCORED).astype(np.int32)
        yield pa.RecordBatch.from_arrays(
            [
                pa.ListArray.from_arrays(pa.array(windows.starts, pa.int32()), pa.array(windows.input_ids)),
                pa.ListArray.from_arrays(pa.array(windows.starts, pa.int32()), pa.array(label_ids)),
                pa.array(windows.sentence + start),
            ],
            schema=_SCHEMA,
        )


def _first_words(split: Split) -> np.ndarray:
    """(sentences,) the number of words before each sentence."""
    lengths: np.ndarray = pc.list_value_length(split.table.column("words")).to_numpy()
    before: np.ndarray = np.cumsum(lengths) - lengths
    return before


_SCHEMA = pa.schema([("input_ids", pa.list_(pa.int32())), ("labels", pa.list_(pa.int32())), ("sentence", pa.int64())])


def sentence_batches(split: Split, *, margin: int = 0) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Batches of consecutive sentences as columns, with `margin` additional sentences on each side for context.

    Yields the number of the first sentence, and the columns. `begin` and `end` in the columns are the half-open range
    of the sentences that belong to the batch; the others are context.
    """
    n = len(split)
    for begin in range(0, n, SENTENCES_AT_ONCE):
        end = min(begin + SENTENCES_AT_ONCE, n)
        start, stop = max(begin - margin, 0), min(end + margin, n)
        rows = split.dataset[start:stop]
        yield start, {**rows, "begin": begin - start, "end": end - start}


def _fingerprint(
    split: Split,
    labels: LabelSet,
    tokenizer: PreTrainedTokenizerFast,
    reading: WindowSettings,
    n_embeddings: int | None,
    kind: str,
) -> str:
    parts = [
        ENCODING_VERSION,
        split.fingerprint,
        list(labels.names),
        labels.scheme.value,
        tokenizer.backend_tokenizer.to_str(),
        asdict(reading),
        n_embeddings,
        *([kind] if kind else []),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
