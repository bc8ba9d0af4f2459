"""CoNLL columns: a word a line, its label in one of the columns, a blank line after each sentence."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.readers.guessing import (
    LABEL_WORDS,
    WORD_NAMES,
    guess_named_column,
    looks_like_tags,
    types_in,
)
from tf_tokclf.data.readers.reading import FileReader, Problems, plain_name, read_lines, undecoded
from tf_tokclf.data.readers.records import label_of
from tf_tokclf.data.sentence import Origin, Sentence
from tf_tokclf.errors import UserError

_SAMPLED_LINES = 4000
_DOCUMENT_BORDER = "-DOCSTART-"
# "# hipe2022:document_id = cu31924087948174_0054", "# id 5239d808 domain=en"
_METADATA = re.compile(r"#\s?(?:id\s+\S|[\w:.-]+\s*=)")
_DOCUMENT_ID = re.compile(r"#\s?(?:[\w:]*document_id|newdoc id)\s*=\s*(.+)")
_NAMED_SEPARATORS = {"tab": "\t", "\\t": "\t", "space": " ", "blank": " ", "comma": ",", "auto": None}
_NUMBER = re.compile("-?[0-9]{1,9}")
_CHUNK_TYPES = {"NP", "VP", "PP", "ADVP", "ADJP", "SBAR", "PRT", "CONJP", "INTJ", "LST", "UCP"}

Splitter = Callable[[str], list[str]]


@dataclass(frozen=True)
class ColumnsReader(FileReader):
    """A file of CoNLL columns. `label` is None where the file has words only."""

    width: int
    word: int
    label: int | None
    has_header: bool
    has_index: bool
    underscore_is_outside: bool

    @property
    def label_names(self) -> tuple[str, ...] | None:
        return self.options.label_names

    def sentences(self, problems: Problems) -> Iterator[Sentence]:
        reading = _Reading(self, problems)
        numbered = enumerate(read_lines(self.path, self.options.encoding), 1)
        if self.has_header:
            comment = self.options.comment_prefix
            next((line for _, line in numbered if not (comment and line.startswith(comment))), None)
        yield from reading.run(numbered)


def open_columns(path: Path, data: DataConfig, task: Task) -> ColumnsReader:
    """Find out the columns of a file, as far as the options do not name them."""
    split = splitter(data.separator)
    comment = data.comment_prefix
    lines = [line.rstrip("\r\n") for line in islice(read_lines(path, data.encoding), _SAMPLED_LINES)]
    lines = [line for line in lines if not (comment and line.startswith(comment))]
    header = _header(lines, split, data.header)
    blocks = _blocks(lines[1:] if header else lines, split)
    rows = [row for block in blocks for row in block]
    if not rows:
        raise UserError("holds no words.", path=path, hint="A word a line was expected, its label in a column.")
    width = len(header) if header else Counter(len(row) for row in rows).most_common(1)[0][0]
    rows = [row for row in rows if len(row) == width]
    if not rows:
        hint = "Name the separator, or pass --no-header when that line is none."
        problem = f"no line has the {width} columns of the first one, {lines[0][:60]!r}."
        raise UserError(problem, path=path, line=1, hint=hint)
    has_index = _has_index(blocks, width)
    columns = list(zip(*rows))
    word, label, notes = _choose(path, header, columns, has_index, data, task)
    is_tags = label is not None and looks_like_tags(set(columns[label]) - {"_"} or {"O"})
    if label is not None and is_tags and "_" in columns[label]:
        notes.append("'_' in the label column counts as O")
    names = {"text_column_name": _name(header, word), "label_column_name": _name(header, label)}
    return ColumnsReader(
        path=path,
        options=data.model_copy(update={"format": "conll", "header": bool(header), **names}),
        notes=tuple(notes),
        width=width,
        word=word,
        label=label,
        has_header=bool(header),
        has_index=has_index,
        underscore_is_outside=is_tags,
    )


def splitter(separator: str | None) -> Splitter:
    """How a line falls into columns; blanks may come in runs, other separators may not.

    >>> splitter(None)("New York\\tB-LOC"), splitter(None)("York  I-LOC ")
    (['New York', 'B-LOC'], ['York', 'I-LOC'])
    """
    separator = separator_named(separator)
    if separator is None:
        return lambda line: line.split("\t") if "\t" in line else [field for field in line.split(" ") if field]
    if separator == " ":
        return lambda line: [field for field in line.split(" ") if field]
    return lambda line: line.split(separator)


def separator_named(separator: str | None) -> str | None:
    """A separator as written in a file, where options may name it.

    >>> separator_named("tab")
    '\\t'
    """
    return _NAMED_SEPARATORS.get(separator, separator) if separator else None


def is_metadata(line: str) -> bool:
    """Whether a line that does not fit the columns tells something about what follows.

    >>> is_metadata("# hipe2022:language = en"), is_metadata("#")
    (True, False)
    """
    return (_METADATA.match(line) or _DOCUMENT_ID.match(line)) is not None


class _Reading:
    """One pass over a file: the sentence being gathered and what is known about it."""

    def __init__(self, reader: ColumnsReader, problems: Problems) -> None:
        self.reader = reader
        self.problems = problems
        self.path = str(reader.path)
        self.document: str | None = None
        self.n_documents = 0

    def run(self, numbered: Iterator[tuple[int, str]]) -> Iterator[Sentence]:
        reader = self.reader
        split = splitter(reader.options.separator)
        comment = reader.options.comment_prefix
        width, word, label = reader.width, reader.word, reader.label
        has_index, underscore_is_outside = reader.has_index, reader.underscore_is_outside
        names = reader.options.label_names
        words: list[str] = []
        labels: list[str] = []
        first, error = 0, None
        for number, line in numbered:
            if line.isspace():
                if words or error:
                    yield from self._sentence(words, labels, first, error)
                    words, labels, first, error = [], [], 0, None
                continue
            if comment and line.startswith(comment):
                continue
            if line.startswith(_DOCUMENT_BORDER):
                self._open_document()
                continue
            fields = split(line.rstrip("\r\n"))
            if len(fields) != width or (has_index and fields[0] == "#"):
                if self._is_head_line(line):
                    continue
                if len(fields) < width or any(fields[width:]):
                    first = first or number
                    error = error or self._ragged(fields, number)
                    continue
            text = fields[word]
            tag = fields[label] if label is not None else "O"
            if not text or not tag or not line.isascii():
                error = error or self._broken(line, text, tag, number)
            first = first or number
            words.append(text)
            if names is not None and tag.isdigit():
                try:
                    tag = label_of(tag, names, Origin(self.path, number))
                except UserError as problem:
                    error = error or problem
            labels.append("O" if underscore_is_outside and tag == "_" else tag)
        if words or error:
            yield from self._sentence(words, labels, first, error)

    def _sentence(self, words: list[str], labels: list[str], first: int, error: UserError | None) -> Iterator[Sentence]:
        if error:
            self.problems.report(error)
            return
        origin = Origin(self.path, first)
        tags = tuple(labels) if self.reader.label is not None else None
        yield Sentence(tuple(words), tags, origin, document=self.document)

    def _open_document(self, name: str | None = None) -> None:
        self.n_documents += 1
        self.document = name or f"{self.reader.path.name}#{self.n_documents}"

    def _is_head_line(self, line: str) -> bool:
        if self.reader.has_index and line.startswith("#"):
            return True
        if found := _DOCUMENT_ID.match(line):
            self._open_document(plain_name(found.group(1)))
        return is_metadata(line)

    def _ragged(self, fields: Sequence[str], number: int) -> UserError:
        width = self.reader.width
        shown = " | ".join(fields)[:80]
        hint = (
            "Mend the line, or name the separator, or, if it is a comment, what comments begin with:"
            " --set data.comment_prefix='#' (convert, predict: --comment-prefix)."
        )
        columns = "column" if width == 1 else "columns"
        return UserError(
            f"{len(fields)} where {width} {columns} were expected: {shown!r}.",
            path=self.path,
            line=number,
            hint=hint,
        )

    def _broken(self, line: str, word: str, tag: str, number: int) -> UserError | None:
        if not word or not tag:
            what = "label" if word else "word"
            hint = f"Fill in the {what}, or choose another column."
            return UserError(f"the {what} is empty in {line.strip()!r}.", path=self.path, line=number, hint=hint)
        return undecoded(line, self.reader.path, number, self.reader.options.encoding)


def _header(lines: list[str], split: Splitter, wanted: bool | None) -> list[str] | None:
    if wanted is False or not lines:
        return None
    fields = split(lines[0])
    lowered = [field.lower() for field in fields]
    if wanted or (lowered[:1] and lowered[0] in WORD_NAMES and any(LABEL_WORDS.search(field) for field in lowered[1:])):
        return fields
    return None


def _blocks(lines: list[str], split: Splitter) -> list[list[list[str]]]:
    blocks: list[list[list[str]]] = [[]]
    for line in lines:
        if not line or line.isspace():
            blocks.append([])
        elif not line.startswith(_DOCUMENT_BORDER) and not is_metadata(line):
            blocks[-1].append(split(line))
    return [block for block in blocks if block]


def _has_index(blocks: list[list[list[str]]], width: int) -> bool:
    """Whether the first column counts the words of each sentence, as in GermEval 2014."""
    if width < 3:
        return False
    seen = [[row[0] for row in block if len(row) == width and row[0] != "#"] for block in blocks[:-1] or blocks]
    return all(column == [str(i) for i in range(1, len(column) + 1)] for column in seen) and any(seen)


def _choose(
    path: Path,
    header: list[str] | None,
    columns: list[tuple[str, ...]],
    has_index: bool,
    data: DataConfig,
    task: Task,
) -> tuple[int, int | None, list[str]]:
    notes: list[str] = []
    width = len(columns)
    values = [set(column) for column in columns]
    tags = [i for i in range(width) if looks_like_tags(values[i])]
    if data.text_column_name is not None:
        word = _numbered(data.text_column_name, header, width, path)
    else:
        named = guess_named_column(header or [], WORD_NAMES)
        tags_come_first = width == 2 and tags == [0]
        word = named if named is not None else int(has_index or tags_come_first)
    label: int | None
    if data.label_column_name is not None:
        label = _numbered(data.label_column_name, header, width, path)
    else:
        label = _guess_label(values, [i for i in tags if i != word], word, has_index, header, data, task, path)
    labels = "no labels" if label is None else f"labels in {_shown(header, label)}"
    notes.append(f"{width} columns, words in {_shown(header, word)}, {labels}")
    return word, label, notes


def _guess_label(
    values: list[set[str]],
    tags: list[int],
    word: int,
    has_index: bool,
    header: list[str] | None,
    data: DataConfig,
    task: Task,
    path: Path,
) -> int | None:
    if isinstance(data.layer, str):
        return _numbered(data.layer, header, len(values), path)
    others = [i for i in range(len(values)) if i != word and not (has_index and i == 0) and values[i] != {""}]
    if not others:
        return None
    if isinstance(data.layer, int):
        if not 0 <= data.layer < len(tags):
            raise UserError(f"there is no layer {data.layer}.", path=path, hint=f"It has {len(tags)}, from 0.")
        return tags[data.layer]
    plain = [i for i in others if i not in tags and values[i] != {"_"}]
    if task is Task.POS and plain:
        return plain[0]
    chunks = [i for i in tags if types_in(values[i]) and types_in(values[i]) <= _CHUNK_TYPES]
    if task is Task.CHUNK and chunks:
        return chunks[0]
    candidates = [i for i in tags if i not in chunks] or tags
    if not candidates:
        return others[-1]
    first = candidates[0]
    are_layers = header or has_index or all(types_in(values[i]) <= types_in(values[first]) for i in candidates[1:])
    return first if are_layers else candidates[-1]


def _numbered(column: str | int, header: list[str] | None, width: int, path: Path) -> int:
    """The number of a column given by name, or by number from 0 (from the end when negative)."""
    if isinstance(column, str) and header and column in header:
        return header.index(column)
    if isinstance(column, str) and not _NUMBER.fullmatch(column):
        known = f"Its columns are {', '.join(header)}." if header else f"It has no header: give 0 to {width - 1}."
        raise UserError(f"there is no column {column!r}.", path=path, hint=known)
    number = int(column)
    if not -width <= number < width:
        raise UserError(f"there is no column {number}.", path=path, hint=f"Its columns are 0 to {width - 1}.")
    return number % width


def _name(header: list[str] | None, column: int | None) -> str | int | None:
    return header[column] if header and column is not None else column


def _shown(header: list[str] | None, column: int) -> str:
    return f"{header[column]!r}" if header else f"column {column}"
