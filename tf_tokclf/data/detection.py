"""Detect the format of a file or folder, rank the possible formats, and open the reader."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.counted import counted
from tf_tokclf.data.formats.format import Confidence, Format, Kind, Match, Seen
from tf_tokclf.data.formats.registry import all_formats, formats_by_name, known_suffixes, readable_names
from tf_tokclf.data.reading.annotated import Record
from tf_tokclf.data.reading.base import Problems, Reader
from tf_tokclf.data.split_names import split_in_name
from tf_tokclf.errors import UserError
from tf_tokclf.similar_names import similar_name

_SAMPLED_RECORDS = 50
_NAMES_SHOWN = 3
_NOTHING_ELSE = Match(Confidence.POSSIBLE, "no other format was recognised")


@dataclass(frozen=True)
class Candidate:
    """A possible format of a file or folder."""

    format: Format
    match: Match


def open_reader(path: Path, data: DataConfig, task: Task) -> Reader:
    """The reader for a file or folder. The format is detected unless the options name it."""
    name = data.format if data.format != "auto" else detect_format(path, data.encoding)
    format = format_named(name, path)
    if path.is_dir() and (format.kind is not Kind.FOLDER or format.open is None):
        return _open_folder(path, data, task)
    if format.open is None:
        what = "is a format of folders" if format.kind is Kind.FOLDER else "can be written, but not read"
        raise UserError(f"the format {name} {what}.", path=path, hint=_known(name))
    return format.open(path, data.model_copy(update={"format": name}) if format.plug_in else data, task)


def format_named(name: str, path: Path) -> Format:
    """The format with that name. Raises UserError if there is none."""
    found = formats_by_name().get(name)
    if found is None:
        raise UserError(f"there is no format {name!r}.", path=path, hint=_known(name))
    return found


def _known(asked: str) -> str:
    """The names of all formats; plug-ins with the package that provides them."""
    names = readable_names()
    plugged = [f"{format.name} ({format.plug_in})" for format in all_formats() if format.plug_in]
    others = f" Plug-ins: {', '.join(plugged)}." if plugged else ""
    near = similar_name(asked, names, cutoff=0.6)
    return f"{f'Did you mean {near}? ' if near else ''}Known formats: {', '.join(names)}.{others}"


def detect_format(path: Path, encoding: str = "utf-8") -> str:
    """The name of the most likely format of a file or folder. For all JSON records it is `jsonl`; their reader then
    detects the format of the records.

    >>> detect_format(Path("a/train.parquet"))
    'parquet'
    """
    found: list[Candidate] = []
    for candidate in _candidates(Seen(path, encoding, _first_records)):
        if candidate.match.confidence is Confidence.CERTAIN:
            return candidate.format.name
        found.append(candidate)
    return _ranked(found)[0].format.name


def rank_formats(path: Path, encoding: str = "utf-8") -> list[Candidate]:
    """All possible formats of a file or folder, the most likely one first."""
    return _ranked(list(_candidates(Seen(path, encoding, _first_records))))


def _candidates(seen: Seen) -> Iterator[Candidate]:
    """Candidates in this order: formats of folders, plug-ins, formats with the file's suffix, formats recognised by
    content. The content comes last, so that a file with a known suffix need not exist.
    """
    formats = all_formats()
    yield from _recognised([format for format in formats if format.kind is Kind.FOLDER], seen)
    if seen.is_folder:
        return
    told = [format for format in formats if seen.suffix in format.suffixes]
    left = [format for format in formats if format.kind is not Kind.FOLDER and format not in told]
    if seen.path.is_file():
        yield from _recognised([format for format in left if format.plug_in], seen)
    for format in told:
        yield Candidate(format, Match(Confidence.CERTAIN, f"its name ends in {seen.suffix}"))
    # A file with the suffix of a binary format cannot be read as lines of text.
    with suppress(UserError) if told else nullcontext():
        yield from _recognised([format for format in left if not format.plug_in], seen)


def _recognised(formats: Sequence[Format], seen: Seen) -> Iterator[Candidate]:
    for format in formats:
        if match := format.recognise(seen):
            yield Candidate(format, match)


def _ranked(found: Sequence[Candidate]) -> list[Candidate]:
    """The candidates by confidence, ties in the order in which they were tried. Columns (`conll`) are assumed if no
    other format is more than possible.
    """
    ranked = sorted(found, key=lambda candidate: candidate.match.confidence)
    if any(candidate.match.confidence is not Confidence.POSSIBLE for candidate in ranked):
        return ranked
    columns = Candidate(formats_by_name()["conll"], _NOTHING_ELSE)
    return ranked if any(one.format.kind is Kind.FOLDER for one in ranked) else [columns, *ranked]


def _first_records(path: Path, encoding: str) -> list[Record]:
    from tf_tokclf.data.formats.jsonl import json_records

    try:
        records = json_records(path, encoding, Problems(skip=True))
        return [record for _, record in islice(records, _SAMPLED_RECORDS)]
    except UserError:
        return []


def is_folder_of_files(path: Path, format: str) -> bool:
    """Whether `path`, read in `format`, is a folder of independent files and not one data set."""
    if not path.is_dir():
        return False
    found = format_named(detect_format(path) if format == "auto" else format, path)
    return found.kind is not Kind.FOLDER or found.open is None


def files_in(folder: Path) -> list[Path]:
    """The files of a folder that is read file by file. Raises UserError if they differ in suffix or split."""
    known = known_suffixes()
    files = [p for p in sorted(folder.iterdir()) if p.is_file() and Seen(p).suffix in known]
    named = [p for p in files if not (p.name.startswith(".") or is_about_data(p))]
    if not named:
        there = ", ".join(sorted(p.name for p in folder.iterdir())[:8]) or "nothing"
        raise UserError("is a folder of no known format.", path=folder, hint=f"Name a file in it. It contains {there}.")
    suffixes = sorted({Seen(p).suffix for p in named})
    if len(suffixes) > 1:
        problem = f"contains files with different suffixes: {', '.join(suffixes)}."
        raise UserError(problem, path=folder, hint="Name one of the files.")
    if len({split_in_name(p.stem) for p in named} - {None}) > 1:
        hint = "Name one of its files, or read the folder as a data set (fit, inspect: --dataset-name)."
        raise UserError(f"contains several splits: {', '.join(p.name for p in named)}.", path=folder, hint=hint)
    return named


def is_about_data(path: Path) -> bool:
    """Whether a file describes the data of its folder, by its name."""
    return path.name.startswith(("README", "LICENSE"))


def not_read_in(folder: Path, files: Sequence[Path]) -> str:
    """What else a folder contains, to add to a note. Empty if there is nothing else than `files` and hidden entries."""
    others = [p for p in sorted(folder.iterdir()) if p not in files and not p.name.startswith(".")]
    folders = [p.name for p in others if p.is_dir()]
    rest = [p.name for p in others if p.name not in folders]
    counts = [
        f"{counted(len(names), what)} ({', '.join(names[:_NAMES_SHOWN])}{', ...' if names[_NAMES_SHOWN:] else ''})"
        for names, what in ((folders, "subfolder"), (rest, "other file"))
        if names
    ]
    return f"; not read: {' and '.join(counts)}" if counts else ""


def _open_folder(path: Path, data: DataConfig, task: Task) -> Reader:
    from tf_tokclf.data.formats.folder import FolderReader

    files = files_in(path)
    inner = data.model_copy(update={"format": "auto" if data.format == "folder" else data.format})
    first = open_reader(files[0], inner, task)
    options = first.options.model_copy(update={"header": data.header})
    readers = (first, *(open_reader(file, options, task) for file in files[1:]))
    return FolderReader(path, readers, tuple(file.stem for file in files), not_read_in(path, files))
