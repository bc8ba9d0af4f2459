"""Write files and folders completely or not at all.

Everything is written under a temporary name beside its target, `NAME.partial`, and renamed when it is complete.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from tf_tokclf.errors import UserError

# What the system reports when a disk, a quota or the largest file size is reached.
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def open_whole(path: str | Path, mode: str = "w", **options: Any) -> Iterator[IO[Any]]:
    """Open `path` for writing so that it is complete afterwards, or as it was before."""
    path = Path(path)
    if "b" not in mode:
        options.setdefault("encoding", "utf-8")
    with whole_path(path) as partial, _opened(partial, path, mode, options) as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _opened(partial: Path, path: Path, mode: str, options: dict[str, Any]) -> IO[Any]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return partial.open(mode, **options)
    except OSError as error:
        if error.errno in DISK_FULL:
            raise
        hint = "Check the folder's permissions, or name another place."
        raise UserError(f"cannot be written: {error.strerror}.", path=path, hint=hint) from error


@contextmanager
def whole_path(path: Path, *, unique: bool = False) -> Iterator[Path]:
    """A temporary name to write a file at, which replaces `path` if the block ends without an exception.

    unique: let several processes write the same file at once; otherwise the name is always `NAME.partial`.
    """
    partial = _partial(path, unique=unique)
    try:
        yield partial
        partial.replace(path)
    finally:
        with suppress(OSError):
            partial.unlink()


@contextmanager
def whole_folder(folder: Path, *, unique: bool = False) -> Iterator[Path]:
    """An empty folder to write into, which replaces `folder` if the block ends without an exception.

    unique: as in `whole_path`.
    """
    partial = _partial(folder, unique=unique)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        sync_folder(partial)
        replace_folder(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _partial(path: Path, *, unique: bool) -> Path:
    return path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial" if unique else f"{path.name}.partial")


def replace_folder(new: Path, folder: Path) -> None:
    """Move `new` to the place of `folder`. At every moment one of the two is complete on disk."""
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    _sync(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def copy_whole(source: Path, target: Path) -> None:
    """Copy a file or a folder so that `target` is complete afterwards, or as it was before."""
    if source.is_dir():
        with whole_folder(target) as partial:
            shutil.copytree(source, partial, dirs_exist_ok=True)
    else:
        with whole_path(target) as partial:
            shutil.copyfile(source, partial)


def sync_folder(folder: Path) -> None:
    """Make sure that all files in `folder` are on disk."""
    for parent, _, names in os.walk(folder):
        for name in names:
            with (Path(parent) / name).open("rb") as file:
                os.fsync(file.fileno())
        _sync(Path(parent))


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented UTF-8 JSON, completely or not at all."""
    with open_whole(path) as file:
        json.dump(value, file, ensure_ascii=False, indent=2)
        file.write("\n")


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_sealed_json(path: str | Path, value: Any) -> None:
    """Write `value` as JSON together with its checksum, completely or not at all; `read_sealed_json` reads it.

    Any number of processes may write the same file at once.
    """
    sealed = {"checksum": _checksum(value), "content": value}
    with whole_path(Path(path), unique=True) as partial:
        partial.write_text(json.dumps(sealed, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def read_sealed_json(path: Path) -> Any:
    """The value that `write_sealed_json` wrote. Raises ValueError where the file holds anything else."""
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
