"""The definition of a format: its name, how it is recognised, its reader and its writer.

Built-in formats are listed in `registry.py`. Other packages can register formats as entry points of the group
`tf_tokclf.formats`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from tf_tokclf.compressed import name_of_content, open_bytes
from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.reading.annotated import JsonFormat, Record
from tf_tokclf.data.reading.base import Reader, explained_reading, read_lines, require_file
from tf_tokclf.data.writing.base import Writing
from tf_tokclf.errors import UserError
from tf_tokclf.json_text import parse_json
from tf_tokclf.labels.sentence import Sentence

Open = Callable[[Path, DataConfig, Task], Reader]
ReadBeside = Callable[[Path, DataConfig], Iterable[Path]]
WriteLines = Callable[[Iterable[Sentence], Writing], Iterator[str]]
WriteTo = Callable[[Iterable[Sentence], Path, Writing], None]
# For each sentence or record in order: the number of its first line or row, and the values of its columns.
Numbered = Iterator[tuple[int, Mapping[str, Any]]]
ReadColumns = Callable[[Path, DataConfig, Task], Numbered]
Opened = TypeVar("Opened")

_SAMPLED_LINES = 40
_NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
# The first line of a JSON document that spans several lines.
_JSON_START = re.compile(r"""[\[{]\Z|\{\s*"[^"]*"\s*:|\[\s*[\[{]\s*(?:"|\Z)""")


class Confidence(IntEnum):
    """How certain it is that a file has a format."""

    CERTAIN = 0
    LIKELY = 1
    POSSIBLE = 2

    def __str__(self) -> str:
        return self.name.lower()


class Kind(Enum):
    """The kind of container that holds the data."""

    FILE = "a file"
    FOLDER = "a folder, or several related files"
    RECORDS = "JSON records"


@dataclass(frozen=True)
class Match:
    """Why a file may have a format. reason: a short phrase, such as "its first line starts a collection"."""

    confidence: Confidence
    reason: str


@dataclass(frozen=True)
class Seen:
    """A file or folder whose format is to be recognised. Its properties are computed lazily and cached.

    read_records: reads the first JSON records of a file.
    """

    path: Path
    encoding: str = "utf-8"
    read_records: Callable[[Path, str], Sequence[Record]] = lambda path, encoding: ()

    @cached_property
    def is_folder(self) -> bool:
        """Whether the path is a folder."""
        return self.path.is_dir()

    @cached_property
    def suffix(self) -> str:
        """The file name's suffix in lower case, ignoring a compression suffix."""
        return name_of_content(self.path).suffix.lower()

    @cached_property
    def first_bytes(self) -> bytes:
        """The first four bytes of the file, after decompression."""
        with explained_reading(self.path):
            file, _ = open_bytes(require_file(self.path))
            with file:
                return file.read(4)

    @cached_property
    def lines(self) -> list[str]:
        """The non-blank lines among the first lines of the file, with line ends."""
        lines = islice(read_lines(self.path, self.encoding), _SAMPLED_LINES)
        return [line for line in lines if not line.isspace()]

    @cached_property
    def is_binary(self) -> bool:
        """Whether the first lines contain a NUL character, which text does not."""
        return any("\0" in line for line in self.lines)

    @cached_property
    def is_json(self) -> bool:
        """Whether the first line is a JSON object or list, or the start of one."""
        return bool(self.lines) and _opens_json(self.lines[0])

    @cached_property
    def records(self) -> Sequence[Record]:
        """The first JSON records of the file; none for other content."""
        return self.read_records(self.path, self.encoding) if self.is_json else ()


@dataclass(frozen=True)
class Format:
    """A format of labelled data.

    name: the value of `--format`. description: for the table in docs/data.md. recognise: whether the content of a file
    or folder may have this format. open: the reader; None if the format is only written, or is a folder that is read
    file by file. suffixes: suffixes of this format only. usual_suffixes: suffixes shared with other formats; for input
    the content decides, for output they select this format. write: the writer, yields text. write_to: a writer that
    needs the path. files: patterns of the files that `write_to` creates in a folder. has_spans_only: the labels must
    form spans to be written. keeps_missing_labels: the writer can omit the label of a single word. read_beside: other
    files that are read together with a file, which output must not replace. has_own_encoding: files declare their
    encoding, are binary or are always UTF-8, so the setting does not apply. columns: reads the values besides words and
    labels, such as the domain of a sentence; None if files have none. plug_in: name and version of the package that
    registered the format; empty for built-in formats.
    """

    name: str
    description: str
    recognise: Callable[[Seen], Match | None] = lambda seen: None
    open: Open | None = None
    kind: Kind = Kind.FILE
    suffixes: tuple[str, ...] = ()
    usual_suffixes: tuple[str, ...] = ()
    write: WriteLines | None = None
    write_to: WriteTo | None = None
    files: tuple[str, ...] = ()
    has_spans_only: bool = False
    keeps_missing_labels: bool = False
    records: JsonFormat | None = None
    read_beside: ReadBeside = lambda path, data: ()
    has_own_encoding: bool = False
    columns: ReadColumns | None = None
    plug_in: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name == "auto":
            raise ValueError(f"format names consist of lower-case letters, digits and hyphens, unlike {self.name!r}")
        for suffix in (*self.suffixes, *self.usual_suffixes):
            if not suffix.startswith(".") or suffix != suffix.lower():
                raise ValueError(f"suffixes of formats are lower-case and begin with a dot, unlike {suffix!r}")

    @property
    def has_any_encoding(self) -> bool:
        """Whether the format is text in any encoding."""
        return not self.has_own_encoding and self.kind is not Kind.RECORDS

    @property
    def is_written(self) -> bool:
        """Whether the format has a writer."""
        return self.write is not None or self.write_to is not None


def open_for_columns(
    opening: Callable[[Path, DataConfig, Task], Opened], path: Path, data: DataConfig, task: Task
) -> Opened:
    """The reader of a file, in which the labels may be ambiguous: a file of predictions has two columns of them."""
    try:
        return opening(path, data, task)
    except UserError:
        return opening(path, data.model_copy(update={"label_column_name": ""}), task)


def certain(reason: str, holds: bool) -> Match | None:
    """A certain match for `reason`, if `holds`."""
    return Match(Confidence.CERTAIN, reason) if holds else None


def likely(reason: str, holds: bool) -> Match | None:
    """A likely match for `reason`, if `holds`."""
    return Match(Confidence.LIKELY, reason) if holds else None


def possible(reason: str, holds: bool) -> Match | None:
    """A possible match for `reason`, if `holds`."""
    return Match(Confidence.POSSIBLE, reason) if holds else None


def _opens_json(line: str) -> bool:
    """Whether the first line of a file is a JSON object or list, or the start of one.

    >>> [_opens_json(line) for line in ('{"a": 1}', "[", "[1] says Ada")]
    [True, True, False]
    """
    first = line.strip()
    return first[:1] in ("{", "[") and (_is_json(first) or _JSON_START.match(first) is not None)


def _is_json(line: str) -> bool:
    try:
        parse_json(line)
    except ValueError:
        return False
    return True
