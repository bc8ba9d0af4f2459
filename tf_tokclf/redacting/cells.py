"""The texts in the raw text of a record, and how they are replaced there without a change of anything else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

# A scalar or a mark of JSON. The text was parsed before, so it is valid.
_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_JSON_CHARACTER = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.|[^\\]", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Edit:
    """New text for the characters [start, end) of a raw text."""

    start: int
    end: int
    new: str


class Cell(Protocol):
    """A text in the raw text of a record. value: the text. begin: its position in the text that is labelled."""

    @property
    def value(self) -> str: ...

    @property
    def begin(self) -> int: ...

    def edits(self, changes: Sequence[Edit]) -> list[Edit]:
        """The edits of the raw text that make these changes of the value, which do not overlap."""
        ...


@dataclass(frozen=True, slots=True)
class PlainCell:
    """A text that stands in the raw text as it is, from `start` on."""

    value: str
    begin: int
    start: int

    def edits(self, changes: Sequence[Edit]) -> list[Edit]:
        """The changes at the place of the text."""
        return [Edit(self.start + change.start, self.start + change.end, change.new) for change in changes]


@dataclass(frozen=True, slots=True)
class JsonCell:
    """A string or a number of JSON. token: how it is written, from `start` on.

    escapes: whether a surrogate is written in ASCII if the token is.
    """

    value: str
    begin: int
    start: int
    token: str
    escapes: bool = True

    def edits(self, changes: Sequence[Edit]) -> list[Edit]:
        """The changes within the string, whose other characters stay written as they are."""
        if not self.token.startswith('"'):
            whole = json.dumps(changed(self.value, changes), ensure_ascii=False)
            return [Edit(self.start, self.start + len(self.token), whole)] if changes else []
        places = [match.start() for match in _JSON_CHARACTER.finditer(self.token, 1, len(self.token) - 1)]
        places.append(len(self.token) - 1)
        found = []
        for change in changes:
            new = json.dumps(change.new, ensure_ascii=self.escapes and self.token.isascii())[1:-1]
            found.append(Edit(self.start + places[change.start], self.start + places[change.end], new))
        return found


@dataclass(frozen=True, slots=True)
class CsvCell:
    """A field of CSV. token: how it is written, from `start` on. is_only: whether the row has no other field."""

    value: str
    begin: int
    start: int
    token: str
    separator: str
    is_only: bool

    def edits(self, changes: Sequence[Edit]) -> list[Edit]:
        """The changes within the field. If it then needs quotes that it does not have, the whole field is replaced."""
        if not changes:
            return []
        new = changed(self.value, changes)
        is_plain = self.token == self.value
        needs_quotes = any(char in new for char in (self.separator, '"', "\r", "\n")) or (self.is_only and not new)
        if is_plain and not needs_quotes:
            return [Edit(self.start + one.start, self.start + one.end, one.new) for one in changes]
        if self.token == _quoted(self.value):
            places = _places_in_quotes(self.value)
            return [
                Edit(self.start + places[one.start], self.start + places[one.end], one.new.replace('"', '""'))
                for one in changes
            ]
        return [Edit(self.start, self.start + len(self.token), _quoted(new))]


def _quoted(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'


def _places_in_quotes(value: str) -> list[int]:
    """The place of each character in the quoted field, and that of the last quote."""
    places = [1]
    for char in value:
        places.append(places[-1] + (2 if char == '"' else 1))
    return places


def changed(text: str, changes: Sequence[Edit]) -> str:
    """The text with the changes, which are sorted and do not overlap.

    >>> changed("Ada left", [Edit(0, 3, "X")])
    'X left'
    """
    parts, at = [], 0
    for change in changes:
        parts += [text[at : change.start], change.new]
        at = change.end
    return "".join([*parts, text[at:]])


@dataclass(frozen=True, slots=True)
class JsonScalar:
    """A scalar in a JSON text: the keys and indices that lead to it, and its token from `start` on."""

    path: tuple[str | int, ...]
    start: int
    token: str

    @property
    def value(self) -> str | None:
        """The string; None if it is another scalar."""
        return json.loads(self.token) if self.token.startswith('"') else None


def json_scalars(text: str) -> Iterator[JsonScalar]:
    """The scalars of a valid JSON text, in order. Raises ValueError if an object has the same key twice."""
    path: list[str | int] = []
    keys: list[set[str] | None] = []
    awaits_key = False
    for match in _JSON_TOKEN.finditer(text):
        token = match.group()
        if token in "{[":
            keys.append(set() if token == "{" else None)
            path.append("" if token == "{" else 0)
            awaits_key = token == "{"
        elif token in "}]":
            keys.pop()
            path.pop()
            awaits_key = False
        elif token == ",":
            last, awaits_key = path[-1], keys[-1] is not None
            path[-1] = last + 1 if isinstance(last, int) else last
        elif token == ":":
            awaits_key = False
        elif awaits_key:
            key, seen = json.loads(token), keys[-1]
            if seen is None or key in seen:
                raise ValueError("a key occurs twice")
            seen.add(key)
            path[-1] = key
        else:
            yield JsonScalar(tuple(path), match.start(), token)


@dataclass(frozen=True, slots=True)
class CsvField:
    """A field of a row, and how it is written, from `start` on."""

    value: str
    start: int
    token: str


def csv_fields(text: str, separator: str) -> list[CsvField]:
    """The fields of a raw row without its line end, as Python's csv reads them.

    >>> [field.value for field in csv_fields('1,"a ""b"", c"', ",")]
    ['1', 'a "b", c']
    """
    fields, at, end = [], 0, len(text)
    while True:
        start, value = at, list[str]()
        if text[at : at + 1] == '"' and at < end:
            at += 1
            while at < end:
                if text[at] != '"':
                    value.append(text[at])
                elif text[at + 1 : at + 2] == '"':
                    value.append('"')
                    at += 1
                else:
                    break
                at += 1
            at += 1
        while at < end and text[at] != separator:
            value.append(text[at])
            at += 1
        at = min(at, end)
        fields.append(CsvField("".join(value), start, text[start:at]))
        if at >= end:
            return fields
        at += 1
