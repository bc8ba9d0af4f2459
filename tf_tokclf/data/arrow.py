"""Convert sentences to Arrow record batches and back, in constant memory. Splits are cached in this form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate, islice
from typing import Any

import pyarrow as pa

from tf_tokclf.labels.sentence import Origin, Sentence
from tf_tokclf.lean_imports import use_pyarrow_without_pandas

use_pyarrow_without_pandas(pa)

SCHEMA = pa.schema(
    [
        ("words", pa.list_(pa.string())),
        ("labels", pa.list_(pa.string())),
        ("path", pa.string()),
        ("number", pa.int64()),
        ("unit", pa.string()),
        ("text", pa.string()),
        ("starts", pa.list_(pa.int32())),
        ("ends", pa.list_(pa.int32())),
        ("document", pa.string()),
        ("unlabelled", pa.list_(pa.int32())),
    ]
)

SENTENCES_PER_BATCH = 4096


def batches_of(sentences: Iterable[Sentence]) -> Iterator[pa.RecordBatch]:
    """The sentences as record batches of `SCHEMA`, `SENTENCES_PER_BATCH` rows each."""
    rest = iter(sentences)
    while chunk := list(islice(rest, SENTENCES_PER_BATCH)):
        yield _batch_of(chunk)


def sentences_of(batch: pa.RecordBatch) -> Iterator[Sentence]:
    """The rows of a record batch of `SCHEMA` as sentences."""
    columns = {name: batch.column(name) for name in SCHEMA.names}
    words = _tuples(columns["words"])
    labels = _tuples(columns["labels"])
    unlabelled = _tuples(columns["unlabelled"])
    starts, ends = _tuples(columns["starts"]), _tuples(columns["ends"])
    plain = [columns[name].to_pylist() for name in ("path", "number", "unit", "text", "document")]
    for row, (path, number, unit, text, document) in enumerate(zip(*plain)):
        first, last = starts[row], ends[row]
        yield Sentence(
            words=words[row] or (),
            labels=labels[row],
            origin=None if path is None else Origin(path, number, unit),
            text=text,
            offsets=None if first is None or last is None else tuple(zip(first, last)),
            document=document,
            unlabelled=unlabelled[row] or (),
        )


def _batch_of(chunk: list[Sentence]) -> pa.RecordBatch:
    origins = [sentence.origin for sentence in chunk]
    offsets = [sentence.offsets for sentence in chunk]
    if any(offsets):
        starts = _lists([spans and [s for s, _ in spans] for spans in offsets], pa.int32())
        ends = _lists([spans and [e for _, e in spans] for spans in offsets], pa.int32())
    else:
        starts = ends = pa.nulls(len(chunk), pa.list_(pa.int32()))
    return pa.RecordBatch.from_arrays(
        [
            _lists([sentence.words for sentence in chunk], pa.string()),
            _lists([sentence.labels for sentence in chunk], pa.string()),
            pa.array([origin and origin.path for origin in origins], pa.string()),
            pa.array([origin and origin.number for origin in origins], pa.int64()),
            pa.array([origin and origin.unit for origin in origins], pa.string()),
            pa.array([sentence.text for sentence in chunk], pa.string()),
            starts,
            ends,
            pa.array([sentence.document for sentence in chunk], pa.string()),
            _lists([sentence.unlabelled or None for sentence in chunk], pa.int32()),
        ],
        schema=SCHEMA,
    )


def _lists(rows: list[Any], type: pa.DataType) -> pa.ListArray:
    """A list array, built from one flat array because that is several times faster than from nested lists."""
    bounds = [0, *accumulate(len(row) if row else 0 for row in rows)]
    flat = pa.array([value for row in rows if row for value in row], type)
    missing = [row is None for row in rows]
    mask = pa.array(missing) if any(missing) else None
    return pa.ListArray.from_arrays(pa.array(bounds, pa.int32()), flat, mask=mask)


def _tuples(column: pa.ListArray) -> list[tuple[Any, ...] | None]:
    if column.null_count == len(column):
        return [None] * len(column)
    flat = tuple(column.values.to_pylist())
    bounds = column.offsets.to_pylist()
    present = column.is_valid().to_pylist()
    return [flat[bounds[i] : bounds[i + 1]] if present[i] else None for i in range(len(column))]
