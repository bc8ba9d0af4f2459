"""JSON records: one record per line, or one JSON document with records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.counted import counted
from tf_tokclf.data.formats.format import Format, Kind, Match, Numbered, Seen, certain, likely, possible
from tf_tokclf.data.formats.record_formats import RECORD_FORMATS
from tf_tokclf.data.formats.spacy import is_pair, record_of
from tf_tokclf.data.reading.annotated import JsonFormat, Record
from tf_tokclf.data.reading.base import FileReader, Problems, check_decoded, read_lines
from tf_tokclf.data.reading.guessing import WORD_NAMES, guess_named_column
from tf_tokclf.data.reading.missing import NOT_ANNOTATED
from tf_tokclf.data.reading.records import Layout, choose_layout, filled_fields, read_records
from tf_tokclf.data.writing.base import Writing
from tf_tokclf.errors import UserError
from tf_tokclf.json_text import json_line, parse_json
from tf_tokclf.labels.sentence import Origin, Sentence

_SAMPLED_RECORDS = 50
_SPLITS = ("train", "validation", "dev", "valid", "test")


@dataclass(frozen=True)
class JsonReader(FileReader):
    """Reads a file of JSON records."""

    layout: Layout

    @property
    def label_names(self) -> tuple[str, ...] | None:
        return self.layout.label_names

    def sentences(self, problems: Problems) -> Iterator[Sentence]:
        return read_records(json_records(self.path, self.options.encoding, problems), self.layout, problems)


def open_json(path: Path, data: DataConfig, task: Task) -> JsonReader:
    """A reader for a file; detects the fields of words and labels."""
    records = json_records(path, data.encoding, Problems(skip=data.on_error == "skip"))
    sample = [record for _, record in islice(records, _SAMPLED_RECORDS)]
    if not sample:
        raise UserError("contains no records.", path=path, hint="Write one JSON object per line.")
    layout = _layout(sample, path, data, task, more=(record for _, record in records))
    names = {name for record in sample for name in record}
    options = data.model_copy(
        update={
            "format": layout.dialect or "jsonl",
            "text_column_name": layout.word if layout.word in names else data.text_column_name,
            "label_column_name": layout.label if layout.label in names else data.label_column_name,
        }
    )
    return JsonReader(path, options, (layout.note(),), layout)


def _layout(sample: list[Record], path: Path, data: DataConfig, task: Task, *, more: Iterator[Record]) -> Layout:
    """The layout of the first records. If none of them is annotated, later records with more fields are used too."""
    layout = _choose(sample, path, data, task)
    if data.label_column_name == "" or any(record.get(layout.label or "") for record in sample):
        return layout
    known = {name for record in sample for name in filled_fields(record)}
    others = list(islice((record for record in more if not filled_fields(record) <= known), _SAMPLED_RECORDS))
    return _choose([*sample, *others], path, data, task) if others else layout


def _choose(sample: Sequence[Record], path: Path, data: DataConfig, task: Task) -> Layout:
    names = list(dict.fromkeys(name for record in sample for name in record))
    return choose_layout(names, sample, data, task, path=str(path))


def json_records(path: Path, encoding: str, problems: Problems) -> Iterator[tuple[Origin, Record]]:
    """The records of a file with their origins. Lazy if the file has one record per line."""
    lines = read_lines(path, encoding)
    number, opening = next(((n, line) for n, line in enumerate(lines, 1) if not line.isspace()), (0, ""))
    if not opening:
        return
    if _is_json(opening) and _is_whole(opening):
        yield from _records_in_lines(path, encoding, problems, number, opening, lines)
        return
    text = opening + "".join(lines)
    # A first line that is not valid JSON is the start of a document, or an invalid record.
    if opening.lstrip()[:1] != "{" or opening.strip() == "{" or _is_json(opening) or _is_json(text):
        yield from _records_in_document(path, text, encoding, problems)
    else:
        rest = iter(text[len(opening) :].splitlines(keepends=True))
        yield from _records_in_lines(path, encoding, problems, number, opening, rest)


def _is_whole(line: str) -> bool:
    """Whether a line is a record by itself and not a document of records."""
    value = parse_json(line)
    return is_pair(value) or (isinstance(value, dict) and not wraps_records(value))


def _is_json(text: str) -> bool:
    try:
        parse_json(text)
    except ValueError:
        return False
    return True


def _records_in_lines(
    path: Path, encoding: str, problems: Problems, number: int, line: str, lines: Iterator[str]
) -> Iterator[tuple[Origin, Record]]:
    while line:
        if not line.isspace():
            try:
                yield Origin(str(path), number), _record(line, path, number, encoding)
            except UserError as error:
                problems.report(error)
        number, line = number + 1, next(lines, "")


def _record(line: str, path: Path, number: int, encoding: str) -> Record:
    check_decoded(line, Origin(str(path), number), encoding)
    try:
        value = parse_json(line)
    except ValueError as error:
        shown = line.strip()[:60]
        hint = "Write one JSON object per line."
        raise UserError(f"is not valid JSON ({error}): {shown!r}.", path=path, line=number, hint=hint) from error
    return _mapping(value, Origin(str(path), number))


def _records_in_document(path: Path, text: str, encoding: str, problems: Problems) -> Iterator[tuple[Origin, Record]]:
    for number, line in enumerate(text.split("\n"), 1) if not text.isascii() else ():
        check_decoded(line, Origin(str(path), number), encoding)
    for row, item in enumerate(records_in(parse_document(text, path), str(path)), 1):
        origin = Origin(str(path), row, "row")
        if item is None:
            problems.counts.note(NOT_ANNOTATED.partition(" (")[0], origin)
        else:
            yield origin, _mapping(item, origin)


def parse_document(text: str, place: str | Path, *, halves: bool = False) -> Any:
    """Parse a JSON document. Raises UserError with the line of the error."""
    try:
        return parse_json(text, halves=halves)
    except ValueError as error:
        problem, line = getattr(error, "msg", str(error)), getattr(error, "lineno", None)
        raise UserError(f"is not valid JSON: {problem}.", path=place, line=line, hint="Correct the file.") from error


def _mapping(value: Any, origin: Origin) -> Record:
    if isinstance(value, dict):
        return value
    if is_pair(value):
        return record_of(value)
    raise origin.error(f"is not a JSON object: {str(value)[:60]!r}.", "A record needs named fields.")


def records_in(value: Any, place: str) -> list[Any]:
    """The records in a JSON document: a list, a list inside an object, the rows of an object of columns, or one record.
    Raises UserError if there are none.
    """
    if isinstance(value, list):
        return value
    if not isinstance(value, dict):
        raise UserError(
            f"is not a list of records: {str(value)[:60]!r}.", path=place, hint="Write one record per line."
        )
    for format in RECORD_FORMATS.values():
        if format.unwrap is not None and (records := format.unwrap(value)) is not None:
            return records
    if isinstance(value.get("data"), list):
        return list(value["data"])
    splits = [name for name in value if name.lower() in _SPLITS and isinstance(value[name], list)]
    if len(splits) > 1:
        hint = "Write each split to a separate file."
        raise UserError(f"contains several splits: {', '.join(splits)}.", path=place, hint=hint)
    if splits:
        return list(value[splits[0]])
    return _rows(value) or [value]


def _rows(value: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of an object whose fields are columns of equal length, with lists or texts as cells."""
    columns = list(value.values())
    if len(columns) < 2 or not all(isinstance(column, list) and column for column in columns):
        return []
    found = guess_named_column(list(value), WORD_NAMES)
    cells = [] if found is None else columns[found]
    # A single record can also have lists of equal length (words, boxes), but its words are neither lists nor texts.
    are_words = all(isinstance(cell, list) for cell in cells)
    are_texts = all(isinstance(cell, str) for cell in cells) and any(" " in cell.strip() for cell in cells)
    if not cells or not (are_words or are_texts) or len({len(column) for column in columns}) > 1:
        return []
    return [dict(zip(value, row)) for row in zip(*columns)]


def wraps_records(value: Any) -> bool:
    """Whether a JSON object is a document of records, and not one of several records of a file.

    >>> wraps_records({"rasa_nlu_data": {"common_examples": []}}), wraps_records({"tokens": ["Ada"], "tags": ["O"]})
    (True, False)
    """
    if not isinstance(value, dict):
        return False
    try:
        records = records_in(value, "")
    except UserError:
        return True
    return not (len(records) == 1 and records[0] is value)


def write(sentences: Iterable[Sentence], writing: Writing) -> Iterator[str]:
    """One record per line, with tokens and a list of labels named after the task."""
    for sentence in sentences:
        record: dict[str, Any] = {"tokens": sentence.words}
        if sentence.labels is not None:
            record[writing.label_column] = writing.labels(sentence)
        if sentence.document is not None:
            record["document"] = sentence.document
        yield json_line(record)


def column_values(path: Path, data: DataConfig, task: Task) -> Numbered:
    """The fields of each record."""
    for origin, record in json_records(path, data.encoding, Problems(skip=True)):
        yield origin.number, record


FORMAT = Format(
    "jsonl",
    "JSON records with a list of words and a list of labels",
    lambda seen: certain("its first line is JSON", seen.is_json),
    open_json,
    suffixes=(".jsonl", ".ndjson", ".jsonlines", ".json"),
    write=write,
    keeps_missing_labels=True,
    has_own_encoding=True,
    columns=column_values,
)


def format_of_records(format: JsonFormat) -> Format:
    """The format of files with records of `format`. They are read like `jsonl`."""

    def recognise(seen: Seen) -> Match | None:
        fitting = [record for record in seen.records if format.fits(record)]
        if not fitting:
            return None
        fields = format.fields(list(dict.fromkeys(name for record in fitting for name in record)))
        there = " and ".join(repr(name) for name in (fields.word, fields.label) if name and name in fitting[0])
        n, n_fitting = len(seen.records), len(fitting)
        share = ("its record has" if n == 1 else f"its first {counted(n, 'record')} have") if n == n_fitting else ""
        share = share or f"{n_fitting} of its first {counted(n, 'record')} have"
        match = likely if 2 * n_fitting >= n else possible
        return match(f"{share} {there or 'fields'} in the form of this format", True)

    return Format(
        format.name,
        format.description,
        recognise,
        open_json,
        Kind.RECORDS,
        write=format.write,
        has_spans_only=format.write is not None,
        records=format,
        columns=column_values,
    )
