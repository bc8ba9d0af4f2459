"""Write sentences as Arrow tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tf_tokclf.data.arrow import batches_of
from tf_tokclf.data.writing.base import Writing
from tf_tokclf.labels.sentence import Sentence


def table_schema(writing: Writing) -> pa.Schema:
    """The schema of a table of words and label ids, with label names in its metadata as `datasets` writes them."""
    import datasets

    features: dict[str, Any] = {"tokens": datasets.Sequence(datasets.Value("string"))}
    if writing.scheme is not None:
        features[writing.label_column] = datasets.Sequence(datasets.ClassLabel(names=list(writing.label_names)))
    return datasets.Features(features).arrow_schema


def table_batches(sentences: Iterable[Sentence], schema: pa.Schema, writing: Writing) -> Iterator[pa.RecordBatch]:
    """The sentences as batches of the schema."""
    names = pa.array(writing.label_names, pa.string())
    for batch in batches_of(sentences):
        arrays = [batch.column("words")]
        if writing.scheme is not None:
            labels = batch.column("labels")
            ids = pc.index_in(labels.values, names).cast(pa.int64())
            ids = pc.if_else(pa.array(_is_labelled(batch)), ids, None)
            arrays.append(pa.ListArray.from_arrays(labels.offsets, ids))
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _is_labelled(batch: pa.RecordBatch) -> np.ndarray:
    """(words,) bool: whether each word of a batch has a label."""
    labelled = np.ones(len(batch.column("labels").values), bool)
    for start, positions in zip(batch.column("labels").offsets.to_pylist(), batch.column("unlabelled").to_pylist()):
        if positions:
            labelled[start + np.array(positions)] = False
    return labelled
