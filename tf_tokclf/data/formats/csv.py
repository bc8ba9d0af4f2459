"""CSV: one word per row, or one sentence per row with lists of words and labels."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.counted import counted
from tf_tokclf.data.formats.conll import separator_named
from tf_tokclf.data.formats.format import Format, Match, Numbered, Seen, open_for_columns, possible
from tf_tokclf.data.reading.annotated import Record
from tf_tokclf.data.reading.base import FileReader, Problems, read_lines, undecoded
from tf_tokclf.data.reading.guessing import looks_like_tags, with_numbers
from tf_tokclf.data.reading.records import Layout, Shape, choose_layout, is_word_with_tag, read_records
from tf_tokclf.data.writing.base import Writing
from tf_tokclf.errors import UserError
from tf_tokclf.labels.sentence import Origin, Sentence

_SAMPLED_ROWS = 200
_SEPARATORS = (",", ";", "\t", "|")


@dataclass(frozen=True)
class CsvReader(FileReader):
    """Reads a CSV file. names: from the header, or column numbers without a header."""

    layout: Layout
    names: tuple[str, ...]
    separator: str

    @property
    def label_names(self) -> tuple[str, ...] | None:
        return self.layout.label_names

    def sentences(self, problems: Problems) -> Iterator[Sentence]:
        rows = csv_rows(self.path, self.options, self.names, self.separator, problems)
        return read_records(rows, self.layout, problems)


def open_csv(path: Path, data: DataConfig, task: Task) -> CsvReader:
    """A reader for a CSV file; detects the separator and the columns of words and labels."""
    first = next((line for line in read_lines(path, data.encoding) if not line.isspace()), "")
    if not first:
        raise UserError("contains no rows.", path=path, hint="A CSV file needs a header and rows.")
    separator = separator_named(data.separator) or max(_SEPARATORS, key=first.count)
    if len(separator) != 1 or separator in '\r\n"':
        problem = f"{separator!r} cannot be the separator of a CSV file."
        raise UserError(problem, path=path, hint="Use one character, or tab.")
    # The length of a field is not limited; Python's default limit is 131,072 characters.
    csv.field_size_limit(2**31 - 1)
    try:
        fields = next(csv.reader([first], delimiter=separator))
    except csv.Error as error:
        hint = "Check the quotes and line ends."
        raise UserError(f"is not valid CSV: {error}.", path=path, line=1, hint=hint) from error
    options = data.model_copy(update={"format": "csv", "header": data.header is not False})
    header = tuple(with_numbers([field.strip() for field in fields]))
    numbers = tuple(map(str, range(len(fields))))
    names = header if options.header else numbers
    sample = _sample(path, options, names, separator)
    if data.header is None and _is_data(header, sample):
        options, names = options.model_copy(update={"header": False}), numbers
        sample = _sample(path, options, names, separator)
    options = _named_columns(options, names)
    filled = [record for record in sample if record]
    layout = choose_layout(names, filled, options, task, path=str(path), has_borders=len(filled) < len(sample))
    label = layout.label if layout.label is not None else data.label_column_name
    options = options.model_copy(update={"text_column_name": layout.word, "label_column_name": label})
    notes = (layout.note(), *_doubts(layout, sample))
    return CsvReader(path, options, notes, layout, names, separator)


def _sample(path: Path, data: DataConfig, names: tuple[str, ...], separator: str) -> list[Record]:
    """The first records. Unreadable rows are left out, and empty rows are empty records."""
    rows = csv_rows(path, data, names, separator, Problems(skip=True))
    return [record for _, record in islice(rows, _SAMPLED_ROWS)]


def _is_data(header: Sequence[str], sample: Sequence[Record]) -> bool:
    """Whether the first row is not a header, because it has a tag above other tags."""
    columns = ((name, [record[name] for record in sample if record]) for name in header)
    return any(looks_like_tags({name: 1}) and looks_like_tags(values) for name, values in columns)


def _doubts(layout: Layout, sample: Sequence[Record]) -> list[str]:
    """A note if words may not be divided into sentences."""
    if layout.sentence or not all(sample):
        return []
    remedy = "if a column identifies the sentence of each word, name it with --sentence-column-name"
    if layout.shape is Shape.WORD and len(sample) == _SAMPLED_ROWS:
        return [f"there is no empty row among the first {_SAMPLED_ROWS}: {remedy}"]
    if layout.shape is Shape.SENTENCE and len(sample) > 1 and is_word_with_tag(layout.word, layout.label, sample):
        return [f"each row has only one word: {remedy}"]
    return []


def csv_rows(
    path: Path, data: DataConfig, names: tuple[str, ...], separator: str, problems: Problems
) -> Iterator[tuple[Origin, Record]]:
    """The rows as records, each with its line. An empty row becomes an empty record."""
    bad: dict[int, UserError] = {}

    def checked() -> Iterator[str]:
        for number, line in enumerate(read_lines(path, data.encoding), 1):
            if error := undecoded(line, path, number, data.encoding):
                bad[number] = error
            yield line

    rows = csv.reader(checked(), delimiter=separator)
    to_skip = data.header is not False
    end = 0
    while True:
        try:
            fields = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            problem = UserError(f"is not valid CSV: {error}.", path=path, line=rows.line_num, hint="Check the quotes.")
            problems.report(problem)
            continue
        start, end = end + 1, rows.line_num
        origin = Origin(str(path), start)
        if not any(fields):
            yield origin, {}
        elif to_skip:
            to_skip = False
        elif broken := next((bad.pop(n) for n in range(start, end + 1) if n in bad), None):
            problems.report(broken)
        elif len(fields) != len(names):
            hint = "Quote fields that contain the separator, or set the separator."
            message = f"the row has {counted(len(fields), 'field')} instead of {len(names)}."
            problems.report(origin.error(message, hint))
        else:
            yield origin, dict(zip(names, fields))


def _named_columns(data: DataConfig, names: tuple[str, ...]) -> DataConfig:
    """Convert column numbers to names, which equal the numbers if there is no header."""
    wanted = {
        field: str(value)
        for field in ("text_column_name", "label_column_name", "sentence_column_name")
        if isinstance(value := getattr(data, field), int) and str(value) in names
    }
    return data.model_copy(update=wanted)


def _recognise(seen: Seen) -> Match | None:
    commas = {line.count(",") for line in seen.lines}
    looks_like = len(seen.lines) > 1 and len(commas) == 1 and commas != {0} and not seen.is_json
    return possible("its lines have the same number of commas", looks_like)


def write(sentences: Iterable[Sentence], writing: Writing) -> Iterator[str]:
    """One word per row, with the number of its sentence."""
    yield _csv_row(["sentence_id", "word", *_label_column(writing)])
    for number, sentence in enumerate(sentences, 1):
        for fields in zip(sentence.words, writing.written_labels(sentence)) if sentence.labels else zip(sentence.words):
            yield _csv_row([number, *fields])


def write_lists(sentences: Iterable[Sentence], writing: Writing) -> Iterator[str]:
    """One sentence per row, with words and labels as JSON lists."""
    yield _csv_row(["tokens", *_label_column(writing)])
    for sentence in sentences:
        lists = [sentence.words] if sentence.labels is None else [sentence.words, writing.labels(sentence)]
        yield _csv_row([json.dumps(values, ensure_ascii=False) for values in lists])


def _label_column(writing: Writing) -> list[str]:
    return [] if writing.scheme is None else [writing.label_column]


def _csv_row(fields: Sequence[Any]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(fields)
    return buffer.getvalue()


def column_values(path: Path, data: DataConfig, task: Task) -> Numbered:
    """The columns of each row."""
    reader = open_for_columns(open_csv, path, data, task)
    for origin, record in csv_rows(path, reader.options, reader.names, reader.separator, Problems(skip=True)):
        yield origin.number, record


FORMAT = Format(
    "csv",
    "CSV: one word per row, or one sentence per row with lists",
    _recognise,
    open_csv,
    suffixes=(".csv",),
    write=write,
    keeps_missing_labels=True,
    columns=column_values,
)
LISTS_FORMAT = Format(
    "csv-lists", "CSV with one sentence per row (output only)", write=write_lists, keeps_missing_labels=True
)
