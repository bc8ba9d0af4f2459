"""Read predictions, with or without gold labels, from records: JSON, CSV, Parquet and saved data sets.

A record contains a sentence (with its words and labels as lists), a word, or a text with spans. Gold labels and
predictions may have different forms: `predict` adds lists of words and labels to records with gold spans of a text.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.counted import counted
from tf_tokclf.data.detection import open_reader
from tf_tokclf.data.formats.csv import csv_rows, open_csv
from tf_tokclf.data.formats.jsonl import json_records
from tf_tokclf.data.formats.record_formats import RECORD_FORMATS
from tf_tokclf.data.reading.annotated import Annotated, Fields, JsonFormat, Record
from tf_tokclf.data.reading.base import Problems
from tf_tokclf.data.reading.guessing import WORD_NAMES, guess_named_column, looks_like_tags
from tf_tokclf.data.reading.lists import parse_list
from tf_tokclf.data.reading.records import Layout, Shape, choose_layout, read_records, sentence_from
from tf_tokclf.data.reading.text_records import PLAIN, is_spans, offset_unit_in
from tf_tokclf.data.reading.texts import TextReading
from tf_tokclf.errors import UserError
from tf_tokclf.labels.char_spans import CharSpan, in_unit
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.sentence import Origin, Sentence
from tf_tokclf.labels.word_splitting import word_offsets
from tf_tokclf.scoring.prediction_columns import Asked, LabelColumn, choose_roles, may_hold_labels
from tf_tokclf.scoring.prediction_lines import Prediction

if TYPE_CHECKING:
    from tf_tokclf.data.reading.tables import TableReader

TABLE_FORMATS = ("jsonl", *RECORD_FORMATS, "csv", "parquet", "hf")

_SAMPLED_RECORDS = 2000
_TEXT_NAMES = ("text", "content", "sentence", "utterance", "input", "data")
# The names of the lists of annotations and predictions in a Label Studio task.
_LABEL_STUDIO = ("annotations", "completions", "predictions")
# A column of labels has few distinct values, unlike one of word or row numbers.
_FEW_LABELS = 50

Rows = Callable[[Problems], Iterator[tuple[Origin, Record]]]


@dataclass(frozen=True)
class PredictedText:
    """Predicted spans of a text, or of words, which become labels once the words are known.

    found: without text and words if the file contains spans only, which then refer to the text of the gold file.
    reading: how offsets are counted, and what is done with spans that do not match word boundaries.
    """

    found: Annotated
    reading: TextReading
    origin: Origin

    @property
    def is_empty(self) -> bool | None:
        """Whether there are no words; None if the text is known only from the gold file."""
        if self.found.words is not None:
            return not self.found.words
        return None if self.found.text is None else not self.found.text.strip()

    def labels_of(self, sentence: Sentence, problems: Problems) -> tuple[str, ...] | None:
        """The labels of the words of `sentence`; None if the annotators left the record out.

        Raises UserError if the sentence belongs to a different text.
        """
        found = self.found
        if found.words is None:
            text, offsets = places_in(found.text, sentence, self.origin)
            unit, extra = self.reading.rules.unit, int(self.reading.rules.inclusive_end)
            tokens = [CharSpan(in_unit(s, text, unit), in_unit(e, text, unit) - extra, "") for s, e in offsets]
            found = replace(found, text=text, tokens=tuple(tokens))
        labelled = self.reading.sentence(found, self.origin, problems)
        if labelled is not None and len(labelled) != len(sentence):
            problem = f"{counted(len(labelled), 'word')}, but {len(sentence)} in {sentence.origin or 'the gold file'}."
            raise self.origin.error(problem, "Predictions and gold labels must be of the same words.")
        return labelled.labels if labelled else None

    def sentence(self, problems: Problems) -> Sentence | None:
        """The text, divided into words by the record itself or by the configured rule."""
        return self.reading.sentence(self.found, self.origin, problems)


def places_in(text: str | None, sentence: Sentence, origin: Origin) -> tuple[str, Sequence[tuple[int, int]]]:
    """A text (by default that of the sentence) and the start and end of each word of the sentence in it.

    Raises UserError with `origin` if the text does not consist of these words.
    """
    if sentence.text is not None and sentence.offsets is not None and text in (None, sentence.text):
        return sentence.text, sentence.offsets
    text = " ".join(sentence.words) if text is None else text
    offsets = word_offsets(sentence.words, text)
    if offsets is None:
        problem = f"the text {text[:60]!r} does not consist of the words of {sentence.origin or 'the gold file'}."
        raise origin.error(problem, "Predictions and gold labels must be of the same texts.")
    return text, offsets


@dataclass(frozen=True)
class Table:
    """A file of records. names: the fields. label_names: by field, the names of label ids if the file contains them."""

    path: Path
    data: DataConfig
    task: Task
    names: tuple[str, ...]
    rows: Rows
    label_names: Mapping[str, tuple[str, ...]]
    is_text: bool

    @cached_property
    def sample(self) -> list[Record]:
        """The first records, without empty and invalid ones."""
        found = islice(self.rows(Problems(skip=True)), _SAMPLED_RECORDS)
        return [record for _, record in found if any(value not in (None, "") for value in record.values())]

    def field_name(self, column: str | int | None) -> str | int | None:
        """The name of a field that is given by name or number. A number out of range is returned unchanged."""
        if isinstance(column, int) and -len(self.names) <= column < len(self.names):
            return self.names[column]
        return column

    def usual_labels(self, predicted: str | int) -> str | None:
        """The field that would be read as labels by default if the records had no predictions."""
        names = [name for name in self.names if name != predicted and not name.startswith("predicted_")]
        asked = {"text_column_name": self.field_name(self.data.text_column_name), "label_column_name": None}
        try:
            data = self.data.model_copy(update=asked)
            return choose_layout(names, self.sample, data, self.task, path=str(self.path)).label
        except UserError:
            return None

    def as_list(self, value: Any) -> Sequence[Any] | None:
        """The list of words or labels in a value, which may be written as text; None if it is not a list."""
        if isinstance(value, str):
            try:
                value = parse_list(value, "list", Origin(str(self.path), 1))
            except UserError:
                return None
        return value if isinstance(value, (list, tuple)) else None


class Field(ABC):
    """A field that contains labels."""

    def __init__(self, table: Table, name: str) -> None:
        self.table = table
        self.name = name

    @abstractmethod
    def labels(self) -> Iterator[Sequence[str]]:
        """The labels of each sentence, for recognising the field. Sentences that cannot be read are skipped."""

    def column(self) -> LabelColumn:
        """The field as a candidate for `choose_roles`. Columns of CSV files without a header have only numbers."""
        is_named = not self.name.isdigit()
        return LabelColumn(self.name, self.labels, is_named)


class LabelField(Field):
    """A field with a label, or a list of labels, in each record.

    words: the field of the words; None if the file has no words. Labels are then used as words.
    layout: what a record contains.
    """

    def __init__(self, table: Table, name: str, words: str | None, layout: Layout) -> None:
        super().__init__(table, name)
        self.words = words
        names = table.label_names.get(name) or table.data.label_names
        self.layout = replace(layout, word=words or name, label=name, label_names=names)

    @property
    def is_word_a_record(self) -> bool:
        """Whether each record is a word, so that a sentence consists of several records."""
        return self.layout.shape is Shape.WORD

    def labels(self) -> Iterator[Sequence[str]]:
        for sentence in self.sentences(Problems(skip=True)):
            yield sentence.labels or ()

    def sentences(self, problems: Problems) -> Iterator[Sentence]:
        """The sentences with the labels of this field."""
        return read_records(self.table.rows(problems), self.layout, problems)


class SpanField(Field):
    """A field with spans of a text, or of words. fields: the fields of the text and the spans in `format`."""

    def __init__(self, table: Table, name: str, format: JsonFormat, fields: Fields) -> None:
        super().__init__(table, name)
        self.format = format
        self.fields = fields
        self.reading = TextReading.of(table.data, inclusive_end=format.inclusive_end)

    def read(self, record: Record, origin: Origin, problems: Problems) -> PredictedText | None:
        """The text and spans of a record; None if the annotators rejected it."""
        unit = offset_unit_in(record)
        if self.name in _LABEL_STUDIO and isinstance(record.get("data"), Mapping):
            record = {"data": record["data"], "annotations": record.get(self.name) or []}
        found = next(self.format.read(record, self.fields, origin, problems.counts), None)
        return None if found is None else PredictedText(found, self.reading.in_unit(unit), origin)

    def labels(self) -> Iterator[Sequence[str]]:
        problems = Problems(skip=True)
        for origin, record in self.table.rows(problems):
            try:
                found = self.read(record, origin, problems)
                if found is None:
                    continue
                # Whether spans match word boundaries can be checked only when the words of the gold file are known.
                reading = replace(found.reading, rules=replace(found.reading.rules, policy="expand"))
                sentence = replace(found, reading=reading).sentence(problems)
            except UserError:
                continue
            if sentence is not None:
                yield sentence.labels or ()


def open_predicted_table(path: Path, data: DataConfig, task: Task, format: str) -> Table:
    """Open a file of records. Its columns of labels are chosen later, separately for gold labels and predictions."""
    plain = data.model_copy(update={"text_column_name": 0, "label_column_name": "", "sentence_column_name": None})
    if format == "csv":
        reader = open_csv(path, plain.model_copy(update={"layer": None}), task)
        options, names, separator = reader.options, reader.names, reader.separator
        return Table(
            path, data, task, names, lambda problems: csv_rows(path, options, names, separator, problems), {}, True
        )
    if format in ("parquet", "hf"):
        table = open_reader(path, plain.model_copy(update={"format": format, "layer": None}), task)
        from tf_tokclf.data.reading.tables import TableReader, class_labels_in

        assert isinstance(table, TableReader)
        schema = next(table.open_batches()).schema
        declared = class_labels_in(schema)
        return Table(path, data, task, tuple(schema.names), lambda problems: _table_rows(table), declared, False)

    def rows(problems: Problems) -> Iterator[tuple[Origin, Record]]:
        return _single_records(json_records(path, data.encoding, problems))

    sample = (record for _, record in islice(rows(Problems(skip=True)), _SAMPLED_RECORDS))
    names = tuple(dict.fromkeys(name for record in sample for name in record))
    if not names:
        raise UserError("contains no records.", path=path, hint="Check the program that wrote it.")
    return Table(path, data, task, names, rows, {}, False)


class PredictedTable:
    """A file of records with its fields of predicted and gold labels."""

    def __init__(self, table: Table, asked: Asked) -> None:
        self.table = table
        fields = {field.name: field for field in _label_fields(table)}
        asked = replace(asked, predicted=table.field_name(asked.predicted), gold=table.field_name(asked.gold))
        self.roles = choose_roles(
            [field.column() for field in fields.values()], asked, path=table.path, read_as_gold=table.usual_labels
        )
        self.predicted = fields[str(self.roles.predicted.name)]
        self.gold = fields[str(self.roles.gold.name)] if self.roles.gold else None
        self._share_label_names()

    def __str__(self) -> str:
        """The fields, for the log."""
        if not isinstance(self.predicted, LabelField):
            return str(self.roles)
        words = f"words in {self.predicted.words!r}" if self.predicted.words else "no words"
        return f"{words}, {self.roles}"

    @property
    def has_gold(self) -> bool:
        """Whether the file also contains gold labels."""
        return self.gold is not None

    @property
    def span_scheme(self) -> Scheme | None:
        """The label scheme into which predicted spans are converted; None if the file contains labels."""
        return self.predicted.reading.scheme if isinstance(self.predicted, SpanField) else None

    def predictions(self, problems: Problems) -> Iterator[Prediction | PredictedText]:
        """The predictions, sentence by sentence."""
        by_word = isinstance(self.predicted, LabelField) and self.predicted.is_word_a_record
        has_no_words = isinstance(self.predicted, LabelField) and self.predicted.words is None
        found = self._by_word(problems) if by_word else self._by_record(problems)
        for number, prediction in enumerate(found, 1):
            if has_no_words and isinstance(prediction, Prediction):
                # The invented words are all different, so that surface forms are not merged.
                words = tuple(f"{number}.{i}" for i in range(1, len(prediction.words) + 1))
                prediction = replace(prediction, words=words)
            yield prediction

    def _share_label_names(self) -> None:
        """If only one of the fields has names for its label ids, use them for both."""
        fields = [field for field in (self.predicted, self.gold) if isinstance(field, LabelField)]
        names = next((field.layout.label_names for field in fields if field.layout.label_names), None)
        for field in fields:
            if field.layout.label_names is None:
                field.layout = replace(field.layout, label_names=names)

    def _by_word(self, problems: Problems) -> Iterator[Prediction]:
        assert isinstance(self.predicted, LabelField)
        predicted = self.predicted.sentences(problems)
        if not isinstance(self.gold, LabelField):
            yield from map(prediction_of, predicted)
            return
        for sentence, labelled in same_sentences(predicted, self.gold.sentences(Problems(skip=problems.skip))):
            yield prediction_of(sentence, labelled)

    def _by_record(self, problems: Problems) -> Iterator[Prediction | PredictedText]:
        for origin, record in self.table.rows(problems):
            if record.get("error") and record.get(self.predicted.name) in (None, "", []):
                problems.counts.note("records left out: predict could not read them", origin)
                yield Prediction((), ())
                continue
            try:
                found = self._read(record, origin, problems)
            except UserError as error:
                problems.report(error)
                continue
            if found is not None:
                yield found

    def _read(self, record: Record, origin: Origin, problems: Problems) -> Prediction | PredictedText | None:
        predicted = _value_of(self.predicted, record, origin, problems)
        gold = _value_of(self.gold, record, origin, problems) if self.gold else None
        if predicted is None or self.gold is None:
            return prediction_of(predicted) if isinstance(predicted, Sentence) else predicted
        if isinstance(predicted, Sentence) and isinstance(gold, PredictedText):
            labels = gold.labels_of(predicted, problems)
            return None if labels is None else prediction_of(predicted, replace(predicted, labels=labels))
        if isinstance(predicted, PredictedText):
            gold = gold.sentence(problems) if isinstance(gold, PredictedText) else gold
            labels = predicted.labels_of(gold, problems) if gold else None
            return None if gold is None or labels is None else prediction_of(replace(gold, labels=labels), gold)
        if not isinstance(gold, Sentence):
            return None
        if len(gold.words) != len(predicted.words):
            n_predicted = counted(len(predicted.words), "word")
            problem = f"{n_predicted} with predicted labels, but {len(gold.words)} with gold labels."
            raise origin.error(problem, "Both need a label for each of the same words.")
        return prediction_of(predicted, gold)


def prediction_of(sentence: Sentence, gold: Sentence | None = None) -> Prediction:
    """The prediction for a sentence with predicted labels. gold: the same sentence with gold labels."""
    gold_labels = gold.labels if gold else None
    prediction = Prediction(sentence.words, sentence.labels or (), gold_labels, origin=sentence.origin)
    return prediction.where_labelled(gold) if gold else prediction


def same_sentences(one: Iterator[Sentence], other: Iterator[Sentence]) -> Iterator[tuple[Sentence, Sentence]]:
    """The sentences that are in both of two readings of one file, each of which may skip some."""
    second = next(other, None)
    for first in one:
        while second is not None and _number(second) < _number(first):
            second = next(other, None)
        if second is not None and _number(second) == _number(first):
            yield first, second


def _number(sentence: Sentence) -> int:
    return sentence.origin.number if sentence.origin else 0


def _value_of(field: Field, record: Record, origin: Origin, problems: Problems) -> Sentence | PredictedText | None:
    if isinstance(field, SpanField):
        return field.read(record, origin, problems)
    assert isinstance(field, LabelField)
    return sentence_from(record, field.layout, origin, problems)


def _label_fields(table: Table) -> list[Field]:
    """The fields that may contain gold or predicted labels, in the order of the file."""
    word = _word_field(table)
    others = [name for name in table.names if name != word and may_hold_labels(name)]
    layout = _layout(table, word) if word else None
    if layout and layout.shape is Shape.WORD:
        labels = [name for name in others if name != layout.sentence and _holds_one_label(table, name)]
        return [LabelField(table, name, word, layout) for name in labels]
    words = [name for name in table.names if name.startswith("predicted_words")] + [word] * (word is not None)
    reading = TextReading.of(table.data.model_copy(update={"layer": None}))
    if not words and all(_holds_one_label(table, name) for name in others):
        return [LabelField(table, name, None, Layout(Shape.WORD, "", None, reading)) for name in others]
    formats = _span_fields(table)
    fields: list[Field] = []
    for name in others:
        fitting = next((one for one in words if _holds_labels(table, name, one)), None)
        if fitting or (not words and _holds_labels(table, name, None)):
            fields.append(LabelField(table, name, fitting, Layout(Shape.SENTENCE, "", None, reading)))
        elif name in formats:
            fields.append(SpanField(table, name, *formats[name]))
    return _without_spans_of_labels(fields)


def _span_fields(table: Table) -> dict[str, tuple[JsonFormat, Fields]]:
    """The fields of spans, each with its format and the fields of text and spans."""
    found: dict[str, tuple[JsonFormat, Fields]] = {}
    for format in RECORD_FORMATS.values():
        fields = format.fields(table.names)
        if format.name != "label-studio" and fields.label and any(map(format.fits, table.sample)):
            found.setdefault(fields.label, (format, fields))
    if any(isinstance(record.get("data"), Mapping) for record in table.sample):
        format = RECORD_FORMATS["label-studio"]
        filled = [name for name in _LABEL_STUDIO if any(record.get(name) for record in table.sample)]
        found.update((name, (format, format.fields(table.names))) for name in filled)
    text = _text_field(table)
    for name in table.names if text else ():
        values = [table.as_list(value) for record in table.sample if (value := record.get(name)) not in (None, "")]
        if text and name != text and any(values) and all(is_spans(value) for value in values):
            found.setdefault(name, (PLAIN, Fields(text, name)))
    return found


def _text_field(table: Table) -> str | None:
    asked = table.field_name(table.data.text_column_name)
    names = (str(asked),) if asked else _TEXT_NAMES
    return next((one for one in names if any(isinstance(record.get(one), str) for record in table.sample)), None)


def _without_spans_of_labels(fields: list[Field]) -> list[Field]:
    """The fields without spans that repeat a field of labels, as `predict` writes them."""
    labels = {field.name for field in fields if isinstance(field, LabelField)}
    twice = {"spans"} if "labels" in labels else {name.replace("labels", "spans") for name in labels}
    return [field for field in fields if isinstance(field, LabelField) or field.name not in twice]


def _layout(table: Table, word: str) -> Layout:
    """What a record contains, given the field of words."""
    data = table.data.model_copy(update={"text_column_name": word, "label_column_name": "", "layer": None})
    return choose_layout(table.names, table.sample, data, table.task, path=str(table.path))


def _word_field(table: Table) -> str | None:
    """The field of words, or of the text that contains them; None if the file contains labels only."""
    asked = table.field_name(table.data.text_column_name)
    if asked is not None:
        if asked not in table.names:
            known = f"Its columns are {', '.join(table.names)}."
            raise UserError(f"there is no column {asked!r}.", path=table.path, hint=known)
        return str(asked)
    left = list(table.names)
    while (found := guess_named_column(left, WORD_NAMES)) is not None:
        if _holds_words(table, left[found]):
            return left[found]
        left[found] = ""
    # No field has a usual name: of the lists as long as the labels, the one with the most distinct values is the words.
    lists = [name for name in table.names if _holds_labels(table, name, None)]
    predicted = next((name for name in lists if name.startswith("predicted_labels")), None)
    if predicted is None:
        return None
    values = {name: _values(table, name) for name in lists if _holds_labels(table, predicted, name)}
    candidates = [name for name, found in values.items() if not looks_like_tags(found)]
    return max(candidates, key=lambda name: len(values[name]), default=None)


def _holds_words(table: Table, name: str) -> bool:
    values = [value for record in table.sample if (value := record.get(name)) is not None]
    return bool(values) and all(isinstance(value, str) or _is_list_of(value, str) for value in values)


def _holds_labels(table: Table, name: str, words: str | None) -> bool:
    """Whether a field contains lists of labels. words: a field whose lists must have the same lengths."""
    is_filled = False
    for record in table.sample:
        value = record.get(name)
        labels = table.as_list(value) if table.is_text or not isinstance(value, str) else None
        if value in (None, ""):
            continue
        if labels is None or not _is_list_of(labels, str, int, type(None)):
            return False
        if words is not None and len(labels) != len(table.as_list(record.get(words)) or ()):
            return False
        is_filled = is_filled or bool(labels)
    return is_filled


def _holds_one_label(table: Table, name: str) -> bool:
    """Whether a field contains one label per record, and neither a unique number nor a list written as text."""
    values = [value for record in table.sample if (value := record.get(name)) not in (None, "")]
    n_different = len(set(map(str, values)))
    is_label = all(isinstance(value, (str, int)) and len(str(value).split()) == 1 for value in values)
    is_list = all(str(value).startswith("[") for value in values)
    return is_label and not is_list and 0 < n_different <= max(_FEW_LABELS, len(values) // 2)


def _values(table: Table, name: str) -> set[str]:
    return {str(value) for record in table.sample for value in table.as_list(record.get(name)) or ()}


def _is_list_of(value: Any, *types: type) -> bool:
    return isinstance(value, (list, tuple)) and all(
        isinstance(item, types) and not isinstance(item, bool) for item in value
    )


def _table_rows(table: TableReader) -> Iterator[tuple[Origin, Record]]:
    row = 0
    for batch in table.open_batches():
        for record in batch.to_pylist():
            row += 1
            yield Origin(table.place, row, "row"), record


def _single_records(records: Iterator[tuple[Origin, Record]]) -> Iterator[tuple[Origin, Record]]:
    """Divide a file with a single record of nested lists into one record per sentence; leave other files unchanged.

    Such a record is {"y_true": [[...], ...], "y_pred": [[...], ...]}.
    """
    first = next(records, None)
    if first is None:
        return
    second = next(records, None)
    lengths = {len(value) if _is_list_of(value, list) else -1 for value in first[1].values()}
    if second is None and len(lengths) == 1 and -1 not in lengths:
        for row, values in enumerate(zip(*first[1].values()), 1):
            yield Origin(first[0].path, row, "row"), dict(zip(first[1], values))
        return
    yield from chain([first], [second] if second else [], records)
