"""Amazon Comprehend: plain-text documents, and beside them a CSV file with the positions of spans.

    File,Line,Begin Offset,End Offset,Type
    documents.txt,0,0,5,PERSON

Line numbers start at 0, and offsets are relative to the line. Without the column `Line`, a file is one document, and
offsets are relative to the document. Each line is read as a sentence.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.counted import counted
from tf_tokclf.data.formats.format import Format, Kind, Match, Seen, certain
from tf_tokclf.data.reading.annotated import Annotated, Annotation
from tf_tokclf.data.reading.base import FileReader, Problems, check_decoded, hash_files, read_lines, require_file
from tf_tokclf.data.reading.texts import TextReading
from tf_tokclf.errors import UserError
from tf_tokclf.labels.char_spans import CharSpan, in_unit
from tf_tokclf.labels.sentence import Origin, Sentence

_FILE, _LINE, _BEGIN, _END, _TYPE = "file", "line", "begin offset", "end offset", "type"
_NEEDED = {_FILE, _BEGIN, _END, _TYPE}
# Spans of a document by line number; all under None if offsets are relative to the document.
_Spans = Mapping[int | None, list[CharSpan]]


@dataclass(frozen=True)
class ComprehendReader(FileReader):
    """Reads a file of annotations and the documents that it names."""

    documents: Mapping[Path, _Spans]
    reading: TextReading

    def content_key(self) -> str:
        return hash_files([self.path, *self.documents])

    def sentences(self, problems: Problems) -> Iterator[Sentence]:
        for path, spans in self.documents.items():
            start = n_lines = 0
            for number, line in enumerate(read_lines(path, self.options.encoding), 1):
                n_lines, text = number, line.rstrip("\r\n")
                inside = spans.get(number - 1, [])
                if None in spans:
                    inside = self._of_line(spans[None], start, line)
                    start += in_unit(len(line), line, self.options.offset_unit)
                if text.strip() or inside:
                    origin = Origin(str(path), number)
                    yield from problems.readable(self._sentence(text, inside, origin, problems))
            for error in self._unread(path, spans, n_lines, start):
                problems.report(error)

    def _unread(self, path: Path, spans: _Spans, n_lines: int, length: int) -> Iterator[UserError]:
        """An error for each span outside all lines of a document."""
        hint = f"Compare it with {self.path.name}."
        for line, inside in spans.items():
            if line is not None and not 0 <= line < n_lines:
                problem = f"there is no line {line}: the file has {counted(n_lines, 'line')}, numbered from 0."
                yield UserError(problem, path=path, hint=hint)
            for span in inside if line is None else ():
                if not 0 <= span.start < length:
                    problem = f"a span begins at {span.start}, but the document ends at {length}."
                    yield UserError(problem, path=path, hint=hint)

    def _of_line(self, spans: list[CharSpan], start: int, line: str) -> list[CharSpan]:
        """The spans that begin in a line, with offsets relative to the line."""
        end = start + in_unit(len(line), line, self.options.offset_unit)
        return [CharSpan(s.start - start, s.end - start, s.type) for s in spans if start <= s.start < end]

    def _sentence(
        self, text: str, spans: list[CharSpan], origin: Origin, problems: Problems
    ) -> Iterator[Sentence | None]:
        check_decoded(text, origin, self.options.encoding)
        is_labelled = self.options.label_column_name != ""
        found = Annotated(text, annotations=(Annotation.of_spans(spans),), is_labelled=is_labelled)
        yield self.reading.sentence(found, origin, problems)


def open_comprehend(path: Path, data: DataConfig, task: Task) -> ComprehendReader:
    """A reader of the annotations in a file and the documents beside it."""
    documents: dict[Path, dict[int | None, list[CharSpan]]] = {}
    lines = read_lines(require_file(path), data.encoding)
    rows = csv.reader(lines)
    names = [name.strip().lower() for name in next(rows, [])]
    if not set(names) >= _NEEDED:
        hint = "The first line must be File,Line,Begin Offset,End Offset,Type (Line is optional)."
        missing = ", ".join(sorted(_NEEDED - set(names)))
        raise UserError(f"the CSV file lacks columns: {missing}.", path=path, hint=hint)
    for row in rows:
        if any(row):
            document, line, span = _annotation(dict(zip(names, row)), Origin(str(path), rows.line_num))
            documents.setdefault(document, {}).setdefault(line, []).append(span)
    if not documents:
        raise UserError("contains no annotations.", path=path, hint="Check the program that wrote it.")
    reading = TextReading.of(data)
    options = data.model_copy(update={"format": "comprehend"})
    n = counted(len(documents), "document")
    return ComprehendReader(path, options, (f"{n}, one sentence per line; {reading.note()}",), documents, reading)


def _annotation(row: Mapping[str, str], origin: Origin) -> tuple[Path, int | None, CharSpan]:
    """The document, the line and the span of a row."""
    name, type = row.get(_FILE, "").strip(), row.get(_TYPE, "").strip()
    try:
        start, end = int(row[_BEGIN]), int(row[_END])
        line = int(row[_LINE]) if _LINE in row else None
    except (KeyError, ValueError):
        problem = f"{','.join(row.values())[:60]!r} is not an annotation."
        raise origin.error(problem, "Line and offsets must be integers.") from None
    if not name or not type:
        raise origin.error("a row has no file or no type.", "Check the program that wrote it.")
    if PurePosixPath(name).name != name or "\\" in name:
        problem = f"the document {name!r} is not in the same folder."
        raise origin.error(problem, "Put it there, and write its name without folders.")
    document = Path(origin.path).with_name(name)
    if not document.is_file():
        problem = f"there is no document {name!r} in the same folder."
        raise origin.error(problem, "Put all documents into the folder of this file.")
    return document, line, CharSpan(start, end, type)


def _recognise(seen: Seen) -> Match | None:
    if seen.is_folder or seen.path.suffix.lower() != ".csv" or not seen.path.is_file():
        return None
    names = {name.strip(' "\r\n').lower() for name in "".join(seen.lines[:1]).split(",")}
    return certain("its columns are File, Begin Offset, End Offset and Type", names >= _NEEDED)


# The key under which `csv` returns the values after the last column of a row.
_MORE = "values after the last column"


def _documents(path: Path, data: DataConfig) -> Iterator[Path]:
    """The documents that a file of annotations names."""
    if data.format != "comprehend" and (data.format != "auto" or _recognise(Seen(path, data.encoding)) is None):
        return
    rows = csv.DictReader(read_lines(path, data.encoding), restkey=_MORE)
    rows.fieldnames = [name.strip().lower() for name in rows.fieldnames or ()]
    names = {(row.get(_FILE) or "").strip() for row in rows}
    yield from (path.with_name(name) for name in sorted(names) if name and PurePosixPath(name).name == name)


FORMAT = Format(
    "comprehend",
    "Amazon Comprehend: a CSV file of annotations beside its documents",
    _recognise,
    open_comprehend,
    Kind.FOLDER,
    read_beside=_documents,
)
