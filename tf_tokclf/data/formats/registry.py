"""The table of all formats: the package's own, in the order in which they are tried, and those of plug-ins."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.counted import counted
from tf_tokclf.data.formats import bioc, comprehend, inline_tags, inline_xml, ontonotes, pubtator, rasa, webanno
from tf_tokclf.data.formats import text_writers as text_formats
from tf_tokclf.data.formats.format import Format, Kind, Match, Seen, certain, likely, possible
from tf_tokclf.data.formats.json_formats import JSON_FORMATS
from tf_tokclf.data.formats.parallel import LABELS_FILE, WORDS_FILE, labels_beside, parallel_pair, words_file_in
from tf_tokclf.data.formats.writing import Writing
from tf_tokclf.data.reading.annotated import JsonFormat
from tf_tokclf.data.reading.base import Reader
from tf_tokclf.errors import UserError, first_line
from tf_tokclf.labels.sentence import Sentence

# The group of entry points by which an installed package registers a format.
GROUP = "tf_tokclf.formats"

_CONLLU_LINE = re.compile(r"\d+(?:[-.]\d+)?\t[^\t]+(?:\t[^\t]*){4}\t(?:\d+|_)(?:\t[^\t]*){3}$")
# The share of lines that have the usual number of columns, in a file that looks like columns.
_COLUMNS_SHARE = 0.9

# Each reader is imported when it is called: most runs need one of them. The same holds for writers that need a library.


def _open_conll(path: Path, data: DataConfig, task: Task) -> Reader:
    from tf_tokclf.data.formats.conll import open_columns

    return open_columns(path, data, task)


def _open_parallel(path: Path, data: DataConfig, task: Task) -> Reader:
    from tf_tokclf.data.formats.parallel import open_parallel

    return open_parallel(path, data)


def _open_jsonl(path: Path, data: DataConfig, task: Task) -> Reader:
    from tf_tokclf.data.formats.jsonl import open_json

    return open_json(path, data, task)


def _open_parquet(path: Path, data: DataConfig, task: Task) -> Reader:
    from tf_tokclf.data.reading.tables import open_parquet

    return open_parquet(path, data, task)


def _open_hf(path: Path, data: DataConfig, task: Task) -> Reader:
    from tf_tokclf.data.formats.hf_datasets import load_saved, open_dataset

    splits = load_saved(path)
    if len(splits) > 1:
        hint = "Give the folder as the data set's name, or one of its splits' folders."
        raise UserError(f"holds several splits: {', '.join(splits)}.", path=path, hint=hint)
    return open_dataset(next(iter(splits.values())), str(path), data, task)


def _open_csv(path: Path, data: DataConfig, task: Task) -> Reader:
    from tf_tokclf.data.formats.csv import open_csv

    return open_csv(path, data, task)


def _open_conllu(path: Path, data: DataConfig, task: Task) -> Reader:
    from tf_tokclf.data.formats.conllu import open_conllu

    return open_conllu(path, data, task)


def _open_brat(path: Path, data: DataConfig, task: Task) -> Reader:
    from tf_tokclf.data.formats.brat import open_brat

    return open_brat(path, data)


def _open_docbin(path: Path, data: DataConfig, task: Task) -> Reader:
    from tf_tokclf.data.formats.docbin import open_docbin

    return open_docbin(path, data, task)


def _open_lines(path: Path, data: DataConfig, task: Task) -> Reader:
    from tf_tokclf.data.formats.text import open_lines

    return open_lines(path, data)


def _write_parallel(sentences: Iterable[Sentence], folder: Path, writing: Writing) -> None:
    from tf_tokclf.data.formats.file_writers import write_parallel

    write_parallel(sentences, folder, writing)


def _write_brat(sentences: Iterable[Sentence], folder: Path, writing: Writing) -> None:
    from tf_tokclf.data.formats.file_writers import write_brat

    write_brat(sentences, folder, writing)


def _write_parquet(sentences: Iterable[Sentence], path: Path, writing: Writing) -> None:
    from tf_tokclf.data.formats.file_writers import write_parquet

    write_parquet(sentences, path, writing)


def _write_dataset(sentences: Iterable[Sentence], folder: Path, writing: Writing) -> None:
    from tf_tokclf.data.formats.file_writers import write_dataset

    write_dataset(sentences, folder, writing)


def _write_docbin(sentences: Iterable[Sentence], path: Path, writing: Writing) -> None:
    from tf_tokclf.data.formats.file_writers import write_docbin

    write_docbin(sentences, path, writing)


def _is_saved_dataset(seen: Seen) -> Match | None:
    from tf_tokclf.data.formats.hf_datasets import is_saved_dataset

    return certain("save_to_disk wrote the folder", seen.is_folder and is_saved_dataset(seen.path))


def _is_parallel(seen: Seen) -> Match | None:
    if seen.is_folder:
        found = words_file_in(seen.path)
        return certain(f"the folder holds {found.name} and its labels", True) if found else None
    labels = labels_beside(seen.path) if seen.path.is_file() else None
    return certain(f"its labels are in {labels.name} beside it", True) if labels else None


def _is_brat(seen: Seen) -> Match | None:
    if seen.is_folder:
        return likely("the folder holds .ann files", any(seen.path.rglob("*.ann")))
    annotations = seen.path.with_suffix(".ann")
    is_there = seen.path.suffix == ".txt" and annotations.exists()
    return certain(f"its annotations are in {annotations.name} beside it", is_there)


def _brat_pair(path: Path, data: DataConfig) -> Iterator[Path]:
    """The annotations of a text, and the text of annotations."""
    other = {".txt": ".ann", ".ann": ".txt"}.get(path.suffix)
    if other:
        yield path.with_suffix(other)


def _is_conllu(seen: Seen) -> Match | None:
    words = [line for line in seen.lines if not line.startswith("#")]
    has_columns = bool(words) and all(_CONLLU_LINE.match(line.rstrip("\r\n")) for line in words)
    return certain("its lines have the ten columns of CoNLL-U", has_columns)


def _is_columns(seen: Seen) -> Match | None:
    """Columns: nearly all lines have the same number of them, at least two."""
    lines = [line.rstrip("\r\n") for line in seen.lines if not line.startswith("#")]
    if seen.is_json or not lines or _is_binary(seen):
        return None
    sign = "\t" if sum("\t" in line for line in lines) > len(lines) / 2 else None
    (width, n), *_ = Counter(len(line.split(sign)) for line in lines).most_common(1)
    between = "tabs" if sign else "blanks"
    are_columns = width > 1 and n >= _COLUMNS_SHARE * len(lines)
    return likely(f"its lines have {counted(width, 'column')} between {between}", are_columns)


def _is_csv(seen: Seen) -> Match | None:
    commas = {line.count(",") for line in seen.lines}
    looks_like = len(seen.lines) > 1 and len(commas) == 1 and commas != {0} and not seen.is_json
    return possible("its lines have the same number of commas", looks_like)


def _is_text(seen: Seen) -> Match | None:
    has_words = any(" " in line.strip() for line in seen.lines) and not any("\t" in line for line in seen.lines)
    is_text = has_words and not (seen.is_json or _is_binary(seen) or _is_columns(seen))
    return possible("its lines are words between blanks", is_text)


def _is_binary(seen: Seen) -> bool:
    return any("\0" in line for line in seen.lines)


def _of_records(format: JsonFormat) -> Format:
    """The entry of a format of JSON records, which all have the same reader."""

    def recognise(seen: Seen) -> Match | None:
        fitting = [record for record in seen.records if format.fits(record)]
        if not fitting:
            return None
        fields = format.fields(list(dict.fromkeys(name for record in fitting for name in record)))
        there = " and ".join(repr(name) for name in (fields.word, fields.label) if name and name in fitting[0])
        n, n_fitting = len(seen.records), len(fitting)
        share = ("its record has" if n == 1 else f"its first {counted(n, 'record')} have") if n == n_fitting else ""
        share = share or f"{n_fitting} of its first {counted(n, 'record')} have"
        match = likely if 2 * n_fitting >= n else possible
        return match(f"{share} {there or 'fields'} as this format has them", True)

    return Format(
        format.name,
        format.description,
        recognise,
        _open_jsonl,
        Kind.RECORDS,
        write=format.write,
        has_spans_only=format.write is not None,
        records=format,
    )


# The annotation tools whose records are read by one module, readers.dialects.
_TOOLS = {
    "label-studio": ("Label Studio's JSON export: tasks with annotations", text_formats.label_studio_lines),
    "spacy": ("spaCy: texts with entities, as records or as pairs", text_formats.spacy_lines),
    "prodigy": ("Prodigy: texts with spans and tokens", text_formats.prodigy_lines),
    "doccano": ("doccano: texts with spans, as lists or by name", text_formats.doccano_lines),
    "dataturks": ("DataTurks: texts with annotations, whose ends are inclusive", text_formats.dataturks_lines),
}


def _record_formats() -> Iterator[Format]:
    for name, format in JSON_FORMATS.items():
        if name in _TOOLS:
            description, write = _TOOLS[name]
            format = replace(format, description=description, write=write)
        yield _of_records(format)


# In the order in which they are tried. Formats of several files come first, since they look beside a file.
_FIRST = (
    Format(
        "hf",
        "Hugging Face data sets: a Hub id, or a folder that save_to_disk wrote",
        _is_saved_dataset,
        _open_hf,
        Kind.FOLDER,
        write_to=_write_dataset,
        keeps_missing_labels=True,
        files=("*.arrow", "dataset_info.json", "state.json"),
        has_own_encoding=True,
    ),
    Format(
        "brat",
        "brat: a text and its annotations in two files",
        _is_brat,
        _open_brat,
        Kind.FOLDER,
        suffixes=(".ann",),
        write_to=_write_brat,
        files=("*.txt", "*.ann"),
        has_spans_only=True,
        read_beside=_brat_pair,
    ),
    Format(
        "parallel",
        "a file of words and a file of labels, a sentence a line",
        _is_parallel,
        _open_parallel,
        Kind.FOLDER,
        usual_suffixes=(".tags",),
        write_to=_write_parallel,
        keeps_missing_labels=True,
        files=(WORDS_FILE, LABELS_FILE, "label"),
        read_beside=parallel_pair,
    ),
    comprehend.FORMAT,
    Format(
        "folder",
        "a folder of files of one format, read file by file",
        lambda seen: possible("it is a folder of files", seen.is_folder),
        kind=Kind.FOLDER,
    ),
    Format(
        "parquet",
        "Parquet tables with lists of words and labels, or laid out as CSV is",
        lambda seen: certain("its first bytes are those of Parquet", seen.first_bytes == b"PAR1"),
        _open_parquet,
        suffixes=(".parquet",),
        write_to=_write_parquet,
        keeps_missing_labels=True,
        has_own_encoding=True,
    ),
    Format(
        "jsonl",
        "JSON records with a list of words and a list of labels",
        lambda seen: certain("its first line is JSON", seen.is_json),
        _open_jsonl,
        suffixes=(".jsonl", ".ndjson", ".jsonlines", ".json"),
        write=text_formats.json_lines,
        keeps_missing_labels=True,
        has_own_encoding=True,
    ),
    Format(
        "docbin",
        "spaCy's DocBin (needs spaCy)",
        open=_open_docbin,
        suffixes=(".spacy",),
        write_to=_write_docbin,
        has_spans_only=True,
        has_own_encoding=True,
    ),
    Format(
        "conllu",
        "CoNLL-U: ten columns, labels in MISC or UPOS",
        _is_conllu,
        _open_conllu,
        suffixes=(".conllu",),
        write=text_formats.conllu_lines,
    ),
    ontonotes.FORMAT,
    webanno.FORMAT,
    pubtator.FORMAT,
    bioc.XML_FORMAT,
    rasa.TEXT_FORMAT,
    inline_xml.FORMAT,
    inline_tags.FORMAT,
)
# What many files look like that are in another format.
_LAST = (
    Format(
        "conll",
        "CoNLL columns between tabs or blanks, a word a line",
        _is_columns,
        _open_conll,
        usual_suffixes=(".conll", ".conll03", ".tsv", ".iob", ".iob2", ".bio"),
        write=text_formats.conll_lines,
        keeps_missing_labels=True,
    ),
    Format(
        "csv",
        "CSV: a word a row, or a sentence a row with lists",
        _is_csv,
        _open_csv,
        suffixes=(".csv",),
        write=text_formats.csv_lines,
        keeps_missing_labels=True,
    ),
    Format(
        "csv-lists",
        "CSV with a sentence a row, for writing",
        write=text_formats.csv_list_lines,
        keeps_missing_labels=True,
    ),
    Format(
        "text",
        "plain text without labels, a sentence a line",
        _is_text,
        _open_lines,
        usual_suffixes=(".txt", ".text"),
        write=text_formats.text_lines,
    ),
)
BUILT_IN = (*_FIRST, *_LAST, *_record_formats())


@cache
def all_formats() -> tuple[Format, ...]:
    """All formats: the built-in ones in the order in which they are tried, then those of plug-ins.

    Raises UserError if a plug-in cannot be loaded, or has the name or a suffix of another format.
    """
    plugged: dict[str, Format] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        format = _plugged_in(point)
        if any(format.name == own.name for own in BUILT_IN):
            raise _plug_in_error(point, f"has a format {format.name!r}, which is the name of a built-in format.")
        if format.name in plugged:
            other = plugged[format.name].plug_in
            raise _plug_in_error(point, f"has a format {format.name!r}, and so has the package {other}.")
        suffixes = (*format.suffixes, *format.usual_suffixes)
        if taken := next((suffix for suffix in suffixes if format_of_suffix(suffix, BUILT_IN)), None):
            owner = format_of_suffix(taken, BUILT_IN)
            raise _plug_in_error(point, f"has the suffix {taken}, which is that of the built-in format {owner}.")
        plugged[format.name] = format
    return (*BUILT_IN, *plugged.values())


def _plugged_in(point: EntryPoint) -> Format:
    try:
        format = point.load()
    # A plug-in is another's code, and its import may fail in any way.
    except Exception as error:
        raise _plug_in_error(point, f"cannot be imported: {type(error).__name__}: {first_line(error)}.") from error
    if not isinstance(format, Format):
        raise _plug_in_error(point, f"is no tf_tokclf.data.formats.Format, but {type(format).__name__}.")
    if format.open is None and not format.is_written:
        raise _plug_in_error(point, "has neither a reader nor a writer.")
    return replace(format, plug_in=_package(point))


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.value


def _plug_in_error(point: EntryPoint, problem: str) -> UserError:
    name = f"The plug-in {point.name!r} ({point.value}) of the package {_package(point)}"
    return UserError(f"{name} {problem}", hint="Correct, update or uninstall that package.")


def formats_by_name() -> dict[str, Format]:
    """All formats by name."""
    return {format.name: format for format in all_formats()}


def readable_names() -> list[str]:
    """The names of all formats that are read, in the order of the alphabet."""
    return sorted(format.name for format in all_formats() if format.open is not None or format.kind is Kind.FOLDER)


def format_of_suffix(suffix: str, formats: Sequence[Format] | None = None) -> str | None:
    """The format that the ending of a name tells, where nothing can be looked into.

    >>> format_of_suffix(".tsv"), format_of_suffix(".ndjson"), format_of_suffix(".xyz")
    ('conll', 'jsonl', None)
    """
    for format in all_formats() if formats is None else formats:
        if suffix in format.suffixes or (suffix in format.usual_suffixes and format.kind is not Kind.FOLDER):
            return format.name
    return None


def known_suffixes() -> set[str]:
    """All endings of names that formats have."""
    return {suffix for format in all_formats() for suffix in (*format.suffixes, *format.usual_suffixes)}
