"""The table of bad inputs: every kind of input with every class of fault.

A cell consists of the content of an otherwise empty folder, a command line, and expected parts of the message (place
and remedy). If a fault is impossible or harmless, the cell gives the reason.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

FAULTS = (
    "missing",
    "empty",
    "truncated",
    "wrong type",
    "wrong encoding",
    "wrong length",
    "out of range",
    "duplicated",
    "hostile",
    "huge",
    "unreadable",
)


@dataclass(frozen=True)
class Given:
    """Prepared folders from which cases are made: a classifier, a finished run, its data, an encoder."""

    classifier: Path
    run: Path
    encoder: Path
    data: Mapping[str, str]


Content = bytes | Callable[[Path, Given], None]


@dataclass(frozen=True)
class Bad:
    """A cell: files by name, the command line (`{x}` stands for a prepared folder), and parts of the message."""

    subject: str
    fault: str
    files: Mapping[str, Content]
    args: str
    says: tuple[str, ...]


@dataclass(frozen=True)
class Impossible:
    """A cell that is impossible, and the reason."""

    subject: str
    fault: str
    why: str


Cell = Bad | Impossible


class Cells(list[Cell]):
    """Cells in the order of the table. command: precedes the arguments of each bad input. files: in the same folder.

    In keywords, `__` stands for the `.` in a file name.
    """

    def __init__(self, command: str = "", **files: Content) -> None:
        super().__init__()
        self._command, self._files = command, files

    def bad(self, subject: str, fault: str, args: str, *says: str, **files: Content) -> None:
        """Add a bad input and parts of its message."""
        there = {name.replace("__", "."): content for name, content in {**self._files, **files}.items()}
        self.append(Bad(subject, fault, there, f"{self._command} {args}", says))

    def no(self, subject: str, fault: str, why: str) -> None:
        """Add an impossible fault and the reason."""
        self.append(Impossible(subject, fault, why))


def folder(path: Path, given: Given) -> None:
    """A folder in place of a file."""
    path.mkdir()


def unreadable(path: Path, given: Given) -> None:
    """A file that can be opened but not read, even by root."""
    path.symlink_to("/proc/self/mem")


def loop(path: Path, given: Given) -> None:
    """A link to itself."""
    path.symlink_to(path.name)


def unix_socket(path: Path, given: Given) -> None:
    """A socket, which cannot be opened as a file."""
    with socket.socket(socket.AF_UNIX) as one:
        before = Path.cwd()
        os.chdir(path.parent)  # paths of sockets are limited in length
        try:
            one.bind(path.name)
        finally:
            os.chdir(before)


def model(*changes: Callable[[Path], None]) -> Callable[[Path, Given], None]:
    """A copy of the classifier, changed."""

    def make(path: Path, given: Given) -> None:
        shutil.copytree(given.classifier, path)
        for change in changes:
            change(path)

    return make


def run(*changes: Callable[[Path], None]) -> Callable[[Path, Given], None]:
    """A copy of the finished run, changed."""

    def make(path: Path, given: Given) -> None:
        shutil.copytree(given.run, path)
        for change in changes:
            change(path)

    return make


def without(name: str) -> Callable[[Path], None]:
    """Remove all files that match."""

    def change(path: Path) -> None:
        for found in list(path.glob(name)):
            shutil.rmtree(found) if found.is_dir() else found.unlink()

    return change


def with_content(name: str, content: bytes) -> Callable[[Path], None]:
    """Write this content to every file that matches."""

    def change(path: Path) -> None:
        for found in list(path.glob(name)) or [path / name]:
            found.write_bytes(content)

    return change


def cut(name: str, n_bytes: int) -> Callable[[Path], None]:
    """Truncate every file that matches to this number of bytes."""

    def change(path: Path) -> None:
        for found in path.glob(name):
            found.write_bytes(found.read_bytes()[:n_bytes])

    return change


def with_values(name: str, **values: object) -> Callable[[Path], None]:
    """Change values in a JSON file."""

    def change(path: Path) -> None:
        for found in path.glob(name):
            found.write_text(json.dumps({**json.loads(found.read_text(encoding="utf-8")), **values}), encoding="utf-8")

    return change


def in_place_of(name: str, make: Callable[[Path, Given], None]) -> Callable[[Path], None]:
    """Replace a file by something else."""

    def change(path: Path) -> None:
        for found in list(path.glob(name)):
            found.unlink()
            make(found, None)  # type: ignore[arg-type]

    return change


def parquet(**columns: list[object]) -> bytes:
    """A Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


def json_lines(*records: object) -> bytes:
    """Records, one per line."""
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def safetensors(header: object, data: bytes = b"") -> bytes:
    """A weights file with this header."""
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


GOOD = b"Ada\tB-PER\nsmiled\tO\n\n"
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01"
ESC = "\x1b]0;owned\x07\x1b[2J"
DEEP = b"[" * 100_000
LAUGHS = b"a: &a [x, x, x, x, x, x, x, x, x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (98 + i, 98 + i, b", ".join([b"*%c" % (97 + i)] * 9)) for i in range(9)
)
TAGGED = {"tokens": ["Ada"], "ner_tags": ["B-PER"]}
SPANS = {"text": "Ada smiled", "entities": [[0, 3, "PER"]]}
SAID = {"words": ["Ada", "smiled"], "predicted": ["B-PER", "O"], "gold": ["B-PER", "O"]}
CONLLU = b"1\tAda\t_\tPROPN\t_\t_\t0\troot\t_\t_\n\n"
WIDE = b"x" * 2_000_000
