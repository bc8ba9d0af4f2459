"""Read Arrow tables (Parquet files or Hugging Face data sets). Columns of lists are converted without a Python loop."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.arrow import SCHEMA, batches_of, sentences_of
from tf_tokclf.data.reading.annotated import Record
from tf_tokclf.data.reading.base import Problems
from tf_tokclf.data.reading.guessing import MISSING_IDS, MISSING_LABELS
from tf_tokclf.data.reading.records import Layout, Shape, choose_layout, read_records
from tf_tokclf.errors import UserError
from tf_tokclf.labels.sentence import Origin, Sentence

_SAMPLED_ROWS = 50

Batches = Callable[[], Iterator[pa.RecordBatch]]


@dataclass(frozen=True)
class TableReader:
    """A table. open_batches: starts a new iteration over its batches. place: name in messages."""

    place: str
    open_batches: Batches
    key: Callable[[], str]
    options: DataConfig
    layout: Layout
    notes: tuple[str, ...]

    @property
    def label_names(self) -> tuple[str, ...] | None:
        return self.layout.label_names

    def content_key(self) -> str:
        return self.key()

    def sentences(self, problems: Problems) -> Iterator[Sentence]:
        for batch in self.batches(problems):
            yield from sentences_of(batch)

    def batches(self, problems: Problems) -> Iterator[pa.RecordBatch]:
        """The sentences as batches of `SCHEMA`."""
        if self.layout.shape is not Shape.SENTENCE:
            yield from batches_of(read_records(self._records(), self.layout, problems))
            return
        row = 1
        for batch in self.open_batches():
            whole = self._columnar(batch, row) if _is_columnar(batch.schema, self.layout) else None
            if whole is not None:
                yield whole
            else:
                yield from batches_of(read_records(_rows(batch, self.place, row), self.layout, problems))
            row += batch.num_rows

    def _records(self) -> Iterator[tuple[Origin, Record]]:
        row = 1
        for batch in self.open_batches():
            yield from _rows(batch, self.place, row)
            row += batch.num_rows

    def _columnar(self, batch: pa.RecordBatch, first_row: int) -> pa.RecordBatch | None:
        """All rows at once; None if any row is invalid or lacks a label."""
        n = batch.num_rows
        words = _string_lists(batch.column(self.layout.word))
        labels = pa.nulls(n, pa.list_(pa.string()))
        good = _filled(words)
        if self.layout.label is not None:
            raw = _compact(batch.column(self.layout.label))
            labels, known = _named_labels(raw, self.layout.label_names)
            good &= known & _filled(labels) & (_lengths(words) == _lengths(labels))
        if not good.all():
            return None
        columns: dict[str, Any] = {
            "words": words,
            "labels": labels,
            "path": pa.repeat(pa.scalar(self.place), n),
            "number": pa.array(np.arange(first_row, first_row + n)),
            "unit": pa.repeat(pa.scalar("row"), n),
        }
        arrays = [columns[field.name] if field.name in columns else pa.nulls(n, field.type) for field in SCHEMA]
        return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def open_table(
    place: str,
    batches: Batches,
    key: Callable[[], str],
    data: DataConfig,
    task: Task,
    label_names: dict[str, tuple[str, ...]] | None = None,
) -> TableReader:
    """Open a table and detect its columns of words and labels.

    label_names: names of label ids by column; by default, those that `datasets` stored in the schema.
    """
    first = next(batches(), None)
    if first is None or not first.num_rows:
        raise UserError("contains no rows.", path=place, hint="Choose another split or file.")
    sample = [record for _, record in islice(_rows(first.slice(0, _SAMPLED_ROWS), place, 1), _SAMPLED_ROWS)]
    declared = label_names if label_names is not None else class_labels_in(first.schema)
    layout = choose_layout(first.schema.names, sample, data, task, path=place, label_names=declared)
    label = layout.label if layout.label is not None else data.label_column_name
    options = data.model_copy(update={"text_column_name": layout.word, "label_column_name": label})
    return TableReader(place, batches, key, options, layout, (layout.note(),))


def values_in_rows(
    batches: Iterable[pa.RecordBatch], label_names: Mapping[str, tuple[str, ...]]
) -> Iterator[tuple[int, Record]]:
    """The values of each row with its number, without lists. label_names: names by column, which replace label ids."""
    first = 1
    for batch in batches:
        plain = batch.select([field.name for field in batch.schema if not pa.types.is_nested(field.type)])
        nested = batch.select([field.name for field in batch.schema if pa.types.is_struct(field.type)])
        for row, (record, objects) in enumerate(zip(plain.to_pylist(), nested.to_pylist()), first):
            named = {name: _label_name(value, label_names.get(name)) for name, value in record.items()}
            yield row, {**named, **objects}
        first += batch.num_rows


def _label_name(value: Any, names: tuple[str, ...] | None) -> Any:
    is_id = names is not None and isinstance(value, int) and 0 <= value < len(names)
    return names[value] if names is not None and is_id else value


def class_labels_in(schema: pa.Schema) -> dict[str, tuple[str, ...]]:
    """Label names by column, from the metadata that `datasets` writes into a schema."""
    written = (schema.metadata or {}).get(b"huggingface")
    features = json.loads(written).get("info", {}).get("features", {}) if written else {}
    return class_labels_of(features)


def class_labels_of(features: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Label names by column, from the features of a data set as plain values."""
    found = ((column, _names_in(feature)) for column, feature in features.items())
    return {column: names for column, names in found if names}


def _names_in(feature: Any) -> tuple[str, ...] | None:
    """The label names nested in a feature as `datasets` writes it: of a list of labels or of spans."""
    if isinstance(feature, Mapping) and feature.get("_type") == "ClassLabel":
        return tuple(feature.get("names") or ()) or None
    inner = feature.values() if isinstance(feature, Mapping) else feature if isinstance(feature, list) else ()
    return next((names for value in inner if (names := _names_in(value))), None)


def _rows(batch: pa.RecordBatch, place: str, first_row: int) -> Iterator[tuple[Origin, Record]]:
    for row, record in enumerate(batch.to_pylist(), first_row):
        yield Origin(place, row, "row"), record


def _is_columnar(schema: pa.Schema, layout: Layout) -> bool:
    def is_list(name: str, *tests: Callable[[pa.DataType], bool]) -> bool:
        type = schema.field(name).type
        listed = pa.types.is_list(type) or pa.types.is_large_list(type)
        return listed and any(test(type.value_type) for test in tests)

    strings = (pa.types.is_string, pa.types.is_large_string)
    label_tests = (pa.types.is_integer, *strings)
    return is_list(layout.word, *strings) and (layout.label is None or is_list(layout.label, *label_tests))


def _compact(column: pa.Array) -> pa.ListArray:
    """A list array that contains only the values of its rows, without offset."""
    type = pa.list_(column.type.value_type)
    column = column.cast(type) if column.type != type else column
    bounds = np.concatenate([[0], np.cumsum(_lengths(column))]).astype(np.int32)
    mask = column.is_null() if column.null_count else None
    return pa.ListArray.from_arrays(pa.array(bounds), column.flatten(), mask=mask)


def _string_lists(column: pa.Array) -> pa.ListArray:
    lists = _compact(column)
    return _with_values(lists, lists.values.cast(pa.string()))


def _with_values(lists: pa.ListArray, values: pa.Array) -> pa.ListArray:
    mask = lists.is_null() if lists.null_count else None
    return pa.ListArray.from_arrays(lists.offsets, values, mask=mask)


def _named_labels(lists: pa.ListArray, names: tuple[str, ...] | None) -> tuple[pa.ListArray, np.ndarray]:
    """The labels as names, and for each row whether all of its labels are present and have names."""
    values = lists.values
    is_ids = pa.types.is_integer(values.type)
    values = values if is_ids else pc.utf8_trim_whitespace(values)
    missing = pa.array(sorted(MISSING_IDS) if is_ids else sorted(MISSING_LABELS), values.type)
    wrong = pc.is_in(values, missing).to_numpy(zero_copy_only=False)
    if is_ids and names is not None:
        ids = values.fill_null(-1).to_numpy(zero_copy_only=False)
        wrong |= (ids < 0) | (ids >= len(names))
        values = pa.array(names).take(pa.array(np.where(wrong, 0, ids)))
    return _with_values(lists, values.cast(pa.string())), ~_any_in_row(lists, wrong)


def _filled(lists: pa.ListArray) -> np.ndarray:
    """For each row, whether it is not null and none of its values is null or empty."""
    lengths = pc.binary_length(lists.values).fill_null(0).to_numpy(zero_copy_only=False)
    there = lists.is_valid().to_numpy(zero_copy_only=False)
    filled: np.ndarray = there & ~_any_in_row(lists, lengths == 0)
    return filled


def _any_in_row(lists: pa.ListArray, flags: np.ndarray) -> np.ndarray:
    totals = np.concatenate([[0], np.cumsum(flags)])
    bounds = lists.offsets.to_numpy()
    any_: np.ndarray = totals[bounds[1:]] > totals[bounds[:-1]]
    return any_


def _lengths(lists: pa.Array) -> np.ndarray:
    lengths: np.ndarray = lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    return lengths
