"""Values of columns that are neither words nor labels, such as the domain of a sentence.

Sentences do not contain these values. Their origin, a file and a line or row, says where to read them. The module of
each format reads its columns.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.detection import detect_format, format_named
from tf_tokclf.data.formats.format import Kind, Numbered
from tf_tokclf.data.formats.hf_datasets import part_values
from tf_tokclf.data.formats.registry import all_formats
from tf_tokclf.errors import UserError
from tf_tokclf.labels.sentence import Origin
from tf_tokclf.similar_names import similar_names


@dataclass(frozen=True)
class _FileValues:
    """The values of a column in one file. starts: the first line or row of each sentence, in order. known: the names of
    all columns.
    """

    starts: Sequence[int]
    values: Sequence[str | None]
    known: Sequence[str]

    @property
    def is_there(self) -> bool:
        """Whether the file has the column."""
        return any(value is not None for value in self.values)

    def at(self, number: int) -> str | None:
        """The value of the sentence that contains a line or row."""
        at = bisect_right(self.starts, number) - 1
        return self.values[at] if at >= 0 else None


class ColumnValues:
    """The value of a column for each sentence, by its origin. Each file is read once more, when it is first needed.

    columns: names of the column; the first one that a file contains is used. A name with a dot, such as `meta.domain`,
    is a field of an object. data: how the files are read. places: all files, if there are several: one of them may lack
    the column.
    """

    def __init__(self, columns: Sequence[str], data: DataConfig, task: Task, *, places: Sequence[str] = ()) -> None:
        self._columns = columns
        self._data = data
        self._task = task
        self._places = places
        self._files: dict[str, _FileValues] = {}

    def of(self, origin: Origin | None) -> str | None:
        """The value for a sentence; None if it has none. Raises UserError if there is no such column."""
        if origin is None:
            raise UserError(f"the column {self._columns[0]!r} cannot be read: the sentences do not come from a file.")
        values = self._values_in(origin.path)
        if not values.is_there and not any(self._values_in(place).is_there for place in self._places):
            near = similar_names(self._columns[0], values.known, n=3) or values.known[:20]
            there = f"There are {', '.join(near)}." if near else "It has no columns besides words and labels."
            raise UserError(f"there is no column {self._columns[0]!r}.", path=origin.path, hint=there)
        return values.at(origin.number)

    def _values_in(self, place: str) -> _FileValues:
        if place not in self._files:
            self._files[place] = self._read(place)
        return self._files[place]

    def _read(self, place: str) -> _FileValues:
        numbered = _open(place, self._data, self._task)
        if numbered is None:
            problem = f"the column {self._columns[0]!r} cannot be read: there is no such file or data set."
            raise UserError(problem, path=place, hint="Columns are read from the data again. Restore it.")
        known: dict[str, None] = {}
        starts: list[int] = []
        values: list[str | None] = []
        for number, record in numbered:
            known |= dict.fromkeys(record)
            starts.append(number)
            found = (_field(record, column) for column in self._columns)
            values.append(next((_text(value) for value in found if value is not None), None))
        return _FileValues(starts, values, list(known))


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


def _open(place: str, data: DataConfig, task: Task) -> Numbered | None:
    """The columns of each sentence or record of a file, a folder or the split of a data set. None if there is no such
    place. Raises UserError if its format has no columns.
    """
    if (found := part_values(place, data)) is not None:
        return found
    path = Path(place)
    if not path.exists():
        return None
    name = data.format if data.format != "auto" else detect_format(path, data.encoding)
    format = format_named(name, path)
    if format.columns is None:
        hint = f"Formats with columns: {', '.join(formats_with_columns())}, and all JSON records."
        raise UserError(f"the format {name} has no columns besides words and labels.", path=path, hint=hint)
    return format.columns(path, data, task)


def formats_with_columns() -> list[str]:
    """The names of the formats with columns, without those of JSON records, which all have them."""
    return sorted(one.name for one in all_formats() if one.columns is not None and one.kind is not Kind.RECORDS)
