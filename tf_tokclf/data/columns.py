"""Values of columns that are neither words nor labels, such as the domain of a sentence.

Sentences do not contain these values. Their origin, a file and a line or row, says where to read them.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tf_tokclf.compressed import uncompressed
from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.detection import detect_format, format_named
from tf_tokclf.data.formats.conll import columns_reader
from tf_tokclf.data.formats.conllu import parsed_sentences
from tf_tokclf.data.formats.csv import csv_rows, open_csv
from tf_tokclf.data.formats.format import Kind
from tf_tokclf.data.formats.jsonl import json_records
from tf_tokclf.data.reading.base import Problems, blocks_of, read_lines
from tf_tokclf.errors import UserError
from tf_tokclf.labels.sentence import Origin
from tf_tokclf.similar_names import similar_names

# "# domain = news", "# id 5239d808-f300-46ea domain=en".
_COMMENTS = re.compile(r"(?:^#+\s*|\s)([\w:.-]+)\s*=\s*(\S.*?)(?=\s+[\w:.-]+\s*=|\s*$)")

Opened = TypeVar("Opened")

# The number of a sentence's first line or row, and the values of its columns.
Numbered = Iterator[tuple[int, Mapping[str, Any]]]


@dataclass(frozen=True)
class _FileValues:
    """The values of a column in one file. starts: the first line or row of each sentence, in order."""

    starts: Sequence[int]
    values: Sequence[str | None]

    def at(self, number: int) -> str | None:
        """The value of the sentence that contains a line or row."""
        at = bisect_right(self.starts, number) - 1
        return self.values[at] if at >= 0 else None


class ColumnValues:
    """The value of a column for each sentence, by its origin. Each file is read once more, when it is first needed.

    columns: names of the column; the first one that a file contains is used. A column of CoNLL can also be a number
    from 0, or the key of a comment such as `# domain = news`, which holds until the next comment with that key. A name
    with a dot, such as `meta.domain`, is a field of an object in JSON. data: how the files are read.
    """

    def __init__(self, columns: Sequence[str], data: DataConfig, task: Task) -> None:
        self._columns = columns
        self._data = data
        self._task = task
        self._files: dict[str, _FileValues] = {}

    def of(self, origin: Origin | None) -> str | None:
        """The value for a sentence; None if it has none. Raises UserError if there is no such column."""
        if origin is None:
            raise UserError(f"the column {self._columns[0]!r} cannot be read: the sentences do not come from a file.")
        if origin.path not in self._files:
            self._files[origin.path] = self._read(Path(origin.path))
        return self._files[origin.path].at(origin.number)

    def _read(self, path: Path) -> _FileValues:
        if not path.is_file():
            raise UserError(
                f"the column {self._columns[0]!r} cannot be read: there is no such file.",
                path=path,
                hint="Columns are read from files in CoNLL, CoNLL-U, JSON, CSV and Parquet.",
            )
        known: dict[str, None] = {}
        starts: list[int] = []
        values: list[str | None] = []
        for number, record in _open(path, self._data, self._task):
            known |= dict.fromkeys(record)
            starts.append(number)
            found = (_field(record, column) for column in self._columns)
            values.append(next((_text(value) for value in found if value is not None), None))
        if all(value is None for value in values):
            near = similar_names(self._columns[0], known, n=3) or list(known)[:20]
            there = f"There are {', '.join(near)}." if near else "It has no columns besides words and labels."
            raise UserError(f"there is no column {self._columns[0]!r}.", path=path, hint=there)
        return _FileValues(starts, values)


def _field(record: Mapping[str, Any], name: str) -> Any:
    """The value of a column, or of a field in nested objects whose names are joined by dots.

    >>> _field({"meta": {"domain": "news"}}, "meta.domain"), _field({"a.b": 1}, "a.b"), _field({}, "a")
    ('news', 1, None)
    """
    if name in record:
        return record[name]
    outer, _, inner = name.partition(".")
    nested = record.get(outer)
    return _field(nested, inner) if inner and isinstance(nested, Mapping) else None


def _text(value: Any) -> str | None:
    """A value as text. None for an empty one, and for lists, which have a value per word."""
    if isinstance(value, str | int | float):
        return str(value).strip() or None
    return None


def _open(path: Path, data: DataConfig, task: Task) -> Numbered:
    """The columns of each sentence or row of a file. Raises UserError if its format has none."""
    name = data.format if data.format != "auto" else detect_format(path, data.encoding)
    if name == "jsonl" or format_named(name, path).kind is Kind.RECORDS:
        return _json(path, data)
    openers: dict[str, Callable[[Path, DataConfig, Task], Numbered]] = {
        "conll": _conll,
        "conllu": _conllu,
        "csv": _csv,
        "parquet": _parquet,
    }
    if name not in openers:
        hint = f"Formats with columns: jsonl, {', '.join(openers)}."
        raise UserError(f"the format {name} has no columns besides words and labels.", path=path, hint=hint)
    return openers[name](path, data, task)


def _json(path: Path, data: DataConfig) -> Numbered:
    for origin, record in json_records(path, data.encoding, Problems(skip=True)):
        yield origin.number, record


def _csv(path: Path, data: DataConfig, task: Task) -> Numbered:
    reader = _opened(open_csv, path, data, task)
    for origin, record in csv_rows(path, reader.options, reader.names, reader.separator, Problems(skip=True)):
        yield origin.number, record


def _opened(opening: Callable[[Path, DataConfig, Task], Opened], path: Path, data: DataConfig, task: Task) -> Opened:
    """The reader of a file, in which the labels may be ambiguous: a file of predictions has two columns of them."""
    try:
        return opening(path, data, task)
    except UserError:
        return opening(path, data.model_copy(update={"label_column_name": ""}), task)


def _parquet(path: Path, data: DataConfig, task: Task) -> Numbered:
    import pyarrow.parquet as pq

    with pq.ParquetFile(uncompressed(path)) as file:
        row = 1
        for batch in file.iter_batches():
            for record in batch.to_pylist():
                yield row, record
                row += 1


def _conllu(path: Path, data: DataConfig, task: Task) -> Numbered:
    kept: dict[str, Any] = {}
    for origin, tokens in parsed_sentences(path, data.encoding, Problems(skip=True)):
        kept |= {key: value for key, value in tokens.metadata.items() if value is not None}
        yield origin.number, dict(kept)


def _conll(path: Path, data: DataConfig, task: Task) -> Numbered:
    reader = _opened(columns_reader, path, data, task)
    header: list[str] = []
    kept: dict[str, Any] = {}
    for first, block in blocks_of(read_lines(path, data.encoding)):
        rows: list[list[str]] = []
        for number, line in enumerate(block, first):
            fields = reader.split(line.rstrip("\r\n"))
            if number == reader.header_line:
                header = [field.strip() for field in fields]
            elif line.startswith("#") and reader.is_comment(line, fields, at_head=not rows):
                kept |= comment_values(line)
            elif reader.fits(fields):
                rows.append(fields)
        yield first, {**kept, **_constant_columns(rows, header)}


def comment_values(line: str) -> dict[str, str]:
    """The values in a comment.

    >>> comment_values("# domain = world news"), comment_values("# id 5239d808 domain=en lang=de")
    ({'domain': 'world news'}, {'domain': 'en', 'lang': 'de'})
    >>> comment_values("# http://a.de/b?c=d [2007-06-16]")
    {}
    """
    return dict(_COMMENTS.findall(line))


def _constant_columns(rows: Sequence[Sequence[str]], header: Sequence[str]) -> dict[str, str]:
    """The columns that have the same value for all words of a sentence, by number and by name."""
    found: dict[str, str] = {}
    for number, column in enumerate(zip(*rows)):
        if len(set(column)) == 1:
            found[str(number)] = column[0]
            if number < len(header):
                found[header[number]] = column[0]
    return found
