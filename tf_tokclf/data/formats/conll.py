"""CoNLL columns: one word per line with its label in a column, and a blank line after each sentence."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice, repeat
from operator import methodcaller
from pathlib import Path
from typing import Any

from tf_tokclf.compressed import name_without_compression
from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.counted import counted
from tf_tokclf.data.formats.format import Format, Match, Numbered, Seen, likely, open_for_columns
from tf_tokclf.data.label_spellings import NO_LABEL
from tf_tokclf.data.reading.base import FileReader, Problems, blocks_of, is_decoded, plain_name, read_lines, undecoded
from tf_tokclf.data.reading.guessing import (
    LABEL_WORDS,
    MISSING_LABELS,
    SENTENCE_NAMES,
    WORD_NAMES,
    WORDS_ALONE,
    check_once,
    confidences_error,
    guess_named_column,
    holds_confidences,
    looks_like_tags,
    types_in,
    with_numbers,
)
from tf_tokclf.data.reading.missing import MissingLabels
from tf_tokclf.data.reading.records import label_of
from tf_tokclf.data.writing.base import Writing, check_writable
from tf_tokclf.errors import UserError
from tf_tokclf.labels.schemes import OUTSIDE_LABEL
from tf_tokclf.labels.sentence import Origin, Sentence

_SAMPLED_LINES = 4000
_DOCUMENT_BORDER = "-DOCSTART-"
_BORDER_LINE = re.compile(r"-DOCSTART-(?!\w)")
# "# hipe2022:document_id = cu31924087948174_0054", "# id 5239d808 domain=en"
_METADATA = re.compile(r"#\s?(?:id\s+\S|[\w:.-]+\s*=)")
_DOCUMENT_ID = re.compile(r"#\s?(?:[\w:]*document_id|newdoc id)\s*=\s*(.+)")
# The start of a comment that has as many columns as a word line, or is not of the form "key = value":
# "# 0.478113", "## klue-ner-v1_train_00000", "#begin document (bn/abc/00); part 000".
_COMMENT = re.compile(r"#+[ \t]|#(?:begin|end) document")
_KEY_AND_VALUE = re.compile(r"#+\s*[\w:.-]+\s+=\s")
# Values in comments: "# domain = news", "# id 5239d808-f300-46ea domain=en".
_COMMENTS = re.compile(r"(?:^#+\s*|\s)([\w:.-]+)\s*=\s*(\S.*?)(?=\s+[\w:.-]+\s*=|\s*$)")
_FRACTION = re.compile(r"[+-]?\d*[.,]\d+(?:[eE][+-]?\d+)?")
_NAMED_SEPARATORS = {"tab": "\t", "\\t": "\t", "space": " ", "blank": " ", "comma": ",", "auto": None}
_NUMBER = re.compile("-?[0-9]{1,9}")
# Separators that are used only if the options name them.
_OTHER_SEPARATORS = (";", ",", "|")
_CHUNK_TYPES = {"NP", "VP", "PP", "ADVP", "ADJP", "SBAR", "PRT", "CONJP", "INTJ", "LST", "UCP"}
# From this number of lines, a column with more than this share of different values contains words, not labels.
_ENOUGH_LINES = 20
_LABELS_SHARE = 0.5
# A file is recognised as columns if at least this share of its lines has the most common number of columns.
_COLUMNS_SHARE = 0.9

# Names of files that may contain plain text or columns, and how to read them as text.
_TEXT_SUFFIXES = (".txt", ".text")
_AS_TEXT = "--set data.format=text"

Splitter = Callable[[str], list[str]]
Columns = Sequence[tuple[str, ...]]


@dataclass(frozen=True)
class Structure:
    """How the lines of a file are split, and into how many columns, as determined from the whole file.

    separator: as written in the file. with_hashes: lines that begin with `#` were counted too. n_odd, first_odd: number
    of lines with the other separator but the same number of columns, and the first such line.
    """

    separator: str
    width: int
    with_hashes: bool = False
    n_odd: int = 0
    first_odd: int = 0


@dataclass(frozen=True)
class ColumnsReader(FileReader):
    """Reads a file of CoNLL columns. `label` is None for words without labels.

    header_line: number of the line with the column names, or None. known_labels: labels in the first lines. no_label:
    values of the label column that mean that a word has no label.
    """

    structure: Structure
    word: int
    label: int | None
    header_line: int | None
    has_index: bool
    known_labels: frozenset[str]
    has_tags: bool
    no_label: frozenset[str]

    @property
    def has_outside(self) -> bool:
        """Whether words outside all spans are labelled O."""
        return self.has_tags or OUTSIDE_LABEL in (self.label_names or self.known_labels)

    @property
    def label_names(self) -> tuple[str, ...] | None:
        return self.options.label_names

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.structure.width

    @property
    def has_header(self) -> bool:
        """Whether the file has a header."""
        return self.header_line is not None

    @cached_property
    def split(self) -> Splitter:
        """Splits a line into columns."""
        return splitter(self.options.separator)

    @cached_property
    def split_as_most(self) -> Splitter:
        """Splits a line at the separator of most lines; other lines then get a different number of columns."""
        is_found = separator_named(self.options.separator) is None
        return methodcaller("split", "\t") if is_found and self.structure.separator == "\t" else self.split

    @property
    def shown_label(self) -> str:
        """The label column, as shown in messages."""
        name = self.options.label_column_name
        return repr(name) if isinstance(name, str) else f"column {self.label}"

    def sentences(self, problems: Problems) -> Iterator[Sentence]:
        return (sentence for (sentence,) in read_columns([(self, problems)]) if sentence is not None)

    def fits(self, fields: Sequence[str]) -> bool:
        """Whether a line has the right number of columns, apart from empty ones at the end."""
        return len(fields) == self.width or (len(fields) > self.width and not any(fields[self.width :]))

    def is_comment(self, line: str, fields: Sequence[str], *, at_head: bool) -> bool:
        """Whether a line that begins with `#` is a comment and not a word.

        at_head: no word of the sentence has been read yet.
        """
        if self.options.comment_prefix == "":
            return False
        if self.has_index:
            return True
        if not self.fits(fields):
            return is_metadata(line) or (at_head and _COMMENT.match(line) is not None)
        if not at_head or not _COMMENT.match(line):
            return False
        if _KEY_AND_VALUE.match(line) or " " in fields[0]:
            return True
        label = fields[self.label] if self.label is not None else ""
        if self.label is None or label in self.known_labels:
            return False
        if self.has_tags:
            return not looks_like_tags({label})
        return not label or " " in label or _FRACTION.fullmatch(label) is not None

    def is_obvious(self, line: str, fields: Sequence[str]) -> bool:
        """Whether a line is certainly a comment, so that it need not be reported."""
        return self.has_index or (not self.fits(fields) and is_metadata(line))


def open_columns(path: Path, data: DataConfig, task: Task) -> ColumnsReader:
    """A reader for a file; columns that the options do not name are detected. Raises UserError if the label column
    contains confidences.
    """
    reader = columns_reader(path, data, task)
    if reader.label is not None and holds_confidences(reader.known_labels):
        raise confidences_error(reader.shown_label, path)
    return reader


def columns_reader(path: Path, data: DataConfig, task: Task, *, structure: Structure | None = None) -> ColumnsReader:
    """As `open_columns`, but accepts any label column. structure: of the file, if known."""
    structure = structure or _structure(path, data)
    sample = _Sample.of(path, data, structure)
    header, columns = sample.header, list(zip(*sample.rows))
    structure = replace(structure, width=len(columns))
    has_index = _has_index(sample.blocks, structure.width)
    word, label, notes = _choose(path, header, columns, has_index, data, task)
    if data.label_column_name is None:
        _check_separator(path, columns, structure, data)
        _check_pairs(path, columns, label)
    values = Counter(columns[label]) if label is not None else Counter[str]()
    has_tags = label is not None and looks_like_tags(values)
    if label is not None and data.label_column_name is None and data.layer is None:
        _check_labels(path, values, has_tags, _shown(header, label))
    if data.text_column_name is None:
        _check_words(path, columns, word, label, _shown(header, word))
    _check_sentences(path, header, word, sample.blocks)
    names = {"text_column_name": _name(header, word), "label_column_name": _name(header, label)}
    if data.label_column_name == "":
        names["label_column_name"] = ""
    return ColumnsReader(
        path=path,
        options=data.model_copy(update={"format": "conll", "header": bool(header), **names}),
        notes=tuple(notes),
        structure=structure,
        word=word,
        label=label,
        header_line=sample.header_line,
        has_index=has_index,
        known_labels=frozenset(values),
        has_tags=has_tags,
        no_label=MISSING_LABELS | (NO_LABEL if _means_no_label(values, has_tags, task) else frozenset()),
    )


def _means_no_label(values: Counter[str], has_tags: bool, task: Task) -> bool:
    """Whether `_` means that a word has no label: if the column also contains O, or nothing else."""
    return (has_tags and OUTSIDE_LABEL in values) or (task is not Task.POS and values.keys() <= NO_LABEL)


def splitter(separator: str | None) -> Splitter:
    """A function that splits a line into columns. Repeated spaces count as one separator.

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
    """The separator as written in the file; options may give it by name.

    >>> separator_named("tab")
    '\\t'
    """
    return _NAMED_SEPARATORS.get(separator, separator) if separator else None


def is_border(line: str) -> bool:
    """Whether a line separates two documents.

    >>> is_border("-DOCSTART- -X- O"), is_border("-DOCSTART-s O")
    (True, False)
    """
    return _BORDER_LINE.match(line) is not None


def is_metadata(line: str) -> bool:
    """Whether a line that does not fit the columns is metadata.

    >>> is_metadata("# hipe2022:language = en"), is_metadata("#")
    (True, False)
    """
    return (_METADATA.match(line) or _DOCUMENT_ID.match(line)) is not None


def read_columns(readers: Sequence[tuple[ColumnsReader, Problems]]) -> Iterator[tuple[Sentence | None, ...]]:
    """The sentences of a file, read once for several readers that differ only in the label column. None for a sentence
    that is left out.
    """
    reader, _ = readers[0]
    return columns_in(read_lines(reader.path, reader.options.encoding), readers)


def columns_in(
    lines: Iterable[str], readers: Sequence[tuple[ColumnsReader, Problems]]
) -> Iterator[tuple[Sentence | None, ...]]:
    """As `read_columns`, from the lines of the file."""
    parsers = [_ConllParser(reader, problems) for reader, problems in readers]
    first = parsers[0]
    for number, block in blocks_of(lines):
        columns = first.columns(block, number)
        yield tuple(parser.sentence(block, number, columns) for parser in parsers)


class _ConllParser:
    """The state of one pass over a file."""

    def __init__(self, reader: ColumnsReader, problems: Problems) -> None:
        self.reader = reader
        self.problems = problems
        self.path = str(reader.path)
        self.missing = MissingLabels.of(reader.options, has_outside=reader.has_outside)
        self.document: str | None = None
        self.n_documents = 0
        structure = reader.structure
        if structure.n_odd:
            found, usual = ("spaces", "tabs") if structure.separator == "\t" else ("tabs", "spaces")
            what = f"lines with {found} instead of {usual}"
            problems.counts.note(what, Origin(self.path, structure.first_odd), structure.n_odd)

    def columns(self, block: list[str], number: int) -> Columns | None:
        """The columns of lines that all contain a word, several times faster than line by line. None if a line needs
        separate treatment.
        """
        reader = self.reader
        if reader.header_line is not None and number <= reader.header_line < number + len(block):
            return None
        text = "".join(block).replace("\r\n", "\n")
        if "\r" in text or not _holds_words_only(text, reader.options) or not is_decoded(text):
            return None
        try:
            columns = list(zip(*map(reader.split_as_most, text.rstrip("\n").split("\n")), strict=True))
        except ValueError:
            return None
        return columns if len(columns) == reader.width and "" not in columns[reader.word] else None

    def sentence(self, block: list[str], number: int, columns: Columns | None) -> Sentence | None:
        """The sentence in a block of lines, or None if it is left out. columns: of these lines."""
        if columns is None:
            return self._line_by_line(block, number)
        reader = self.reader
        words = columns[reader.word]
        if reader.label is None:
            return self._sentence(words, (), number)
        labels: Sequence[str | None] = columns[reader.label]
        kinds = set(columns[reader.label])
        has_ids = reader.options.label_names is not None and any(map(str.isdigit, kinds))
        if has_ids or not all(kind and kind == kind.strip() for kind in kinds):
            return self._line_by_line(block, number)
        if not kinds.isdisjoint(reader.no_label):
            labels = [None if label in reader.no_label else label for label in labels]
        return self._sentence(words, labels, number)

    def _line_by_line(self, block: list[str], first_number: int) -> Sentence | None:
        reader = self.reader
        split, header_line = reader.split, reader.header_line
        comment = reader.options.comment_prefix
        width, word, label = reader.width, reader.word, reader.label
        names, no_label = reader.options.label_names, reader.no_label
        words: list[str] = []
        labels: list[str | None] = []
        first, error = 0, None
        for number, line in enumerate(block, first_number):
            if (comment and line.startswith(comment)) or number == header_line:
                continue
            if is_border(line):
                self._open_document()
                continue
            fields = split(line.rstrip("\r\n"))
            if line[0] == "#" and reader.is_comment(line, fields, at_head=not words and not error):
                self._note_comment(line, fields, number)
                continue
            if len(fields) != width and not reader.fits(fields):
                first = first or number
                error = error or self._ragged(fields, number)
                continue
            text = fields[word]
            tag: str | None = fields[label].strip() if label is not None else OUTSIDE_LABEL
            if not text or not tag or not line.isascii():
                error = error or self._broken(line, text, tag or "", number)
            first = first or number
            words.append(text)
            if tag in no_label:
                tag = None
            elif names is not None and tag and tag.isdigit():
                try:
                    tag = label_of(tag, names, Origin(self.path, number))
                except UserError as problem:
                    error = error or problem
            labels.append(tag)
        if error:
            self.problems.report(error)
        return self._sentence(words, labels, first) if words and not error else None

    def _sentence(self, words: Sequence[str], labels: Sequence[str | None], first: int) -> Sentence | None:
        origin = Origin(self.path, first)
        if self.reader.label is not None and None not in labels:
            return Sentence(tuple(words), tuple(filter(None, labels)), origin, document=self.document)
        bare = Sentence(tuple(words), None, origin, document=self.document)
        return bare if self.reader.label is None else self.missing.labelled(bare, labels, origin, self.problems.counts)

    def _open_document(self, name: str | None = None) -> None:
        self.n_documents += 1
        self.document = name or f"{self.reader.path.name}#{self.n_documents}"

    def _note_comment(self, line: str, fields: Sequence[str], number: int) -> None:
        if found := _DOCUMENT_ID.match(line):
            self._open_document(plain_name(found.group(1)))
        if not self.reader.is_obvious(line, fields):
            self.problems.counts.note("lines beginning with '#' read as comments", Origin(self.path, number))

    def _ragged(self, fields: Sequence[str], number: int) -> UserError:
        width = self.reader.width
        shown = " | ".join(fields)[:80]
        hint = (
            "Correct the line, or set the separator. If it is a comment, set the prefix of comments:"
            " --set data.comment_prefix='#'."
        )
        if self._may_be_text(fields):
            hint = f"If the file is plain text, read it as such: {_AS_TEXT}. Otherwise, correct the line."
        return UserError(
            f"the line has {counted(len(fields), 'column')} instead of {width}: {shown!r}.",
            path=self.path,
            line=number,
            hint=hint,
        )

    def _may_be_text(self, fields: Sequence[str]) -> bool:
        """Whether the file may be plain text: its name says so, and the line contains no label."""
        is_named_text = name_without_compression(self.reader.path).suffix.lower() in _TEXT_SUFFIXES
        return is_named_text and not any(field == OUTSIDE_LABEL or looks_like_tags({field}) for field in fields)

    def _broken(self, line: str, word: str, tag: str, number: int) -> UserError | None:
        if not word or not tag:
            what = "label" if word else "word"
            hint = f"Add the {what}, or choose another column."
            return UserError(f"the {what} is empty in {line.strip()!r}.", path=self.path, line=number, hint=hint)
        return undecoded(line, self.reader.path, number, self.reader.options.encoding)


def _structure(path: Path, data: DataConfig) -> Structure:
    """Determine how the lines of the whole file are split."""
    structure = None if data.comment_prefix == "" else _structure_of(path, data, with_hashes=False)
    structure = structure or _structure_of(path, data, with_hashes=True)
    if structure is None:
        hint = "The file should have one word per line, with its label in another column."
        raise UserError("contains no words.", path=path, hint=hint)
    return structure


def _structure_of(path: Path, data: DataConfig, *, with_hashes: bool) -> Structure | None:
    given = separator_named(data.separator)
    counts: dict[bool, Counter[int]] = {True: Counter(), False: Counter()}
    first: dict[tuple[bool, int], int] = {}
    for number, block in blocks_of(read_lines(path, data.encoding)):
        for (has_tab, width), n_lines in _widths(block, data, given, with_hashes=with_hashes).items():
            counts[has_tab][width] += n_lines
            if (has_tab, width) not in first:
                kinds = (_widths([line], data, given, with_hashes=with_hashes) for line in block)
                first[has_tab, width] = number + next(i for i, kind in enumerate(kinds) if (has_tab, width) in kind)
    tabs = counts[True].total() > 0 and counts[True].total() >= counts[False].total()
    if not counts[tabs]:
        return None
    width = counts[tabs].most_common(1)[0][0]
    n_odd = counts[not tabs][width] if width > 1 else 0
    separator = given or ("\t" if tabs else " ")
    return Structure(separator, width, with_hashes, n_odd, first.get((not tabs, width), 0))


def _widths(
    block: Sequence[str], data: DataConfig, given: str | None, *, with_hashes: bool
) -> Mapping[tuple[bool, int], int]:
    """Number of lines for each pair of (whether the line is split at tabs, number of columns)."""
    text = "".join(block)
    if _holds_words_only(text, data):
        # Counting separators is several times faster than splitting.
        if given is None and text.count("\t") >= len(block):
            tabs = Counter(map(str.count, block, repeat("\t")))
            if 0 not in tabs:
                return {(True, n + 1): n_lines for n, n_lines in tabs.items()}
        elif given in (None, " ") and "\t" not in text and _is_single_spaced(text):
            return {(False, n + 1): n_lines for n, n_lines in Counter(map(str.count, block, repeat(" "))).items()}
    split = splitter(data.separator)
    lines = [line for line in block if _may_hold_word(line, data, with_hashes=with_hashes)]
    return Counter((given is None and "\t" in line, len(split(line.rstrip("\r\n")))) for line in lines)


def _holds_words_only(text: str, data: DataConfig) -> bool:
    """Whether no line can be a comment or a document separator."""
    if data.comment_prefix and data.comment_prefix in text:
        return False
    return text[0] != "#" and "\n#" not in text and _DOCUMENT_BORDER not in text


def _is_single_spaced(text: str) -> bool:
    """Whether columns are separated by single spaces, without other spaces."""
    return not (text[0] == " " or text[-1] == " " or "  " in text or " \n" in text or "\n " in text or "\r" in text)


def _may_hold_word(line: str, data: DataConfig, *, with_hashes: bool) -> bool:
    """Whether a line is used to determine the structure of the file."""
    if line.isspace() or is_border(line) or (line[0] == "#" and not with_hashes):
        return False
    return not (data.comment_prefix and line.startswith(data.comment_prefix))


@dataclass(frozen=True)
class _Sample:
    """The first lines of a file, split into columns. blocks: by sentence. rows: those with the expected columns."""

    header: list[str] | None
    header_line: int | None
    blocks: list[list[list[str]]]
    rows: list[list[str]]

    @classmethod
    def of(cls, path: Path, data: DataConfig, structure: Structure) -> _Sample:
        """Read the first lines."""
        split, width, with_hashes = splitter(data.separator), structure.width, structure.with_hashes
        blocks: list[list[list[str]]] = [[]]
        header, header_line, first, first_number = None, None, "", 0
        for number, line in enumerate(islice(read_lines(path, data.encoding), _SAMPLED_LINES), 1):
            if line.isspace():
                blocks.append([])
            elif _may_hold_word(line, data, with_hashes=with_hashes):
                fields = [field.strip() for field in split(line.rstrip("\r\n"))]
                if not first:
                    first = line.rstrip("\r\n")
                    first_number = number
                    if _is_header(fields, data.header):
                        header, header_line, width = fields, number, len(fields)
                        continue
                blocks[-1].append(fields)
            elif line[0] == "#" and blocks[-1] and len(fields := split(line.rstrip("\r\n"))) == width:
                blocks[-1].append(fields)  # comments stand before the first word of a sentence
        blocks = [block for block in blocks if block]
        rows = [row for block in blocks for row in block if len(row) == width]
        if data.header is None and header is None and rows and rows[0] is blocks[0][0] and _names_columns(rows):
            header, header_line, *rows = rows[0], first_number, *rows[1:]
            blocks = [block for block in (blocks[0][1:], *blocks[1:]) if block]
        if not rows:
            hint = "Set the separator, or --set data.header=false if the first line is not a header."
            problem = f"no other line has {counted(width, 'column')} like the first one: {first[:60]!r}."
            raise UserError(problem, path=path, line=header_line or 1, hint=hint)
        return cls(header, header_line, blocks, rows)


def _is_header(fields: list[str], wanted: bool | None) -> bool:
    lowered = [field.lower() for field in fields]
    if wanted is not None:
        return wanted
    return lowered[0] in WORD_NAMES and any(LABEL_WORDS.search(field) for field in lowered[1:])


def _check_words(path: Path, columns: Columns, word: int, label: int | None, column: str) -> None:
    """Raise UserError if the column of words contains only numbers, such as sentence numbers."""
    others = (columns[i] for i in range(len(columns)) if i not in (word, label))
    has_text = any(any(map(str.isalpha, other)) and not looks_like_tags(other) for other in others)
    if has_text and all(map(_NUMBER.fullmatch, columns[word])):
        raise UserError(
            f"{column} contains only integers where words were expected, such as {columns[word][0]}.",
            path=path,
            hint="Name the word column with --text-column-name.",
        )


def _check_sentences(path: Path, header: list[str] | None, word: int, blocks: Sequence[Sequence[list[str]]]) -> None:
    """Raise UserError if sentences are separated by the values of a column and not by blank lines."""
    found = guess_named_column(header or [], SENTENCE_NAMES)
    if header is None or found in (None, word) or len(blocks) > 1 or len({row[found] for row in blocks[0]}) < 2:
        return
    raise UserError(
        f"there are no blank lines between sentences, but the column {header[found]!r} identifies them.",
        path=path,
        hint="Read the file as a table: --set data.format=csv.",
    )


def _check_separator(path: Path, columns: Columns, structure: Structure, data: DataConfig) -> None:
    """Raise UserError if labels follow a separator other than a tab or a space: `Ada;B-PER`."""
    if structure.width > 1 or data.separator:
        return
    for sign in _OTHER_SEPARATORS:
        fields = [value.split(sign) for value in columns[0]]
        if len(fields[0]) > 1 and len({len(row) for row in fields}) == 1 and any(map(looks_like_tags, zip(*fields))):
            raise UserError(
                f"the lines have only one column, with labels after {sign!r}: {columns[0][0]!r}.",
                path=path,
                hint=f"Set the separator: --set data.separator='{sign}'. {WORDS_ALONE}",
            )


def _check_pairs(path: Path, columns: Columns, label: int | None) -> None:
    """Raise UserError if each line is a sentence in which a label follows each word: `Ada B-PER left O`."""
    words, labels = columns[::2], columns[1::2]
    if label is None or len(labels) < 2 or len(words) != len(labels) or not all(map(looks_like_tags, labels)):
        return
    if any(looks_like_tags(column) or holds_confidences(column) or _is_upper(column) for column in words):
        return
    raise UserError(
        f"words and labels alternate in each line, such as {' '.join(column[0] for column in columns)!r}.",
        path=path,
        hint="Write one word per line, or join each word and its label by '/'. If these are columns, name the label"
        " column with --label-column-name.",
    )


def _is_upper(column: Sequence[str]) -> bool:
    """Whether no value contains a lower-case letter, as in parts of speech or punctuation."""
    return all(value == value.upper() for value in column)


def _names_columns(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first line is a header: its value above a column of labels is not a label itself.

    >>> _names_columns([["id", "word", "ner"], ["1", "Ada", "B-PER"]])
    True
    >>> _names_columns([["text", "O"], ["Ada", "B-PER"]])
    False
    """
    first, *below = rows
    if not below or not any(field.lower() in WORD_NAMES for field in first):
        return False
    return any(_is_above_labels(name, Counter(column)) for name, *column in zip(first, *below))


def _is_above_labels(name: str, values: Counter[str]) -> bool:
    if name in values or name.lower() in WORD_NAMES:
        return False
    are_ids = all(_NUMBER.fullmatch(value) for value in values)
    return (are_ids and not _NUMBER.fullmatch(name)) or (looks_like_tags(values) and not looks_like_tags({name}))


def _check_labels(path: Path, values: Counter[str], has_tags: bool, column: str) -> None:
    """Raise UserError if a detected label column contains words."""
    n = values.total()
    if has_tags or n < _ENOUGH_LINES or len(values) <= _LABELS_SHARE * n:
        return
    shown = ", ".join(repr(value) for value, _ in values.most_common(3))
    raise UserError(
        f"{column} contains no labels: {counted(len(values), 'different value')} in {counted(n, 'line')}, such as "
        f"{shown}.",
        path=path,
        hint=f"Name the label column (--label-column-name), or read the file as plain text: {_AS_TEXT}.",
    )


def _has_index(blocks: list[list[list[str]]], width: int) -> bool:
    """Whether the first column numbers the words of each sentence, from 0, or from 1 as in GermEval 2014."""
    if width < 3:
        return False
    seen = [[row[0] for row in block if len(row) == width and row[0] != "#"] for block in blocks[:-1] or blocks]
    counted = ([str(i) for i in range(start, len(max(seen, key=len, default=[])) + start)] for start in (0, 1))
    return any(seen) and any(all(column == numbers[: len(column)] for column in seen) for numbers in counted)


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
    values = [Counter(column) for column in columns]
    tags = [i for i in range(width) if looks_like_tags(values[i])]
    if data.text_column_name is not None:
        word = _numbered(data.text_column_name, header, width, path)
    else:
        named = guess_named_column(header or [], WORD_NAMES)
        tags_come_first = width == 2 and tags == [0]
        word = named if named is not None else int(has_index or tags_come_first)
    label: int | None
    if data.label_column_name == "":
        label = None
    elif data.label_column_name is not None:
        label = _numbered(data.label_column_name, header, width, path)
    else:
        label = _guess_label(values, [i for i in tags if i != word], word, has_index, header, data, task, path)
    for column, asked in ((word, data.text_column_name), (label, data.label_column_name)):
        if header and column is not None and not isinstance(asked, int):
            check_once(header[column], with_numbers(header), path)
    labels = "no labels" if label is None else f"labels in {_shown(header, label)}"
    notes.append(f"{counted(width, 'column')}, words in {_shown(header, word)}, {labels}")
    return word, label, notes


def _guess_label(
    values: list[Counter[str]],
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
    others = [i for i in range(len(values)) if i != word and not (has_index and i == 0) and values[i].keys() != {""}]
    if not others:
        return None
    scores = [i for i in others if holds_confidences(values[i])]
    if scores == others:
        raise confidences_error(_shown(header, scores[-1]), path)
    others = [i for i in others if i not in scores]
    if isinstance(data.layer, int):
        if not 0 <= data.layer < len(tags):
            raise _no_layer(data.layer, tags, values, header, path)
        return tags[data.layer]
    plain = [i for i in others if i not in tags and values[i].keys() != {"_"}]
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


def _no_layer(
    layer: int, tags: list[int], values: list[Counter[str]], header: list[str] | None, path: Path
) -> UserError:
    problem = f"there is no layer {layer}."
    if tags:
        layers = ", ".join(f"{number} ({_shown(header, column)})" for number, column in enumerate(tags))
        return UserError(problem, path=path, hint=f"The layers are {layers}.")
    examples = (", ".join(value for value, _ in column.most_common(3)) for column in values)
    shown = "; ".join(f"{_shown(header, i)}: {example}" for i, example in enumerate(examples))
    hint = f"No column contains span labels such as B-PER. The columns are {shown[:200]}."
    return UserError(problem, path=path, hint=hint)


def _numbered(column: str | int, header: list[str] | None, width: int, path: Path) -> int:
    """The index of a column given by name or by number (from 0; negative numbers count from the end)."""
    if isinstance(column, str) and header and column in header:
        return header.index(column)
    if isinstance(column, str) and not _NUMBER.fullmatch(column):
        known = (
            f"The columns are {', '.join(header)}."
            if header
            else f"The file has no header, so give a number from 0 to {width - 1}."
        )
        raise UserError(f"there is no column {column!r}.", path=path, hint=known)
    number = int(column)
    if not -width <= number < width:
        raise UserError(f"there is no column {number}.", path=path, hint=f"The columns are 0 to {width - 1}.")
    return number % width


def _name(header: list[str] | None, column: int | None) -> str | int | None:
    if header is None or column is None or header.count(header[column]) > 1:
        return column
    return header[column]


def _shown(header: list[str] | None, column: int) -> str:
    return f"{header[column]!r}" if header else f"column {column}"


def recognise(seen: Seen) -> Match | None:
    """Recognise columns if nearly all lines have the same number of columns, and at least two."""
    lines = [line.rstrip("\r\n") for line in seen.lines if not line.startswith("#")]
    if seen.is_json or not lines or seen.is_binary:
        return None
    sign = "\t" if sum("\t" in line for line in lines) > len(lines) / 2 else None
    (width, n), *_ = Counter(len(line.split(sign)) for line in lines).most_common(1)
    separators = "tabs" if sign else "spaces"
    are_columns = width > 1 and n >= _COLUMNS_SHARE * len(lines)
    return likely(f"its lines have {counted(width, 'column')} separated by {separators}", are_columns)


def write(sentences: Iterable[Sentence], writing: Writing) -> Iterator[str]:
    """One word with its label per line, a blank line after each sentence, -DOCSTART- before each document."""
    separator = writing.separator
    before: str | None = None
    for sentence in sentences:
        if sentence.document is not None and sentence.document != before:
            before = sentence.document
            yield f"-DOCSTART-{separator}O\n\n" if sentence.labels else "-DOCSTART-\n\n"
        labels = writing.written_labels(sentence)
        for i, word in enumerate(sentence.words):
            fields = [word] if sentence.labels is None else [word, labels[i]]
            line = separator.join(fields)
            blank = [word] if line.isspace() else []
            check_writable(sentence, *fields, without=[separator, "\n", "\r", *blank], where="as a column")
            yield line + "\n"
        if sentence.words:
            yield "\n"


def column_values(path: Path, data: DataConfig, task: Task) -> Numbered:
    """The values in comments, which hold until the next comment with the same key, and the columns that have the same
    value for all words of a sentence.
    """
    reader = open_for_columns(columns_reader, path, data, task)
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
        yield first, {**kept, **constant_columns(rows, header)}


def comment_values(line: str) -> dict[str, str]:
    """The values in a comment.

    >>> comment_values("# domain = world news"), comment_values("# id 5239d808 domain=en lang=de")
    ({'domain': 'world news'}, {'domain': 'en', 'lang': 'de'})
    >>> comment_values("# http://a.de/b?c=d [2007-06-16]")
    {}
    """
    return dict(_COMMENTS.findall(line))


def constant_columns(rows: Sequence[Sequence[str]], header: Sequence[str] = ()) -> dict[str, str]:
    """The columns that have the same value for all words of a sentence, by number and by name.

    >>> constant_columns([["Ada", "news"], ["left", "news"]], ["word", "domain"])
    {'1': 'news', 'domain': 'news'}
    """
    found: dict[str, str] = {}
    for number, column in enumerate(zip(*rows)):
        if len(set(column)) == 1:
            found[str(number)] = column[0]
            if number < len(header):
                found[header[number]] = column[0]
    return found


FORMAT = Format(
    "conll",
    "CoNLL columns separated by tabs or spaces, one word per line",
    recognise,
    open_columns,
    usual_suffixes=(".conll", ".conll03", ".tsv", ".iob", ".iob2", ".bio"),
    write=write,
    keeps_missing_labels=True,
    columns=column_values,
)
