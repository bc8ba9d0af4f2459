"""Records, which are mappings of named fields: which fields hold words and labels, and a sentence from a
record.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.char_spans import CharSpan, SpanRules, in_codepoints
from tf_tokclf.data.json_text import parse_json
from tf_tokclf.data.readers.dialects import DIALECTS, char_spans_in, detect_dialect, fields_of, normalised
from tf_tokclf.data.readers.guessing import WORD_NAMES, guess_named_column, label_names_for
from tf_tokclf.data.readers.reading import Problems
from tf_tokclf.data.readers.texts import TextReading
from tf_tokclf.data.sentence import Origin, Sentence
from tf_tokclf.errors import UserError

Record = Mapping[str, Any]

_NUMBER = re.compile("[0-9]{1,9}")

_SENTENCE_NAMES = (
    "sentence #",
    "sentence_id",
    "sentence_idx",
    "sent_id",
    "sentence id",
    "sentence",
    "sentence_number",
)
_ONE_WORD_NAMES = ("word", "token", "form")


class Shape(Enum):
    """What one record holds."""

    SENTENCE = "a sentence a row"
    WORD = "a word a row"
    TEXT = "a text a row"


@dataclass(frozen=True)
class Layout:
    """The fields of records that are read. `label` is None where there are words only.

    word, label: of a text, the fields of the text itself and of its spans, as `dialect` writes them.
    """

    shape: Shape
    word: str
    label: str | None
    sentence: str | None = None
    label_names: tuple[str, ...] | None = None
    dialect: str | None = None
    texts: TextReading | None = None
    has_nameless_ids: bool = False

    def note(self) -> str:
        """What was found out, in a line."""
        if self.texts:
            spans = f"spans in {self.label!r}" if self.label else "no spans"
            written = f" ({self.dialect})" if self.dialect else ""
            return f"{self.shape.value}, text in {self.word!r}, {spans}{written}; {self.texts.note()}"
        labels = f"labels in {self.label!r}" if self.label else "no labels"
        if self.has_nameless_ids:
            labels += " (ids without names, which label_names would give)"
        borders = f", sentences by {self.sentence!r}" if self.sentence else ""
        if self.shape is Shape.WORD and not self.sentence:
            borders = ", an empty row ends a sentence"
        return f"{self.shape.value}, words in {self.word!r}, {labels}{borders}"


def choose_layout(
    names: Sequence[str],
    sample: Sequence[Record],
    data: DataConfig,
    task: Task,
    *,
    path: str,
    label_names: Mapping[str, tuple[str, ...]] | None = None,
) -> Layout:
    """The layout of records with the fields `names`; `label_names` are those that fields declare."""
    word = _named(data.text_column_name, names, path)
    label = _named(data.label_column_name, names, path)
    if dialect := _dialect(word, label, names, sample, data, task):
        text, spans = fields_of(names, dialect)
        texts = TextReading.of(data, inclusive_end=DIALECTS[dialect].inclusive_end)
        return Layout(Shape.TEXT, word or text, label or spans, dialect=dialect, texts=texts)
    word = word or _guess(names, WORD_NAMES)
    if word is None:
        raise _no_column("words", names, path, "--text-column-name", WORD_NAMES)
    label = label or _guess(names, label_names_for(task), taken=(word,))
    sentence = _named(data.sentence_column_name, names, path)
    strings = _strings_in(word, sample)
    if sentence is None and strings and not any(" " in text.strip() for text in strings):
        sentence = _guess(names, _SENTENCE_NAMES, taken=(word, label))
    if sentence or (strings and word.strip().lower() in _ONE_WORD_NAMES):
        shape = Shape.WORD
    elif strings and label is None:
        return Layout(Shape.TEXT, word, None, texts=TextReading.of(data))
    else:
        shape = Shape.SENTENCE
    known = (label_names or {}).get(label or "") or data.label_names
    nameless = label is not None and known is None and _holds_ids(label, sample)
    return Layout(shape, word, label, sentence, known, has_nameless_ids=nameless)


def read_records(records: Iterator[tuple[Origin, Record]], layout: Layout, problems: Problems) -> Iterator[Sentence]:
    """Sentences from records; what cannot be read is reported to `problems`."""
    if layout.shape is Shape.WORD:
        yield from _read_words(records, layout, problems)
        return
    for origin, record in records:
        try:
            sentence = sentence_from(record, layout, origin, problems.counts)
        except UserError as error:
            problems.report(error)
        else:
            if sentence is not None:
                yield sentence


def sentence_from(record: Record, layout: Layout, origin: Origin, counts: Counter[str]) -> Sentence | None:
    """The sentence in a record; None where annotators turned the record down, which `counts` remembers."""
    if layout.texts:
        return _sentence_of_text(record, layout, layout.texts, origin, counts)
    words = _texts(_list_in(record, layout.word, origin), layout.word, origin)
    document = record.get("document")
    document = document if isinstance(document, str) else None
    if layout.label is None:
        return Sentence(words, None, origin, document=document)
    values = _list_in(record, layout.label, origin)
    labels = tuple(label_of(value, layout.label_names, origin) for value in values)
    if len(words) != len(labels):
        problem = f"{len(words)} words in {layout.word!r}, but {len(labels)} labels in {layout.label!r}."
        raise origin.error(problem, "Each word needs exactly one label.")
    return Sentence(words, labels, origin, document=document)


def _sentence_of_text(
    record: Record, layout: Layout, texts: TextReading, origin: Origin, counts: Counter[str]
) -> Sentence | None:
    found = normalised(record, layout.dialect, origin) if layout.dialect else record
    if found is None:
        counts["records left out: not accepted by their annotators"] += 1
        return None
    text = found.get(layout.word)
    if not isinstance(text, str):
        raise origin.error(f"there is no text in {layout.word!r}.", f"It has {', '.join(map(str, found))}.")
    spans = None
    if layout.label is not None:
        value = found.get(layout.label)
        spans = char_spans_in(parse_list(value, layout.label, origin) if isinstance(value, str) else value, origin)
    document = record.get("document")
    return texts.sentence(
        text,
        spans,
        origin,
        counts,
        offsets=_token_offsets(found.get("tokens"), text, texts.rules, origin),
        document=document if isinstance(document, str) else None,
    )


def _token_offsets(tokens: Any, text: str, rules: SpanRules, origin: Origin) -> tuple[tuple[int, int], ...] | None:
    """The places of words that a record brings along, as Prodigy's do."""
    if not isinstance(tokens, list) or not all(
        isinstance(token, Mapping) and {"start", "end"} <= token.keys() for token in tokens
    ):
        return None
    for token in tokens:
        if not (isinstance(token["start"], int) and isinstance(token["end"], int)):
            problem = f"a token goes from {token['start']!r} to {token['end']!r}."
            raise origin.error(problem, "Leave the tokens out, or mend them.")
    given = [CharSpan(token["start"], token["end"], "token", token.get("text")) for token in tokens]
    places = in_codepoints(given, text, unit=rules.unit, inclusive_end=rules.inclusive_end, origin=origin)
    for token in places:
        there = text[token.start : token.end]
        if token.surface not in (None, there):
            problem = f"the token at {token.start} to {token.end} is {there!r}, not {token.surface!r}."
            raise origin.error(problem, "Leave the tokens out, or mend them.")
    return tuple((token.start, token.end) for token in places if not text[token.start : token.end].isspace())


def label_of(value: Any, names: tuple[str, ...] | None, origin: Origin) -> str:
    """The label that a value, a name or an id, stands for."""
    if isinstance(value, str):
        if not value:
            raise origin.error("a label is empty.", "Write O where a word is in no span.")
        if names is None or not _NUMBER.fullmatch(value) or value in names:
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
        empty = not any(value not in (None, "") for value in record.values())
        if start and (empty or (key not in (None, "") and key != current)):
            yield from _gathered(words, labels, start, error, layout, problems)
            words, labels, start, error = [], [], None, None
        if empty:
            continue
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
    words: list[str],
    labels: list[str],
    start: Origin,
    error: UserError | None,
    layout: Layout,
    problems: Problems,
) -> Iterator[Sentence]:
    if error:
        problems.report(error)
        return
    yield Sentence(tuple(words), tuple(labels) if layout.label else None, start)


def _dialect(
    word: str | None,
    label: str | None,
    names: Sequence[str],
    sample: Sequence[Record],
    data: DataConfig,
    task: Task,
) -> str | None:
    """The dialect of texts with spans, unless the records hold lists of words and labels (besides)."""
    if data.format in DIALECTS:
        return data.format
    if label is not None:
        return detect_dialect(sample) if _holds_spans(label, sample) else None
    words, labels = word or _guess(names, WORD_NAMES), _guess(names, label_names_for(task), taken=(word,))
    in_lists = any(
        _is_list(record.get(words or ""), str) and _is_list(record.get(labels or ""), str, int) for record in sample
    )
    return None if in_lists else detect_dialect(sample)


def _holds_spans(label: str, sample: Sequence[Record]) -> bool:
    return any(_is_list(record.get(label), list, tuple, dict) for record in sample)


def _holds_ids(label: str, sample: Sequence[Record]) -> bool:
    return any(isinstance(value := record.get(label), int) or _is_list(value, int) for record in sample)


def _is_list(value: Any, *types: type) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(item, types) for item in value)


def _strings_in(name: str, sample: Sequence[Record]) -> list[str]:
    """The values of a field, if all are strings and no printed lists."""
    values = [value for record in sample if (value := record.get(name)) is not None]
    return values if all(isinstance(v, str) and not _is_list_text(v) for v in values) else []


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
    for parse in (parse_json, _python_value):
        try:
            value = parse(text)
        except ValueError:
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
    """numpy prints no commas: ['New' 'York'], [0 1]."""
    with_commas = re.sub(r"""(['"\d])\s+(?=['"\d-])""", r"\1, ", text)
    try:
        return list(_python_value(with_commas))
    except (ValueError, TypeError) as error:
        hint = "Write it as a JSON list, or as words between blanks."
        raise origin.error(f"{name!r} is no list: {text[:60]!r}.", hint) from error


def _python_value(text: str) -> Any:
    """What Python prints of a value of its own kinds. Raises ValueError for anything else, and runs nothing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd escapes in it
            value = ast.literal_eval(text)
        "".join(map(str, value)).encode()  # refuses halves of surrogate pairs
        return value
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError(str(error)) from error


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


def _guess(names: Sequence[str], wanted: Sequence[str], taken: Sequence[str | None] = ()) -> str | None:
    found = guess_named_column(["" if name in taken else name for name in names], wanted)
    return None if found is None else names[found]


def _no_column(what: str, names: Sequence[str], path: str, option: str, tried: Sequence[str]) -> UserError:
    problem = f"no column of {what} among {', '.join(names)}."
    return UserError(problem, path=path, hint=f"Name it with {option}; {', '.join(tried[:4])} ... are found alone.")
