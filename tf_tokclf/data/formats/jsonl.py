"""JSON records: a file of a record a line, or one JSON list of records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.formats.json_formats import records_in, wraps_records
from tf_tokclf.data.formats.spacy_pairs import is_pair, record_of
from tf_tokclf.data.reading.annotated import Record
from tf_tokclf.data.reading.base import FileReader, Problems, read_lines, undecoded
from tf_tokclf.data.reading.missing import NOT_ANNOTATED
from tf_tokclf.data.reading.records import Layout, choose_layout, filled_fields, read_records
from tf_tokclf.errors import UserError
from tf_tokclf.json_text import parse_json
from tf_tokclf.labels.sentence import Origin, Sentence

_SAMPLED_RECORDS = 50


@dataclass(frozen=True)
class JsonReader(FileReader):
    """A file of JSON records."""

    layout: Layout

    @property
    def label_names(self) -> tuple[str, ...] | None:
        return self.layout.label_names

    def sentences(self, problems: Problems) -> Iterator[Sentence]:
        return read_records(json_records(self.path, self.options.encoding, problems), self.layout, problems)


def open_json(path: Path, data: DataConfig, task: Task) -> JsonReader:
    """Find out which fields of a file's records hold words and labels."""
    records = json_records(path, data.encoding, Problems(skip=data.on_error == "skip"))
    sample = [record for _, record in islice(records, _SAMPLED_RECORDS)]
    if not sample:
        raise UserError("contains no records.", path=path, hint="One JSON object per line was expected.")
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
    """The layout that the first records show; where none of them is annotated, those later records that are."""
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
    """The records of a file with their places, lazily where the file has a record a line."""
    lines = read_lines(path, encoding)
    number, opening = next(((n, line) for n, line in enumerate(lines, 1) if not line.isspace()), (0, ""))
    if not opening:
        return
    if _is_json(opening) and _is_whole(opening):
        yield from _records_in_lines(path, encoding, problems, number, opening, lines)
        return
    text = opening + "".join(lines)
    # A first line that is not valid JSON begins a document over several lines, or is a fault among records.
    if opening.lstrip()[:1] != "{" or opening.strip() == "{" or _is_json(opening) or _is_json(text):
        yield from _records_in_document(path, text, encoding, problems)
    else:
        rest = iter(text[len(opening) :].splitlines(keepends=True))
        yield from _records_in_lines(path, encoding, problems, number, opening, rest)


def _is_whole(line: str) -> bool:
    """Whether a first line is a record by itself, and not a document of records."""
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
    if error := undecoded(line, path, number, encoding):
        raise error
    try:
        value = parse_json(line)
    except ValueError as error:
        shown = line.strip()[:60]
        hint = "One JSON object per line was expected."
        raise UserError(f"is not valid JSON ({error}): {shown!r}.", path=path, line=number, hint=hint) from error
    return _mapping(value, Origin(str(path), number))


def _records_in_document(path: Path, text: str, encoding: str, problems: Problems) -> Iterator[tuple[Origin, Record]]:
    for number, line in enumerate(text.split("\n"), 1) if not text.isascii() else ():
        if error := undecoded(line, path, number, encoding):
            raise error
    for row, item in enumerate(records_in(parse_document(text, path), str(path)), 1):
        origin = Origin(str(path), row, "row")
        if item is None:
            problems.counts.note(NOT_ANNOTATED.partition(" (")[0], origin)
        else:
            yield origin, _mapping(item, origin)


def parse_document(text: str, place: str | Path, *, halves: bool = False) -> Any:
    """The value of a JSON document, whose faults are named by line. Raises UserError."""
    try:
        return parse_json(text, halves=halves)
    except ValueError as error:
        problem, line = getattr(error, "msg", str(error)), getattr(error, "lineno", None)
        raise UserError(f"is not valid JSON: {problem}.", path=place, line=line, hint="Correct it there.") from error


def _mapping(value: Any, origin: Origin) -> Record:
    if isinstance(value, dict):
        return value
    if is_pair(value):
        return record_of(value)
    raise origin.error(f"is not a JSON object: {str(value)[:60]!r}.", "A record with named fields was expected.")
