"""Change labels in the lines of a CoNLL file, and keep all other columns, separators, comments and blank lines."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tf_tokclf.data.formats.conll import ColumnsReader, columns_in, separator_named
from tf_tokclf.data.reading.base import Problems, read_lines
from tf_tokclf.errors import UserError
from tf_tokclf.labels.sentence import Sentence

_FIELD = re.compile("[^ ]+")


def corrected_lines(reader: ColumnsReader, before: Sequence[Sentence], after: Sequence[Sentence]) -> list[str] | None:
    """The lines of the file with the labels of `after`. before: what `reader` reads from it, parallel to `after`.

    None if this cannot be done line by line, for example because labels are spelled in another way in the file.
    """
    lines = list(read_lines(reader.path, reader.options.encoding))
    for old, new in zip(before, after, strict=True):
        if old.labels != new.labels and not _change(lines, reader, old, new):
            return None
    try:
        read = [one for (one,) in columns_in(lines, [(reader, Problems())]) if one is not None]
    except UserError:
        return None
    wanted = [(one.words, one.labels, one.unlabelled) for one in after]
    return lines if [(one.words, one.labels, one.unlabelled) for one in read] == wanted else None


def _change(lines: list[str], reader: ColumnsReader, old: Sentence, new: Sentence) -> bool:
    """Change the labels of one sentence in place. Returns False if its words are not found in the lines."""
    if reader.label is None or old.origin is None or old.labels is None or new.labels is None:
        return False
    at = old.origin.number - 1
    for word, label, changed in zip(old.words, old.labels, new.labels):
        while at < len(lines) and not _holds(lines[at], reader, word):
            at += 1
        if at == len(lines):
            return False
        if label != changed:
            places = _places(lines[at].rstrip("\r\n"), reader)
            start, end = places[reader.label]
            lines[at] = f"{lines[at][:start]}{changed}{lines[at][end:]}"
        at += 1
    return True


def _holds(line: str, reader: ColumnsReader, word: str) -> bool:
    fields = reader.split(line.rstrip("\r\n"))
    return reader.fits(fields) and fields[reader.word] == word


def _places(line: str, reader: ColumnsReader) -> list[tuple[int, int]]:
    """The start and the end of each field of a line."""
    separator = separator_named(reader.options.separator)
    if separator is None:
        separator = "\t" if "\t" in line else " "
    if separator == " ":
        return [found.span() for found in _FIELD.finditer(line)]
    places, at = [], 0
    for field in line.split(separator):
        places.append((at, at + len(field)))
        at += len(field) + len(separator)
    return places
