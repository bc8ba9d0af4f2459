"""The cache of sentences and windows. Several processes can share it, its size is limited, and entries are checked when
they are opened.

    lock                           locked briefly while an entry is added, opened or removed
    splits/KEY.arrow               the sentences of a split, as a stream of Arrow record batches
    splits/KEY.json                metadata, with the size and the checksum of the table
    splits/KEY.ID.in-use           locked by a process as long as it uses the entry
    splits/KEY.arrow.ID.partial    a file that is being written
    windows/...                    the windows of a split, in the same layout

An entry is complete when both its table and its JSON file exist. Its key is a hash of everything that determines its
content. The modification time of the JSON file records the last use, because many file systems do not update access
times.
"""

from __future__ import annotations

import atexit
import errno
import logging
import mmap
import os
import re
import tempfile
import time
import uuid
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from io import BufferedReader
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from filelock import FileLock

from tf_tokclf.config.schema import DataConfig
from tf_tokclf.counted import counted
from tf_tokclf.errors import JobError, UserError
from tf_tokclf.files import is_stream, read_sealed_json, whole_path, write_sealed_json

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

# The folders of the cache, and the name of their content in messages.
KINDS = {"splits": "sentences", "windows": "windows"}
GIGABYTE = 10**9
# Smaller tables are read into memory, so later changes to the file do no harm. Larger tables are mapped; truncating a
# mapped file while it is read ends the process (SIGBUS).
MAPPED_FROM_BYTES = 64 << 20
# 0.2 s per GiB with blocks of this size, 0.35 s with 8 MiB (two cores, file in the page cache; blake2b: 2 s).
_BLOCK_BYTES = 1 << 18
# The lock is only held briefly. The timeout keeps a suspended process that holds it from blocking all others.
_LOCK_TIMEOUT_S = 10
_LOCK, _IN_USE, _PARTIAL = "lock", ".in-use", ".partial"
_FILE_NAME = re.compile(r"([0-9a-f]{32})\.(?:arrow|json|[0-9a-f]{32}\.in-use|(?:arrow|json)\.[0-9a-f]{32}\.partial)")
_SIZE = re.compile(r"(\d+(?:\.\d+)?) *([KMGT]?)B?", re.IGNORECASE)
_UNITS = {"K": 10**3, "M": 10**6, "": GIGABYTE, "G": GIGABYTE, "T": 10**12}


def cache_folder() -> Path:
    """The cache folder: TF_TOKCLF_CACHE, otherwise tf-tokclf in XDG_CACHE_HOME or ~/.cache.

    Without a home folder, it is a temporary folder, and a warning says so.
    """
    if chosen := os.environ.get("TF_TOKCLF_CACHE"):
        try:
            return Path(chosen).expanduser()
        except RuntimeError as error:
            problem = f"TF_TOKCLF_CACHE is {chosen}, but this home folder does not exist."
            raise UserError(problem, hint="Set TF_TOKCLF_CACHE to the full path of a folder.") from error
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg) / "tf-tokclf"
    if home := _home():
        return home / ".cache" / "tf-tokclf"
    _warn_of_no_home()
    return _temporary_folder()


def _home() -> Path | None:
    """The user's home folder. None if HOME is empty, or if it is not set and the system does not know the user."""
    if os.environ.get("HOME") == "":
        return None
    try:
        return Path.home()
    except RuntimeError:
        return None


@cache
def _warn_of_no_home() -> None:
    """Warn once per process."""
    message = (
        "There is no home folder (HOME), so data is cached in a temporary folder, which is deleted when the command"
    )
    log.warning("%s ends. To keep the cache, set TF_TOKCLF_CACHE to a folder.", message)


def size_limit(data: DataConfig | None = None) -> int | None:
    """The largest size of the cache in bytes: data.cache_size_gb if it is set, otherwise TF_TOKCLF_CACHE_SIZE,
    otherwise the default of the setting. None: no limit.
    """
    text = os.environ.get("TF_TOKCLF_CACHE_SIZE", "")
    if text.strip() and (data is None or "cache_size_gb" not in data.model_fields_set):
        return _bytes_in(text)
    gigabytes = (data or DataConfig()).cache_size_gb
    return None if gigabytes is None else int(gigabytes * GIGABYTE)


def _bytes_in(text: str) -> int | None:
    """Parse a size. A number without a unit means gigabytes.

    >>> _bytes_in("5"), _bytes_in("500 MB"), _bytes_in("1.5g"), _bytes_in("none")
    (5000000000, 500000000, 1500000000, None)
    """
    if text.strip().lower() == "none":
        return None
    found = _SIZE.fullmatch(text.strip())
    if found is None or len(text) > 30:
        hint = "Give gigabytes (5), a number with a unit (500MB), or none for no limit."
        raise UserError(f"TF_TOKCLF_CACHE_SIZE is {text[:30]!r}, which is not a size.", hint=hint)
    return int(float(found[1]) * _UNITS[found[2].upper()])


@dataclass(frozen=True)
class Cached:
    """An opened entry. facts: the metadata stored with the table. is_new: whether the entry was just written."""

    path: Path
    table: pa.Table
    facts: dict[str, Any]
    is_new: bool


@dataclass(frozen=True)
class Cache:
    """A folder of Arrow tables. max_bytes: None for no limit. reuse: use existing entries instead of rewriting them."""

    folder: Path
    max_bytes: int | None
    reuse: bool = True

    @classmethod
    def of(cls, data: DataConfig) -> Cache:
        """The cache as set by the configuration and the environment."""
        return cls(cache_folder(), size_limit(data), data.use_cache)

    def load_or_build(
        self,
        kind: str,
        key: str,
        schema: pa.Schema,
        batches: Callable[[], Iterable[pa.RecordBatch]],
        facts: Callable[[], Mapping[str, Any]],
        *,
        source: str,
    ) -> Cached:
        """The table with this key. It is written first if it is missing or damaged; in a read-only cache, to a
        temporary folder that is deleted when the process ends.

        facts: called after all batches are written. source: the data from which the table was made, for display.
        """
        path = self.folder / kind / f"{key}.arrow"
        if self.reuse and (found := self._opened(path, schema, is_new=False)):
            self.prune()
            return found
        _check_folder(self.folder)
        with _explained_writing(path.parent):
            if not _may_add_to(path.parent) and self.folder != _temporary_folder():
                _warn_of_read_only(path.parent)
                temporary = replace(self, folder=_temporary_folder(), max_bytes=None)
                return temporary.load_or_build(kind, key, schema, batches, facts, source=source)
            path.parent.mkdir(parents=True, exist_ok=True)
        # Held until the entry is opened, so that no other process removes it before.
        in_use = _Use(path)
        self._write(path, schema, batches, facts, source)
        written = self._opened(path, schema, is_new=True)
        del in_use
        if written is None:
            hint = "The disk may be damaged. Set TF_TOKCLF_CACHE to a folder on another disk."
            raise UserError("the file read back differs from what was written.", path=path, hint=hint)
        self.prune()
        return written

    def contents(self) -> CacheContents:
        """All entries, and which of them are in use."""
        _check_folder(self.folder)
        with self._exclusive():
            entries = entries_in(self.folder)
            return CacheContents(self.folder, self.max_bytes, entries, [one for one in entries if one.is_in_use()])

    def prune(self) -> None:
        """Remove leftovers of killed processes. While the limit is exceeded, also remove the least recently used
        entries. Entries in use are kept.
        """
        with suppress(UserError), self._exclusive() as alone:
            if not alone:
                return
            entries = sorted(entries_in(self.folder), key=lambda entry: (entry.is_complete, entry.last_used))
            total = sum(entry.n_bytes for entry in entries)
            for entry in entries:
                fits = self.max_bytes is None or total <= self.max_bytes
                if (entry.is_complete and fits) or entry.is_in_use():
                    continue
                if entry.remove():
                    total -= entry.n_bytes
                    log.debug("removed from the cache: %s", entry)

    def clear(self, *, unused_for_s: float = 0, dry_run: bool = False) -> Cleared:
        """Remove leftovers of killed processes, and entries that are not in use and were last used at least
        `unused_for_s` seconds ago. dry_run: only list them. Raises UserError if an entry cannot be removed.
        """
        _check_folder(self.folder)
        removed, in_use = [], []
        with self._exclusive():
            for entry in entries_in(self.folder):
                if entry.is_complete and entry.age_s < unused_for_s:
                    continue
                if entry.is_in_use():
                    in_use.append(entry)
                    continue
                if not (dry_run or entry.remove()):
                    problem = "the entry cannot be removed from the cache."
                    hint = "Check the folder's permissions. If this path is a folder instead of a file, move it away."
                    raise UserError(problem, path=entry.files[0], hint=hint)
                removed.append(entry)
        return Cleared(removed, in_use)

    def _opened(self, path: Path, schema: pa.Schema, *, is_new: bool) -> Cached | None:
        """The entry, checked and marked as in use. None if it is missing or damaged; damage is logged."""
        import pyarrow as pa

        about_path = path.with_suffix(".json")
        with ExitStack() as files:
            try:
                with self._exclusive():
                    about = read_sealed_json(about_path)
                    if is_stream(path):  # opening a pipe would block forever
                        raise ValueError("it is not a regular file")
                    file = files.enter_context(path.open("rb"))
                    use = _Use(path)
                    with suppress(OSError):  # owned by another user, or on a read-only disk
                        os.utime(about_path)
                use.watch(file)
                content = _checked_content(file, about["size"], about["xxh3_128"])
                content.use = use
                table = pa.ipc.open_stream(pa.py_buffer(content)).read_all()
            except (FileNotFoundError, NotADirectoryError, PermissionError):
                return None
            except (OSError, ValueError, LookupError, TypeError, pa.ArrowException) as error:
                why = error.strerror if isinstance(error, OSError) and error.strerror else error
                log.warning("%s is damaged (%s). It will be rebuilt.", path, why)
                return None
        if not table.schema.equals(schema):
            log.debug("%s has other columns, so another version wrote it", path)
            return None
        return Cached(path, table, about["facts"], is_new)

    def _write(
        self,
        path: Path,
        schema: pa.Schema,
        batches: Callable[[], Iterable[pa.RecordBatch]],
        facts: Callable[[], Mapping[str, Any]],
        source: str,
    ) -> None:
        import pyarrow as pa

        with ExitStack() as both_renamed, _explained_writing(path.parent):
            with whole_path(path, unique=True) as partial:
                with partial.open("wb") as file:
                    sink = _ChecksummedFile(file)
                    with pa.ipc.new_stream(sink, schema) as writer:
                        for batch in batches():
                            writer.write_batch(batch)
                about = {
                    "size": sink.size,
                    "xxh3_128": sink.checksum.hexdigest(),
                    "source": source,
                    "facts": facts(),
                }
                both_renamed.enter_context(self._exclusive())
            write_sealed_json(path.with_suffix(".json"), about)

    @contextmanager
    def _exclusive(self) -> Iterator[bool]:
        """Lock the cache, so that no other process adds, opens or removes entries. Yields False if it cannot be locked:
        the folder is missing or not writable, or its file system has no locks.
        """
        lock = FileLock(self.folder / _LOCK, timeout=_LOCK_TIMEOUT_S)
        try:
            if self.folder.is_dir():
                lock.acquire()
        except (OSError, NotImplementedError) as error:
            log.debug("%s cannot be locked (%s)", self.folder, error)
        try:
            yield lock.is_locked
        finally:
            lock.release()


@dataclass(frozen=True)
class CacheEntry:
    """An entry of the cache, complete or left unfinished by a killed process. last_used: Unix time in seconds."""

    kind: str
    key: str
    files: tuple[Path, ...]
    n_bytes: int
    last_used: float

    @property
    def is_complete(self) -> bool:
        """Whether both files exist."""
        suffixes = {path.name.removeprefix(self.key) for path in self.files}
        return {".arrow", ".json"} <= suffixes

    @property
    def age_s(self) -> float:
        """Seconds since the last use, by the system clock."""
        return max(0.0, time.time() - self.last_used)

    @property
    def source(self) -> str:
        """The data from which the entry was made; empty if unknown."""
        try:
            return str(read_sealed_json(self.files[0].parent / f"{self.key}.json")["source"])
        except (OSError, ValueError, LookupError, TypeError):
            return ""

    def is_in_use(self) -> bool:
        """Whether a process uses the entry. Marks of processes that have ended are removed."""
        marks = [path for path in self.files if path.name.endswith(_IN_USE)]
        return sum(map(_is_held, marks)) > 0

    def remove(self) -> bool:
        """Delete the files of the entry, and empty folders with their names. False if that fails, for example for open
        files on Windows.
        """
        # The JSON file first: without it, the rest no longer counts as an entry.
        for path in sorted(self.files, key=lambda path: path.suffix != ".json"):
            try:
                if path.is_dir() and not path.is_symlink():
                    path.rmdir()
                else:
                    path.unlink(missing_ok=True)
            except OSError as error:
                log.debug("%s cannot be removed: %s", path, error.strerror)
                return False
        return True


@dataclass(frozen=True)
class CacheContents:
    """The entries of a cache, which of them are in use, and the size limit in bytes."""

    folder: Path
    max_bytes: int | None
    entries: list[CacheEntry]
    in_use: list[CacheEntry]

    def to_json(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return {
            "folder": str(self.folder),
            "limit_bytes": self.max_bytes,
            "size_bytes": sum(entry.n_bytes for entry in self.entries),
            "entries": [
                {
                    "kind": KINDS[entry.kind],
                    "key": entry.key,
                    "made_from": entry.source,
                    "complete": entry.is_complete,
                    "size_bytes": entry.n_bytes,
                    "seconds_since_use": round(entry.age_s),
                    "in_use": entry in self.in_use,
                }
                for entry in self.entries
            ],
        }


@dataclass(frozen=True)
class Cleared:
    """The removed entries, and those that were kept because a process uses them."""

    removed: list[CacheEntry]
    in_use: list[CacheEntry]


def entries_in(folder: Path) -> list[CacheEntry]:
    """All entries of the cache in `folder`. Files that the cache did not write are ignored."""
    found = []
    for kind in KINDS:
        files: dict[str, list[os.DirEntry[str]]] = {}
        try:
            with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder / kind) as listing:
                for file in listing:
                    if match := _FILE_NAME.fullmatch(file.name):
                        files.setdefault(match[1], []).append(file)
        except OSError as error:
            problem = f"the cache cannot be read: {error.strerror}."
            raise UserError(problem, path=folder / kind, hint="Check its permissions.") from error
        found += [entry for key, group in files.items() if (entry := _entry(kind, key, group))]
    return found


def _entry(kind: str, key: str, files: Iterable[os.DirEntry[str]]) -> CacheEntry | None:
    known: dict[Path, os.stat_result] = {}
    for file in files:
        with suppress(FileNotFoundError):
            known[Path(file.path)] = file.stat()
    about = next((status for path, status in known.items() if path.name == f"{key}.json"), None)
    if not known:
        return None
    last_used = about.st_mtime if about else max(status.st_mtime for status in known.values())
    return CacheEntry(kind, key, tuple(sorted(known)), sum(status.st_size for status in known.values()), last_used)


def change_while_in_use() -> JobError | None:
    """An error if a file was changed or truncated while this process had it mapped; each change is reported once."""
    changed = _CHANGED + [watched for watched in list(_WATCHED) if watched.is_changed()]
    _CHANGED.clear()
    for watched in changed:
        watched.is_told = True
    if not changed:
        return None
    return JobError(
        f"{changed[0].path} was changed while it was in use, so the results may be wrong. "
        "It will be rebuilt when you run the command again."
    )


class _Use:
    """Marks an entry as used by this process, with a locked file that exists until this object or the process ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        mark = path.with_name(f"{path.stem}.{uuid.uuid4().hex}{_IN_USE}")
        # Not thread-local: any thread may drop the last reference and so release the lock.
        lock = FileLock(mark, timeout=0, thread_local=False)
        try:
            lock.acquire()
        except (OSError, NotImplementedError) as error:
            # Harmless: without write permission, other processes of this user cannot remove entries either.
            log.debug("%s cannot be marked as in use (%s)", path, error)
            with suppress(OSError):
                mark.unlink()
        else:
            weakref.finalize(self, _unmark, lock, mark, os.getpid())

    def watch(self, file: BufferedReader) -> None:
        """Let `change_while_in_use` check this file, if it is large enough to be mapped."""
        status = os.fstat(file.fileno())
        if status.st_size >= MAPPED_FROM_BYTES:
            watched = _Watched(self.path, os.dup(file.fileno()), status.st_size, status.st_mtime_ns)
            _WATCHED.append(watched)
            weakref.finalize(self, _unwatch, watched)


@dataclass(eq=False)
class _Watched:
    """The state of a file when it was mapped. is_told: whether a change was already reported."""

    path: Path
    descriptor: int
    size: int
    changed_at_ns: int
    is_told: bool = False

    def is_changed(self) -> bool:
        """Whether size or modification time have changed and this was not reported yet."""
        now = os.fstat(self.descriptor)
        return not self.is_told and (now.st_size, now.st_mtime_ns) != (self.size, self.changed_at_ns)


_WATCHED: list[_Watched] = []
_CHANGED: list[_Watched] = []


def _unwatch(watched: _Watched) -> None:
    if watched.is_changed():
        _CHANGED.append(watched)
    _WATCHED.remove(watched)
    os.close(watched.descriptor)


def _unmark(lock: FileLock, mark: Path, process: int) -> None:
    # In a forked process, the mark belongs to the parent.
    if process == os.getpid():
        with suppress(OSError):
            lock.release(force=True)
            mark.unlink(missing_ok=True)


def _is_held(mark: Path) -> bool:
    lock = FileLock(mark, timeout=0)
    try:
        lock.acquire()
    except (OSError, NotImplementedError):
        return True
    lock.release()
    with suppress(OSError):
        mark.unlink(missing_ok=True)
    return False


class _Loaded(bytearray):
    """A file's content in memory. Holds `use` for as long as it exists."""

    use: _Use


class _Mapped(mmap.mmap):
    """A mapped file. Holds `use` for as long as it exists."""

    use: _Use


def _checked_content(file: BufferedReader, size: int, checksum: str) -> _Loaded | _Mapped:
    """The content of the file. Raises ValueError unless it has this size and checksum.

    The checksum is computed from bytes that are read, not mapped: a disk error raises an exception while reading, but
    would end the process in a mapped file.
    """
    from xxhash import xxh3_128

    there = os.fstat(file.fileno()).st_size
    if there != size:
        raise ValueError(f"it has {counted(there, 'byte')}, but {size:,} were written")
    content = _Loaded(size) if size < MAPPED_FROM_BYTES else None
    found = xxh3_128()
    block = memoryview(content if content is not None else bytearray(_BLOCK_BYTES))
    if content is not None:
        found.update(block[: file.readinto(block)])
    else:
        while n_read := file.readinto(block):
            found.update(block[:n_read])
    if found.hexdigest() != checksum:
        raise ValueError("its checksum is wrong")
    return content if content is not None else _Mapped(file.fileno(), 0, access=mmap.ACCESS_READ)


class _ChecksummedFile:
    """Writes to a file and computes the size and the checksum of what was written."""

    closed = False

    def __init__(self, file: IO[bytes]) -> None:
        from xxhash import xxh3_128

        self._file = file
        self.size = 0
        self.checksum = xxh3_128()

    def write(self, data: Any) -> int:
        """Write `data`, bytes or an Arrow buffer."""
        self._file.write(data)
        self.checksum.update(data)
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        """Required by Arrow; closing the file flushes it."""

    def close(self) -> None:
        """Required by Arrow; the code that opened the file closes it."""


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        hint = "Set TF_TOKCLF_CACHE to a folder."
        raise UserError("is a file, but the cache needs a folder.", path=folder, hint=hint)


def _may_add_to(folder: Path) -> bool:
    """Whether this process may write to a folder of the cache. The folder is created if it is missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return False
        raise
    return os.access(folder, os.W_OK | os.X_OK)


@cache
def _warn_of_read_only(folder: Path) -> None:
    """Warn once per folder."""
    message = "%s: no permission to write to the cache. New entries are stored in a temporary folder instead."
    log.warning(message, folder)


@cache
def _temporary_folder() -> Path:
    """A folder that is deleted when the process ends."""
    folder = tempfile.TemporaryDirectory(prefix="tf-tokclf-")
    atexit.register(folder.cleanup)
    return Path(folder.name)


@contextmanager
def _explained_writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = "Set TF_TOKCLF_CACHE to a writable folder with free space, or run tf-tokclf cache clear."
        raise UserError(f"cannot be written: {error.strerror}.", path=folder, hint=hint) from error
