"""Read the input of prediction record by record. Each record is kept, so that it can be written again with predictions.

Readers of training data may refuse a file. These readers return one sentence per record, which may be empty, so that
the output has one record per input record, in the same order. Finding the borders of records (`frames`) is separate
from parsing them (`parse`), so that a resumed job can skip finished records quickly.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from tf_tokclf.compressed import CountingBytes, name_of_content, open_bytes
from tf_tokclf.config.references import resolve_reference
from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.detection import files_in, is_folder_of_files
from tf_tokclf.data.formats.docbin import spacy_module
from tf_tokclf.data.formats.registry import format_of_suffix
from tf_tokclf.data.reading.base import decoded_lines
from tf_tokclf.errors import UserError
from tf_tokclf.labels.sentence import Origin, Sentence
from tf_tokclf.records.base import STDIN, Record, RecordFormat, SettingError
from tf_tokclf.records.conll import ColumnRecords
from tf_tokclf.records.csv import CsvRecords
from tf_tokclf.records.jsonl import JsonRecords
from tf_tokclf.records.parquet import ParquetRecords
from tf_tokclf.records.sentences import SentenceRecords
from tf_tokclf.records.text import TextFolder, TextRecords
from tf_tokclf.similar_names import did_you_mean


@dataclass
class RecordStream:
    """The records of a source.

    counter: counts the bytes that were read, of `n_bytes`; None if that is not known. mark: the byte-order mark before
    the records, which is in no record. remedy: what helps if a record cannot be read.
    """

    place: str
    format: RecordFormat
    keep_errors: bool = False
    counter: CountingBytes | None = None
    n_bytes: int | None = None
    file: BinaryIO | None = None
    mark: bytes = b""
    remedy: str = "To write such records without labels, pass --on-error keep."

    def close(self) -> None:
        """Close the file of the records."""
        if self.file is not None:
            self.file.close()

    def __str__(self) -> str:
        """The source and its format, for the user."""
        place = "standard input" if self.place == STDIN else self.place
        return f"{place}: {self.format.name}, {self.format.note}"

    def records(self, *, skip: int = 0, before: int = 0) -> Iterator[Record]:
        """The records in order, starting with number `skip` (from 0), preceded by the `before` records before it.

        A record that cannot be read raises UserError. With `keep_errors`, it is returned with its problem instead.
        """
        for number, source in islice(self.format.frames(), max(skip - before, 0), None):
            origin = Origin(self.place, number, self.format.unit)
            try:
                sentence = self.format.parse(source, origin)
            except SettingError:
                raise
            except UserError as error:
                if not self.keep_errors:
                    hint = f"{error.hint or ''} {self.remedy}".strip()
                    raise UserError(
                        error.problem, path=error.path, line=error.line, row=error.row, hint=hint
                    ) from error
                yield Record(origin, source, Sentence((), None, origin), error.problem)
            else:
                yield Record(sentence.origin or origin, source, sentence)


def open_records(source: str, data: DataConfig, *, task: Task = Task.NER, keep_errors: bool = False) -> RecordStream:
    """The records of a file, or of standard input if `source` is "-". Compressed input is decompressed.

    data: the format ("auto": by the file's name, else text), columns, encoding, and the rule for splitting texts into
    words. keep_errors: return records that cannot be read with their problem, instead of raising an error.
    """
    format = data.format if data.format != "auto" else format_by_name(source)
    path = Path(source) if source == STDIN else resolve_reference(source)
    if format == "parquet" and source == STDIN:
        raise UserError("Parquet cannot be read from standard input.", hint="Name a file.")
    if path.is_dir():
        of_files = format_of_folder(path) if data.format == "auto" else data.format
        options = data.model_copy(update={"format": of_files})
        is_text = of_files == "text"
        records: RecordFormat = TextFolder(path, data) if is_text else SentenceRecords("folder", source, options, task)
        stream = RecordStream(source, records, keep_errors)
    elif format not in (*_STREAMED, "parquet"):
        options = data.model_copy(update={"format": format})
        stream = RecordStream(source, SentenceRecords(format, source, options, task), keep_errors)
    elif format == "parquet":
        stream = RecordStream(source, ParquetRecords.open(path, data), keep_errors)
    else:
        file, counter = open_bytes(path)
        try:
            mark = file.peek(len(BOM_UTF8))[: len(BOM_UTF8)] if isinstance(file, BufferedReader) else b""
            lines = decoded_lines(file, data.encoding, source)
            size = None if source == STDIN else path.stat().st_size
            records = _STREAMED[format](lines, source, data, task)
        except BaseException:
            file.close()
            raise
        mark = mark if mark == BOM_UTF8 else b""
        stream = RecordStream(source, records, keep_errors, counter, size, file, mark)
    return stream


def check_source(source: str) -> None:
    """Raise UserError unless the file or folder exists."""
    otherwise = "Check the path. To label a text, pass it on standard input."
    try:
        is_there = source == STDIN or resolve_reference(source).exists()
    except UserError as error:
        if not isinstance(error.__cause__, OSError):
            raise
        # A name that is too long is usually a text.
        raise UserError(error.problem, path=error.path, hint=otherwise) from error
    if not is_there:
        raise UserError("there is no such file.", path=source, hint=did_you_mean(source, otherwise, is_data=True))


def is_rereadable(source: str) -> bool:
    """Whether `source` can be read more than once. Standard input and pipes cannot."""
    path = Path(source) if source == STDIN else resolve_reference(source)
    return source != STDIN and (path.is_file() or path.is_dir())


def check_rereadable(source: str, option: str) -> None:
    """Raise UserError if `source` can be read only once, like standard input or a pipe."""
    if not is_rereadable(source):
        name = "standard input" if source == STDIN else source
        raise UserError(
            f"{option} reads its input twice, but {name} can be read only once.", hint="Write it to a file first."
        )


def format_by_name(source: str) -> str:
    """The format for the suffix of a file; text for unknown suffixes.

    >>> format_by_name("a/tweets.jsonl.gz"), format_by_name("-")
    ('jsonl', 'text')
    """
    path = Path(source) if source == STDIN else resolve_reference(source)
    return format_of_suffix(name_of_content(path).suffix.lower()) or "text"


def format_of_folder(folder: Path) -> str:
    """`text` if the names of all files in a folder suggest it, as for a single file. Otherwise `auto`."""
    is_text = is_folder_of_files(folder, "auto") and all(
        format_by_name(str(file)) == "text" for file in files_in(folder)
    )
    return "text" if is_text else "auto"


def check_packages(source: str, format: str) -> None:
    """Raise UserError if the package for reading `source` is not installed. format: "auto" means by the file's name."""
    if (format if format != "auto" else format_by_name(source)) == "docbin":
        spacy_module()


_STREAMED: dict[str, Callable[[Iterator[str], str, DataConfig, Task], RecordFormat]] = {
    "text": TextRecords,
    "conll": ColumnRecords,
    "jsonl": JsonRecords,
    "csv": CsvRecords,
}
