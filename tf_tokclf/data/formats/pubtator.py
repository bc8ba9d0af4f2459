"""PubTator: title, abstract and spans of each document. Offsets count from the beginning of the title.

    10021369|t|Identification of APC2
    10021369|a|APC mutations initiate cancer.
    10021369<TAB>18<TAB>22<TAB>APC2<TAB>Gene<TAB>10297

Title and abstract are each read as one sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.formats.format import Format, certain
from tf_tokclf.data.reading.base import FileReader, Problems, read_lines, undecoded
from tf_tokclf.data.reading.passages import Passage, annotated_passages
from tf_tokclf.data.reading.texts import TextReading
from tf_tokclf.errors import UserError
from tf_tokclf.labels.char_spans import CharSpan
from tf_tokclf.labels.sentence import Origin, Sentence

_TEXT = re.compile(r"([^|\t]+)\|([a-z])\|(.*)")


@dataclass
class _Document:
    key: str
    line: int
    passages: list[Passage] = field(default_factory=list)
    spans: list[CharSpan] = field(default_factory=list)

    def add(self, text: str) -> None:
        start = self.passages[-1].end + 1 if self.passages else 0
        self.passages.append(Passage(start, text))


@dataclass(frozen=True)
class PubtatorReader(FileReader):
    """Reads a file of documents."""

    reading: TextReading

    def sentences(self, problems: Problems) -> Iterator[Sentence]:
        is_labelled = self.options.label_column_name != ""
        for document in self._documents(problems):
            found = annotated_passages(
                document.passages, document.spans, document.key, problems.counts, is_labelled=is_labelled
            )
            for number, annotated in enumerate(found):
                if annotated.text:
                    origin = Origin(str(self.path), document.line + number)
                    yield from problems.readable(self.reading.sentences([annotated], origin, problems))

    def _documents(self, problems: Problems) -> Iterator[_Document]:
        document: _Document | None = None
        for number, line in enumerate(read_lines(self.path, self.options.encoding), 1):
            line = line.rstrip("\r\n")
            if error := undecoded(line, self.path, number, self.options.encoding):
                problems.report(error)
            elif found := _TEXT.match(line):
                if document and document.key != found[1]:
                    yield document
                    document = None
                document = document or _Document(found[1], number)
                document.add(found[3])
            elif line.strip() and document:
                try:
                    document.spans += _span(line, Origin(str(self.path), number))
                except UserError as error:
                    problems.report(error)
        if document:
            yield document


def _span(line: str, origin: Origin) -> list[CharSpan]:
    """The span in a line; none in a line of a relation."""
    fields = line.split("\t")
    if len(fields) < 5:
        return []
    if not (fields[1].isdigit() and fields[2].isdigit()):
        if not fields[1].isdigit() and not fields[2].isdigit():
            return []
        raise origin.error(f"is not an annotation: {line[:60]!r}.", "It needs an id, start, end, text and type.")
    return [CharSpan(int(fields[1]), int(fields[2]), fields[4], fields[3])]


def open_pubtator(path: Path, data: DataConfig, task: Task) -> PubtatorReader:
    """A reader of PubTator documents."""
    reading = TextReading.of(data)
    options = data.model_copy(update={"format": "pubtator"})
    return PubtatorReader(path, options, (f"title and abstract as one sentence each; {reading.note()}",), reading)


def looks_like_pubtator(lines: list[str]) -> bool:
    """Whether a file begins with a title.

    >>> looks_like_pubtator(["10021369|t|Identification of APC2"])
    True
    """
    return bool(lines) and re.match(r"[^|\t]+\|t\|", lines[0]) is not None


FORMAT = Format(
    "pubtator",
    "PubTator: title, abstract and character spans of each document",
    lambda seen: certain("its first line is a title (ID|t|...)", looks_like_pubtator(seen.lines)),
    open_pubtator,
)
