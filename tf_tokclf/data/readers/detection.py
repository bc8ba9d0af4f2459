"""Which format a file or folder has, by its name and its first lines; and the reader for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.readers.reading import Reader, read_lines, require_file
from tf_tokclf.errors import UserError

_FORMAT_BY_SUFFIX = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".jsonlines": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
}
_SNIFFED_LINES = 40


def open_reader(path: Path, data: DataConfig, task: Task) -> Reader:
    """The reader for a file or folder, its format found out unless the options name it."""
    format = data.format if data.format != "auto" else detect_format(path, data.encoding)
    if format not in _OPENERS:
        raise UserError(f"there is no format {format!r}.", path=path, hint=f"Known are {', '.join(_OPENERS)}.")
    return _OPENERS[format](path, data, task)


def detect_format(path: Path, encoding: str = "utf-8") -> str:
    """The format of a file or folder.

    >>> detect_format(Path("a/train.parquet"))
    'parquet'
    """
    if path.is_dir():
        return _format_of_folder(path)
    if path.name.endswith(".in") and path.with_name(path.name.removesuffix(".in") + ".out").exists():
        return "parallel"
    return _FORMAT_BY_SUFFIX.get(path.suffix.lower()) or _format_by_content(path, encoding)


def _format_of_folder(path: Path) -> str:
    from tf_tokclf.data.readers.hf import is_saved_dataset
    from tf_tokclf.data.readers.parallel import WORDS_FILE

    if (path / WORDS_FILE).exists():
        return "parallel"
    if is_saved_dataset(path):
        return "hf"
    hint = "Name a file in it, or the folder of a format that is one: seq.in and seq.out, or a saved data set."
    raise UserError("is a folder of no known format.", path=path, hint=hint)


def _format_by_content(path: Path, encoding: str) -> str:
    with require_file(path).open("rb") as file:
        if file.read(4) == b"PAR1":
            return "parquet"
    lines = (line for line in read_lines(path, encoding) if not line.isspace())
    first = next(islice(lines, _SNIFFED_LINES), "").lstrip()
    return "jsonl" if first[:1] == "{" and _is_json(first) else "conll"


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _open_conll(path: Path, data: DataConfig, task: Task) -> Reader:
    from tf_tokclf.data.readers.columns import open_columns

    return open_columns(path, data, task)


def _open_parallel(path: Path, data: DataConfig, task: Task) -> Reader:
    from tf_tokclf.data.readers.parallel import open_parallel

    return open_parallel(path, data)


def _open_jsonl(path: Path, data: DataConfig, task: Task) -> Reader:
    from tf_tokclf.data.readers.jsonl import open_json

    return open_json(path, data, task)


def _open_parquet(path: Path, data: DataConfig, task: Task) -> Reader:
    from tf_tokclf.data.readers.tables import open_parquet

    return open_parquet(path, data, task)


def _open_hf(path: Path, data: DataConfig, task: Task) -> Reader:
    from tf_tokclf.data.readers.hf import load_saved, open_dataset

    splits = load_saved(path)
    if len(splits) > 1:
        hint = "Give the folder as the data set's name, or one of its splits' folders."
        raise UserError(f"holds several splits: {', '.join(splits)}.", path=path, hint=hint)
    return open_dataset(next(iter(splits.values())), str(path), data, task)


_OPENERS: dict[str, Callable[[Path, DataConfig, Task], Reader]] = {
    "conll": _open_conll,
    "parallel": _open_parallel,
    "jsonl": _open_jsonl,
    "parquet": _open_parquet,
    "hf": _open_hf,
}
