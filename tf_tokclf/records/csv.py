"""CSV as input and output of prediction."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import Any

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.counted import counted
from tf_tokclf.data.formats.csv import CsvReader, open_csv
from tf_tokclf.data.reading.base import check_decoded
from tf_tokclf.data.reading.lists import parse_list
from tf_tokclf.data.reading.records import Shape
from tf_tokclf.labels.sentence import Origin, Sentence
from tf_tokclf.labels.tagged_sentence import TaggedSentence
from tf_tokclf.labels.word_splitting import text_sentence
from tf_tokclf.records.base import SAMPLED_LINES, Details, Frame, Lines, Record, encoded, opened_on_sample, words_of
from tf_tokclf.records.prediction_fields import (
    SENTENCE_COLUMNS,
    TOP_COLUMN,
    WORD_COLUMNS,
    added_names,
    column_score,
    prediction_fields,
    top_labels,
)


class CsvRecords:
    """CSV. A row is a text, a list of words, or a word; rows of words form sentences by a key or by empty rows."""

    name = "csv"
    unit = "line"

    def __init__(self, lines: Iterator[str], place: str, data: DataConfig, task: Task) -> None:
        # A field may contain a long text; Python's default limit is 131,072 characters.
        csv.field_size_limit(2**31 - 1)
        sample = list(islice(lines, SAMPLED_LINES))
        # Those that `frames` has not read.
        self.lines: Iterator[str] = chain(sample, lines)
        self.data = data
        self._reader: CsvReader | None = None
        self.note = "no rows"
        if any(not line.isspace() for line in sample):
            self._reader = opened_on_sample(sample, place, data, lambda path, options: open_csv(path, options, task))
            self.note = self._reader.layout.note()

    @property
    def separator(self) -> str:
        """The separator of fields."""
        return self._reader.separator if self._reader else ","

    @property
    def header(self) -> tuple[str, ...] | None:
        """The names of the columns, if the file has a header."""
        reader = self._reader
        return reader.names if reader and reader.options.header else None

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns, which are numbers if there is no header."""
        return self._reader.names if self._reader else ()

    @property
    def word_column(self) -> str | None:
        """The column of the text or the words; None if there are no rows."""
        return self._reader.layout.word if self._reader else None

    @property
    def is_text_a_row(self) -> bool:
        """Whether a row contains a text."""
        return self._reader is not None and self._reader.layout.shape is Shape.TEXT

    @property
    def is_word_a_row(self) -> bool:
        """Whether a row is a word, so that a record consists of several rows."""
        return self._reader is not None and self._reader.layout.shape is Shape.WORD

    @property
    def has_key(self) -> bool:
        """Whether a column contains the sentence of each row's word."""
        return self._reader is not None and self._reader.layout.sentence is not None

    def read_as_text(self) -> None:
        """Read the column of words as a text in each row, also if it looks like printed lists."""
        if self._reader and self._reader.layout.shape is Shape.SENTENCE:
            self._reader = replace(self._reader, layout=replace(self._reader.layout, shape=Shape.TEXT))

    def frames(self) -> Iterator[Frame]:
        """Rows as lists of fields, or lists of such rows if a row is a word."""
        if self._reader is None:
            return iter(())
        return self._sentences() if self.is_word_a_row else ((n, row) for n, row in self._rows() if row)

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        assert self._reader is not None
        latest = [""]

        def noted(line: str) -> str:
            latest[0] = line
            return line

        rows = csv.reader(map(noted, self.lines), delimiter=self.separator)
        to_skip, end = self.header is not None, 0
        while True:
            try:
                fields = next(rows)
            except StopIteration:
                return
            except csv.Error:
                # For example a carriage return between fields. Keep the line unchanged; `parse` then reports it.
                fields = [latest[0].rstrip("\n")]
            start, end = end + 1, rows.line_num
            if to_skip and fields:
                to_skip = False
            else:
                yield start, fields

    def _sentences(self) -> Iterator[Frame]:
        assert self._reader is not None
        layout, names = self._reader.layout, self._reader.names
        key_column = names.index(layout.sentence) if layout.sentence else None
        first, block, current = 0, list[list[str]](), ""
        for number, fields in self._rows():
            key = fields[key_column] if key_column is not None and key_column < len(fields) else ""
            if block and (not any(fields) or (key and key != current)):
                yield first, block
                block = []
            if not any(fields):
                continue
            first, current = first if block else number, key or current
            block.append(fields)
        if block:
            yield first, block

    def parse(self, source: list[Any], origin: Origin) -> Sentence:
        """The words of a row, or of several rows."""
        assert self._reader is not None
        layout, names = self._reader.layout, self._reader.names
        column = names.index(layout.word)
        if self.is_word_a_row:
            for row in source:
                self._check_row(row, origin)
            return Sentence(tuple(row[column] for row in source), None, origin)
        self._check_row(source, origin)
        if layout.shape is Shape.TEXT:
            return text_sentence(source[column], self.data.word_splitting, origin)
        return Sentence(words_of(parse_list(source[column], layout.word, origin), layout.word, origin), None, origin)

    def _check_row(self, row: list[str], origin: Origin) -> None:
        assert self._reader is not None
        n_expected = len(self._reader.names)
        if len(row) != n_expected:
            raise origin.error(
                f"the row has {counted(len(row), 'field')} instead of {n_expected}.", "Quote the fields."
            )
        for field in row:
            check_decoded(field, origin, self.data.encoding)


class EnrichedCsv(Lines):
    """The rows of the input with added columns for the predictions (lists as JSON if a row is a sentence)."""

    def __init__(self, source: CsvRecords, details: Details) -> None:
        self._source = source
        self._details = details
        names = WORD_COLUMNS if source.is_word_a_row else SENTENCE_COLUMNS
        names = (*names, TOP_COLUMN) if details.top_k else names
        header = source.header
        self.head = encoded(self._row([*header, *added_names(names, header).values()])) if header else b""
        super().__init__(self._rows)

    def _rows(self, record: Record, tagged: TaggedSentence) -> str:
        if not self._source.is_word_a_row:
            fields = prediction_fields(tagged, self._details)
            added = [_list_field(fields[name]) if name in fields else "" for name in SENTENCE_COLUMNS]
            if self._details.top_k:
                added.append(_list_field(fields[TOP_COLUMN]))
            return self._row([*record.source, *added])
        top: Iterator[Any] = iter(top_labels(tagged, self._details.top_k))
        rows = []
        for i, row in enumerate(record.source):
            added = [tagged.labels[i], column_score(tagged.scores[i])] if not record.problem else ["", ""]
            if self._details.top_k:
                added.append(_list_field(next(top, [])))
            rows.append(self._row([*row, *added]))
        empty_row = "" if self._source.has_key else "\n"
        return "".join(rows) + empty_row

    def _row(self, fields: Sequence[str]) -> str:
        buffer = io.StringIO()
        csv.writer(buffer, delimiter=self._source.separator, lineterminator="\n").writerow(fields)
        return buffer.getvalue()


def _list_field(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
