"""Records with their raw text, so that everything that is not redacted is written again byte for byte.

They wrap the formats of `tf_tokclf.records`, which find the records and the field of the text or the words. Messages
about records do not show their content.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tf_tokclf.data.reading.base import check_decoded
from tf_tokclf.errors import UserError
from tf_tokclf.json_text import json_line
from tf_tokclf.labels.sentence import Origin, Sentence, text_of
from tf_tokclf.labels.word_splitting import split_words, text_sentence
from tf_tokclf.records.base import Frame, RecordFormat, SettingError, document_of, words_of
from tf_tokclf.records.csv import CsvRecords
from tf_tokclf.records.jsonl import JsonRecords
from tf_tokclf.records.parquet import ParquetRecords
from tf_tokclf.records.stream import RecordStream
from tf_tokclf.records.text import TextRecords
from tf_tokclf.redacting.cells import Cell, CsvCell, CsvField, JsonCell, JsonScalar, PlainCell, csv_fields, json_scalars

OTHER_COLUMNS = ("refuse", "keep", "redact")
_CONVERT = "Convert it to JSON lines with tf-tokclf convert."
_HIDDEN = "the record cannot be read. Its content is not shown, because it may be what has to be redacted."
_REMEDY = "Look at it in the file, or leave out such records with --on-error drop."


@dataclass
class KeptRecord:
    """A record of the input: its raw text with everything since the record before it, and its texts.

    before: number of characters before the record itself. source: the record in the representation of its format.
    document: the name of its document; its number if it has none. cells: the texts that are labelled.
    """

    raw: str
    before: int
    source: Any
    document: str = ""
    cells: list[Cell] = field(default_factory=list)


@dataclass(frozen=True)
class OtherColumns:
    """What to do with texts in other columns than the labelled one. kept: columns that stay as they are."""

    policy: str = "refuse"
    kept: frozenset[str] = frozenset()

    def chosen(self, names: list[str], origin: Origin) -> bool:
        """Whether these columns, which have texts, are redacted too. Raises UserError if they are refused."""
        if names and self.policy == "refuse":
            raise SettingError(
                f"there is text in other columns: {', '.join(dict.fromkeys(names))}.",
                path=origin.path,
                hint="Choose --other-columns redact or keep, or keep single columns with --keep-column NAME.",
                **{origin.unit: origin.number},
            )
        return self.policy == "redact"


class _Tap:
    """Lines, and those of them that were read since the last call of `taken`."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._read: list[str] = []
        self._next = 1

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            self._read.append(line)
            yield line

    def taken(self, number: int) -> tuple[str, int]:
        """The text of the lines, and the number of its characters before line `number`."""
        before = sum(map(len, self._read[: number - self._next]))
        text = "".join(self._read)
        self._next += len(self._read)
        self._read.clear()
        return text, before


class KeptRecords(ABC):
    """The records of a format with their raw text. rest: the text after the last record, when all are read."""

    rest = ""

    def __init__(self, inner: Any, others: OtherColumns) -> None:
        self.inner = inner
        self.name, self.unit, self.note = inner.name, inner.unit, inner.note
        self._others = others
        self._rule = inner.data.word_splitting

    @abstractmethod
    def frames(self) -> Iterator[Frame]:
        """The position of each record, and the record."""

    def parse(self, source: KeptRecord, origin: Origin) -> Sentence:
        """The sentence to label, after noting the texts of the record."""
        try:
            return self._parse(source, origin)
        except SettingError:
            raise
        except (UserError, ValueError):
            raise origin.error(_HIDDEN, None) from None

    @abstractmethod
    def _parse(self, record: KeptRecord, origin: Origin) -> Sentence: ...

    def _with_others(self, main: Sentence, others: list[str]) -> tuple[Sentence, list[int]]:
        """A sentence of all texts, separated by line feeds, and the position of each of the others."""
        text, offsets = text_of(main)
        words, places, begins = list(main.words), list(offsets), []
        for other in others:
            begin = len(text) + 1
            begins.append(begin)
            text = f"{text}\n{other}"
            for start, end in split_words(other, self._rule):
                words.append(other[start:end])
                places.append((begin + start, begin + end))
        if not others:
            return main, begins
        return Sentence(tuple(words), None, main.origin, text, tuple(places), main.document), begins


class _KeptLines(KeptRecords):
    """Records of lines."""

    def __init__(self, inner: TextRecords | JsonRecords | CsvRecords, others: OtherColumns) -> None:
        super().__init__(inner, others)
        self._tap = _Tap(inner.lines)
        inner.lines = iter(self._tap)

    def frames(self) -> Iterator[Frame]:
        """The records with the lines that were read for them."""
        for number, source in self.inner.frames():
            text, before = self._tap.taken(number)
            yield number, KeptRecord(text, before, source)
        self.rest, _ = self._tap.taken(0)


class KeptText(_KeptLines):
    """The lines of a text, which is a document."""

    def _parse(self, record: KeptRecord, origin: Origin) -> Sentence:
        check_decoded(record.source, origin, self.inner.data.encoding)
        record.cells = [PlainCell(record.source, 0, 0)]
        return text_sentence(record.source, self._rule, origin)


def _json_sentence(
    values: Mapping[str, Any],
    column: str,
    scalars: list[JsonScalar],
    before: int,
    records: KeptRecords,
    record: KeptRecord,
    origin: Origin,
    chosen: bool,
) -> Sentence:
    """The sentence in a record of JSON or Parquet, whose scalars are at `before` in its raw text."""
    value = values.get(column)
    document = document_of(values)
    record.document = f"number {origin.number}" if document is None else f"name {document}"
    if isinstance(value, str):
        main = text_sentence(value, records._rule, origin, document)
    elif isinstance(value, list):
        main = Sentence(words_of(value, column, origin), None, origin, document=document)
    else:
        raise origin.error("there is no text.")
    own = [scalar for scalar in scalars if scalar.path[0] == column]
    others = [scalar for scalar in scalars if scalar.path[0] != column and _has_text(scalar.value)] if chosen else []
    sentence, begins = records._with_others(main, [scalar.value or "" for scalar in others])
    texts, offsets = text_of(main)
    starts = [start for start, _ in offsets] if isinstance(value, list) else [0]
    shown = list(main.words) if isinstance(value, list) else [texts]
    if len(own) != len(starts):
        raise origin.error("there is a nested value.")
    escapes = isinstance(records, KeptJson)
    if not escapes and any(one.value is None for one in own):
        raise origin.error("there is a number, which a column of numbers cannot replace by text.")
    places = [*zip(own, shown, starts), *((one, one.value or "", begin) for one, begin in zip(others, begins))]
    record.cells = [JsonCell(text, begin, before + one.start, one.token, escapes) for one, text, begin in places]
    record.cells.sort(key=lambda cell: cell.start if isinstance(cell, JsonCell) else 0)
    return sentence


def _has_text(value: str | None) -> bool:
    return value is not None and bool(value.strip())


class KeptJson(_KeptLines):
    """Lines of JSON. A record is a document, with its neighbours if they have the same `document`."""

    def _parse(self, record: KeptRecord, origin: Origin) -> Sentence:
        values = self.inner.record(record.source, origin)
        column = self.inner.word_column or ""
        scalars = list(json_scalars(record.source))
        others = [
            str(scalar.path[0])
            for scalar in scalars
            if scalar.path[0] not in (column, *self._others.kept) and _has_text(scalar.value)
        ]
        chosen = self._others.chosen(others, origin)
        taken = [scalar for scalar in scalars if scalar.path[0] == column or scalar.path[0] in others]
        return _json_sentence(values, column, taken, record.before, self, record, origin, chosen)


class KeptCsv(_KeptLines):
    """Rows of CSV with a text. Each is a document."""

    def _parse(self, record: KeptRecord, origin: Origin) -> Sentence:
        inner: CsvRecords = self.inner
        if not inner.is_text_a_row:
            problem = "has words in its rows. Only texts in CSV can be redacted."
            named = "If a row is a text, name its column with --text-column-name. Otherwise, convert the file"
            hint = _CONVERT if inner.is_word_a_row else f"{named} to JSON lines with tf-tokclf convert."
            raise SettingError(problem, path=origin.path, hint=hint)
        main = inner.parse(record.source, origin)
        row = record.raw[record.before :]
        # The line end belongs to the last field if its quotes are not closed.
        fields = csv_fields(row.rstrip("\r\n"), inner.separator)
        fields = fields if _values(fields) == record.source else csv_fields(row, inner.separator)
        if _values(fields) != record.source:
            raise origin.error("is written in an unusual way.")
        record.document = f"number {origin.number}"
        column = inner.columns.index(inner.word_column or "")
        kept = {i for i, name in enumerate(inner.columns) if name in self._others.kept or str(i) in self._others.kept}
        others = [i for i, one in enumerate(fields) if i != column and i not in kept and _is_text(one.value)]
        chosen = self._others.chosen([str(inner.columns[i]) for i in others], origin)
        others = others if chosen else []
        sentence, begins = self._with_others(main, [fields[i].value for i in others])
        for i, begin in sorted([(column, 0), *zip(others, begins)]):
            one = fields[i]
            record.cells.append(
                CsvCell(one.value, begin, record.before + one.start, one.token, inner.separator, len(fields) == 1)
            )
        return sentence


def _values(fields: list[CsvField]) -> list[str]:
    return [one.value for one in fields]


def _is_text(value: str) -> bool:
    """Whether a field of CSV is a text: not empty and not a number."""
    try:
        float(value)
    except ValueError:
        return bool(value.strip())
    return False


class KeptParquet(KeptRecords):
    """Rows of Parquet. Their raw text is a line of JSON with the columns that may be redacted."""

    def __init__(self, inner: ParquetRecords, others: OtherColumns) -> None:
        super().__init__(inner, others)
        names = inner.schema.names if others.policy == "redact" else [inner.column]
        self.columns = tuple(name for name in names if name == inner.column or name not in others.kept)

    def frames(self) -> Iterator[Frame]:
        """The rows."""
        for number, row in self.inner.frames():
            yield number, KeptRecord(virtual_line(row, self.columns), 0, row)

    def _parse(self, record: KeptRecord, origin: Origin) -> Sentence:
        column, row = self.inner.column, record.source
        others = [
            name for name, value in row.items() if name not in (column, *self._others.kept) and _contains_text(value)
        ]
        chosen = self._others.chosen(others, origin)
        if chosen and (odd := [name for name in others if not is_json(row[name])]):
            hint = "Keep it with --keep-column, or remove it from the file."
            problem = f"the texts in column {odd[0]!r} cannot be redacted."
            raise SettingError(problem, path=origin.path, row=origin.number, hint=hint)
        scalars = [one for one in json_scalars(record.raw) if one.path[0] == column or chosen]
        return _json_sentence(row, column, scalars, 0, self, record, origin, chosen)


def virtual_line(row: Mapping[str, Any], columns: tuple[str, ...]) -> str:
    """The values of a row that may be redacted, as a line of JSON."""
    values = {name: row[name] for name in columns}
    return json_line({name: value for name, value in values.items() if is_json(value)})


def is_json(value: Any) -> bool:
    """Whether JSON can contain a value, and gives it back unchanged."""
    try:
        return json.loads(json.dumps(value)) == value
    except (TypeError, ValueError):
        return False


def _contains_text(value: Any) -> bool:
    if isinstance(value, (str, bytes)):
        return bool(value.strip())
    values = value.values() if isinstance(value, Mapping) else value
    return isinstance(value, (list, Mapping)) and any(map(_contains_text, values))


_KINDS: dict[type, Any] = {
    TextRecords: KeptText,
    JsonRecords: KeptJson,
    CsvRecords: KeptCsv,
    ParquetRecords: KeptParquet,
}


def keep_records(stream: RecordStream, others: OtherColumns, *, is_column_named: bool = False) -> KeptRecords:
    """Make the records of a stream keep their raw text. Raises UserError for a format that cannot be redacted.

    is_column_named: whether the user named the column of the text, which is then a text whatever it looks like.
    """
    inner: RecordFormat = stream.format
    kind = _KINDS.get(type(inner))
    if kind is None:
        raise UserError(f"{inner.name} cannot be redacted.", path=stream.place, hint=_CONVERT)
    if isinstance(inner, JsonRecords) and inner.unit == "row":
        raise UserError("is one JSON document. Only JSON lines can be redacted.", path=stream.place, hint=_CONVERT)
    if isinstance(inner, CsvRecords) and is_column_named:
        inner.read_as_text()
    stream.remedy = _REMEDY
    kept: KeptRecords = kind(inner, others)
    stream.format = kept
    return kept
