"""Parquet tables with lists of words and labels, or with the same layouts as CSV."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tf_tokclf.compressed import uncompressed
from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.formats.format import Format, Numbered, certain
from tf_tokclf.data.reading.base import hash_files, require_file
from tf_tokclf.data.reading.guessing import with_numbers
from tf_tokclf.data.writing.base import Writing
from tf_tokclf.errors import UserError, first_line
from tf_tokclf.labels.sentence import Sentence

if TYPE_CHECKING:
    import pyarrow as pa

    from tf_tokclf.data.reading.tables import TableReader


def open_parquet(path: Path, data: DataConfig, task: Task) -> TableReader:
    """A reader for a Parquet file; detects the columns of words and labels."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tf_tokclf.data.arrow import SENTENCES_PER_BATCH
    from tf_tokclf.data.reading.tables import open_table

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            with pq.ParquetFile(uncompressed(require_file(path))) as file:
                names = with_numbers(file.schema_arrow.names)
                for batch in file.iter_batches(batch_size=SENTENCES_PER_BATCH):
                    yield pa.RecordBatch.from_arrays(batch.columns, schema=_renamed(batch.schema, names))
        except (pa.ArrowException, OSError) as error:
            problem = f"is not a Parquet file: {first_line(error)}."
            raise UserError(problem, path=path, hint="Check the program that wrote it.") from error

    return open_table(
        str(path), batches, lambda: hash_files([path]), data.model_copy(update={"format": "parquet"}), task
    )


def column_values(path: Path, data: DataConfig, task: Task) -> Numbered:
    """The columns of each row."""
    import pyarrow.parquet as pq

    from tf_tokclf.data.arrow import SENTENCES_PER_BATCH
    from tf_tokclf.data.reading.tables import class_labels_in, values_in_rows

    with pq.ParquetFile(uncompressed(path)) as file:
        names = class_labels_in(file.schema_arrow)
        yield from values_in_rows(file.iter_batches(batch_size=SENTENCES_PER_BATCH), names)


def _renamed(schema: pa.Schema, names: Sequence[str]) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([field.with_name(name) for field, name in zip(schema, names)], metadata=schema.metadata)


def write(sentences: Iterable[Sentence], path: Path, writing: Writing) -> None:
    """A Parquet file with tokens and label ids. The label names are in its schema, as written by `datasets`."""
    import pyarrow.parquet as pq

    from tf_tokclf.data.writing.tables import table_batches, table_schema

    schema = table_schema(writing)
    with pq.ParquetWriter(path, schema) as writer:
        for batch in table_batches(sentences, schema, writing):
            writer.write_batch(batch)


FORMAT = Format(
    "parquet",
    "Parquet tables with lists of words and labels, or with the layouts of CSV",
    lambda seen: certain("its first bytes are those of Parquet", seen.first_bytes == b"PAR1"),
    open_parquet,
    suffixes=(".parquet",),
    write_to=write,
    keeps_missing_labels=True,
    has_own_encoding=True,
    columns=column_values,
)
