"""Which format a file or folder has, by its name and its first lines; and the reader for it."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.compressed import name_of_content, open_bytes
from tf_tokclf.data.formats import bioc, inline_tags, inline_xml, ontonotes, pubtator, rasa
from tf_tokclf.data.json_text import parse_json
from tf_tokclf.data.readers.guessing import split_in_name
from tf_tokclf.data.readers.json_formats import JSON_FORMATS
from tf_tokclf.data.readers.parallel import labels_beside, words_file_in
from tf_tokclf.data.readers.reading import Reader, explained_reading, read_lines, require_file
from tf_tokclf.errors import UserError

_FORMAT_BY_SUFFIX = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".jsonlines": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".csv": "csv",
    ".conllu": "conllu",
    ".spacy": "docbin",
    ".ann": "brat",
}
_TEXT_SUFFIXES = {".conll", ".tsv", ".txt", ".iob", ".bio", ".iob2", ".conll03", ".tags", *_FORMAT_BY_SUFFIX}
_SNIFFED_LINES = 40
# The first line of a JSON document over several lines.
_JSON_START = re.compile(r"""[\[{]\Z|\{\s*"[^"]*"\s*:|\[\s*[\[{]\s*(?:"|\Z)""")
_CONLLU_LINE = re.compile(r"\d+(?:[-.]\d+)?\t[^\t]+(?:\t[^\t]*){4}\t(?:\d+|_)(?:\t[^\t]*){3}$")


def open_reader(path: Path, data: DataConfig, task: Task) -> Reader:
    """The reader for a file or folder, its format found out unless the options name it."""
    format = data.format if data.format != "auto" else detect_format(path, data.encoding)
    if format not in _OPENERS:
        raise UserError(f"there is no format {format!r}.", path=path, hint=f"Known are {', '.join(_OPENERS)}.")
    if path.is_dir() and format not in _WHOLE_FOLDERS:
        return _open_folder(path, data, task)
    return _OPENERS[format](path, data, task)


def detect_format(path: Path, encoding: str = "utf-8") -> str:
    """The format of a file or folder.

    >>> detect_format(Path("a/train.parquet"))
    'parquet'
    """
    if path.is_dir():
        return _format_of_folder(path)
    if path.suffix == ".txt" and path.with_suffix(".ann").exists():
        return "brat"
    if path.is_file() and labels_beside(path) is not None:
        return "parallel"
    return _FORMAT_BY_SUFFIX.get(_suffix(path)) or _format_by_content(path, encoding)


def _suffix(path: Path) -> str:
    """The ending of a file's name that tells its format, whether it is compressed or not."""
    return name_of_content(path).suffix.lower()


def is_folder_of_files(path: Path, format: str) -> bool:
    """Whether `path`, read in `format`, is a folder of files that each stand for themselves, and not one data set."""
    if not path.is_dir():
        return False
    found = detect_format(path) if format == "auto" else format
    return found == "folder" or found not in _WHOLE_FOLDERS


def _format_of_folder(path: Path) -> str:
    from tf_tokclf.data.readers.hf import is_saved_dataset

    if is_saved_dataset(path):
        return "hf"
    if words_file_in(path) is not None:
        return "parallel"
    if any(path.rglob("*.ann")):
        return "brat"
    return "folder"


def _format_by_content(path: Path, encoding: str) -> str:
    with explained_reading(path):
        file, _ = open_bytes(require_file(path))
        with file:
            if file.read(4) == b"PAR1":
                return "parquet"
    lines = [line for line in islice(read_lines(path, encoding), _SNIFFED_LINES) if not line.isspace()]
    return next((name for name, looks_like in _BY_CONTENT.items() if looks_like(lines)), "conll")


def _looks_like_json(lines: list[str]) -> bool:
    first = lines[0].strip() if lines else ""
    return first[:1] in ("{", "[") and (_is_json(first) or _JSON_START.match(first) is not None)


def _looks_like_conllu(lines: list[str]) -> bool:
    words = [line for line in lines if not line.startswith("#")]
    return bool(words) and all(_CONLLU_LINE.match(line.rstrip("\r\n")) for line in words)


def _is_json(line: str) -> bool:
    try:
        parse_json(line)
    except ValueError:
        return False
    return True


def _files_in(folder: Path) -> list[Path]:
    files = [p for p in sorted(folder.iterdir()) if p.is_file() and _suffix(p) in _TEXT_SUFFIXES]
    named = [p for p in files if not p.name.startswith((".", "README", "LICENSE"))]
    if not named:
        there = ", ".join(sorted(p.name for p in folder.iterdir())[:8]) or "nothing"
        raise UserError("is a folder of no known format.", path=folder, hint=f"Name a file in it; it holds {there}.")
    suffixes = sorted({_suffix(p) for p in named})
    if len(suffixes) > 1:
        raise UserError(f"holds files of several kinds: {', '.join(suffixes)}.", path=folder, hint="Name one of them.")
    if len({split_in_name(p.stem) for p in named} - {None}) > 1:
        hint = "Name one of its files, or take all of them as a data set (fit, inspect: --dataset-name)."
        raise UserError(f"holds several splits: {', '.join(p.name for p in named)}.", path=folder, hint=hint)
    return named


def _open_folder(path: Path, data: DataConfig, task: Task) -> Reader:
    from tf_tokclf.data.readers.folders import FolderReader

    files = _files_in(path)
    inner = data.model_copy(update={"format": "auto" if data.format == "folder" else data.format})
    first = open_reader(files[0], inner, task)
    options = first.options.model_copy(update={"header": data.header})
    readers = (first, *(open_reader(file, options, task) for file in files[1:]))
    return FolderReader(path, readers, tuple(file.stem for file in files))


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


def _open_csv(path: Path, data: DataConfig, task: Task) -> Reader:
    from tf_tokclf.data.readers.csv_rows import open_csv

    return open_csv(path, data, task)


def _open_conllu(path: Path, data: DataConfig, task: Task) -> Reader:
    from tf_tokclf.data.readers.conllu import open_conllu

    return open_conllu(path, data, task)


def _open_brat(path: Path, data: DataConfig, task: Task) -> Reader:
    from tf_tokclf.data.readers.brat import open_brat

    return open_brat(path, data)


def _open_docbin(path: Path, data: DataConfig, task: Task) -> Reader:
    from tf_tokclf.data.readers.docbin import open_docbin

    return open_docbin(path, data, task)


def _open_lines(path: Path, data: DataConfig, task: Task) -> Reader:
    from tf_tokclf.data.readers.lines import open_lines

    return open_lines(path, data)


# Formats that the first lines of a file show, the surest first; columns are what nothing else is.
_BY_CONTENT: dict[str, Callable[[list[str]], bool]] = {
    "jsonl": _looks_like_json,
    "conllu": _looks_like_conllu,
    "ontonotes": ontonotes.looks_like_ontonotes,
    "pubtator": pubtator.looks_like_pubtator,
    "bioc-xml": bioc.looks_like_bioc_xml,
    "rasa-text": rasa.looks_like_rasa,
    "inline-xml": inline_xml.looks_like_inline_xml,
    "inline-tags": inline_tags.looks_like_inline_tags,
}
# Each opener imports its reader when called: most runs need one of them.
_OPENERS: dict[str, Callable[[Path, DataConfig, Task], Reader]] = {
    "conll": _open_conll,
    "conllu": _open_conllu,
    "parallel": _open_parallel,
    "jsonl": _open_jsonl,
    **dict.fromkeys(JSON_FORMATS, _open_jsonl),
    "ontonotes": ontonotes.open_ontonotes,
    "inline-tags": inline_tags.open_inline_tags,
    "inline-xml": inline_xml.open_inline_xml,
    "pubtator": pubtator.open_pubtator,
    "bioc-xml": bioc.open_bioc_xml,
    "rasa-text": rasa.open_rasa,
    "brat": _open_brat,
    "csv": _open_csv,
    "parquet": _open_parquet,
    "hf": _open_hf,
    "docbin": _open_docbin,
    "text": _open_lines,
    "folder": _open_folder,
}
FORMATS = tuple(_OPENERS)
_WHOLE_FOLDERS = ("parallel", "brat", "hf", "folder")
