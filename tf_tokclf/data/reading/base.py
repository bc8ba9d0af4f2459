"""Shared code of readers: their protocol, decoding of text files, and handling of unreadable sentences."""

from __future__ import annotations

import atexit
import codecs
import hashlib
import io
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import BinaryIO, Protocol, TextIO

from tf_tokclf.compressed import is_compressed, open_bytes, standard_input
from tf_tokclf.config.references import resolve_reference
from tf_tokclf.config.schema import DataConfig
from tf_tokclf.counted import counted_kind
from tf_tokclf.data.reading.annotators import Agreement
from tf_tokclf.errors import UserError
from tf_tokclf.labels.sentence import Origin, Sentence
from tf_tokclf.similar_names import did_you_mean

STDIN = Path("-")

# Looked up before threads start: if the first import of a codec fails in a thread, Python caches that failure forever.
_UTF_8_WITH_MARK = codecs.lookup("utf-8-sig").name
# Invalid bytes (from errors="surrogateescape"), and surrogates, which some encodings can contain.
_UNDECODED = re.compile("[\ud800-\udfff]")
_BYTES_OF_A_READ = 1 << 20
_LISTED_AT_MOST = 1000
SKIP_HINT = "To skip and count unreadable sentences: --set data.on_error=skip."


class Changes(Counter[str]):
    """Counts each kind of change made in reading, and records the place of the first one."""

    def __init__(self) -> None:
        super().__init__()
        self.first: dict[str, Origin] = {}

    def note(self, what: str, origin: Origin, n: int = 1) -> None:
        """Count a change at a place."""
        self[what] += n
        self.first.setdefault(what, origin)

    def lines(self) -> list[str]:
        """One line per kind."""
        return [f"{counted_kind(n, what)}{self._place(what)}" for what, n in sorted(self.items())]

    def _place(self, what: str) -> str:
        origin = self.first.get(what)
        return f" (first: {Path(origin.path).name}, {origin.unit} {origin.number})" if origin else ""


@dataclass
class Problems:
    """Decides what happens at an unreadable sentence: raise the error, or count and skip the sentence.

    counts: other changes made in reading, such as to spans within a word. agreement: between annotators of records with
    several annotations.
    """

    skip: bool = False
    n_skipped: int = 0
    skipped: list[str] = field(default_factory=list)
    counts: Changes = field(default_factory=Changes)
    agreement: Agreement = field(default_factory=Agreement)

    def report(self, error: UserError) -> None:
        """Raise `error`, or record it if unreadable sentences are left out."""
        if not self.skip:
            raise with_hint(error, SKIP_HINT)
        self.n_skipped += 1
        if len(self.skipped) < _LISTED_AT_MOST:
            self.skipped.append(str(error))

    def readable(self, sentences: Iterable[Sentence | None]) -> Iterator[Sentence]:
        """The sentences without None (left out), up to the first UserError, which is reported."""
        try:
            for sentence in sentences:
                if sentence is not None:
                    yield sentence
        except UserError as error:
            self.report(error)

    def changes(self) -> list[str]:
        """One line for each kind of change."""
        return self.counts.lines()


def with_hint(error: UserError, hint: str) -> UserError:
    """The same error with `hint` added to its hint."""
    if error.hint and hint in error.hint:
        return error
    hints = f"{error.hint or ''} {hint}".strip()
    return UserError(error.problem, path=error.path, line=error.line, row=error.row, hint=hints)


class Reader(Protocol):
    """A source of sentences whose format and columns are known.

    options: the user's options completed by what was detected; they also apply to the run's other files of the same
    format. place: name in messages. notes: log lines about what was detected. label_names: all labels in the order in
    which the source declares them, if it does.
    """

    @property
    def options(self) -> DataConfig: ...

    @property
    def place(self) -> str: ...

    @property
    def notes(self) -> tuple[str, ...]: ...

    @property
    def label_names(self) -> tuple[str, ...] | None: ...

    def content_key(self) -> str:
        """A hash that changes whenever the content changes."""
        ...

    def sentences(self, problems: Problems) -> Iterator[Sentence]:
        """The sentences in order, read lazily."""
        ...


@dataclass(frozen=True)
class FileReader:
    """Base of readers of one file that does not declare its labels."""

    path: Path
    options: DataConfig
    notes: tuple[str, ...]

    @property
    def place(self) -> str:
        return str(self.path)

    @property
    def label_names(self) -> tuple[str, ...] | None:
        return None

    def content_key(self) -> str:
        """A hash of the file's bytes."""
        return hash_files([self.path])


def located(reference: str) -> Path:
    """The path for a reference. Standard input is copied to a file, because data is read more than once."""
    if reference != str(STDIN):
        return resolve_reference(reference)
    source = standard_input()
    folder = tempfile.TemporaryDirectory(prefix="tf-tokclf-")
    atexit.register(folder.cleanup)
    path = Path(folder.name) / "stdin"
    with path.open("wb") as file:
        shutil.copyfileobj(source, file)
    return path


def require_file(path: Path) -> Path:
    """`path`, if it is an existing file. Raises UserError otherwise."""
    if path.is_dir():
        raise UserError("is a folder, but a file was expected.", path=path, hint="Name a file in it.")
    if not path.exists() and path.is_symlink():
        raise UserError("is a link to a file that does not exist.", path=path, hint="Check the link's target.")
    if not path.exists():
        near = sorted(p.name for p in path.parent.glob("*"))[:8] if path.parent.is_dir() else []
        hint = f"The folder contains: {', '.join(near)}." if near else "Check the path."
        raise UserError("there is no such file.", path=path, hint=did_you_mean(path, hint, is_data=True))
    return path


def hash_files(paths: Iterable[Path]) -> str:
    """A hash of the contents of files."""
    digest = hashlib.blake2b(digest_size=16)
    for path in paths:
        with explained_reading(path), require_file(path).open("rb") as file:
            while block := file.read(_BYTES_OF_A_READ):
                digest.update(block)
        digest.update(b"\0end of file\0")
    return digest.hexdigest()


@contextmanager
def explained_reading(path: Path) -> Iterator[None]:
    """Turn an OSError about an unreadable file into a UserError."""
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}.", path=path, hint="Check its permissions.") from error


def read_lines(path: Path, encoding: str) -> Iterator[str]:
    """The lines of a text file with their line ends. The file may be compressed. Only a line feed ends a line. A
    byte-order mark is dropped.

    Invalid bytes are decoded to lone surrogates, so that `undecoded` can report them with the line number.
    """
    codec = codec_named(encoding, path)
    errors = "surrogateescape"
    try:
        with _open_text(require_file(path), codec, errors) as file:
            first = file.readline()
            _check_first_line(first, path, encoding)
            if first:
                yield from _split_at_returns(first)
            yield from file
    except UnicodeError as error:
        raise UserError(f"is not {encoding} text: {error}.", path=path, hint="Set its encoding.") from error
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}.", path=path, hint="Check its permissions.") from error


def decoded_lines(file: BinaryIO, encoding: str, place: str) -> Iterator[str]:
    """The lines of a stream with their ends. Invalid bytes become lone surrogates. A byte-order mark is dropped."""
    codec = codec_named(encoding, place)
    try:
        with io.TextIOWrapper(file, codec, errors="surrogateescape", newline="\n") as text:
            yield from text
    except UnicodeError as error:
        raise UserError(f"is not {encoding} text: {error}.", path=place, hint="Name its encoding.") from error
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}.", path=place, hint="Check its permissions.") from error


def _check_first_line(line: str, path: Path, encoding: str) -> None:
    """Raise UserError if every other character is NUL, as in UTF-16 without a byte-order mark."""
    n = line.count("\0")
    if len(line) < 3 * n <= 2 * len(line) and not _UNDECODED.match(line):
        problem = f"contains NUL characters when read as {encoding}."
        hint = "The file seems to be UTF-16 without a byte-order mark. Set its encoding: utf-16-le or utf-16-be."
        raise UserError(problem, path=path, line=1, hint=hint)


def _split_at_returns(first: str) -> list[str]:
    """Split the first line at carriage returns. If carriage returns end lines, it is the whole file.

    >>> _split_at_returns("Ada\\tO\\rleft\\tO\\r"), _split_at_returns("Ada\\tO\\r\\n")
    (['Ada\\tO\\n', 'left\\tO\\n'], ['Ada\\tO\\r\\n'])
    """
    if first.endswith("\n") or "\r" not in first.rstrip("\r"):
        return [first]
    return [f"{line}\n" for line in first.removesuffix("\r").split("\r")]


def blocks_of(lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """The groups of lines between blank lines, each with the number of its first line.

    >>> list(blocks_of(["Ada\\tO\\n", "\\n", "\\t\\n", "Bye\\tO\\n"]))
    [(1, ['Ada\\tO\\n']), (4, ['Bye\\tO\\n'])]
    """
    number = 1
    for is_blank, group in groupby(lines, str.isspace):
        block = list(group)
        if not is_blank:
            yield number, block
        number += len(block)


def _open_text(path: Path, codec: str, errors: str) -> TextIO:
    if not is_compressed(path):
        return path.open(encoding=codec, errors=errors, newline="\n")
    file, _ = open_bytes(path)
    return io.TextIOWrapper(file, codec, errors, newline="\n")


def is_decoded(text: str) -> bool:
    """Whether all bytes of a text were valid in its encoding."""
    return text.isascii() or not _UNDECODED.search(text)


def check_decoded(line: str, origin: Origin, encoding: str) -> None:
    """Raise UserError if `line` contains a byte that is not valid in the encoding."""
    if error := undecoded(line, Path(origin.path), origin.number, encoding):
        raise error


def undecoded(line: str, path: Path, number: int, encoding: str) -> UserError | None:
    """The error to report if `line` contains a byte that is invalid in the encoding."""
    if line.isascii() or not (bad := _UNDECODED.search(line)):
        return None
    byte = ord(bad.group()) - 0xDC00
    if not 0x80 <= byte <= 0xFF:
        hint = "Set the file's encoding with --encoding, or correct the line."
        raised = f"contains a lone surrogate (U+{ord(bad.group()):X}) when read as {encoding}."
        return UserError(raised, path=path, line=number, hint=hint)
    shown = _UNDECODED.sub("\N{REPLACEMENT CHARACTER}", line.strip())[:60]
    hint = (
        "The file seems to be UTF-16. Pass --encoding utf-16."
        if byte in (0xFF, 0xFE) and number == 1
        else "Set the file's encoding with --encoding (latin-1, cp1252 ...), or correct the line."
    )
    return UserError(f"byte 0x{byte:02x} is not valid {encoding} in {shown!r}.", path=path, line=number, hint=hint)


def plain_name(text: str) -> str:
    """The name of a document, with undecodable bytes replaced so that it can be written."""
    return _UNDECODED.sub("\N{REPLACEMENT CHARACTER}", text.strip())


def codec_named(encoding: str, path: str | Path) -> str:
    """Python's name of a text encoding; for UTF-8, the codec that drops a byte-order mark. Raises UserError if there is
    none.
    """
    try:
        name = codecs.lookup(encoding).name
        "".encode(name)  # fails for codecs that are not text encodings, such as hex
    except (LookupError, ValueError) as error:
        hint = "Use a Python encoding such as utf-8, utf-16, latin-1 or cp1252."
        raise UserError(f"there is no encoding named {encoding!r}.", path=path, hint=hint) from error
    return _UTF_8_WITH_MARK if name == "utf-8" else name
