"""OntoNotes in the form of CoNLL-2011 and 2012 (*_gold_conll): columns separated by spaces, entities in brackets.

#begin document (bn/abc/00/abc_0009); part 000
bn/abc/00/abc_0009  0  0  John   NNP  (TOP(S(NP*  -  -  -  -  (PERSON*  (1
bn/abc/00/abc_0009  0  1  Smith  NNP  *)          -  -  -  -  *)        1)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.counted import counted
from tf_tokclf.data.formats.conll import constant_columns
from tf_tokclf.data.formats.format import Format, Numbered, certain
from tf_tokclf.data.reading.annotated import Annotated, Annotation, WordSpan
from tf_tokclf.data.reading.base import FileReader, Problems, plain_name, read_lines, undecoded
from tf_tokclf.data.reading.texts import TextReading
from tf_tokclf.errors import UserError
from tf_tokclf.labels.sentence import Origin, Sentence

_BEGIN = re.compile(r"#begin document \((.+?)\)(?:; part (\d+))?")
_WORD, _POS, _NAMES = 3, 4, 10
_BRACKETS = re.compile(r"\(([^()*]+)|(\))|\*")


@dataclass(frozen=True)
class OntonotesReader(FileReader):
    """Reads a file of documents. column: of the labels, or None for words without labels."""

    column: int | None
    reading: TextReading

    def sentences(self, problems: Problems) -> Iterator[Sentence]:
        for first, document, lines in _blocks(self.path, self.options.encoding):
            faults = (self._fault(line, number) for number, line in enumerate(lines, first))
            error = next((fault for fault in faults if fault), None)
            rows, origin = [line.split() for line in lines], Origin(str(self.path), first)
            yield from problems.readable(self._sentence(rows, origin, document, error, problems))

    def _fault(self, line: str, number: int) -> UserError | None:
        fields = line.split()
        if len(fields) <= (_NAMES if self.column is None else max(self.column, _WORD)):
            problem = f"the line has {counted(len(fields), 'column')}, but needs at least {_NAMES + 1}."
            return UserError(problem, path=self.path, line=number, hint="Check the program that wrote it.")
        return undecoded(line, self.path, number, self.options.encoding)

    def _sentence(
        self,
        rows: list[list[str]],
        origin: Origin,
        document: str | None,
        error: UserError | None,
        problems: Problems,
    ) -> Iterator[Sentence | None]:
        if error:
            raise error
        words = tuple(row[_WORD] for row in rows)
        column = [] if self.column is None else [row[self.column] for row in rows]
        if self.column == _POS:
            annotation = Annotation(labels=column)
        else:
            annotation = Annotation(word_spans=list(spans_in_brackets(column, origin)))
        is_labelled = self.column is not None
        found = Annotated(words=words, annotations=(annotation,), document=document, is_labelled=is_labelled)
        yield self.reading.sentence(found, origin, problems)


def _blocks(path: Path, encoding: str) -> Iterator[tuple[int, str | None, list[str]]]:
    """The lines of each sentence, with the number of the first one and the name of the document."""
    document: str | None = None
    lines: list[str] = []
    number = 0
    for number, line in enumerate(read_lines(path, encoding), 1):
        if not line.isspace() and not line.startswith("#"):
            lines.append(line)
            continue
        if lines:
            yield number - len(lines), document, lines
            lines = []
        if found := _BEGIN.match(line):
            document = plain_name(f"{found[1]} part {found[2]}" if found[2] else found[1])
    if lines:
        yield number + 1 - len(lines), document, lines


def column_values(path: Path, data: DataConfig, task: Task) -> Numbered:
    """The document, its genre (the folder in which OntoNotes keeps it), the speaker, and the columns that have the same
    value for all words of a sentence, by number.
    """
    for first, document, lines in _blocks(path, data.encoding):
        columns = constant_columns([line.split() for line in lines])
        genre, _, rest = (document or "").partition("/")
        yield first, {**columns, "document": document, "genre": genre if rest else None, "speaker": columns.get("9")}


def spans_in_brackets(column: list[str], origin: Origin) -> Iterator[WordSpan]:
    """The spans marked by brackets, with exclusive ends.

    >>> list(spans_in_brackets(["(PERSON*", "*)", "*", "(GPE)"], Origin("a_gold_conll", 1)))
    [(0, 2, 'PERSON'), (3, 4, 'GPE')]
    """
    open_spans: list[tuple[int, str]] = []
    for number, cell in enumerate(column):
        for found in _BRACKETS.finditer(cell):
            if found[1]:
                open_spans.append((number, found[1]))
            elif found[2]:
                if not open_spans:
                    problem = f"the closing bracket in {cell!r} has no opening bracket."
                    raise origin.error(problem, "Check the column of entities.")
                start, type = open_spans.pop()
                yield start, number + 1, type
    if open_spans:
        problem = f"the bracket of {open_spans[0][1]} is not closed."
        raise origin.error(problem, "Check the column of entities.")


def open_ontonotes(path: Path, data: DataConfig, task: Task) -> OntonotesReader:
    """A reader of entities, or of parts of speech if they are the task."""
    column: int | None = _POS if task is Task.POS else _NAMES
    if isinstance(data.label_column_name, int):
        column = data.label_column_name
    elif data.label_column_name == "":
        column = None
    what = {None: "no labels", _POS: "parts of speech in column 4"}.get(column, f"spans in brackets in column {column}")
    reading = TextReading.of(data.model_copy(update={"offset_end": "exclusive"}), has_outside=column != _POS)
    options = data.model_copy(update={"format": "ontonotes"})
    return OntonotesReader(path, options, (f"words in column {_WORD}, {what}",), column, reading)


def looks_like_ontonotes(lines: list[str]) -> bool:
    """Whether the first line of a file begins an OntoNotes document."""
    return bool(lines) and lines[0].startswith("#begin document")


FORMAT = Format(
    "ontonotes",
    "OntoNotes of CoNLL-2011 and 2012 (*_gold_conll): columns, entities in brackets",
    lambda seen: certain("its first line begins a document (#begin document)", looks_like_ontonotes(seen.lines)),
    open_ontonotes,
    columns=column_values,
)
