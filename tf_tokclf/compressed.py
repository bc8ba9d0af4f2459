"""Reading and writing compressed files as streams: gzip, zstd, xz, bzip2, and zip archives that contain one file.

On reading, the compression is recognised by the first bytes, on writing it is chosen by the name. Archives are not
unpacked: the name of the file in an archive is only used to detect its format.
"""

from __future__ import annotations

import atexit
import bz2
import gzip
import io
import lzma
import shutil
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, Any, BinaryIO, TextIO, cast

from tf_tokclf.errors import UserError
from tf_tokclf.files import open_output, output_path

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_XZ = b"\xfd7zXZ\x00"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_BZIP2 = b"BZh"
# The beginning of a block of bzip2, and the end of a file without blocks. "BZh" alone could be the beginning of a word.
_BZIP2_BLOCK = (b"1AY&SY", b"\x17\x72E8P\x90")
_N_FIRST_BYTES = 10
_TAR, _TAR_AT = b"ustar", 257
SUFFIXES = (".gz", ".zst", ".zstd", ".xz", ".bz2", ".zip")

_BUFFER_BYTES = 1 << 18
# A stream may expand to this many times its size, and to this many bytes in any case. Text rarely reaches 30 times.
_MOST_TIMES = 200
_FREE_BYTES = 1 << 28
# Memory limit for the dictionary of xz, whose presets need 65 MiB.
_XZ_MEMORY_BYTES = 1 << 29

_DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)


class CountingBytes(io.RawIOBase):
    """A file that counts the bytes that were read, for progress. They are counted before decompression."""

    def __init__(self, file: BinaryIO, first: bytes = b"") -> None:
        super().__init__()
        self._file = file
        self._first = first
        self.n_read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer`, beginning with the bytes that were already read to recognise the compression."""
        view = memoryview(buffer)
        data = self._first[: len(view)]
        if data:
            self._first = self._first[len(data) :]
        else:
            # read1 returns the content of a pipe instead of waiting for a full buffer.
            data = getattr(self._file, "read1", self._file.read)(len(view))
        view[: len(data)] = data
        self.n_read += len(data)
        return len(data)

    def seekable(self) -> bool:
        return not self._first and self._file.seekable()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position, which reading archives requires."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The position in the file."""
        return self._file.tell()

    def close(self) -> None:
        """Close the file, unless it is standard input."""
        if not self.closed and not (sys.stdin and self._file is sys.stdin.buffer):
            self._file.close()
        super().close()


def standard_input() -> BinaryIO:
    """The bytes of standard input. Raises UserError if the process was started without one."""
    if sys.stdin is None:
        problem = "'-' stands for standard input, but standard input is closed."
        raise UserError(problem, hint="Name a file, or pipe the data into the command.")
    return sys.stdin.buffer


def open_bytes(path: str | Path) -> tuple[BinaryIO, CountingBytes]:
    """The decompressed bytes of a file, or of standard input if `path` is "-", and a counter of the bytes read."""
    raw = _open_raw(path)
    first = _first_bytes(raw, path)
    kind = _kind(first)
    if kind == "zip":
        return _open_zip(raw, first, path)
    counter = CountingBytes(raw, first)
    source = io.BufferedReader(counter, _BUFFER_BYTES)
    if kind is None:
        return source, counter
    content = io.BufferedReader(_Decompressed(_STREAMS[kind](source), counter, path), _BUFFER_BYTES)
    try:
        if content.peek(_TAR_AT + len(_TAR))[_TAR_AT:].startswith(_TAR):
            raise UserError("is a tar archive.", path=path, hint="Unpack it, and name the file or the folder.")
    except BaseException:
        content.close()
        raise
    return content, counter


def is_compressed(path: Path) -> bool:
    """Whether a file is compressed."""
    with _open_raw(path) as file:
        return _kind(_first_bytes(file, path)) is not None


def uncompressed(path: Path) -> Path:
    """The file itself, or a temporary decompressed copy, for libraries that need random access."""
    if not path.is_file() or not is_compressed(path):
        return path
    stat = path.stat()
    return _decompressed_copy(path, stat.st_size, stat.st_mtime_ns)


@cache
def _decompressed_copy(path: Path, size: int, time_ns: int) -> Path:
    folder = tempfile.TemporaryDirectory(prefix="tf-tokclf-")
    atexit.register(folder.cleanup)
    copy = Path(folder.name) / "data"
    file, _ = open_bytes(path)
    with file, copy.open("wb") as target:
        shutil.copyfileobj(file, target, _BUFFER_BYTES)
    return copy


def compressor(path: Path | None) -> Callable[[bytes], bytes]:
    """A function that compresses one block of a file, by the suffix of its name.

    The result depends only on the block, and concatenated blocks are a valid file. An interrupted file can therefore be
    continued after its last block. The blocks of a `.zip` are not compressed: `compress_file` creates the archive.
    """
    suffix = path.suffix.lower() if path else ""
    if suffix == ".gz":
        return lambda block: gzip.compress(block, mtime=0) if block else b""
    if suffix in (".zst", ".zstd"):
        import pyarrow as pa

        return lambda block: pa.compress(block, codec="zstd", asbytes=True) if block else b""
    if suffix == ".xz":
        return lambda block: lzma.compress(block) if block else b""
    if suffix == ".bz2":
        return lambda block: bz2.compress(block) if block else b""
    return lambda block: block


def compress_file(source: Path, target: Path) -> None:
    """Write the content of `source` to the output `target`, compressed by its suffix, completely or not at all."""
    with (
        output_path(target) as partial,
        source.open("rb") as file,
        partial.open("wb") as out,
        compressing(out, target) as stream,
    ):
        shutil.copyfileobj(file, stream, _BUFFER_BYTES)


@contextmanager
def open_compressed(path: Path) -> Iterator[TextIO]:
    """An output for UTF-8 text, compressed by its suffix. Line ends are written unchanged."""
    with open_output(path, "wb") as file, compressing(file, path) as stream:
        text = io.TextIOWrapper(stream, "utf-8", newline="")
        yield text
        text.flush()
        text.detach()  # the streams below are closed by their own context managers


@contextmanager
def compressing(file: IO[bytes], name: Path) -> Iterator[BinaryIO]:
    """A stream that writes to `file`, compressed by the suffix of `name`. The result depends only on the content."""
    suffix = name.suffix.lower()
    if suffix == ".gz":
        with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as stream:
            yield cast(BinaryIO, stream)
    elif suffix in (".zst", ".zstd"):
        import pyarrow as pa

        with pa.CompressedOutputStream(pa.PythonFile(_KeptOpen(file), mode="w"), "zstd") as stream:
            yield stream
    elif suffix == ".xz":
        with lzma.LZMAFile(file, "wb") as stream:
            yield cast(BinaryIO, stream)
    elif suffix == ".bz2":
        with bz2.BZ2File(file, "wb") as stream:
            yield cast(BinaryIO, stream)
    elif suffix == ".zip":
        member = zipfile.ZipInfo(name_without_compression(name).name)
        member.compress_type = zipfile.ZIP_DEFLATED
        with zipfile.ZipFile(file, "w") as archive, archive.open(member, "w", force_zip64=True) as stream:
            yield cast(BinaryIO, stream)
    else:
        yield cast(BinaryIO, file)


class _KeptOpen(io.RawIOBase):
    """Writes to a file, and ignores `close`."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        """Write to the file."""
        return self._file.write(data)


def name_without_compression(path: Path) -> Path:
    """`path` without the suffix of its compression.

    >>> name_without_compression(Path("a/b.jsonl.gz")).name
    'b.jsonl'
    """
    return path.with_suffix("") if path.suffix.lower() in SUFFIXES else path


def name_of_content(path: Path) -> Path:
    """The name that shows the format of a file: `path` without the suffix of its compression. For an archive
    that has no other suffix, it is the name of the file in the archive.
    """
    name = name_without_compression(path)
    if path.suffix.lower() != ".zip" or name.suffix or not path.is_file() or not is_compressed(path):
        return name
    with _open_raw(path) as raw, _archive(raw, path) as archive:
        return path.with_name(Path(_only_member(archive, path).filename).name)


def _open_raw(path: str | Path) -> BinaryIO:
    if str(path) == "-":
        return standard_input()
    path = Path(path)
    if path.is_dir():
        raise UserError("is a folder, and a file was expected.", path=path, hint="Name a file in it.")
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise UserError("there is no such file.", path=path, hint="Check the path.") from error
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}.", path=path, hint="Check its permissions.") from error


def _first_bytes(raw: BinaryIO, path: str | Path) -> bytes:
    try:
        return raw.read(_N_FIRST_BYTES)
    except OSError as error:
        raw.close()
        raise UserError(f"cannot be read: {error.strerror}.", path=path, hint="Check its permissions.") from error


def _kind(first: bytes) -> str | None:
    """The compression of a file with these first bytes."""
    if first.startswith(_ZIP):
        return "zip"
    if first.startswith(_BZIP2):
        return "bz2" if first[4:].startswith(_BZIP2_BLOCK) else None
    return next((kind for kind, magic in (("gz", _GZIP), ("zst", _ZSTD), ("xz", _XZ)) if first.startswith(magic)), None)


def _open_zip(raw: BinaryIO, first: bytes, path: str | Path) -> tuple[BinaryIO, CountingBytes]:
    if raw.seekable():
        raw.seek(0)
    else:  # the table of contents is at the end of an archive
        spooled = tempfile.TemporaryFile()  # noqa: SIM115 (closed by the stream that is returned)
        spooled.write(first)
        shutil.copyfileobj(raw, spooled, _BUFFER_BYTES)
        spooled.seek(0)
        raw = cast(BinaryIO, spooled)
    counter = CountingBytes(raw)
    try:
        archive = _archive(cast(BinaryIO, counter), path)
        member = _only_member(archive, path)
        if member.flag_bits & 1:
            raise UserError("is an encrypted archive.", path=path, hint="Decrypt it first.")
        try:
            stream = archive.open(member)
        except (NotImplementedError, *_DAMAGE) as error:
            raise _damaged(error, path) from error
    except BaseException:
        counter.close()
        raise
    return io.BufferedReader(_Decompressed(stream, counter, path), _BUFFER_BYTES), counter


def _archive(file: BinaryIO, path: str | Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except _DAMAGE as error:
        raise _damaged(error, path) from error


def _only_member(archive: zipfile.ZipFile, path: str | Path) -> zipfile.ZipInfo:
    """The only file in an archive. Files that macOS adds are ignored."""
    members = [m for m in archive.infolist() if not m.is_dir() and not m.filename.startswith("__MACOSX/")]
    if len(members) == 1:
        return members[0]
    shown = ", ".join(member.filename for member in members[:5]) or "no files"
    more = " ..." if len(members) > 5 else ""
    raise UserError(
        f"is an archive that contains {shown}{more}. Only archives with exactly one file can be read.",
        path=path,
        hint="Unpack it, and name the file or the folder.",
    )


def _damaged(error: BaseException, path: str | Path) -> UserError:
    return UserError(f"the compressed data is damaged or ends early: {error}.", path=path, hint="Fetch it again.")


def _zstd_stream(source: BinaryIO) -> BinaryIO:
    import pyarrow as pa

    return cast(BinaryIO, pa.CompressedInputStream(pa.PythonFile(source, mode="r"), "zstd"))


class _Xz:
    """A decompressed xz stream with limited memory."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._decompressor = self._new()

    @staticmethod
    def _new() -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY_BYTES)

    def read(self, n: int) -> bytes:
        """Up to `n` bytes, none at the end."""
        while True:
            data = b""
            if self._decompressor.eof:
                data = self._decompressor.unused_data or self._source.read(_BUFFER_BYTES)
                data = data.lstrip(b"\0")  # streams may be padded
                if not data:
                    return b""
                self._decompressor = self._new()
            elif self._decompressor.needs_input:
                data = self._source.read(_BUFFER_BYTES)
                if not data:
                    raise EOFError("its end is missing")
            if found := self._decompressor.decompress(data, n):
                return found

    def close(self) -> None:
        """Close the source."""
        self._source.close()


_STREAMS: dict[str, Callable[[BinaryIO], Any]] = {
    "gz": lambda source: gzip.GzipFile(fileobj=source),
    "zst": _zstd_stream,
    "xz": _Xz,
    "bz2": bz2.BZ2File,
}


class _Decompressed(io.RawIOBase):
    """A decompressed stream that raises UserError if it is damaged or expands too much."""

    def __init__(self, file: Any, counter: CountingBytes, path: str | Path) -> None:
        super().__init__()
        self._file = file
        self._counter = counter
        self._path = path
        self._n_written = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` from the stream."""
        view = memoryview(buffer)
        try:
            data = self._file.read(len(view))
        except _DAMAGE as error:
            raise _damaged(error, self._path) from error
        self._n_written += len(data)
        if self._n_written > _FREE_BYTES + _MOST_TIMES * self._counter.n_read:
            raise UserError(
                f"expands to more than {_MOST_TIMES} times its size.",
                path=self._path,
                hint="If you trust it, decompress it yourself and name the result.",
            )
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            self._file.close()
            self._counter.close()
        super().close()
