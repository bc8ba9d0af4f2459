"""Parquet as input and output of prediction."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_tokclf.compressed import uncompressed
from tf_tokclf.config.schema import DataConfig
from tf_tokclf.errors import UserError, first_line
from tf_tokclf.files import output_path
from tf_tokclf.labels.sentence import Origin, Sentence
from tf_tokclf.labels.word_splitting import text_sentence
from tf_tokclf.records.base import Details, Frame, PredictedRecord, document_of, words_of
from tf_tokclf.records.prediction_fields import SENTENCE_COLUMNS, TOP_COLUMN, added_names, prediction_fields

if TYPE_CHECKING:
    import pyarrow as pa


class ParquetRecords:
    """The rows of a Parquet file with a text or a list of words in one of the columns."""

    name = "parquet"
    unit = "row"

    def __init__(self, path: Path, column: str, schema: pa.Schema, data: DataConfig) -> None:
        self.path = path
        self.schema = schema
        self.column = column
        self.data = data
        self.note = f"words or text in column {column!r}"

    @classmethod
    def open(cls, path: Path, data: DataConfig) -> ParquetRecords:
        """Open a file and find the column of words or text."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            path = uncompressed(path)
            schema = pq.read_schema(path)
        except (pa.ArrowException, OSError) as error:
            problem = f"is not a Parquet file: {first_line(error)}."
            raise UserError(problem, path=path, hint="Check the program that wrote it.") from error
        names = schema.names
        if data.text_column_name is None:
            column = _guess_column(names)
        else:
            asked = data.text_column_name
            column = names[asked] if isinstance(asked, int) and asked < len(names) else str(asked)
        if column is None or column not in names:
            raise UserError(
                "no column of words or text was found.",
                path=path,
                hint=f"Name one of the columns with --text-column-name: {', '.join(names)}.",
            )
        return cls(path, column, schema, data)

    def frames(self) -> Iterator[Frame]:
        """The rows as mappings."""
        import pyarrow.parquet as pq

        number = 0
        with pq.ParquetFile(self.path) as file:
            for batch in file.iter_batches(batch_size=1024):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row

    def parse(self, source: Mapping[str, Any], origin: Origin) -> Sentence:
        """The words of a row, or of its text."""
        value = source[self.column]
        if isinstance(value, str):
            return text_sentence(value, self.data.word_splitting, origin, document_of(source))
        if isinstance(value, list):
            return Sentence(words_of(value, self.column, origin), None, origin, document=document_of(source))
        raise origin.error(f"{self.column!r} contains neither text nor words: {value!r}.", "Correct the row.")


def _guess_column(names: Sequence[str]) -> str | None:
    from tf_tokclf.data.reading.guessing import WORD_NAMES, guess_named_column

    found = guess_named_column(list(names), WORD_NAMES)
    return None if found is None else names[found]


class EnrichedParquet:
    """The columns of the input with added columns for the predictions.

    A Parquet file cannot be written in blocks that are complete on their own. Each block is therefore written as an
    Arrow stream, and the streams are converted to a Parquet file at the end.
    """

    is_final = False
    head = tail = b""

    def __init__(self, source: ParquetRecords, details: Details) -> None:
        import pyarrow as pa

        self._details = details
        self._names = added_names((*SENTENCE_COLUMNS, TOP_COLUMN), source.schema.names)
        span = pa.struct(
            [
                ("type", pa.string()),
                ("score", pa.float64()),
                ("first_word", pa.int64()),
                ("end_word", pa.int64()),
                ("start", pa.int64()),
                ("end", pa.int64()),
                ("text", pa.string()),
                *([("review", pa.bool_())] if details.review else []),
            ]
        )
        added: list[tuple[str, pa.DataType]] = [
            ("predicted_words", pa.list_(pa.string())),
            ("predicted_labels", pa.list_(pa.string())),
            ("predicted_scores", pa.list_(pa.float64())),
            ("predicted_spans", pa.list_(span)),
        ]
        if details.top_k:
            one = pa.struct([("label", pa.string()), ("score", pa.float64())])
            added.append((TOP_COLUMN, pa.list_(pa.list_(one))))
        fields = [pa.field(self._names[name], type) for name, type in added]
        # The metadata contains the names of label ids in the input.
        self.schema: pa.Schema = pa.schema([*source.schema, *fields], metadata=source.schema.metadata)

    def block(self, records: Sequence[PredictedRecord], *, is_first: bool) -> bytes:
        """An Arrow stream of the records."""
        import pyarrow as pa

        rows = []
        for record, tagged in records:
            fields = {"predicted_words": tagged.sentence.words, **prediction_fields(tagged, self._details)}
            rows.append({**record.source, **{self._names[name]: value for name, value in fields.items()}})
        buffer = io.BytesIO()
        with pa.ipc.new_stream(buffer, self.schema) as writer:
            writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=self.schema))
        return buffer.getvalue()

    def finish(self, source: Path, target: Path) -> None:
        """Write the Parquet file, completely or not at all."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        with (
            output_path(target) as partial,
            source.open("rb") as file,
            pq.ParquetWriter(partial, self.schema) as writer,
        ):
            size = source.stat().st_size
            while file.tell() < size:
                for batch in pa.ipc.open_stream(file):
                    writer.write_batch(batch)
        source.unlink()
