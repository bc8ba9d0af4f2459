"""Files that may be compressed, as streams of bytes: gzip and zstd, found by their first bytes, written
by name.
"""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, cast

from tf_tokclf.errors import UserError

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_BUFFER_BYTES = 1 << 18


class CountingBytes(io.RawIOBase):
    """A file that counts what was read of it, for progress: of a compressed file, the compressed bytes."""

    def __init__(self, file: BinaryIO, first: bytes = b"") -> None:
        super().__init__()
        self._file = file
        self._first = first
        self.n_read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer`, beginning with what was looked at already."""
        view = memoryview(buffer)
        data = self._first[: len(view)]
        if data:
            self._first = self._first[len(data) :]
        else:
            # read1 hands over what a pipe holds instead of waiting for a full buffer.
            data = getattr(self._file, "read1", self._file.read)(len(view))
        view[: len(data)] = data
        self.n_read += len(data)
        return len(data)

    def close(self) -> None:
        """Close the file; standard input is not ours to close."""
        if not self.closed and self._file is not sys.stdin.buffer:
            self._file.close()
        super().close()


def open_bytes(path: str | Path) -> tuple[BinaryIO, CountingBytes]:
    """The decompressed bytes of a file, or of standard input where `path` is "-", and what counts the file's
    own.
    """
    raw = _open_raw(path)
    try:
        first = raw.read(len(_ZSTD))
    except OSError as error:
        raw.close()
        raise UserError(f"cannot be read: {error.strerror}.", path=path, hint="Check its permissions.") from error
    counter = CountingBytes(raw, first)
    source = io.BufferedReader(counter, _BUFFER_BYTES)
    if first.startswith(_GZIP):
        opened = _Decompressed(cast(BinaryIO, gzip.GzipFile(fileobj=source)), counter, path)
    elif first.startswith(_ZSTD):
        import pyarrow as pa

        opened = _Decompressed(pa.CompressedInputStream(pa.PythonFile(source, mode="r"), "zstd"), counter, path)
    else:
        return source, counter
    return io.BufferedReader(opened, _BUFFER_BYTES), counter


def compressor(path: Path | None) -> Callable[[bytes], bytes]:
    """How blocks of a file with this name are written: `.gz` and `.zst` compressed, each block for itself.

    A block comes out the same whenever it is written, and blocks behind each other are a valid file: so a
    file that was broken off can go on from its last block.
    """
    suffix = path.suffix.lower() if path else ""
    if suffix == ".gz":
        return lambda block: gzip.compress(block, mtime=0) if block else b""
    if suffix in (".zst", ".zstd"):
        import pyarrow as pa

        return lambda block: pa.compress(block, codec="zstd", asbytes=True) if block else b""
    return lambda block: block


def name_without_compression(path: Path) -> Path:
    """`path` without the ending that says how it is compressed.

    >>> name_without_compression(Path("a/b.jsonl.gz")).name
    'b.jsonl'
    """
    return path.with_suffix("") if path.suffix.lower() in (".gz", ".zst", ".zstd") else path


def _open_raw(path: str | Path) -> BinaryIO:
    if str(path) == "-":
        return sys.stdin.buffer
    path = Path(path)
    if path.is_dir():
        raise UserError("is a folder, and a file was expected.", path=path, hint="Name a file in it.")
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise UserError("there is no such file.", path=path, hint="Check the path.") from error
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}.", path=path, hint="Check its permissions.") from error


class _Decompressed(io.RawIOBase):
    """A decompressed stream whose damage ends in a message."""

    def __init__(self, file: BinaryIO, counter: CountingBytes, path: str | Path) -> None:
        super().__init__()
        self._file = file
        self._counter = counter
        self._path = path

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` from the stream."""
        view = memoryview(buffer)
        try:
            data = self._file.read(len(view))
        except (OSError, EOFError, zlib.error) as error:
            raise UserError(
                f"the compressed data is damaged or ends early: {error}.",
                path=self._path,
                hint="Fetch it again.",
            ) from error
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close what it reads."""
        if not self.closed:
            self._file.close()
            self._counter.close()
        super().close()
