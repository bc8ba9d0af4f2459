"""Read predictions from text files: columns, lines of labels only, spans without texts, and other labelled files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.counted import counted
from tf_tokclf.data.detection import open_reader
from tf_tokclf.data.formats.conll import ColumnsReader, columns_reader, read_columns
from tf_tokclf.data.formats.jsonl import parse_document
from tf_tokclf.data.reading.annotated import Annotated, Annotation, SpanReader
from tf_tokclf.data.reading.base import Problems, Reader, read_lines
from tf_tokclf.data.reading.guessing import looks_like_tags
from tf_tokclf.data.reading.texts import TextReading
from tf_tokclf.json_text import parse_json
from tf_tokclf.labels.char_spans import CharSpan
from tf_tokclf.labels.schemes import OUTSIDE_LABEL, Scheme
from tf_tokclf.labels.sentence import Origin, Sentence
from tf_tokclf.scoring.prediction_columns import Asked, LabelColumn, Labels, choose_roles
from tf_tokclf.scoring.prediction_lines import Prediction
from tf_tokclf.scoring.prediction_tables import PredictedText, places_in, prediction_of, same_sentences

# The keys of transformers.pipeline for the label of a span and of a subword token.
_SPAN, _PIECE = "entity_group", "entity"


class PredictedColumns:
    """A text file with a column of predicted labels, and one of gold labels unless those are in another file."""

    span_scheme = None

    def __init__(self, path: Path, data: DataConfig, task: Task, asked: Asked) -> None:
        self.path = path
        self.task = task
        self._data = data.model_copy(update={"label_column_name": "", "layer": None, "format": "conll"})
        self._opened = columns_reader(path, self._data, task)
        width, word, has_index = self._opened.width, self._opened.word, self._opened.has_index
        columns = {i: self._column(i) for i in range(width) if i != word and not (has_index and i == 0)}

        def named(column: str | int | None) -> str | int | None:
            found = columns.get(column % width) if isinstance(column, int) else None
            return found.name if found else column

        asked = replace(asked, predicted=named(asked.predicted), gold=named(asked.gold))
        self.roles = choose_roles(
            list(columns.values()), asked, path=path, read_as_gold=lambda _: self._usual_labels(data.layer)
        )

    def __str__(self) -> str:
        """The columns, for the log."""
        name = self._opened.options.text_column_name
        return f"words in {f'column {name}' if isinstance(name, int) else repr(name)}, {self.roles}"

    @property
    def has_gold(self) -> bool:
        """Whether the file also contains gold labels."""
        return self.roles.gold is not None

    def predictions(self, problems: Problems) -> Iterator[Prediction]:
        """The predictions, sentence by sentence."""
        predicted, gold = self.roles.predicted, self.roles.gold
        readers = [(self._reader(predicted.name), problems)]
        if gold is not None:
            readers.append((self._reader(gold.name), Problems(skip=problems.skip)))
        for sentence, *labelled in read_columns(readers):
            if sentence is None or None in labelled:
                continue
            both = zip((sentence, *labelled), (predicted, gold))
            yield prediction_of(*(_in_column(one, column) for one, column in both if one and column))

    def _column(self, number: int) -> LabelColumn:
        """A column, with its name if the file has a header."""
        named = self._reader(number).options.label_column_name if self._opened.has_header else None

        def labels() -> Iterator[Sequence[str]]:
            return (sentence.labels or () for sentence in self._reader(number).sentences(Problems(skip=True)))

        return LabelColumn(number if named is None else named, labels, is_named=isinstance(named, str))

    def _usual_labels(self, layer: str | int | None) -> str | int | None:
        """The column that would be read as labels by default."""
        data = self._data.model_copy(update={"label_column_name": None, "layer": layer})
        return columns_reader(self.path, data, self.task, structure=self._opened.structure).options.label_column_name

    def _reader(self, column: str | int) -> ColumnsReader:
        data = self._data.model_copy(update={"label_column_name": column})
        return columns_reader(self.path, data, self.task, structure=self._opened.structure)


def _in_column(sentence: Sentence, column: LabelColumn) -> Sentence:
    """A sentence with the labels of the column, without probabilities."""
    if not column.has_probabilities:
        return sentence
    return replace(sentence, labels=tuple(map(column.label_in, sentence.labels or ())))


class PredictedTags:
    """A file of labels without words.

    Each line contains the labels of a sentence, separated by spaces, as in the predictions.txt of run_ner.py. Or each
    line contains one label, with a blank line between sentences.
    """

    has_gold = False
    span_scheme = None

    def __init__(self, path: Path, data: DataConfig, *, is_one_a_line: bool) -> None:
        self.path = path
        self.data = data
        self.is_one_a_line = is_one_a_line

    def __str__(self) -> str:
        """The kind of file, for the log."""
        return "labels without words, one " + ("label" if self.is_one_a_line else "sentence") + " per line"

    def predictions(self, problems: Problems) -> Iterator[PredictedLabels]:
        """The labels of each sentence."""
        labels: list[str] = []
        first = 1
        for number, line in enumerate(read_lines(self.path, self.data.encoding), 1):
            if not self.is_one_a_line:
                yield PredictedLabels(tuple(line.split()), Origin(str(self.path), number))
            elif line.isspace() and labels:
                yield PredictedLabels(tuple(labels), Origin(str(self.path), first))
                labels = []
            elif not line.isspace():
                first = first if labels else number
                labels.append(line.strip())
        if labels:
            yield PredictedLabels(tuple(labels), Origin(str(self.path), first))


def find_tags(path: Path, data: DataConfig, gold_labels: Labels | None) -> PredictedTags | None:
    """Open a file of labels without words; None if it is another kind of file."""
    known = {label for labels in gold_labels() for label in labels} if gold_labels else set()
    n_lines = n_blank = n_fields = 0
    for line in read_lines(path, data.encoding):
        fields = line.split()
        if not all(field in known or looks_like_tags({field}) for field in fields):
            return None
        n_blank += not fields and n_lines > 0
        n_lines, n_fields = n_lines + bool(fields), n_fields + len(fields)
    if not n_lines:
        return None
    return PredictedTags(path, data, is_one_a_line=n_fields == n_lines and n_blank > 0)


@dataclass(frozen=True)
class PredictedLabels:
    """Predicted labels of a sentence. Its words are in the gold file."""

    labels: tuple[str, ...]
    origin: Origin

    def labels_of(self, sentence: Sentence, problems: Problems) -> tuple[str, ...]:
        """The labels. Raises UserError if the sentence has a different number of words."""
        if len(self.labels) != len(sentence):
            n_words = counted(len(sentence), "word")
            problem = f"{counted(len(self.labels), 'label')}, but {sentence.origin} has {n_words}."
            raise self.origin.error(problem, "Predict whole sentences. Some scripts truncate long ones.")
        return self.labels


@dataclass(frozen=True)
class PredictedPieces:
    """Predicted labels of subword tokens, with their offsets in the text of the gold file.

    A word gets the label of its first subword token.
    """

    pieces: tuple[CharSpan, ...]
    origin: Origin

    def labels_of(self, sentence: Sentence, problems: Problems) -> tuple[str, ...]:
        """The labels of the words of `sentence`."""
        _, offsets = places_in(None, sentence, self.origin)
        found = (next((p.type for p in self.pieces if p.start < end and start < p.end), None) for start, end in offsets)
        return tuple(label or OUTSIDE_LABEL for label in found)


class PipelineOutput:
    """Output of transformers.pipeline: a list of entities for each text, with their offsets, but without the texts."""

    has_gold = False

    def __init__(self, path: Path, data: DataConfig, outputs: Sequence[Sequence[Mapping[str, Any]]]) -> None:
        self.path = path
        self.data = data
        self.outputs = outputs
        has_pieces = any(_PIECE in one for entities in outputs for one in entities)
        self.span_scheme = None if has_pieces else TextReading.of(data).scheme

    def __str__(self) -> str:
        """The kind of file, for the log."""
        return "output of transformers.pipeline"

    def predictions(self, problems: Problems) -> Iterator[PredictedText | PredictedPieces]:
        """The entities of each text."""
        reading = TextReading.of(self.data)
        for row, entities in enumerate(self.outputs, 1):
            origin = Origin(str(self.path), row, "row")
            spans = tuple(CharSpan(one["start"], one["end"], one.get(_SPAN) or one[_PIECE]) for one in entities)
            if any(_PIECE in one for one in entities):
                yield PredictedPieces(spans, origin)
            else:
                annotation = Annotation(partial(_given, spans))
                yield PredictedText(Annotated(annotations=(annotation,)), reading, origin)


def _given(spans: Sequence[CharSpan], reader: SpanReader) -> list[CharSpan]:
    return list(spans)


def find_pipeline_output(path: Path, data: DataConfig) -> PipelineOutput | None:
    """Open output of transformers.pipeline, one JSON document or a line per text; None if it is another file."""
    opening = next((line for line in read_lines(path, data.encoding) if not line.isspace()), "")
    if not opening.lstrip().startswith("["):
        return None
    lines = [line for line in read_lines(path, data.encoding) if not line.isspace()]
    try:
        values = list(map(parse_json, lines))
    except ValueError:
        values = [parse_document("".join(lines), path)]
    outputs = values[0] if len(values) == 1 else values
    if outputs and all(map(_is_entity, outputs)):
        outputs = [outputs]
    is_output = outputs and all(isinstance(one, list) and all(map(_is_entity, one)) for one in outputs)
    return PipelineOutput(path, data, outputs) if is_output else None


def _is_entity(value: Any) -> bool:
    if not isinstance(value, dict) or "text" in value or not (_SPAN in value or _PIECE in value):
        return False
    return isinstance(value.get("start"), int) and isinstance(value.get("end"), int)


class PredictedSentences:
    """Any other labelled file. In formats with several layers of labels, another layer may be the gold labels."""

    def __init__(self, path: Path, data: DataConfig, task: Task, asked: Asked) -> None:
        self._gold = None
        if asked.predicted is not None and asked.gold_labels is None:
            self._gold = open_reader(path, data.model_copy(update={"label_column_name": asked.gold}), task)
        # The name of the gold column in another file does not apply to this file.
        predicted = data.model_copy(update={"label_column_name": asked.predicted, "layer": None})
        self._predicted = open_reader(path, predicted if asked.predicted is not None else data, task)
        self.has_gold = self._gold is not None
        self.span_scheme = _span_scheme(path, self._predicted, task)

    def __str__(self) -> str:
        """The format, for the log."""
        return f"{self._predicted.options.format}: {self._predicted.notes[0]}"

    def predictions(self, problems: Problems) -> Iterator[Prediction]:
        """The predictions, sentence by sentence."""
        predicted = self._predicted.sentences(problems)
        if self._gold is None:
            yield from map(prediction_of, predicted)
            return
        for sentence, labelled in same_sentences(predicted, self._gold.sentences(Problems(skip=problems.skip))):
            yield prediction_of(sentence, labelled)


def _span_scheme(path: Path, reader: Reader, task: Task) -> Scheme | None:
    """The label scheme into which the spans of a file are converted; None if the file contains labels.

    The file is read a second time with another label scheme, in which every span has different labels. If the labels
    differ, they were converted from spans.
    """
    own = TextReading.of(reader.options).scheme
    other = Scheme.IOB2 if own is not Scheme.IOB2 else Scheme.BILOU
    written = open_reader(path, reader.options.model_copy(update={"scheme": other.value}), task)
    for one, again in same_sentences(reader.sentences(Problems(skip=True)), written.sentences(Problems(skip=True))):
        if any(label != OUTSIDE_LABEL for label in one.labels or ()):
            return own if one.labels != again.labels else None
    return None
