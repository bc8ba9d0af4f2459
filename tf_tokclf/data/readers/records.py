"""Records, which are mappings of named fields: which fields hold words and labels, and a sentence from a record."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.readers.guessing import WORD_NAMES, guess_named_column, label_names_for
from tf_tokclf.data.readers.reading import Problems
from tf_tokclf.data.sentence import Origin, Sentence
from tf_tokclf.errors import UserError

Record = Mapping[str, Any]

_SENTENCE_NAMES = ("sentence #", "sentence_id", "sentence_idx", "sent_id", "sentence id", "sentence", "sentence_number")


class Shape(Enum):
    """What one record holds."""

    SENTENCE = "a sentence a row"
    WORD = "a word a row"


@dataclass(frozen=True)
class Layout:
    """The fields of records that are read. `label` is None where there are words only."""

    shape: Shape
    word: str
    label: str | None
    sentence: str | None = None
    label_names: tuple[str, ...] | None = None

    def note(self) -> str:
        """What was found out, in a line."""
        labels = f"labels in {self.label!r}" if self.label else "no labels"
        return f"{self.shape.value}, words in {self.word!r}, {labels}"


def choose_layout(
    names: Sequence[str],
    sample: Sequence[Record],
    data: DataConfig,
    task: Task,
    *,
    path: str,
    label_names: Mapping[str, tuple[str, ...]] | None = None,
) -> Layout:
    """The layout of records with the fields `names`; `label_names` are those that fields declare themselves."""
    word = _named(data.text_column_name, names, path) or _guess(names, WORD_NAMES)
    if word is None:
        raise _no_column("words", names, path, "--text-column-name", WORD_NAMES)
    label = _named(data.label_column_name, names, path)
    if label is None:
        label = _guess([name if name != word else "" for name in names], label_names_for(task))
    declared = (label_names or {}).get(label or "")
    sentence = _named(data.sentence_column_name, names, path)
    if sentence is None and _holds_single_words(word, label, sample):
        sentence = _guess([name if name != word else "" for name in names], _SENTENCE_NAMES)
    shape = Shape.WORD if sentence else Shape.SENTENCE
    return Layout(shape, word, label, sentence, declared or data.label_names)


def read_records(
    records: Iterator[tuple[Origin, Record]], layout: Layout, problems: Problems
) -> Iterator[Sentence]:
    """Sentences from records; what cannot be read is reported to `problems`."""
    if layout.shape is Shape.WORD:
        yield from _read_words(records, layout, problems)
        return
    for origin, record in records:
        try:
            yield sentence_from(record, layout, origin)
        except UserError as error:
            problems.report(error)


def sentence_from(record: Record, layout: Layout, origin: Origin) -> Sentence:
    """The sentence in a record with lists of words and labels."""
    words = _texts(_list_in(record, layout.word, origin), layout.word, origin)
    if layout.label is None:
        return Sentence(words, None, origin)
    values = _list_in(record, layout.label, origin)
    labels = tuple(label_of(value, layout.label_names, origin) for value in values)
    if len(words) != len(labels):
        problem = f"{len(words)} words in {layout.word!r}, but {len(labels)} labels in {layout.label!r}."
        raise origin.error(problem, "Each word needs exactly one label.")
    return Sentence(words, labels, origin)


def label_of(value: Any, names: tuple[str, ...] | None, origin: Origin) -> str:
    """The label that a value, a name or an id, stands for."""
    if isinstance(value, str):
        if not value:
            raise origin.error("a label is empty.", "Write O where a word is in no span.")
        if names is None or not value.isdigit() or value in names:
            return value
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise origin.error(f"{value!r} is no label.", "A name or an id was expected.")
    if names is None:
        return str(value)
    if not 0 <= value < len(names):
        raise origin.error(f"there is no label with id {value}.", f"There are {len(names)} labels, from id 0.")
    return names[value]


def _read_words(records: Iterator[tuple[Origin, Record]], layout: Layout, problems: Problems) -> Iterator[Sentence]:
    words: list[str] = []
    labels: list[str] = []
    start: Origin | None = None
    current: Any = None
    error: UserError | None = None
    for origin, record in records:
        key = record.get(layout.sentence or "")
        if key not in (None, "") and key != current and start:
            yield from _gathered(words, labels, start, error, layout, problems)
            words, labels, start, error = [], [], None, None
        current = current if key in (None, "") else key
        start = start or origin
        try:
            words.append(_text(record.get(layout.word), layout.word, origin))
            if layout.label is not None:
                labels.append(label_of(record.get(layout.label), layout.label_names, origin))
        except UserError as problem:
            error = error or problem
    if start:
        yield from _gathered(words, labels, start, error, layout, problems)


def _gathered(
    words: list[str], labels: list[str], start: Origin, error: UserError | None, layout: Layout, problems: Problems
) -> Iterator[Sentence]:
    if error:
        problems.report(error)
        return
    yield Sentence(tuple(words), tuple(labels) if layout.label else None, start)


def _holds_single_words(word: str, label: str | None, sample: Sequence[Record]) -> bool:
    values = [record.get(word) for record in sample] + [record.get(label) for record in sample if label]
    texts = [value for value in values if value is not None]
    return bool(texts) and all(
        isinstance(value, int) or (isinstance(value, str) and not _is_list_text(value)) for value in texts
    )


def _list_in(record: Record, name: str, origin: Origin) -> Sequence[Any]:
    if name not in record:
        raise origin.error(f"there is no field {name!r}.", f"It has {', '.join(map(str, record))}.")
    value = record[name]
    if isinstance(value, str):
        return parse_list(value, name, origin)
    if isinstance(value, (list, tuple)):
        return value
    raise origin.error(f"{name!r} is no list: {str(value)[:60]!r}.", "A list with an entry per word was expected.")


def parse_list(text: str, name: str, origin: Origin) -> Sequence[Any]:
    """A list written as JSON, as Python or numpy prints it, or as words between blanks."""
    text = text.strip()
    if not _is_list_text(text):
        return text.split()
    for parse in (json.loads, ast.literal_eval):
        try:
            value = parse(text)
        except (ValueError, SyntaxError):
            continue
        if isinstance(value, (list, tuple)) and not _glued(value, text):
            return value
    return _numpy_list(text, name, origin)


def _is_list_text(text: str) -> bool:
    text = text.strip()
    return text[:1] == "[" and text[-1:] == "]"


def _glued(value: Sequence[Any], text: str) -> bool:
    """Python reads numpy's "['a' 'b']" as one string."""
    return len(value) == 1 and text.count("'") + text.count('"') > 2 and "," not in text


def _numpy_list(text: str, name: str, origin: Origin) -> Sequence[Any]:
    try:
        tree = ast.parse(text.replace("' '", "', '").replace("\" '", "\", '").replace("' \"", "', \""), mode="eval")
        return list(ast.literal_eval(tree))
    except (ValueError, SyntaxError) as error:
        hint = "Write it as a JSON list, or as words between blanks."
        raise origin.error(f"{name!r} is no list: {text[:60]!r}.", hint) from error


def _texts(values: Sequence[Any], name: str, origin: Origin) -> tuple[str, ...]:
    return tuple(_text(value, name, origin) for value in values)


def _text(value: Any, name: str, origin: Origin) -> str:
    if isinstance(value, str) and value:
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    raise origin.error(f"a word in {name!r} is {'empty' if value in ('', None) else repr(value)}.", "Fill it in.")


def _named(column: str | int | None, names: Sequence[str], path: str) -> str | None:
    if column is None:
        return None
    if isinstance(column, str) and column in names:
        return column
    if isinstance(column, int) and -len(names) <= column < len(names):
        return names[column]
    raise UserError(f"there is no column {column!r}.", path=path, hint=f"Its columns are {', '.join(names)}.")


def _guess(names: Sequence[str], wanted: Sequence[str]) -> str | None:
    found = guess_named_column(names, wanted)
    return None if found is None else names[found]


def _no_column(what: str, names: Sequence[str], path: str, option: str, tried: Sequence[str]) -> UserError:
    problem = f"no column of {what} among {', '.join(names)}."
    return UserError(problem, path=path, hint=f"Name it with {option}; {', '.join(tried[:4])} ... are found alone.")
