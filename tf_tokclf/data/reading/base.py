"""What readers share: the protocol, lines of text with checked bytes, what happens at a bad sentence."""

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
from typing import Protocol, TextIO

from tf_tokclf.compressed import is_compressed, open_bytes, standard_input
from tf_tokclf.config.references import resolve_reference
from tf_tokclf.config.schema import DataConfig
from tf_tokclf.counted import counted_kind
from tf_tokclf.data.reading.annotators import Agreement
from tf_tokclf.errors import UserError
from tf_tokclf.labels.sentence import Origin, Sentence

STDIN = Path("-")

# Looked up before threads do it: where the first import of a codec fails in one of them, Python keeps to it for good
# that there is none.
_UTF_8_WITH_MARK = codecs.lookup("utf-8-sig").name
# Bytes that are wrong in an encoding, and halves of characters, which some encodings can spell.
_UNDECODED = re.compile("[\ud800-\udfff]")
_BYTES_OF_A_READ = 1 << 20
_LISTED_AT_MOST = 1000
SKIP_HINT = "To leave out what cannot be read and count it: --set data.on_error=skip (convert: --on-error skip)."


class Changes(Counter[str]):
    """How often each kind of change was made in reading, and the place of the first one of a kind."""

    def __init__(self) -> None:
        super().__init__()
        self.first: dict[str, Origin] = {}

    def note(self, what: str, origin: Origin, n: int = 1) -> None:
        """Count a change at a place."""
        self[what] += n
        self.first.setdefault(what, origin)

    def lines(self) -> list[str]:
        """One line for each kind."""
        return [f"{counted_kind(n, what)}{self._place(what)}" for what, n in sorted(self.items())]

    def _place(self, what: str) -> str:
        origin = self.first.get(what)
        return f" (first: {Path(origin.path).name}, {origin.unit} {origin.number})" if origin else ""


@dataclass
class Problems:
    """What to do at a sentence that cannot be read: stop there, or leave it out, count it and continue.

    counts: what else was changed or left out in reading, such as spans that cut words. agreement: of the annotators of
    records with several annotations.
    """

    skip: bool = False
    n_skipped: int = 0
    skipped: list[str] = field(default_factory=list)
    counts: Changes = field(default_factory=Changes)
    agreement: Agreement = field(default_factory=Agreement)

    def report(self, error: UserError) -> None:
        """Raise `error`, or record it where unreadable sentences are left out."""
        if not self.skip:
            raise with_hint(error, SKIP_HINT)
        self.n_skipped += 1
        if len(self.skipped) < _LISTED_AT_MOST:
            self.skipped.append(str(error))

    def readable(self, sentences: Iterable[Sentence | None]) -> Iterator[Sentence]:
        """Those of `sentences` that are not left out (None), up to an error in reading the next one. It is reported."""
        try:
            for sentence in sentences:
                if sentence is not None:
                    yield sentence
        except UserError as error:
            self.report(error)

    def changes(self) -> list[str]:
        """What was changed or left out, one line for each kind."""
        return self.counts.lines()


def with_hint(error: UserError, hint: str) -> UserError:
    """The same error with one more remedy."""
    if error.hint and hint in error.hint:
        return error
    hints = f"{error.hint or ''} {hint}".strip()
    return UserError(error.problem, path=error.path, line=error.line, row=error.row, hint=hints)


class Reader(Protocol):
    """One source of sentences, with everything about it found out.

    options: the user's options with each detection filled in, fit for the run's other files of the same
    format. place: its name in messages. notes: what was found out, for the log. label_names: all labels in
    the source's own order, where it declares them.
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
        """A hash that changes when what would be read changes."""
        ...

    def sentences(self, problems: Problems) -> Iterator[Sentence]:
        """The sentences in order, read lazily."""
        ...


@dataclass(frozen=True)
class FileReader:
    """What readers of one file have in common; its labels come in no order of their own."""

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
    """The path that a reference stands for. Standard input is copied to a file, since data is read more than once."""
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
    """`path`, if it is a file that can be opened."""
    if path.is_dir():
        raise UserError("is a folder, and a file was expected.", path=path, hint="Name a file in it.")
    if not path.exists() and path.is_symlink():
        raise UserError("is a link to a file that does not exist.", path=path, hint="Check where it leads.")
    if not path.exists():
        near = sorted(p.name for p in path.parent.glob("*"))[:8] if path.parent.is_dir() else []
        hint = f"Beside it are: {', '.join(near)}." if near else "Check the path."
        raise UserError("there is no such file.", path=path, hint=hint)
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
    """Make what the system says about a file that cannot be read a message for the user."""
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}.", path=path, hint="Check its permissions.") from error


def read_lines(path: Path, encoding: str) -> Iterator[str]:
    """The lines of a text file, which may be compressed, with their ends; only a line feed ends a line. A byte-order
    mark is dropped.

    Bytes that are wrong in the encoding come as lone surrogates: `undecoded` finds them, so that the line is
    known.
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
        raise UserError(f"is not {encoding} text: {error}.", path=path, hint="Name its encoding.") from error
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}.", path=path, hint="Check its permissions.") from error


def _check_first_line(line: str, path: Path, encoding: str) -> None:
    """Raise UserError where every other character is NUL, as in UTF-16 without a byte-order mark."""
    n = line.count("\0")
    if len(line) < 3 * n <= 2 * len(line) and not _UNDECODED.match(line):
        problem = f"contains NUL characters where text was expected, read as {encoding}."
        hint = "The file seems to be UTF-16 without a byte-order mark: name its encoding, utf-16-le or utf-16-be."
        raise UserError(problem, path=path, line=1, hint=hint)


def _split_at_returns(first: str) -> list[str]:
    """The lines in the first line of a file, which is all of it where carriage returns end lines.

    >>> _split_at_returns("Ada\\tO\\rleft\\tO\\r"), _split_at_returns("Ada\\tO\\r\\n")
    (['Ada\\tO\\n', 'left\\tO\\n'], ['Ada\\tO\\r\\n'])
    """
    if first.endswith("\n") or "\r" not in first.rstrip("\r"):
        return [first]
    return [f"{line}\n" for line in first.removesuffix("\r").split("\r")]


def blocks_of(lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """The lines between those of white space, with the number of the first one.

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
    """Whether all bytes of a text are right in its encoding."""
    return text.isascii() or not _UNDECODED.search(text)


def check_decoded(line: str, origin: Origin, encoding: str) -> None:
    """Raise UserError if `line` contains a byte that is not valid in the encoding."""
    if error := undecoded(line, Path(origin.path), origin.number, encoding):
        raise error


def undecoded(line: str, path: Path, number: int, encoding: str) -> UserError | None:
    """The error to report when `line` holds a byte that is wrong in the encoding."""
    if line.isascii() or not (bad := _UNDECODED.search(line)):
        return None
    byte = ord(bad.group()) - 0xDC00
    if not 0x80 <= byte <= 0xFF:
        hint = "Name the file's encoding, or mend the line."
        raised = f"half of a character (U+{ord(bad.group()):X}) was read as {encoding}."
        return UserError(raised, path=path, line=number, hint=hint)
    shown = _UNDECODED.sub("\N{REPLACEMENT CHARACTER}", line.strip())[:60]
    hint = (
        "The file seems to be UTF-16: name that encoding."
        if byte in (0xFF, 0xFE) and number == 1
        else ("Name the file's encoding (latin-1, cp1252 ...), or mend the line.")
    )
    return UserError(f"byte 0x{byte:02x} is not {encoding} in {shown!r}.", path=path, line=number, hint=hint)


def plain_name(text: str) -> str:
    """The name of a document, in characters that can be written, whatever bytes it was read from."""
    return _UNDECODED.sub("\N{REPLACEMENT CHARACTER}", text.strip())


def codec_named(encoding: str, path: str | Path) -> str:
    """Python's name of an encoding of text; that of UTF-8 drops a byte-order mark. Raises UserError for all others."""
    try:
        name = codecs.lookup(encoding).name
        "".encode(name)  # refuses what is no encoding of text, such as hex
    except (LookupError, ValueError) as error:
        hint = "Python knows utf-8, utf-16, latin-1, cp1252 and others."
        raise UserError(f"there is no encoding named {encoding!r}.", path=path, hint=hint) from error
    return _UTF_8_WITH_MARK if name == "utf-8" else name
