"""JSON records as input and output of prediction."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain, islice
from typing import Any

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.counted import counted
from tf_tokclf.data.formats.jsonl import open_json, parse_document, records_in, wraps_records
from tf_tokclf.data.reading.base import Problems, check_decoded
from tf_tokclf.data.reading.records import Layout, sentences_from
from tf_tokclf.errors import UserError
from tf_tokclf.json_text import json_line, parse_json, without_surrogates
from tf_tokclf.labels.sentence import Origin, Sentence
from tf_tokclf.labels.tagged_sentence import TaggedSentence
from tf_tokclf.labels.word_splitting import text_sentence
from tf_tokclf.records.base import SAMPLED_LINES, Details, Frame, Lines, Record, document_of, opened_on_sample, words_of
from tf_tokclf.records.prediction_fields import (
    SELECTION_COLUMN,
    SENTENCE_COLUMNS,
    TOP_COLUMN,
    added_names,
    prediction_fields,
    rounded,
    span_records,
    top_labels,
)

_PREDICTED_NAME = re.compile(r'"(predicted_\w+)"\s*:')


class JsonRecords:
    """JSON records with a text or a list of words: one per line, or one JSON list, which is read completely."""

    name = "jsonl"
    unit = "line"

    def __init__(self, lines: Iterator[str], place: str, data: DataConfig, task: Task) -> None:
        sample = list(islice(lines, SAMPLED_LINES))
        self.data = data
        self._layout: Layout | None = None
        self._records: list[Frame] = []
        # Those that `frames` has not read.
        self.lines: Iterator[str] = chain(sample, lines)
        # The fields that an earlier prediction added to the records.
        self.predicted_names = frozenset(name for line in sample for name in _PREDICTED_NAME.findall(line))
        self.note = "no records"
        opening = next((line for line in sample if not line.isspace()), "")
        if _opens_document(opening):
            self.unit = "row"
            self._records = list(_records_of_document("".join(chain(sample, lines)), place))
        if opening:
            whole = [line if line.endswith("\n") else line + "\n" for line in sample]
            if self.unit == "row":
                sampled = [record for _, record in self._records[:SAMPLED_LINES] if isinstance(record, dict)]
                whole = [json.dumps(record) + "\n" for record in sampled]
            whole = [without_surrogates(line) for line in whole]
            reader = opened_on_sample(whole, place, data, lambda path, options: open_json(path, options, task))
            self._layout = reader.layout
            self.note = f"one record per {self.unit}, words or text in {reader.layout.word!r}"

    def frames(self) -> Iterator[Frame]:
        """The lines that are not blank, or the records of the list."""
        if self.unit == "row":
            return iter(self._records)
        return ((number, line) for number, line in enumerate(self.lines, 1) if not line.isspace())

    @property
    def word_column(self) -> str | None:
        """The field of the text or the words; None if there are no records."""
        return self._layout.word if self._layout else None

    def parse(self, source: Any, origin: Origin) -> Sentence:
        """The words of a record, or of its text."""
        return self._sentence(self.record(source, origin), origin)

    def record(self, source: Any, origin: Origin) -> dict[str, Any]:
        """The record in a line. Raises UserError if the line is not a JSON object."""
        if isinstance(source, dict):
            return source
        if not isinstance(source, str) or self.unit == "row":
            raise origin.error(f"is not a JSON object: {str(source)[:60]!r}.", "Named fields were expected.")
        check_decoded(source, origin, self.data.encoding)
        try:
            value = parse_json(source, halves=True)
        except ValueError as error:
            raise origin.error(f"is not valid JSON ({error}): {source.strip()[:60]!r}.", "Correct the line.") from error
        if not isinstance(value, dict):
            raise origin.error(f"is not a JSON object: {source.strip()[:60]!r}.", "Named fields were expected.")
        return value

    def _sentence(self, record: Mapping[str, Any], origin: Origin) -> Sentence:
        layout = self._layout
        assert layout is not None  # it is set if there is a record
        value = record.get(layout.word)
        if isinstance(value, str) and not isinstance(record.get("tokens"), list):
            return text_sentence(value, self.data.word_splitting, origin, document_of(record))
        if isinstance(value, list) and not (layout.format and layout.format.holds_several):
            return Sentence(words_of(value, layout.word, origin), None, origin, document=document_of(record))
        if layout.format:
            sentences = list(sentences_from(record, replace(layout, label=None), origin, Problems()))
            if not sentences:
                raise origin.error("the record was rejected by its annotators.", "Remove it from the input.")
            if len(sentences) > 1:
                hint = "Convert the file to one sentence per record: tf-tokclf convert IN OUT."
                raise origin.error(f"contains {counted(len(sentences), 'sentence')}.", hint)
            return sentences[0]
        if isinstance(value, str):
            return text_sentence(value, self.data.word_splitting, origin, document_of(record))
        found = ", ".join(map(str, record)) or "no fields"
        raise origin.error(
            f"there is no text and no list of words in {layout.word!r}.", f"The fields of the record are {found}."
        )


def _opens_document(line: str) -> bool:
    """Whether the first line is the start of a single JSON document, not a record."""
    start = line.lstrip()
    if start[:1] == "[":
        return True
    if start.rstrip() == "{":
        return True
    try:
        value = parse_json(start, halves=True)
    except ValueError:
        return False
    return wraps_records(value)


def _records_of_document(text: str, place: str) -> Iterator[Frame]:
    yield from enumerate(records_in(parse_document(text, place, halves=True), place), 1)


class EnrichedJson(Lines):
    """The records of the input with added fields. A line that is not a record is written as `line` with its error."""

    def __init__(self, source: JsonRecords, details: Details) -> None:
        self._source = source
        self._details = details
        self._names = added_names((*SENTENCE_COLUMNS, TOP_COLUMN, SELECTION_COLUMN), source.predicted_names)
        super().__init__(lambda record, tagged: json_line(self._record(record, tagged)))

    def _record(self, record: Record, tagged: TaggedSentence) -> Mapping[str, Any]:
        try:
            own = dict(self._source.record(record.source, record.origin))
        except UserError:
            source_text = record.source if isinstance(record.source, str) else json.dumps(record.source)
            own = {"line": source_text.rstrip("\r\n")}
        if record.problem:
            return {**own, "error": record.problem}
        added = prediction_fields(tagged, self._details)
        if record.selection is not None:
            added[SELECTION_COLUMN] = record.selection
        fields = {self._names[name]: value for name, value in added.items()}
        if taken := [name for name in fields if name in own]:
            problem = f"the record already has a field {taken[0]!r}, unlike the records before it."
            raise record.origin.error(problem, "Rename the field in all records.")
        return {**own, **fields}


def json_record(record: Record, tagged: TaggedSentence, details: Details) -> dict[str, Any]:
    """A record with the text, words, labels, scores and spans of a sentence."""
    sentence = tagged.sentence
    line: dict[str, Any] = {}
    if sentence.text is not None:
        line["text"] = sentence.text
    elif record.problem and isinstance(record.source, str):
        line["text"] = record.source
    line["words"] = sentence.words
    line["labels"] = tagged.labels
    line["scores"] = [rounded(score) for score in tagged.scores]
    line["spans"] = span_records(tagged, details)
    if details.top_k:
        line["top"] = top_labels(tagged, details.top_k)
    if record.selection is not None:
        line["selection"] = record.selection
    if record.problem:
        line["error"] = record.problem
    return line
