"""The map of a redacted file: what is needed to restore the original. It contains what was redacted.

It is JSON, one value per line. The first line describes the file. For each edit of a block there is a list: the number
of bytes since the edit before, the number of bytes of the surrogate, and the original text. Then follow the number of
bytes of the redacted block, and SHA-256 of the redacted and of the original block. The last line has the total.

Positions, not surrogates, say what is restored. Text of the original that looks like a surrogate therefore stays.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tf_tokclf.compressed import compressing, open_bytes
from tf_tokclf.errors import UserError
from tf_tokclf.files import is_stream, open_output, output_path, partial_of
from tf_tokclf.inference.partial_output import flush
from tf_tokclf.json_text import parse_json

_KIND, _VERSION = "tf-tokclf redaction map", 1
_PRIVATE = 0o600
_ROWS = 1024


@dataclass(frozen=True, slots=True)
class ByteEdit:
    """A surrogate of `n_bytes` in a redacted block, `gap` bytes after the end of the one before, and the original."""

    gap: int
    n_bytes: int
    original: bytes


class PrivateFile:
    """A file that only its owner can read. It has the name NAME.partial until it is finished.

    is_kept: whether it is ever finished.
    """

    def __init__(self, path: Path, *, is_kept: bool = True) -> None:
        self.path = path
        self._is_kept = is_kept
        self.partial = partial_of(path)
        self._file: IO[bytes] | None = None

    def check(self) -> None:
        """Raise UserError if others can read the file that is there, or if it is no file."""
        if self._is_kept and (is_stream(self.path) or self.path.is_dir()):
            raise UserError("is not a file.", path=self.path, hint="Name another file.")
        for path in (self.path, self.partial) if self._is_kept else (self.partial,):
            if path.is_symlink():
                raise UserError("is a link. Links are not followed here.", path=path, hint="Remove it.")
            if os.name == "posix" and path.exists() and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                problem = "others can read or write this file, and a map shows what was redacted."
                raise UserError(problem, path=path, hint="Remove the file, or run chmod 600 on it.")

    def begin(self, n_bytes: int | None) -> None:
        """Open a new file, or that of an interrupted job with its first `n_bytes`.

        Raises UserError if it is damaged.
        """
        if n_bytes is None:
            self.partial.unlink(missing_ok=True)
        elif self._is_kept and not self.partial.exists() and self.path.exists():
            self.path.rename(self.partial)  # the job was interrupted after `finish`
        self.check()
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        file = os.fdopen(os.open(self.partial, flags, _PRIVATE), "r+b")
        if file.seek(0, os.SEEK_END) < (n_bytes or 0):
            file.close()
            problem = "is shorter than the journal of the output states."
            raise UserError(problem, path=self.partial, hint="Start again with --force.")
        file.seek(n_bytes or 0)
        file.truncate()
        self._file = file

    def write(self, values: Iterable[Any]) -> None:
        """Append the values as lines of JSON."""
        if self._file:
            self._file.write("".join(json.dumps(value) + "\n" for value in values).encode())

    def safe_size(self) -> int:
        """Make the file safe on the disk, and return its number of bytes."""
        assert self._file
        flush(self._file)
        return self._file.tell()

    def lines(self) -> Iterator[Any]:
        """The values in the file so far."""
        with self.partial.open("rb") as file:
            for line in file:
                yield json.loads(line)

    def finish(self) -> None:
        """Give the file its name."""
        self.safe_size()
        self.close()
        self.partial.replace(self.path)

    def close(self) -> None:
        """Close the file."""
        if self._file:
            self._file.close()
            self._file = None

    def remove(self) -> None:
        """Remove the unfinished file."""
        self.close()
        with suppress(OSError):
            self.partial.unlink(missing_ok=True)


def head_line(format: str, encoding: str, mark: bytes, columns: Sequence[str]) -> dict[str, Any]:
    """The first line of a map. mark: the byte-order mark. columns: those of Parquet that were redacted."""
    return {_KIND: _VERSION, "format": format, "encoding": encoding, "mark": mark.hex(), "columns": list(columns)}


def block_lines(edits: Iterable[ByteEdit], redacted: bytes, original: bytes, encoding: str) -> list[Any]:
    """The lines of a block."""
    lines: list[Any] = [[edit.gap, edit.n_bytes, edit.original.decode(encoding, "surrogateescape")] for edit in edits]
    return [*lines, {"bytes": len(redacted), "redacted": _hash(redacted), "original": _hash(original)}]


def end_line(n_bytes: int) -> dict[str, int]:
    """The last line. n_bytes: the number of bytes of the redacted text, without the mark."""
    return {"end": n_bytes}


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# Restoring


class _Map:
    """The lines of a map. Raises UserError for every other file."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self._path = path
        self._lines = iter(file)
        head = self._next()
        try:
            if head[_KIND] != _VERSION:
                raise ValueError
            self.format, self.encoding = str(head["format"]), str(head["encoding"])
            self.mark, self.columns = bytes.fromhex(head["mark"]), tuple(map(str, head["columns"]))
            "".encode(self.encoding)
        except (LookupError, TypeError, ValueError):
            problem = "is not a map that tf-tokclf redact --map wrote."
            raise UserError(problem, path=path, hint="Name the map of this file.") from None

    def _next(self) -> Any:
        line = next(self._lines, b"")
        try:
            return parse_json(line.decode(), halves=True)
        except ValueError:
            raise self.damage() from None

    def damage(self) -> UserError:
        """The error for an unexpected line."""
        return UserError("is damaged, incomplete, or not a map.", path=self._path, hint="Use a complete copy of it.")

    def blocks(self) -> Iterator[tuple[list[ByteEdit], int, str, str]]:
        """The edits of each block, its number of bytes, and the hashes of the redacted and the original block."""
        edits: list[ByteEdit] = []
        total = 0
        while True:
            line = self._next()
            try:
                if isinstance(line, list):
                    gap, n_bytes, original = line
                    if min(gap, n_bytes) < 0:
                        raise ValueError
                    edits.append(ByteEdit(gap, n_bytes, original.encode(self.encoding, "surrogateescape")))
                    continue
                if "end" in line:
                    if line["end"] != total or edits or next(self._lines, b""):
                        raise ValueError
                    return
                size = line["bytes"]
                if not isinstance(size, int) or size < sum(edit.gap + edit.n_bytes for edit in edits):
                    raise ValueError
                yield edits, size, line["redacted"], line["original"]
            except (LookupError, TypeError, ValueError, AttributeError):
                raise self.damage() from None
            total += size
            edits = []


def restored(redacted: bytes, edits: Iterable[ByteEdit]) -> bytes:
    """The original of a redacted block."""
    parts, at = [], 0
    for edit in edits:
        parts += [redacted[at : at + edit.gap], edit.original]
        at += edit.gap + edit.n_bytes
    return b"".join([*parts, redacted[at:]])


def restore(map_path: Path, redacted: Path, output: Path | None, stdout: IO[bytes] | None = None) -> int:
    """Write the original of a redacted file. Returns the number of spans that were restored.

    Nothing is written to a file if the map does not belong to the redacted file: this raises UserError.
    """
    with _opened(map_path) as file:
        parsed = _Map(map_path, file)
        if parsed.format == "parquet":
            if output is None:
                raise UserError("Parquet can be written only to a file.", hint="Name a file with --output.")
            return _restore_parquet(parsed, redacted, output)
        source, _ = open_bytes(redacted)
        with source:
            if output is None:
                assert stdout
                return _copy(parsed, source, redacted, stdout)
            with open_output(output, "wb") as plain, compressing(plain, output) as stream:
                return _copy(parsed, source, redacted, stream)


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}.", path=path, hint="Name the map.") from error
    with file:
        yield file


def _copy(parsed: _Map, source: IO[bytes], place: Path, out: Any) -> int:
    if _read(source, len(parsed.mark)) != parsed.mark:
        raise _stranger(place)
    out.write(parsed.mark)
    n_spans = 0
    for edits, size, redacted_hash, original_hash in parsed.blocks():
        out.write(_original(parsed, _read(source, size), edits, redacted_hash, original_hash, place))
        n_spans += len(edits)
    if source.read(1):
        raise _stranger(place)
    return n_spans


def _read(source: IO[bytes], n_bytes: int) -> bytes:
    return source.read(n_bytes) if n_bytes else b""


def _original(
    parsed: _Map, redacted: bytes, edits: list[ByteEdit], redacted_hash: str, original_hash: str, place: Path
) -> bytes:
    if _hash(redacted) != redacted_hash:
        raise _stranger(place)
    original = restored(redacted, edits)
    if _hash(original) != original_hash:
        raise parsed.damage()
    return original


def _stranger(place: Path) -> UserError:
    return UserError(
        "this file does not belong to the map, or it was changed after it was redacted.",
        path=place,
        hint="Restore the file that was written with this map.",
    )


def _restore_parquet(parsed: _Map, redacted: Path, output: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tf_tokclf.redacting.kept_records import virtual_line

    n_spans = 0
    try:
        file = pq.ParquetFile(redacted)
    except (pa.ArrowException, OSError):
        raise _stranger(redacted) from None
    with file:
        schema = file.schema_arrow
        if not set(parsed.columns) <= set(schema.names):
            raise _stranger(redacted)
        rows = (row for batch in file.iter_batches(batch_size=_ROWS) for row in batch.to_pylist())
        with output_path(output) as partial, pq.ParquetWriter(partial, schema) as writer:
            for edits, size, redacted_hash, original_hash in parsed.blocks():
                block: list[Mapping[str, Any]] = []
                lines: list[bytes] = []
                while sum(map(len, lines)) < size and (row := next(rows, None)) is not None:
                    block.append(row)
                    lines.append(virtual_line(row, parsed.columns).encode())
                original = _original(parsed, b"".join(lines), edits, redacted_hash, original_hash, redacted)
                n_spans += len(edits)
                whole = [{**row, **json.loads(line)} for row, line in zip(block, original.decode().split("\n"))]
                writer.write_batch(pa.RecordBatch.from_pylist(whole, schema=schema))
            if next(rows, None) is not None:
                raise _stranger(redacted)
    return n_spans
