"""All formats: the built-in ones in the order in which they are tried, and those of plug-ins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from tf_tokclf.data.formats import (
    bioc,
    brat,
    comprehend,
    conll,
    conllu,
    csv,
    docbin,
    folder,
    hf_datasets,
    inline_tags,
    inline_xml,
    jsonl,
    ontonotes,
    parallel,
    parquet,
    pubtator,
    rasa,
    text,
    webanno,
)
from tf_tokclf.data.formats.format import Format, Kind
from tf_tokclf.data.formats.record_formats import RECORD_FORMATS
from tf_tokclf.errors import UserError, first_line

# The group of entry points by which an installed package registers a format.
GROUP = "tf_tokclf.formats"

# In the order in which they are tried. Formats of JSON records are listed in `record_formats.py`.
BUILT_IN: tuple[Format, ...] = (
    # Formats of several files come first, because they also consider the files beside a file.
    hf_datasets.FORMAT,
    brat.FORMAT,
    parallel.FORMAT,
    comprehend.FORMAT,
    folder.FORMAT,
    parquet.FORMAT,
    jsonl.FORMAT,
    docbin.FORMAT,
    conllu.FORMAT,
    ontonotes.FORMAT,
    webanno.FORMAT,
    pubtator.FORMAT,
    bioc.XML_FORMAT,
    rasa.TEXT_FORMAT,
    inline_xml.FORMAT,
    inline_tags.FORMAT,
    # Files of many other formats look like these.
    conll.FORMAT,
    csv.FORMAT,
    csv.LISTS_FORMAT,
    text.FORMAT,
    *map(jsonl.format_of_records, RECORD_FORMATS.values()),
)


@cache
def all_formats() -> tuple[Format, ...]:
    """All formats: the built-in ones in the order in which they are tried, then those of plug-ins.

    Raises UserError if a plug-in cannot be loaded, or has the name or a suffix of another format.
    """
    plugged: dict[str, Format] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        format = _plugged_in(point)
        if any(format.name == own.name for own in BUILT_IN):
            raise _plug_in_error(point, f"defines the format {format.name!r}, which is a built-in format.")
        if format.name in plugged:
            other = plugged[format.name].plug_in
            problem = f"defines the format {format.name!r}, which the package {other} also defines."
            raise _plug_in_error(point, problem)
        suffixes = (*format.suffixes, *format.usual_suffixes)
        if taken := next((suffix for suffix in suffixes if format_of_suffix(suffix, BUILT_IN)), None):
            owner = format_of_suffix(taken, BUILT_IN)
            raise _plug_in_error(point, f"uses the suffix {taken}, which belongs to the built-in format {owner}.")
        plugged[format.name] = format
    return (*BUILT_IN, *plugged.values())


def _plugged_in(point: EntryPoint) -> Format:
    try:
        format = point.load()
    # A plug-in is third-party code, so its import may raise anything.
    except Exception as error:
        raise _plug_in_error(point, f"cannot be imported: {type(error).__name__}: {first_line(error)}.") from error
    if not isinstance(format, Format):
        problem = f"is an object of type {type(format).__name__}, not a tf_tokclf.data.formats.Format."
        raise _plug_in_error(point, problem)
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
    """The names of all formats that can be read, sorted."""
    return sorted(format.name for format in all_formats() if format.open is not None or format.kind is Kind.FOLDER)


def format_of_suffix(suffix: str, formats: Sequence[Format] | None = None) -> str | None:
    """The format for a suffix, if the content is not available.

    >>> format_of_suffix(".tsv"), format_of_suffix(".ndjson"), format_of_suffix(".xyz")
    ('conll', 'jsonl', None)
    """
    for format in all_formats() if formats is None else formats:
        if suffix in format.suffixes or (suffix in format.usual_suffixes and format.kind is not Kind.FOLDER):
            return format.name
    return None


def known_suffixes() -> set[str]:
    """The suffixes of all formats."""
    return {suffix for format in all_formats() for suffix in (*format.suffixes, *format.usual_suffixes)}
