"""Records (mappings of named fields): choose the fields of words and labels, and convert records to sentences."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.counted import counted
from tf_tokclf.data.formats.record_formats import RECORD_FORMATS
from tf_tokclf.data.reading.annotated import Annotated, Annotation, Fields, JsonFormat, Record
from tf_tokclf.data.reading.base import Changes, Problems
from tf_tokclf.data.reading.guessing import (
    LABEL_WORDS,
    SENTENCE_NAMES,
    WORD_NAMES,
    WORDS_ALONE,
    check_once,
    confidences_error,
    guess_named_column,
    holds_confidences,
    label_names_for,
    looks_like_tags,
)
from tf_tokclf.data.reading.lists import as_list, is_list_text, is_printed_list, parse_list
from tf_tokclf.data.reading.missing import is_missing
from tf_tokclf.data.reading.text_records import PLAIN, document_in, is_spans, offset_unit_in
from tf_tokclf.data.reading.texts import TextReading
from tf_tokclf.errors import UserError
from tf_tokclf.labels.schemes import OUTSIDE_LABEL
from tf_tokclf.labels.sentence import Origin, Sentence

_NUMBER = re.compile("[0-9]{1,9}")
_BETWEEN_TAGS = re.compile(r"[\s,;|]")

# Possible fields of labels, and formats that differ only in these fields.
_LABEL_FIELDS = ("ner_tags", "tags", "labels", "label", "entities", "spans", "ner")
_LIKE_FORMATS = ("spacy", "prodigy", "doccano")
# Fields of a word's type in the output of `transformers.pipeline`.
_ENTITY_NAMES = ("entity", "entity_group")
_ONE_WORD_NAMES = ("word", "token", "form")
# Fields of annotated records that never contain labels.
_NO_LABEL_NAMES = frozenset({"tokens", "relations", "links", "sents", "sentences", "meta", "metadata", "options"})


class Shape(Enum):
    """What one record contains."""

    SENTENCE = "one sentence per row"
    WORD = "one word per row"
    TEXT = "one text per row"


@dataclass(frozen=True)
class Layout:
    """The fields that are read from records.

    word: field of the words or the text. label: field of the labels or spans; None without labels. format: format of
    texts or words with spans. also_fits: names of other possible formats. by_comma: which of the two fields are texts
    with comma-separated items.
    """

    shape: Shape
    word: str
    label: str | None
    reading: TextReading
    sentence: str | None = None
    label_names: tuple[str, ...] | None = None
    format: JsonFormat | None = None
    has_nameless_ids: bool = False
    by_comma: frozenset[str] = frozenset()
    also_fits: tuple[str, ...] = ()

    @property
    def dialect(self) -> str | None:
        """The name of the records' format; None for records of no particular format."""
        return self.format.name if self.format and self.format is not PLAIN else None

    @property
    def texts(self) -> TextReading | None:
        """How texts are read, for records that contain one."""
        return self.reading if self.shape is Shape.TEXT else None

    def note(self) -> str:
        """One line about what was detected."""
        if self.format:
            written = f" ({self.dialect})" if self.dialect else ""
            if self.also_fits:
                written = f" ({self.dialect}; would also fit {', '.join(self.also_fits)})"
            if self.format.has_words:
                ends = "inclusive" if self.reading.rules.inclusive_end else "exclusive"
                return f"words with spans{written}, ends {ends}, converted to {self.reading.scheme.value}"
            spans = f"spans in {self.label!r}" if self.label else "no spans"
            split = self.reading.note(has_spans=bool(self.label))
            return f"{self.shape.value}, text in {self.word!r}, {spans}{written}; {split}"
        labels = f"labels in {self.label!r}" if self.label else "no labels"
        if self.has_nameless_ids:
            labels += " (ids without names; set them with data.label_names)"
        if self.by_comma:
            labels += f", comma-separated items in {' and '.join(map(repr, sorted(self.by_comma)))}"
        borders = f", sentence ids in {self.sentence!r}" if self.sentence else ""
        if self.shape is Shape.WORD and not self.sentence:
            borders = ", sentences end at empty rows"
        return f"{self.shape.value}, words in {self.word!r}, {labels}{borders}"


def choose_layout(
    names: Sequence[str],
    sample: Sequence[Record],
    data: DataConfig,
    task: Task,
    *,
    path: str,
    label_names: Mapping[str, tuple[str, ...]] | None = None,
    has_borders: bool = False,
) -> Layout:
    """The layout of records with the fields `names`.

    label_names: the label names that each field declares. has_borders: whether there are empty records, which divide
    sentences if a record has one word.

    Raises UserError if a field may contain labels but cannot be interpreted.
    """
    wants_labels = data.label_column_name != ""
    word = _named(data.text_column_name, names, path)
    label = _named(data.label_column_name, names, path) if wants_labels else None
    if formats := _formats(word, label, names, sample, data, task):
        format, *others = formats
        fields = format.fields(names)
        spans = (label or fields.label) if wants_labels else None
        known = (label_names or {}).get(spans or "") or data.label_names
        inclusive = _inclusive_end(format, Fields(word or fields.word, spans), sample, data, path)
        reading = TextReading.of(data.model_copy(update={"label_names": known}), inclusive_end=inclusive)
        also = tuple(other.name for other in others)
        return Layout(Shape.TEXT, word or fields.word, spans, reading, format=format, also_fits=also)
    has_borders = has_borders or data.sentence_column_name is not None
    word, is_word = word or _guess(names, WORD_NAMES, path), False
    if word is None and has_borders and (found := _word_and_tag(names, sample)):
        word, label, is_word = found[0], label or (found[1] if wants_labels else None), True
    if word is None:
        raise _no_column(names, sample, path)
    if wants_labels:
        label = label or _label_field(word, names, sample, task, path)
        if label is not None and _holds_confidences(label, sample):
            raise confidences_error(repr(label), path)
    sentence = _named(data.sentence_column_name, names, path)
    strings = _strings_in(word, sample, are_words=True)
    if sentence is None and strings and not any(" " in text.strip() for text in strings):
        sentence = _guess(names, SENTENCE_NAMES, path, taken=(word, label))
    is_word = is_word or bool(sentence or (strings and word.strip().lower() in _ONE_WORD_NAMES))
    is_word = is_word or (has_borders and _is_word_by_content(word, label, sample))
    if wants_labels and label is None and is_word:
        label = _column_of_tags([name for name in names if name not in (word, sentence)], sample, path)
    if wants_labels and label is None:
        _refuse_unread(names, sample, word, path, is_word=is_word)
    if is_word:
        shape = Shape.WORD
    elif strings and (label is None or not any(record.get(label) for record in sample)):
        return Layout(Shape.TEXT, word, label, TextReading.of(data), format=PLAIN)
    else:
        shape = Shape.SENTENCE
    known = (label_names or {}).get(label or "") or data.label_names
    nameless = label is not None and known is None and _holds_ids(label, sample)
    reading = TextReading.of(data.model_copy(update={"layer": None}), has_outside=_has_outside(label, known, sample))
    commas = _fields_with_commas(word, label, sample) if shape is Shape.SENTENCE else frozenset()
    return Layout(shape, word, label, reading, sentence, known, has_nameless_ids=nameless, by_comma=commas)


def is_word_with_tag(word: str, label: str | None, sample: Sequence[Record]) -> bool:
    """Whether each record has one word and one tag, whatever the fields are called."""
    words = _strings_in(word, sample)
    tags = _strings_in(label, sample) if label is not None else []
    has_lists = any(len(one.split()) > 1 for one in words) or any(_BETWEEN_TAGS.search(tag.strip()) for tag in tags)
    return bool(words) and looks_like_tags(tags) and not has_lists


def _is_word_by_content(word: str, label: str | None, sample: Sequence[Record]) -> bool:
    """Whether each record has one word and one tag. Fields with names such as "tokens" or "text" contain sentences,
    which may have only one word.
    """
    return _guess([word], WORD_NAMES, "") is None and is_word_with_tag(word, label, sample)


def _word_and_tag(names: Sequence[str], sample: Sequence[Record]) -> tuple[str, str] | None:
    """The fields of words and tags, if only one field has tags and only one other is not numbers. None otherwise."""
    values = {name: _strings_in(name, sample) for name in names}
    tags = [name for name in names if looks_like_tags(values[name])]
    others = [name for name in names if name not in tags and not all(map(_NUMBER.fullmatch, values[name]))]
    is_clear = len(tags) == len(others) == 1 and is_word_with_tag(others[0], tags[0], sample)
    return (others[0], tags[0]) if is_clear else None


def _fields_with_commas(word: str, label: str | None, sample: Sequence[Record]) -> frozenset[str]:
    """Which of the fields of words and labels are texts with comma-separated items. This is decided by the labels. The
    words are split at commas or spaces, whichever gives as many words as labels in more records.
    """
    texts = _strings_in(label, sample) if label is not None else []
    pieces = [piece for text in texts for piece in text.split(",")]
    if not any("," in text for text in texts) or not looks_like_tags([piece.strip() for piece in pieces]):
        return frozenset()
    pairs = [(record.get(word), record.get(label or "")) for record in sample]
    n_labels = [(text, len(labels.split(","))) for text, labels in pairs if isinstance(text, str) and labels]
    by_comma, by_blank = (sum(len(text.split(sign)) == n for text, n in n_labels) for sign in (",", None))
    return frozenset({str(label), word} if by_comma >= by_blank else {str(label)})


def filled_fields(record: Record) -> set[str]:
    """The names of a record's non-empty fields.

    >>> filled_fields({"text": "Ada", "labels": None, "entities": []})
    {'text'}
    """
    return {name for name, value in record.items() if value not in (None, "", [], {})}


def read_records(records: Iterator[tuple[Origin, Record]], layout: Layout, problems: Problems) -> Iterator[Sentence]:
    """Sentences from records. Unreadable records are reported to `problems`."""
    if layout.shape is Shape.WORD:
        yield from _read_words(records, layout, problems)
        return
    for origin, record in records:
        try:
            _check_field(record, layout, origin)
            yield from sentences_from(record, layout, origin, problems)
        except UserError as error:
            problems.report(error)


def _check_field(record: Record, layout: Layout, origin: Origin) -> None:
    """Raise UserError if a record has its labels in another field than the previous records."""
    if layout.label is None or layout.label in record or layout.dialect not in (None, *_LIKE_FORMATS):
        return
    other = next((name for name in _LABEL_FIELDS if isinstance(record.get(name), list) and record[name]), None)
    if other is not None:
        problem = f"there is no field {layout.label!r}, but {other!r} may contain labels."
        raise origin.error(problem, "Use the same field names in all records.")


def sentences_from(record: Record, layout: Layout, origin: Origin, problems: Problems) -> Iterator[Sentence]:
    """The sentences in a record, usually one. None if the record was rejected or not annotated; the reason is counted
    in `problems`.
    """
    if layout.format is not None:
        found = layout.format.read(record, Fields(layout.word, layout.label), origin, problems.counts)
    else:
        found = iter([_words_and_labels(record, layout, origin)])
    yield from layout.reading.in_unit(offset_unit_in(record)).sentences(found, origin, problems)


def sentence_from(record: Record, layout: Layout, origin: Origin, problems: Problems) -> Sentence | None:
    """The first sentence in a record, or None."""
    return next(sentences_from(record, layout, origin, problems), None)


def _words_and_labels(record: Record, layout: Layout, origin: Origin) -> Annotated:
    words = _texts(_list_in(record, layout.word, layout, origin), layout.word, origin)
    document = document_in(record)
    if layout.label is None:
        return Annotated(words=words, document=document, is_labelled=False)
    if record.get(layout.label) in (None, "") and words:
        return Annotated(words=words, document=document)
    values = _list_in(record, layout.label, layout, origin)
    labels = tuple(label_of(value, layout.label_names, origin) for value in values)
    if len(words) != len(labels):
        n_words, n_labels = counted(len(words), "word"), counted(len(labels), "label")
        problem = f"{n_words} in {layout.word!r}, but {n_labels} in {layout.label!r}."
        raise origin.error(problem, "Each word needs exactly one label.")
    return Annotated(words=words, annotations=(Annotation(labels=labels),), document=document)


def label_of(value: Any, names: tuple[str, ...] | None, origin: Origin) -> str | None:
    """The label for a value, which is a name, possibly between blanks, or an id; None for a missing label."""
    value = value.strip() if isinstance(value, str) else value
    if is_missing(value):
        return None
    if isinstance(value, str):
        if not value:
            raise origin.error("a label is empty.", "Write O for words outside all spans.")
        if names is None or not _NUMBER.fullmatch(value) or value in names:
            return value
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise origin.error(f"{value!r} is not a label.", "A name or an id was expected.")
    if names is None:
        return str(value)
    if not 0 <= value < len(names):
        hint = f"There are {counted(len(names), 'label')}; ids start at 0."
        raise origin.error(f"there is no label with id {value}.", hint)
    return names[value]


def _read_words(records: Iterator[tuple[Origin, Record]], layout: Layout, problems: Problems) -> Iterator[Sentence]:
    words: list[str] = []
    labels: list[str | None] = []
    start: Origin | None = None
    current: Any = None
    error: UserError | None = None
    for origin, record in records:
        key = None if layout.sentence is None else record.get(layout.sentence)
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
    labels: list[str | None],
    start: Origin,
    error: UserError | None,
    layout: Layout,
    problems: Problems,
) -> Iterator[Sentence]:
    if error:
        problems.report(error)
        return
    annotations = (Annotation(labels=tuple(labels)),)
    found = Annotated(words=tuple(words), annotations=annotations, is_labelled=layout.label is not None)
    if (sentence := layout.reading.sentence(found, start, problems)) is not None:
        yield sentence


def _formats(
    word: str | None,
    label: str | None,
    names: Sequence[str],
    sample: Sequence[Record],
    data: DataConfig,
    task: Task,
) -> list[JsonFormat]:
    """The possible formats of the records, the most likely first; none for lists of words and labels."""
    if data.format in RECORD_FORMATS:
        return [RECORD_FORMATS[data.format]]
    if label is not None and not any(is_spans(record.get(label)) for record in sample):
        return []
    words = word or _guess(names, WORD_NAMES, "")
    labels = label or _guess(names, label_names_for(task), "", taken=(words,))
    if any(_is_list(record.get(words or ""), str) and _is_labels(record.get(labels or "")) for record in sample):
        return []
    fitting = [format for format in RECORD_FORMATS.values() if any(map(format.fits, sample))]
    if not fitting and label is not None and words is not None and any(record.get(label) for record in sample):
        return [PLAIN]
    return fitting


def _inclusive_end(format: JsonFormat, fields: Fields, sample: Sequence[Record], data: DataConfig, path: str) -> bool:
    """Whether the ends of spans are inclusive: for spans of words as the sample shows, otherwise as in the format."""
    if not format.has_words or data.offset_end is not None:
        return format.inclusive_end
    inclusive = exclusive = False
    for number, record in enumerate(sample, 1):
        try:
            found = list(format.read(record, fields, Origin(path, number, "row"), Changes()))
        except UserError:
            continue
        for one in found:
            for start, end, _ in (span for annotation in one.annotations for span in annotation.word_spans):
                inclusive = inclusive or start == end
                exclusive = exclusive or end == len(one.words or ())
    if inclusive and exclusive:
        problem = "it is unclear whether span ends are inclusive: some equal the start, others the sentence length."
        hint = "Set data.offset_end to inclusive or exclusive, and skip the other spans with data.on_error=skip."
        raise UserError(problem, path=path, hint=hint)
    return inclusive if inclusive != exclusive else format.inclusive_end


def _is_labels(value: Any) -> bool:
    return _is_list(value, str, int, type(None))


def _parallel_list(word: str, names: Sequence[str], sample: Sequence[Record], task: Task, path: str) -> str | None:
    """The field with one label per word, by its values; None if there is none."""
    found = [name for name in names if name != word and _is_parallel(name, word, sample)]
    others = {name for other in Task if other is not task for name in label_names_for(other)[:5]}
    candidates = [name for name in found if name.lower() not in others]
    if len(candidates) > 1 or (found and not candidates):
        hint = f"Name one with --label-column-name. {WORDS_ALONE}"
        problem = f"several fields may contain the labels: {', '.join(found)}."
        raise UserError(problem, path=path, hint=hint)
    return candidates[0] if candidates else None


def _label_field(word: str, names: Sequence[str], sample: Sequence[Record], task: Task, path: str) -> str | None:
    """The field of labels, by its name or its values. A field of confidences is chosen only if there is no other."""
    wanted = label_names_for(task)
    scores = [name for name in names if _holds_confidences(name, sample)]
    return (
        _guess(names, wanted, path, taken=(word, *scores))
        or _parallel_list(word, names, sample, task, path)
        or _guess(names, wanted, path, taken=(word,))
    )


def _holds_confidences(name: str, sample: Sequence[Record]) -> bool:
    values = (record.get(name) for record in sample)
    return holds_confidences(str(item) for value in values for item in (as_list(value) or [value]))


def _is_parallel(name: str, word: str, sample: Sequence[Record]) -> bool:
    lists = [(as_list(record.get(word)), as_list(record.get(name))) for record in sample]
    pairs = [(words, values) for words, values in lists if words and values]
    if not pairs or not all(len(words) == len(values) and _is_labels(values) for words, values in pairs):
        return False
    strings = [value for _, values in pairs for value in values if isinstance(value, str)]
    return bool(LABEL_WORDS.search(name)) or (bool(strings) and looks_like_tags(strings))


def _column_of_tags(names: Sequence[str], sample: Sequence[Record], path: str) -> str | None:
    """The column of span labels, for records of one word. Raises UserError if there are several."""
    found = [name for name in names if name.lower() not in _ENTITY_NAMES and looks_like_tags(_strings_in(name, sample))]
    if len(found) > 1:
        problem = f"several fields may contain the labels: {', '.join(found)}."
        hint = f"Name one with --label-column-name. {WORDS_ALONE}"
        raise UserError(problem, path=path, hint=hint)
    return found[0] if found else None


def _refuse_unread(names: Sequence[str], sample: Sequence[Record], word: str, path: str, *, is_word: bool) -> None:
    """Raise UserError if a field may contain labels, so that labelled data is never read as plain text.

    is_word: a record contains one word, so a text may be its label.
    """
    for name in names:
        values = [record[name] for record in sample if name in filled_fields(record)]
        if name == word or name.lower() in _NO_LABEL_NAMES or not values:
            continue
        value = next((value for value in values if _could_be_labels(name, value)), None)
        if value is None and is_word and name.lower() in _ENTITY_NAMES:
            value = values[0]
        if value is not None:
            raise UserError(
                f"{name!r} may contain labels, but cannot be interpreted: {json.dumps(value, default=str)[:100]}.",
                path=path,
                hint=f"Name the label column (--label-column-name) or the format. {WORDS_ALONE}",
            )


def _could_be_labels(name: str, value: Any) -> bool:
    """Whether a value may contain labels of words or spans."""
    if isinstance(value, str) and is_list_text(value):
        value = as_list(value)
    if isinstance(value, str) and value.lstrip().startswith("{"):
        return value.strip() != "{}" and LABEL_WORDS.search(name) is not None
    if not isinstance(value, (list, tuple, Mapping)):
        return False
    if LABEL_WORDS.search(name):
        return True
    items = list(value.values() if isinstance(value, Mapping) else value)
    return any(_has_place_and_type(item) for item in items)


def _has_place_and_type(item: Any) -> bool:
    """Whether a value contains two integers and a text, as spans do."""
    values = list(item.values()) if isinstance(item, Mapping) else item if isinstance(item, (list, tuple)) else []
    numbers = [value for value in values if isinstance(value, int) and not isinstance(value, bool)]
    return len(numbers) >= 2 and any(isinstance(value, str) for value in values)


def _has_outside(label: str | None, names: tuple[str, ...] | None, sample: Sequence[Record]) -> bool:
    """Whether the labels include O, so that a word without a label can be read as O."""
    if names is not None:
        return OUTSIDE_LABEL in names
    values = [record.get(label) for record in sample] if label is not None else []
    flat = [item for value in values for item in (as_list(value) or [value])]
    strings = [item for item in flat if isinstance(item, str) and not is_missing(item)]
    return OUTSIDE_LABEL in strings or looks_like_tags(strings)


def _holds_ids(label: str, sample: Sequence[Record]) -> bool:
    values = (record.get(label) for record in sample)
    return any(isinstance(value, int) or _is_list(as_list(value), int) for value in values)


def _is_list(value: Any, *types: type) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(item, types) for item in value)


def _strings_in(name: str, sample: Sequence[Record], *, are_words: bool = False) -> list[str]:
    """The values of a field, if all are strings and most of them are not printed lists (`[1]` may be a word).

    are_words: the field contains words or a text, so that lists of numbers do not count.
    """
    values = [value for record in sample if (value := record.get(name)) is not None]
    if not all(isinstance(value, str) for value in values):
        return []
    n_lists = sum(is_printed_list(value, of_words=are_words) for value in values)
    return values if 2 * n_lists < len(values) else []


def _list_in(record: Record, name: str, layout: Layout, origin: Origin) -> Sequence[Any]:
    if not record:
        raise origin.error("the row is empty.", "Remove it.")
    if name not in record:
        raise origin.error(f"there is no field {name!r}.", f"The fields are {', '.join(map(str, record))}.")
    value = record[name]
    if isinstance(value, str):
        is_joined = name in layout.by_comma and not is_list_text(value)
        return [item.strip() for item in value.split(",")] if is_joined else parse_list(value, name, origin)
    if isinstance(value, (list, tuple)):
        return value
    raise origin.error(f"{name!r} is not a list: {str(value)[:60]!r}.", "A list with one item per word was expected.")


def _texts(values: Sequence[Any], name: str, origin: Origin) -> tuple[str, ...]:
    return tuple(_text(value, name, origin) for value in values)


def _text(value: Any, name: str, origin: Origin) -> str:
    if isinstance(value, str) and value:
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    if value in ("", None):
        raise origin.error(f"a word in {name!r} is empty.", "Add the word, or remove it with its label.")
    raise origin.error(f"a word in {name!r} is {value!r}, not a text.", "Write it as a text.")


def _named(column: str | int | None, names: Sequence[str], path: str) -> str | None:
    if column is None:
        return None
    if isinstance(column, str) and column in names:
        return column
    if isinstance(column, int) and -len(names) <= column < len(names):
        return names[column]
    check_once(str(column), names, path)
    raise UserError(f"there is no column {column!r}.", path=path, hint=f"The columns are {', '.join(names)}.")


def _guess(names: Sequence[str], wanted: Sequence[str], path: str, taken: Sequence[str | None] = ()) -> str | None:
    """The first of the wanted names that exists. With a path, raises UserError if it exists twice."""
    there = ["" if name in taken else name for name in names]
    for name in wanted:
        found = guess_named_column(there, [name])
        if found is not None:
            return names[found]
        if path:
            check_once(name, there, path)
    return None


def _no_column(names: Sequence[str], sample: Sequence[Record], path: str) -> UserError:
    problem = f"none of the columns {', '.join(names)} seems to contain words or texts."
    shown = json.dumps(sample[0], ensure_ascii=False, default=str)[:120] if sample else ""
    hint = (
        "Name it with --text-column-name (names such as tokens, words, text and sentence are recognised). "
        f"The first record is {shown}."
    )
    return UserError(problem, path=path, hint=hint)
