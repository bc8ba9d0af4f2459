"""Input to be labelled, record by record: each one kept as it stood, so that it can be written out again
with more.

Unlike the readers of training data, which may refuse a file, these turn every record into a sentence, if
only an empty one: what goes in comes out, once and in order. Finding a record's borders (`frames`) is
apart from reading what is in it (`parse`), so that records that were done before an interruption are
passed over quickly.
"""

from __future__ import annotations

import csv
import io
import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from tf_tokclf.compressed import CountingBytes, name_of_content, open_bytes, uncompressed
from tf_tokclf.config.references import resolve_reference
from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.counted import counted
from tf_tokclf.data.formats.conll import ColumnsReader, is_border, open_columns
from tf_tokclf.data.formats.csv import CsvReader, open_csv
from tf_tokclf.data.formats.docbin import spacy_module
from tf_tokclf.data.formats.jsonl import open_json, parse_document, records_in, wraps_records
from tf_tokclf.data.formats.registry import format_of_suffix
from tf_tokclf.data.reading.base import Problems, codec_named, undecoded
from tf_tokclf.data.reading.lists import parse_list
from tf_tokclf.data.reading.records import Layout, Shape, sentences_from
from tf_tokclf.data.splits import read_sentences
from tf_tokclf.errors import UserError, first_line
from tf_tokclf.json_text import parse_json, without_surrogates
from tf_tokclf.labels.sentence import Origin, Sentence
from tf_tokclf.labels.word_splitting import split_words

if TYPE_CHECKING:
    import pyarrow as pa

STDIN = "-"
# Enough to see what the columns hold; what was looked at is read again from memory.
_SAMPLED_LINES = 4000
_PREDICTED_NAME = re.compile(r'"(predicted_\w+)"\s*:')


@dataclass(frozen=True, slots=True)
class Record:
    """A record of the input.

    source: what stood there, in the way of its format. sentence: what is to be labelled, without words where
    there are none. problem: why nothing could be read from it.
    """

    origin: Origin
    source: Any
    sentence: Sentence
    problem: str | None = None


# Where a record begins, counted from 1 in lines or rows, and what stands there.
Frame = tuple[int, Any]


class RecordFormat(Protocol):
    """How records of one format are found and read. unit: what their numbers count."""

    name: str
    unit: str
    note: str

    def frames(self) -> Iterator[Frame]:
        """Each record's place and content, unread."""
        ...

    def parse(self, source: Any, origin: Origin) -> Sentence:
        """The sentence in a record. Raises UserError where there is none."""
        ...


@dataclass
class RecordStream:
    """The records of a source. counter: how many bytes of it were read, of `n_bytes`; None where nobody knows."""

    place: str
    format: RecordFormat
    keep_errors: bool = False
    counter: CountingBytes | None = None
    n_bytes: int | None = None
    file: BinaryIO | None = None

    def close(self) -> None:
        """Close the file that the records come from."""
        if self.file is not None:
            self.file.close()

    def __str__(self) -> str:
        """What is read, and how."""
        place = "standard input" if self.place == STDIN else self.place
        return f"{place}: {self.format.name}, {self.format.note}"

    def records(self, *, skip: int = 0, before: int = 0) -> Iterator[Record]:
        """The records in order, from number `skip` (from 0) on, and the `before` records that stand before
        those.

        One that cannot be read stops the stream, or under `keep_errors` comes with its problem.
        """
        for number, source in islice(self.format.frames(), max(skip - before, 0), None):
            origin = Origin(self.place, number, self.format.unit)
            try:
                yield Record(origin, source, self.format.parse(source, origin))
            except UserError as error:
                if not self.keep_errors:
                    hint = f"{error.hint or ''} Or pass --on-error keep, which writes it without labels.".strip()
                    raise UserError(
                        error.problem, path=error.path, line=error.line, row=error.row, hint=hint
                    ) from error
                yield Record(origin, source, Sentence((), None, origin), error.problem)


def open_records(source: str, data: DataConfig, *, task: Task = Task.NER, keep_errors: bool = False) -> RecordStream:
    """The records of a file, or of standard input where `source` is "-", decompressed where they are compressed.

    data: its format (auto: by the file's name, else text), columns, encoding, and the rule by which texts
    fall into words. keep_errors: records that cannot be read come with their problem instead of an error.
    """
    format = data.format if data.format != "auto" else format_by_name(source)
    path = Path(source) if source == STDIN else resolve_reference(source)
    if format == "parquet" and source == STDIN:
        raise UserError("Parquet cannot be read from standard input.", hint="Name a file.")
    if path.is_dir() or format not in (*_STREAMED, "parquet"):
        options = data.model_copy(update={"format": data.format if path.is_dir() else format})
        stream = RecordStream(source, SentenceRecords(format, source, options, task), keep_errors)
    elif format == "parquet":
        stream = RecordStream(source, ParquetRecords.open(path, data), keep_errors)
    else:
        file, counter = open_bytes(path)
        try:
            lines = _lines(file, data.encoding, source)
            size = None if source == STDIN else path.stat().st_size
            records = _STREAMED[format](lines, source, data, task)
        except BaseException:
            file.close()
            raise
        stream = RecordStream(source, records, keep_errors, counter, size, file)
    return stream


def check_source(source: str) -> None:
    """Raise UserError unless there is such a file or folder."""
    if source != STDIN and not resolve_reference(source).exists():
        raise UserError("there is no such file.", path=source, hint="Check the path; `-` is standard input.")


def is_rereadable(source: str) -> bool:
    """Whether `source` can be read more than once, unlike standard input and pipes."""
    path = Path(source) if source == STDIN else resolve_reference(source)
    return source != STDIN and (path.is_file() or path.is_dir())


def check_rereadable(source: str, option: str) -> None:
    """Raise UserError where `source` can be read once only: standard input, or a pipe."""
    if not is_rereadable(source):
        name = "standard input" if source == STDIN else source
        raise UserError(
            f"{option} reads its records twice, and {name} can be read once only.", hint="Write it to a file first."
        )


def format_by_name(source: str) -> str:
    """The format that a file's name tells; text where it tells none.

    >>> format_by_name("a/tweets.jsonl.gz"), format_by_name("-")
    ('jsonl', 'text')
    """
    path = Path(source) if source == STDIN else resolve_reference(source)
    return format_of_suffix(name_of_content(path).suffix.lower()) or "text"


def check_packages(source: str, format: str) -> None:
    """Raise UserError where the package that reads `source` is not installed. format: auto: by the source's name."""
    if (format if format != "auto" else format_by_name(source)) == "docbin":
        spacy_module()


class TextRecords:
    """A sentence a line; an empty line is an empty sentence."""

    name = "text"
    unit = "line"

    def __init__(self, lines: Iterator[str], place: str, data: DataConfig, task: Task) -> None:
        self._lines = lines
        self._data = data
        self.note = f"a sentence a line, split into words by the rule {data.word_splitting!r}"

    def frames(self) -> Iterator[Frame]:
        """The lines without their ends."""
        for number, line in enumerate(self._lines, 1):
            yield number, line.removesuffix("\n").removesuffix("\r")

    def parse(self, source: str, origin: Origin) -> Sentence:
        """The words of a line."""
        _check_decoded(source, origin, self._data.encoding)
        return text_sentence(source, self._data.word_splitting, origin)


class ColumnRecords:
    """CoNLL columns: a block of lines up to the blank line behind it; all its lines are kept as they are."""

    name = "conll"
    unit = "line"

    def __init__(self, lines: Iterator[str], place: str, data: DataConfig, task: Task) -> None:
        sample = list(islice(lines, _SAMPLED_LINES))
        self._lines = chain(sample, lines)
        self._data = data
        self._reader: ColumnsReader | None = None
        self.note = "no words"
        if any(not line.isspace() for line in sample):
            self._reader = _opened(sample, place, data, lambda path, options: open_columns(path, options, task))
            self.note = f"a word a line, words in column {self._reader.word}"

    @property
    def separator(self) -> str:
        """What stands between the fields of a line. Where lines have one field only, more are added behind a tab."""
        structure = self._reader.structure if self._reader else None
        return structure.separator if structure and structure.width > 1 else "\t"

    @property
    def header_line(self) -> int | None:
        """The number of the line that names the columns, from 1, if there is one."""
        return self._reader.header_line if self._reader else None

    def fields_of(self, line: str) -> list[str]:
        """The fields of a line."""
        return self._reader.split(line.rstrip("\r\n")) if self._reader else [line]

    def frames(self) -> Iterator[Frame]:
        """Blocks of lines; what stands before the first word or behind the last one goes with those."""
        kept: tuple[int, list[str]] | None = None
        block: list[str] = []
        has_words = ended = False
        number = first = 1
        for number, line in enumerate(self._lines, 1):
            if ended and not line.isspace():
                if kept:
                    yield kept
                kept, block, first, has_words, ended = (first, block), [], number, False, False
            block.append(line)
            has_words = has_words or self._word_in(line, number, at_head=True) is not None
            ended = has_words and line.isspace()
        if kept and not has_words:
            kept[1].extend(block)
            block = []
        if kept:
            yield kept
        if block:
            yield first, block

    def parse(self, source: list[str], origin: Origin) -> Sentence:
        """The words of a block."""
        words = []
        for number, (line, word) in enumerate(zip(source, self.words_in(source, origin.number)), origin.number):
            if word is not None:
                _check_decoded(line, Origin(origin.path, number), self._data.encoding)
                words.append(word)
        return Sentence(tuple(words), None, origin)

    def words_in(self, lines: Sequence[str], first: int) -> Iterator[str | None]:
        """The word in each line of a block that begins at line `first`; None in lines that are blank, comments,
        headers or borders of documents.
        """
        at_head = True
        for number, line in enumerate(lines, first):
            word = self._word_in(line, number, at_head=at_head)
            at_head = at_head and word is None
            yield word

    def _word_in(self, line: str, number: int, *, at_head: bool) -> str | None:
        reader = self._reader
        if reader is None or line.isspace() or is_border(line) or number == reader.header_line:
            return None
        comment = reader.options.comment_prefix
        if comment and line.startswith(comment):
            return None
        fields = reader.split(line.rstrip("\r\n"))
        if line[0] == "#" and reader.is_comment(line, fields, at_head=at_head):
            return None
        return fields[reader.word] if reader.word < len(fields) else ""


class JsonRecords:
    """JSON records, a line each (or one JSON list, which is read as a whole), with a text or a list of words."""

    name = "jsonl"
    unit = "line"

    def __init__(self, lines: Iterator[str], place: str, data: DataConfig, task: Task) -> None:
        sample = list(islice(lines, _SAMPLED_LINES))
        self._data = data
        self._layout: Layout | None = None
        # What an earlier prediction has put into the records.
        self.predicted_names = frozenset(name for line in sample for name in _PREDICTED_NAME.findall(line))
        self.note = "no records"
        lines = chain(sample, lines)
        opening = next((line for line in sample if not line.isspace()), "")
        if _opens_document(opening):
            self.unit = "row"
            self._lines = _records_of_document("".join(lines), place)
        else:
            self._lines = ((number, line) for number, line in enumerate(lines, 1) if not line.isspace())
        if opening:
            whole = [line if line.endswith("\n") else line + "\n" for line in sample]
            if self.unit == "row":
                records = list(self._lines)
                sampled = [record for _, record in records[:_SAMPLED_LINES] if isinstance(record, dict)]
                whole = [json.dumps(record) + "\n" for record in sampled]
                self._lines = iter(records)
            whole = [without_surrogates(line) for line in whole]
            reader = _opened(whole, place, data, lambda path, options: open_json(path, options, task))
            self._layout = reader.layout
            self.note = f"a record a {self.unit}, words or text in {reader.layout.word!r}"

    def frames(self) -> Iterator[Frame]:
        """Lines that are not blank, or the records of a list."""
        return iter(self._lines)

    def parse(self, source: Any, origin: Origin) -> Sentence:
        """The words of a record, or of its text."""
        return self._sentence(self.record(source, origin), origin)

    def record(self, source: Any, origin: Origin) -> dict[str, Any]:
        """The record in a line. Raises UserError when it is none."""
        if isinstance(source, dict):
            return source
        if not isinstance(source, str) or self.unit == "row":
            raise origin.error(f"is not a JSON object: {str(source)[:60]!r}.", "Named fields were expected.")
        _check_decoded(source, origin, self._data.encoding)
        try:
            value = parse_json(source, halves=True)
        except ValueError as error:
            raise origin.error(f"is not valid JSON ({error}): {source.strip()[:60]!r}.", "Correct the line.") from error
        if not isinstance(value, dict):
            raise origin.error(f"is not a JSON object: {source.strip()[:60]!r}.", "Named fields were expected.")
        return value

    def _sentence(self, record: Mapping[str, Any], origin: Origin) -> Sentence:
        layout = self._layout
        assert layout is not None  # there are records
        value = record.get(layout.word)
        if isinstance(value, str) and not isinstance(record.get("tokens"), list):
            return text_sentence(value, self._data.word_splitting, origin, _document(record))
        if isinstance(value, list) and not (layout.format and layout.format.holds_several):
            return Sentence(_words(value, layout.word, origin), None, origin, document=_document(record))
        if layout.format:
            sentences = list(sentences_from(record, replace(layout, label=None), origin, Problems()))
            if not sentences:
                raise origin.error("its annotators turned it down.", "Leave it out.")
            if len(sentences) > 1:
                hint = "Give each sentence a record: tf-tokclf convert IN OUT."
                raise origin.error(f"contains {counted(len(sentences), 'sentence')}.", hint)
            return sentences[0]
        if isinstance(value, str):
            return text_sentence(value, self._data.word_splitting, origin, _document(record))
        found = ", ".join(map(str, record)) or "no fields"
        raise origin.error(f"there is no text and no list of words in {layout.word!r}.", f"It has {found}.")


class CsvRecords:
    """CSV: a text or a list of words a row, or a word a row with sentences by number or empty rows."""

    name = "csv"
    unit = "line"

    def __init__(self, lines: Iterator[str], place: str, data: DataConfig, task: Task) -> None:
        # A field may be as long as its text is; Python's own limit is 131,072 characters.
        csv.field_size_limit(2**31 - 1)
        sample = list(islice(lines, _SAMPLED_LINES))
        self._lines = chain(sample, lines)
        self._data = data
        self._reader: CsvReader | None = None
        self.note = "no rows"
        if any(not line.isspace() for line in sample):
            self._reader = _opened(sample, place, data, lambda path, options: open_csv(path, options, task))
            self.note = self._reader.layout.note()

    @property
    def separator(self) -> str:
        """Between fields."""
        return self._reader.separator if self._reader else ","

    @property
    def header(self) -> tuple[str, ...] | None:
        """The names of the columns, where the file has them."""
        reader = self._reader
        return reader.names if reader and reader.options.header else None

    @property
    def is_word_a_row(self) -> bool:
        """Whether a record is many rows, a word each."""
        return self._reader is not None and self._reader.layout.shape is Shape.WORD

    @property
    def has_key(self) -> bool:
        """Whether a column says which sentence a row's word belongs to."""
        return self._reader is not None and self._reader.layout.sentence is not None

    def frames(self) -> Iterator[Frame]:
        """Rows as lists of fields, or lists of rows where a row is a word."""
        if self._reader is None:
            return iter(())
        return self._sentences() if self.is_word_a_row else ((n, row) for n, row in self._rows() if row)

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        assert self._reader is not None
        latest = [""]

        def noted(line: str) -> str:
            latest[0] = line
            return line

        rows = csv.reader(map(noted, self._lines), delimiter=self.separator)
        to_skip, end = self.header is not None, 0
        while True:
            try:
                fields = next(rows)
            except StopIteration:
                return
            except csv.Error:
                # A carriage return between fields, say: the line as it stands, which `parse` then judges.
                fields = [latest[0].rstrip("\n")]
            start, end = end + 1, rows.line_num
            if to_skip and fields:
                to_skip = False
            else:
                yield start, fields

    def _sentences(self) -> Iterator[Frame]:
        assert self._reader is not None
        layout, names = self._reader.layout, self._reader.names
        key_column = names.index(layout.sentence) if layout.sentence else None
        first, block, current = 0, list[list[str]](), ""
        for number, fields in self._rows():
            key = fields[key_column] if key_column is not None and key_column < len(fields) else ""
            if block and (not any(fields) or (key and key != current)):
                yield first, block
                block = []
            if not any(fields):
                continue
            first, current = first if block else number, key or current
            block.append(fields)
        if block:
            yield first, block

    def parse(self, source: list[Any], origin: Origin) -> Sentence:
        """The words of a row or of rows."""
        assert self._reader is not None
        layout, names = self._reader.layout, self._reader.names
        column = names.index(layout.word)
        if self.is_word_a_row:
            for row in source:
                self._check_row(row, origin)
            return Sentence(tuple(row[column] for row in source), None, origin)
        self._check_row(source, origin)
        if layout.shape is Shape.TEXT:
            return text_sentence(source[column], self._data.word_splitting, origin)
        return Sentence(_words(parse_list(source[column], layout.word, origin), layout.word, origin), None, origin)

    def _check_row(self, row: list[str], origin: Origin) -> None:
        assert self._reader is not None
        n_expected = len(self._reader.names)
        if len(row) != n_expected:
            raise origin.error(f"{len(row)} fields where {n_expected} were expected.", "Quote its fields.")
        for field in row:
            _check_decoded(field, origin, self._data.encoding)


class ParquetRecords:
    """Rows of a Parquet file, with a text or a list of words in one of the columns."""

    name = "parquet"
    unit = "row"

    def __init__(self, path: Path, column: str, schema: pa.Schema, data: DataConfig) -> None:
        self.path = path
        self.schema = schema
        self._column = column
        self._data = data
        self.note = f"words or text in column {column!r}"

    @classmethod
    def open(cls, path: Path, data: DataConfig) -> ParquetRecords:
        """Find out which column holds words."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            path = uncompressed(path)
            schema = pq.read_schema(path)
        except (pa.ArrowException, OSError) as error:
            problem = f"is not a Parquet file: {first_line(error)}."
            raise UserError(problem, path=path, hint="Check the program that wrote it.") from error
        names = schema.names
        if data.text_column_name is None:
            column = _guess_column(names)
        else:
            asked = data.text_column_name
            column = names[asked] if isinstance(asked, int) and asked < len(names) else str(asked)
        if column is None or column not in names:
            raise UserError(
                "no column of words or text was found.",
                path=path,
                hint=f"Name one with --text-column-name: {', '.join(names)}.",
            )
        return cls(path, column, schema, data)

    def frames(self) -> Iterator[Frame]:
        """The rows as mappings."""
        import pyarrow.parquet as pq

        number = 0
        with pq.ParquetFile(self.path) as file:
            for batch in file.iter_batches(batch_size=1024):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row

    def parse(self, source: Mapping[str, Any], origin: Origin) -> Sentence:
        """The words of a row, or of its text."""
        value = source[self._column]
        if isinstance(value, str):
            return text_sentence(value, self._data.word_splitting, origin, _document(source))
        if isinstance(value, list):
            return Sentence(_words(value, self._column, origin), None, origin, document=_document(source))
        raise origin.error(f"{self._column!r} contains neither text nor words: {value!r}.", "Fill it in.")


class SentenceRecords:
    """What only the readers of labelled data know: their sentences, without the records they come from."""

    unit = "line"

    def __init__(self, name: str, path: str, data: DataConfig, task: Task) -> None:
        self.name = name
        self.note = "sentences as fit reads them"
        self._path = path
        self._data = data.model_copy(update={"label_column_name": ""})  # words alone: no record is left out
        self._task = task

    def frames(self) -> Iterator[Frame]:
        """The sentences themselves."""
        for number, sentence in enumerate(read_sentences(self._path, self._data, task=self._task), 1):
            yield sentence.origin.number if sentence.origin else number, sentence

    def parse(self, source: Sentence, origin: Origin) -> Sentence:
        """The sentence, as it was read."""
        return source


_STREAMED: dict[str, Callable[[Iterator[str], str, DataConfig, Task], RecordFormat]] = {
    "text": TextRecords,
    "conll": ColumnRecords,
    "jsonl": JsonRecords,
    "csv": CsvRecords,
}


def text_sentence(text: str, rule: str, origin: Origin | None = None, document: str | None = None) -> Sentence:
    """A text as a sentence of words with their places in it.

    >>> text_sentence("Oslo, 1999", "words").words
    ('Oslo', ',', '1999')
    """
    offsets = split_words(text, rule)
    words = tuple(text[start:end] for start, end in offsets)
    return Sentence(words, None, origin, text=text, offsets=offsets, document=document)


def _lines(file: BinaryIO, encoding: str, place: str) -> Iterator[str]:
    """The lines of a stream with their ends; wrong bytes come as lone surrogates, a byte-order mark is
    dropped.
    """
    codec = codec_named(encoding, place)
    try:
        with io.TextIOWrapper(file, codec, errors="surrogateescape", newline="\n") as text:
            yield from text
    except UnicodeError as error:
        raise UserError(f"is not {encoding} text: {error}.", path=place, hint="Name its encoding.") from error
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}.", path=place, hint="Check its permissions.") from error


def _check_decoded(text: str, origin: Origin, encoding: str) -> None:
    if error := undecoded(text, Path(origin.path), origin.number, encoding):
        raise error


def _opened(sample: Sequence[str], place: str, data: DataConfig, opening: Callable[[Path, DataConfig], Any]) -> Any:
    """The reader that `opening` makes of a file's first lines, which are put into a file of their own for it."""
    options = data.model_copy(update={"encoding": "utf-8", "on_error": "skip"})
    with tempfile.TemporaryDirectory(prefix="tf-tokclf-") as folder:
        path = Path(folder) / "sample"
        # Surrogates stand for wrong bytes, which the records are judged by later.
        path.write_text("".join(sample), encoding="utf-8", errors="surrogatepass", newline="")
        try:
            return opening(path, options)
        except UserError as error:
            raise UserError(error.problem, path=place, line=error.line, row=error.row, hint=error.hint) from error


def _opens_document(line: str) -> bool:
    """Whether a first line opens one JSON document instead of being a record."""
    start = line.lstrip()
    if start[:1] == "[":
        return True
    if start.rstrip() == "{":
        return True
    try:
        value = parse_json(start, halves=True)
    except ValueError:
        return False
    return wraps_records(value)


def _records_of_document(text: str, place: str) -> Iterator[Frame]:
    yield from enumerate(records_in(parse_document(text, place, halves=True), place), 1)


def _words(values: Sequence[Any], name: str, origin: Origin) -> tuple[str, ...]:
    """Words as they are, empty ones too; numbers are taken for what they look like."""
    words = tuple(str(value) for value in values if isinstance(value, (str, int, float)))
    if len(words) != len(values):
        odd = next(value for value in values if not isinstance(value, (str, int, float)))
        raise origin.error(f"a word in {name!r} is {odd!r}.", "A list of words was expected.")
    return words


def _document(record: Mapping[str, Any]) -> str | None:
    document = record.get("document")
    return document if isinstance(document, str) else None


def _guess_column(names: Sequence[str]) -> str | None:
    from tf_tokclf.data.reading.guessing import WORD_NAMES, guess_named_column

    found = guess_named_column(list(names), WORD_NAMES)
    return None if found is None else names[found]
