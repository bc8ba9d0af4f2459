"""Writes files and folders completely or not at all, refuses outputs that would destroy an input, and locks files.

Everything is written under a temporary name next to its target, `NAME.partial`, and renamed when it is complete. Output
to a device, a pipe or one of the process's own streams is written directly. A link to a folder is kept, and the content
of the folder is replaced. A link to a file is replaced, and the file stays unchanged.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import logging
import os
import re
import shutil
import stat
import sys
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import combinations
from pathlib import Path
from typing import IO, Any

from filelock import lock_descriptor

from tf_tokclf.control_characters import PlainOutput
from tf_tokclf.errors import JobError, UserError

log = logging.getLogger(__name__)

_NO_LINKS = "Remove the link, or replace it with a copy of its target."

# The errors of the system for a full disk, an exceeded quota and a file that is too large.
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

# Names of the process's own streams. If they lead to a regular file, it must not be replaced either.
_OWN_STREAM = re.compile("/dev/(?P<name>stdout|stderr)|/(?:dev|proc/self)/fd/(?P<number>[0-9]{1,9})")
_NUMBERS = {"stdout": 1, "stderr": 2}

# How often a lock is tried, and the seconds in between. `is_file_locked` holds it for less than a millisecond.
_LOCK_TRIES, _BETWEEN_TRIES_S = 20, 0.01

# On Windows, folders cannot be opened, and fsync needs a file that is open for writing.
_IS_POSIX = os.name == "posix"


def disk_problem(error: BaseException) -> str | None:
    """The reason why nothing more can be written, if `error` is about a full disk: by its number, or by its text, as in
    errors of TensorFlow.

    >>> disk_problem(RuntimeError("/a/b; No space left on device"))
    'No space left on device'
    """
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno) if error.errno in DISK_FULL else None
    return next((os.strerror(number) for number in DISK_FULL if os.strerror(number) in str(error)), None)


@contextmanager
def explained_full_disk(place: Path) -> Iterator[None]:
    """Turn an error about a full disk into a JobError that names `place`."""
    try:
        yield
    except Exception as error:
        reason = disk_problem(error)
        if reason is None:
            raise
        raise JobError(f"{place}: the disk is full ({reason}). Free some space, then start again.") from error


# Complete or not at all


@contextmanager
def open_whole(path: str | Path, mode: str = "w", **options: Any) -> Iterator[IO[Any]]:
    """Open `path` for writing. Afterwards it is complete, or unchanged if the block raises."""
    path = Path(path)
    if "b" not in mode:
        options.setdefault("encoding", "utf-8")
    with ExitStack() as stack:
        with _explained(path):
            partial = stack.enter_context(_replacing(path))
            file = stack.enter_context(partial.open(mode, **options))
        yield file
        file.flush()


@contextmanager
def whole_path(path: Path, *, unique: bool = False) -> Iterator[Path]:
    """The path of an empty file, which replaces `path` if the block ends without an exception.

    unique: allow several processes to write the same file at the same time. Otherwise the name is always
    `NAME.partial`.
    """
    with _replacing(path, unique=unique) as partial:
        # Created here, because libraries may not respect the umask.
        with partial.open("wb") as file:
            mode = os.fstat(file.fileno()).st_mode
        yield partial
        _set_mode(partial, mode)


@contextmanager
def _replacing(path: Path, *, unique: bool = False) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():  # renaming would fail with a message about the partial file
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    partial = partial_of(path, unique=unique)
    if partial.is_symlink():
        partial.unlink()
    try:
        yield partial
        _sync_file(partial)
        partial.replace(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise


@contextmanager
def whole_folder(folder: Path, *, unique: bool = False) -> Iterator[Path]:
    """The path of an empty folder, which replaces `folder` if the block ends without an exception.

    unique: as in `whole_path`.
    """
    if is_stream(folder):
        raise UserError("is not a folder.", path=folder, hint="Name another output.")
    partial = partial_of(folder, unique=unique)
    remove(partial)
    partial.mkdir(parents=True)
    try:
        yield partial
        _set_modes(partial)
        for parent, _, names in os.walk(partial):
            for name in names:
                _sync_file(Path(parent) / name)
            _sync_folder(Path(parent))
        replace_folder(partial, folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def replace_folder(new: Path, folder: Path) -> None:
    """Replace `folder`, or the folder that it links to, by `new`. A complete folder exists at any time."""
    place, old = _place(folder), old_of(folder)
    if place.is_symlink():
        place.unlink()
    remove(old)
    if place.exists():
        place.rename(old)
    new.rename(place)
    _sync_folder(place.parent)
    with suppress(OSError):
        remove(old)


def restore_replaced(folder: Path) -> None:
    """Restore `folder` if a process was killed between the two renames of `replace_folder`."""
    old = old_of(folder)
    if old.is_dir() and not folder.exists():
        old.rename(_place(folder))


def copy_whole(source: Path, target: Path) -> None:
    """Copy a file or a folder. Afterwards `target` is complete, or unchanged if this raises.

    Raises UserError for links that lead out of the folder, as `copy_folder` does.
    """
    if source.is_dir():
        with whole_folder(target) as partial:
            copy_folder(source, partial)
    else:
        check_links(source.parent, [source], hint=_NO_LINKS)
        with whole_path(target) as partial:
            shutil.copyfile(source, partial)


def copy_folder(source: Path, target: Path) -> None:
    """Copy the content of the folder `source` into `target`, and replace files of the same name.

    Raises UserError for links that lead out of `source`. If somebody else created the folder, the target of such a link
    would be published with the copy.
    """
    paths = [Path(parent) / name for parent, folders, files in os.walk(source) for name in (*folders, *files)]
    check_links(source, paths, hint=_NO_LINKS)
    shutil.copytree(source, target, dirs_exist_ok=True)


def check_links(folder: Path, paths: Iterable[Path], *, hint: str) -> None:
    """Raise UserError for the first of `paths` that is a link to a place outside `folder`.

    In the cache of the Hub, models--X/snapshots/REVISION/FILE is a link to models--X/blobs/HASH. This is allowed.
    """
    root = folder.resolve()
    for path in paths:
        real = path.resolve()
        in_hub_cache = root.parent.name == "snapshots" and real.parent == root.parent.parent / "blobs"
        if not (real.is_relative_to(root) or in_hub_cache):
            raise UserError(f"is a link to {real}, outside of its folder.", path=path, hint=hint)


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented UTF-8 JSON, completely or not at all."""
    with open_whole(path) as file:
        _dump_json(value, file)


def as_argument(path: Path) -> str:
    """The path as an argument of a command line, which takes a word that begins with a hyphen for an option.

    >>> as_argument(Path("-x")).endswith("-x"), as_argument(Path("-x"))[0], as_argument(Path("runs"))
    (True, '.', 'runs')
    """
    text = str(path)
    return f".{os.sep}{text}" if text.startswith("-") else text


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal digits. Raises OSError if it is not a regular file."""
    if is_stream(path):  # opening a pipe would wait forever
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _dump_json(value: Any, file: IO[str]) -> None:
    json.dump(value, file, ensure_ascii=False, indent=2)
    file.write("\n")


def write_sealed_json(path: str | Path, value: Any) -> None:
    """Write `value` as JSON together with its checksum, completely or not at all. `read_sealed_json` reads it.

    Several processes may write the same file at the same time.
    """
    sealed = {"checksum": _checksum(value), "content": value}
    with whole_path(Path(path), unique=True) as partial:
        partial.write_text(json.dumps(sealed, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def read_sealed_json(path: Path) -> Any:
    """The value that `write_sealed_json` wrote. Raises ValueError for any other content."""
    if is_stream(path):  # opening a pipe would wait forever
        raise ValueError("it is not a regular file")
    try:
        sealed = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(sealed, dict) or set(sealed) != {"checksum", "content"}:
        raise ValueError("it has no checksum")
    if sealed["checksum"] != _checksum(sealed["content"]):
        raise ValueError("its checksum is wrong")
    return sealed["content"]


def _checksum(value: Any) -> str:
    text = json.dumps(value, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def partial_of(path: Path, *, unique: bool = False) -> Path:
    """The temporary name under which a replacement of `path` is written."""
    return _beside(path, f".{uuid.uuid4().hex}.partial" if unique else ".partial")


def journal_of(path: Path) -> Path:
    """The file that records how much of the partial file of a long job is complete."""
    return _beside(path, ".journal")


def old_of(folder: Path) -> Path:
    """The temporary name of a folder that is being replaced. It is not NAME.old, which users may have."""
    return _beside(folder, ".replaced.partial")


def remove(path: Path) -> None:
    """Remove the file, folder or link at `path`, if there is one. The target of a link is never removed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()


def _beside(path: Path, ending: str) -> Path:
    place = _place(path)
    return place.with_name(place.name + ending)


def _place(path: Path) -> Path:
    """The place of a folder that replaces `path`. For a link to a folder, its target, even if that does not exist."""
    try:
        if not path.is_symlink():
            return path if path.name not in ("", "..") else path.resolve()
    except OSError:  # a name that is too long
        return path
    target = path.parent / path.readlink()
    if path.is_dir() or (target.parent.is_dir() and not target.is_symlink() and not target.exists()):
        return path.resolve()
    return path


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn an error about creating `path` into a UserError. A full disk is not the user's mistake and is passed on."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            raise
        hint = "Check the folder's permissions, or choose another place."
        raise UserError(f"cannot be written: {error.strerror}.", path=path, hint=hint) from error


def _set_modes(folder: Path) -> None:
    """Give everything in `folder` the permissions of `folder` itself, which follow the umask."""
    mode = stat.S_IMODE(folder.stat().st_mode) & 0o777
    for parent, folders, names in os.walk(folder):
        for name in folders:
            _set_mode(Path(parent) / name, mode)
        for name in names:
            _set_mode(Path(parent) / name, mode & 0o666)


def _set_mode(path: Path, mode: int) -> None:
    before = path.lstat().st_mode
    if not stat.S_ISLNK(before) and before & 0o777 != mode & 0o777:
        with suppress(OSError):  # some file systems do not support permissions
            path.chmod((stat.S_IMODE(before) & ~0o777) | (mode & 0o777))


def _sync_file(path: Path) -> None:
    with path.open("rb" if _IS_POSIX else "rb+") as file:
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    if not _IS_POSIX:
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# Locks


def try_lock(descriptor: int) -> bool:
    """Lock an open file until it is closed or the process ends. False if another process has locked it.

    On file systems without locks, the result is always True.
    """
    try:
        return lock_descriptor(descriptor, blocking=False)
    except OSError as error:
        log.debug("this file system does not support locks (%s)", error.strerror)
        return True


def is_file_locked(path: Path) -> bool:
    """Whether somebody holds the lock that `lock_file` takes. Nothing is written. The file is only opened for reading.

    The check takes a shared lock for a moment, so several checks do not see each other, and `lock_file` waits for it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return False
    try:
        return not _try_shared_lock(descriptor)
    finally:
        os.close(descriptor)


def _try_shared_lock(descriptor: int) -> bool:
    if sys.platform != "win32":
        import fcntl

        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            log.debug("this file system does not support locks (%s)", error.strerror)
        return True
    return try_lock(descriptor)


@contextmanager
def lock_file(path: Path) -> Iterator[None]:
    """Create and lock the file `path` during the block. The lock ends with the process, even if the file remains.

    Raises BlockingIOError if another process has locked it.
    """
    descriptor = _locked_descriptor(path)
    try:
        yield
    finally:
        with suppress(OSError):  # on Windows, an open file cannot be removed, so it remains
            path.unlink()
        os.close(descriptor)


def _locked_descriptor(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        if not _locked_soon(descriptor):
            os.close(descriptor)
            raise BlockingIOError(errno.EWOULDBLOCK, os.strerror(errno.EWOULDBLOCK), str(path))
        with suppress(OSError):
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        # The process that held the lock removed the file between the two calls.
        os.close(descriptor)


def _locked_soon(descriptor: int) -> bool:
    """Lock an open file. False if another process holds the lock for longer than a check takes."""
    for _ in range(_LOCK_TRIES):
        if try_lock(descriptor):
            return True
        time.sleep(_BETWEEN_TRIES_S)
    return False


# Outputs that the user named, which may be streams. A stream in the place of one of a run's own files was not named by
# the user: it is replaced like a file.


@contextmanager
def open_output(path: Path, mode: str = "w", **options: Any) -> Iterator[IO[Any]]:
    """Open an output that the user named: a file with `open_whole`, a device or a pipe directly."""
    if not is_stream(path):
        with open_whole(path, mode, **options) as file:
            yield file
        return
    with _explained(path):
        stream = _open_stream(path)
    with stream:
        # Untrusted text must not control the terminal.
        out: Any = PlainOutput(stream) if stream.isatty() else stream
        if "b" in mode:
            yield out
            return
        text = io.TextIOWrapper(out, **{"encoding": "utf-8", **options})
        try:
            yield text
            text.flush()
        finally:
            with suppress(OSError, ValueError):
                text.detach()


@contextmanager
def output_path(path: Path) -> Iterator[Path]:
    """The path of an empty file for an output that the user named. It is then copied to a device or pipe."""
    if not is_stream(path):
        with whole_path(path, unique=True) as partial:
            yield partial
        return
    with tempfile.TemporaryDirectory(prefix="tf-tokclf-") as folder:
        temporary = Path(folder) / path.name
        temporary.touch()
        yield temporary
        with open_output(path, "wb") as stream, temporary.open("rb") as file:
            shutil.copyfileobj(file, stream)


def write_json_output(path: Path, value: Any) -> None:
    """Like `write_json`, for an output that the user named."""
    with open_output(path) as file:
        _dump_json(value, file)


def is_stream(path: Path) -> bool:
    """Whether `path` exists and is a device, a named pipe or a stream such as /dev/stdout."""
    if _OWN_STREAM.fullmatch(str(path)):
        return True
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _open_stream(path: Path) -> IO[bytes]:
    own = _OWN_STREAM.fullmatch(str(path))
    if not own:
        return path.open("wb")
    for printed in (sys.stdout, sys.stderr):
        if printed is not None:
            printed.flush()
    return os.fdopen(os.dup(_NUMBERS.get(own["name"]) or int(own["number"])), "wb")


# Checks before anything is read or written


def check_readable(paths: Iterable[Path]) -> None:
    """Raise UserError for the first of these files that cannot be opened, before a library raises its own error."""
    for path in paths:
        try:
            path.open("rb").close()
        except OSError as error:
            raise UserError(f"cannot be read: {error.strerror}.", path=path, hint="Check its permissions.") from error


def check_output(output: Path, *, inputs: Iterable[Path | None] = (), force: bool) -> None:
    """Raise UserError if writing the file `output` would destroy one of `inputs`, would replace a file without `force`,
    or is not possible.
    """
    check_no_input(output, inputs)
    if is_stream(output):
        return
    try:
        exists = output.exists() or output.is_symlink()
    except OSError as error:
        raise UserError(f"cannot be written: {error.strerror}.", path=output, hint="Choose another name.") from error
    if exists and not force:
        raise UserError("the file exists.", path=output, hint="Choose another name, or replace it with --force.")
    if not output.parent.is_dir():
        raise UserError("there is no such folder to write to.", path=output.parent, hint="Create it first.")
    if not os.access(output.parent, os.W_OK | os.X_OK):
        raise UserError(
            "you have no permission to write in this folder.", path=output.parent, hint="Check its permissions."
        )


def check_outputs(outputs: Iterable[Path | None], inputs: Iterable[Path], *, force: bool) -> None:
    """`check_output` for several outputs, some of which may be None. Raises UserError if two are the same file."""
    inputs, named = list(inputs), [path for path in outputs if path is not None]
    for path in named:
        check_output(path, inputs=inputs, force=force)
    for one, other in combinations(named, 2):
        check_different(one, other)


def check_no_input(output: Path, inputs: Iterable[Path | None]) -> None:
    """Raise UserError if writing `output` would destroy one of `inputs`, because it is the same file or folder,
    possibly through links, or a folder that contains the input.
    """
    written = [path for path in (output, partial_of(output), journal_of(output)) if _is_there(path)]
    if not written or is_stream(output):
        return
    hint = "Name another output."
    for path in inputs:
        if path is None or not _is_there(path):
            continue
        if any(_is_same(path, one) for one in written):
            raise UserError(f"writing it would destroy the input {path}.", path=output, hint=hint)
        if output.is_dir() and path.resolve().is_relative_to(output.resolve()):
            raise UserError(f"replacing this folder would destroy the input {path}.", path=output, hint=hint)


def check_replaceable(folder: Path) -> None:
    """Raise UserError if `folder`, or the folder that it links to, cannot be replaced."""
    if not folder.is_dir():
        return
    place = folder.resolve()
    if Path.cwd().is_relative_to(place):
        problem = "the current folder, or a folder that contains it, cannot be replaced."
        raise UserError(problem, path=folder, hint="Choose another folder, or run the command elsewhere.")
    if os.path.ismount(place) or not os.access(place.parent, os.W_OK | os.X_OK):
        linked = f"is a link to {place}, which cannot be replaced."
        hint = f"Its parent {place.parent} has to be a folder on the same disk that you may write in."
        raise UserError(linked if folder.is_symlink() else "cannot be replaced.", path=folder, hint=hint)


def check_different(one: Path, other: Path) -> None:
    """Raise UserError if two outputs are the same file."""
    if not is_stream(one) and (one.resolve() == other.resolve() or _is_same(one, other)):
        raise UserError("two outputs cannot be the same file.", path=one, hint="Give each output its own name.")


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except (OSError, ValueError):
        return False


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False
