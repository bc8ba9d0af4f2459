"""What a format is: its name, how it is recognised, its reader and its writer.

The package's own formats are in `registry.py`; a package of the user can register others as entry points of the group
`tf_tokclf.formats`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum
from functools import cached_property
from itertools import islice
from pathlib import Path

from tf_tokclf.compressed import name_of_content, open_bytes
from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.reading.annotated import JsonFormat, Record
from tf_tokclf.data.reading.base import Reader, explained_reading, read_lines, require_file
from tf_tokclf.data.writing.base import Writing
from tf_tokclf.json_text import parse_json
from tf_tokclf.labels.sentence import Sentence

Open = Callable[[Path, DataConfig, Task], Reader]
ReadBeside = Callable[[Path, DataConfig], Iterable[Path]]
WriteLines = Callable[[Iterable[Sentence], Writing], Iterator[str]]
WriteTo = Callable[[Iterable[Sentence], Path, Writing], None]

_SAMPLED_LINES = 40
_NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
# The first line of a JSON document over several lines.
_JSON_START = re.compile(r"""[\[{]\Z|\{\s*"[^"]*"\s*:|\[\s*[\[{]\s*(?:"|\Z)""")


class Confidence(IntEnum):
    """How sure it is that a file is in a format, the surest first."""

    CERTAIN = 0
    LIKELY = 1
    POSSIBLE = 2

    def __str__(self) -> str:
        return self.name.lower()


class Kind(Enum):
    """What holds the data."""

    FILE = "a file"
    FOLDER = "a folder, or files that belong together"
    RECORDS = "JSON records"


@dataclass(frozen=True)
class Match:
    """Why a file may be in a format: a short phrase, such as "its first line opens a collection"."""

    confidence: Confidence
    reason: str


@dataclass(frozen=True)
class Seen:
    """A file or folder that is to be recognised. Everything about it is looked at when it is asked for, and once.

    read_records: the first JSON records of a file that holds such records.
    """

    path: Path
    encoding: str = "utf-8"
    read_records: Callable[[Path, str], Sequence[Record]] = lambda path, encoding: ()

    @cached_property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return self.path.is_dir()

    @cached_property
    def suffix(self) -> str:
        """The ending of a file's name, in lower case and without the ending of its compression."""
        return name_of_content(self.path).suffix.lower()

    @cached_property
    def first_bytes(self) -> bytes:
        """The first four bytes of a file, which may be compressed."""
        with explained_reading(self.path):
            file, _ = open_bytes(require_file(self.path))
            with file:
                return file.read(4)

    @cached_property
    def lines(self) -> list[str]:
        """The first lines of a file that are not blank, with their ends."""
        lines = islice(read_lines(self.path, self.encoding), _SAMPLED_LINES)
        return [line for line in lines if not line.isspace()]

    @cached_property
    def is_binary(self) -> bool:
        """Whether there is a NUL in the first lines, which text does not contain."""
        return any("\0" in line for line in self.lines)

    @cached_property
    def is_json(self) -> bool:
        """Whether the first line is a JSON object or list, or the beginning of one."""
        return bool(self.lines) and _opens_json(self.lines[0])

    @cached_property
    def records(self) -> Sequence[Record]:
        """The first JSON records of a file; none where it holds something else."""
        return self.read_records(self.path, self.encoding) if self.is_json else ()


@dataclass(frozen=True)
class Format:
    """A format of labelled data.

    name: as `--format` takes it. description: what the format is, for the table in docs/data.md. recognise: whether a
    file or folder may be in it, by its content. open: its reader; None for what is only written, and for folders that
    are read file by file. suffixes: endings of names that no other format has. usual_suffixes: endings that other
    formats have too, so that the content decides; they choose the format of output. write: its writer, as pieces of
    text. write_to: a writer that needs the path. files: patterns of the files that `write_to` puts into a folder.
    has_spans_only: writing it takes labels that form spans. keeps_missing_labels: its writer can leave out the label of
    a single word. read_beside: the files that are read together with a file, so that no output may replace them.
    has_own_encoding: its files declare their encoding, are binary or are always UTF-8, so the encoding of another file
    says nothing about them. plug_in: the package that it comes from and its version; empty for the package's own.
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
    plug_in: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name == "auto":
            raise ValueError(f"the name of a format is lower-case letters, digits and hyphens, not {self.name!r}")
        for suffix in (*self.suffixes, *self.usual_suffixes):
            if not suffix.startswith(".") or suffix != suffix.lower():
                raise ValueError(f"the suffix of a format is lower-case and begins with a dot, not {suffix!r}")

    @property
    def has_any_encoding(self) -> bool:
        """Whether it is text whose encoding is a choice."""
        return not self.has_own_encoding and self.kind is not Kind.RECORDS

    @property
    def is_written(self) -> bool:
        """Whether it has a writer."""
        return self.write is not None or self.write_to is not None


def certain(reason: str, holds: bool) -> Match | None:
    """A certain match for `reason`, if that holds."""
    return Match(Confidence.CERTAIN, reason) if holds else None


def likely(reason: str, holds: bool) -> Match | None:
    """A likely match for `reason`, if that holds."""
    return Match(Confidence.LIKELY, reason) if holds else None


def possible(reason: str, holds: bool) -> Match | None:
    """A possible match for `reason`, if that holds."""
    return Match(Confidence.POSSIBLE, reason) if holds else None


def _opens_json(line: str) -> bool:
    """Whether a file's first line is a JSON object or list, or the beginning of one.

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
