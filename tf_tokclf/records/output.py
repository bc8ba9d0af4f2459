"""How predictions are written: the input's own records with more in them, spans as JSON, CoNLL,
annotation tools.

A format gives bytes for a run of records; runs behind each other, between a head and a tail, are the file.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tf_tokclf.compressed import name_without_compression
from tf_tokclf.config.schema import Task
from tf_tokclf.data.formats.registry import format_of_suffix, formats_by_name
from tf_tokclf.data.writing.base import Writing
from tf_tokclf.errors import UserError
from tf_tokclf.files import output_path
from tf_tokclf.labels.char_spans import in_unit
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.sentence import text_of
from tf_tokclf.labels.tagged_sentence import TaggedSentence
from tf_tokclf.records.stream import (
    ColumnRecords,
    CsvRecords,
    JsonRecords,
    ParquetRecords,
    Record,
    RecordFormat,
)

if TYPE_CHECKING:
    import pyarrow as pa

SAME = "same"
# Written for input of the same format only.
_TABLES = ("csv", "parquet")
# Of the annotation tools whose records hold a text each, in the writers' own spelling.
_TOOLS = ("spacy", "doccano", "prodigy")
OUTPUT_FORMATS = (SAME, "jsonl", "conll", *_TOOLS, "label-studio", *_TABLES)

_ENRICHED = (ColumnRecords, JsonRecords, CsvRecords, ParquetRecords)

Labelled = tuple[Record, TaggedSentence]


@dataclass(frozen=True)
class Details:
    """What a prediction says. top_k: so many labels with their probabilities for each word. scores: a column
    of them in CoNLL. offset_unit: what places in a text count, "codepoint", "utf16" or "byte". model_name:
    for tools.
    """

    top_k: int = 0
    scores: bool = False
    offset_unit: str = "codepoint"
    model_name: str = ""


class OutputFormat(Protocol):
    """Bytes of a file, part by part. `is_final`: whether those are the file; else `finish` makes the file of
    them.
    """

    is_final: bool
    head: bytes
    tail: bytes

    def block(self, records: Sequence[Labelled], *, is_first: bool) -> bytes:
        """The bytes of a run of records."""
        ...

    def finish(self, source: Path, target: Path) -> None:
        """Make the file that is wanted of the file that was written."""
        ...


def choose_output_format(asked: str | None, output: Path | None, source: RecordFormat) -> str:
    """The format that was asked for, else the one that the output's name tells, else the input's own."""
    own = source.name if isinstance(source, _ENRICHED) else None
    chosen = check_output_format(asked, output, source.name, is_table=own in _TABLES)
    if chosen in (SAME, *_TABLES) or (asked is None and chosen == own):
        return SAME if own else "jsonl"
    return chosen


def check_output_format(asked: str | None, output: Path | None, source_format: str, *, is_table: bool) -> str:
    """The format that was asked for, else the one that the output's name tells, else "same". Raises UserError where it
    is not written for such a source.

    is_table: the source is a single table of CSV or Parquet.
    """
    told = format_of_suffix(name_without_compression(output).suffix.lower()) if output else None
    if output and told and told not in OUTPUT_FORMATS and asked is None:
        raise UserError(
            f"{output.name!r} is the name of a file in the format {told}, which predict does not write.",
            hint="Choose another suffix, such as .jsonl or .conll, and convert the file afterwards.",
        )
    chosen = asked or told or SAME
    if chosen in _TABLES and not (is_table and chosen == source_format):
        others = ", ".join(name for name in OUTPUT_FORMATS if name not in _TABLES)
        raise UserError(
            f"{chosen} is written for {chosen} input only: its columns, and those of the predictions.",
            hint=f"The input is {source_format}: choose {others}.",
        )
    return chosen


def open_output_format(name: str, source: RecordFormat, scheme: Scheme, details: Details) -> OutputFormat:
    """The format `name`, as `choose_output_format` gives it, for predictions of records of `source`."""
    if name == SAME:
        if isinstance(source, ColumnRecords):
            return EnrichedColumns(source, details)
        if isinstance(source, CsvRecords):
            return EnrichedCsv(source, details)
        if isinstance(source, ParquetRecords):
            return EnrichedParquet(source, details)
        if isinstance(source, JsonRecords):
            return EnrichedJson(source, details)
        name = "jsonl"
    if name == "jsonl":
        return Lines(lambda record, tagged: _json(json_record(record, tagged, details)))
    if name == "conll":
        return Lines(lambda record, tagged: conll_block(tagged, details))
    if scheme is Scheme.NONE:
        raise UserError(
            f"the model's labels form no spans, and {name} has nothing else.", hint="Choose jsonl or conll."
        )
    if name == "label-studio":
        return LabelStudio(details)
    if name in _TOOLS and (write := formats_by_name()[name].write):
        writing = Writing(Task.NER, scheme, (), offset_unit=details.offset_unit)
        return Lines(lambda record, tagged: "".join(write([labelled_sentence(tagged)], writing)))
    raise UserError(f"there is no output format {name!r}.", hint=f"Known are {', '.join(OUTPUT_FORMATS)}.")


class Lines:
    """Formats whose records stand one behind the other."""

    is_final = True
    head = tail = b""

    def __init__(self, write: Callable[[Record, TaggedSentence], str]) -> None:
        self._write = write

    def block(self, records: Sequence[Labelled], *, is_first: bool) -> bytes:
        """The records, each as it is written."""
        return _encoded("".join(self._write(record, tagged) for record, tagged in records))

    def finish(self, source: Path, target: Path) -> None:
        """The file is what was written."""
        source.replace(target)


class LabelStudio(Lines):
    """One JSON list of tasks with predictions, as Label Studio imports them for people to correct."""

    head = b"[\n"
    tail = b"\n]\n"

    def __init__(self, details: Details) -> None:
        self._details = details
        super().__init__(self._task)

    def block(self, records: Sequence[Labelled], *, is_first: bool) -> bytes:
        """Tasks with commas between them."""
        tasks = ",\n".join(self._task(record, tagged) for record, tagged in records)
        return _encoded(tasks if is_first or not records else f",\n{tasks}")

    def _task(self, record: Record, tagged: TaggedSentence) -> str:
        text, _ = text_of(tagged.sentence)
        spans = span_records(tagged, self._details)
        result = [
            {
                "from_name": "label",
                "to_name": "text",
                "type": "labels",
                "score": span["score"],
                "value": {"start": span["start"], "end": span["end"], "text": span["text"], "labels": [span["type"]]},
            }
            for span in spans
        ]
        prediction = {"model_version": self._details.model_name, "result": result}
        unit = self._details.offset_unit
        meta = {} if unit == "codepoint" else {"meta": {"offset_unit": unit}}
        return _json({"data": {"text": text}, "predictions": [prediction], **meta}).rstrip("\n")


class EnrichedColumns(Lines):
    """The input's lines with the predicted label in one more column, behind the word's score if that is asked
    for.
    """

    def __init__(self, source: ColumnRecords, details: Details) -> None:
        self._source = source
        self._details = details
        super().__init__(self._lines)

    def _lines(self, record: Record, tagged: TaggedSentence) -> str:
        labels, scores = iter(tagged.labels), iter(tagged.scores)
        lines = []
        words = self._source.words_in(record.source, record.origin.number)
        for number, (line, word) in enumerate(zip(record.source, words), record.origin.number):
            if number == self._source.header_line:
                names = added_names(_WORD_COLUMNS, self._source.fields_of(line))
                line = self._with(line, names["predicted_label"], names["predicted_score"])
            elif word is not None and not record.problem:
                line = self._with(line, next(labels), _column_score(next(scores)))
            lines.append(line)
        return "".join(lines)

    def _with(self, line: str, label: str, score: str) -> str:
        """A line with more columns, split as those that it has."""
        bare = line.rstrip("\r\n")
        added = [score, label] if self._details.scores else [label]
        return self._source.separator.join([bare, *added]) + (line[len(bare) :] or "\n")


class EnrichedJson(Lines):
    """The input's own records with fields of predictions; a line that is no record comes as `line` with its error."""

    def __init__(self, source: JsonRecords, details: Details) -> None:
        self._source = source
        self._details = details
        self._names = added_names((*_SENTENCE_COLUMNS, _TOP_COLUMN), source.predicted_names)
        super().__init__(lambda record, tagged: _json(self._record(record, tagged)))

    def _record(self, record: Record, tagged: TaggedSentence) -> Mapping[str, Any]:
        try:
            own = dict(self._source.record(record.source, record.origin))
        except UserError:
            source_text = record.source if isinstance(record.source, str) else json.dumps(record.source)
            own = {"line": source_text.rstrip("\r\n")}
        if record.problem:
            return {**own, "error": record.problem}
        fields = {self._names[name]: value for name, value in prediction_fields(tagged, self._details).items()}
        if taken := [name for name in fields if name in own]:
            problem = f"the record has a field {taken[0]!r} already, unlike those before it."
            raise record.origin.error(problem, "Rename the field, in all records.")
        return {**own, **fields}


class EnrichedCsv(Lines):
    """The input's rows with columns of predictions behind them: lists as JSON where a row is a sentence."""

    def __init__(self, source: CsvRecords, details: Details) -> None:
        self._source = source
        self._details = details
        names = _WORD_COLUMNS if source.is_word_a_row else _SENTENCE_COLUMNS
        names = (*names, _TOP_COLUMN) if details.top_k else names
        header = source.header
        self.head = _encoded(self._row([*header, *added_names(names, header).values()])) if header else b""
        super().__init__(self._rows)

    def _rows(self, record: Record, tagged: TaggedSentence) -> str:
        if not self._source.is_word_a_row:
            fields = prediction_fields(tagged, self._details)
            added = [_list_field(fields[name]) if name in fields else "" for name in _SENTENCE_COLUMNS]
            if self._details.top_k:
                added.append(_list_field(fields[_TOP_COLUMN]))
            return self._row([*record.source, *added])
        top: Iterator[Any] = iter(top_labels(tagged, self._details.top_k))
        rows = []
        for i, row in enumerate(record.source):
            added = [tagged.labels[i], _column_score(tagged.scores[i])] if not record.problem else ["", ""]
            if self._details.top_k:
                added.append(_list_field(next(top, [])))
            rows.append(self._row([*row, *added]))
        empty_row = "" if self._source.has_key else "\n"
        return "".join(rows) + empty_row

    def _row(self, fields: Sequence[str]) -> str:
        buffer = io.StringIO()
        csv.writer(buffer, delimiter=self._source.separator, lineterminator="\n").writerow(fields)
        return buffer.getvalue()


class EnrichedParquet:
    """The input's columns with those of predictions behind them.

    A Parquet file is whole or nothing, so what is written as the work goes on is a row of Arrow streams, one
    for each run of records; the file is made of them at the end.
    """

    is_final = False
    head = tail = b""

    def __init__(self, source: ParquetRecords, details: Details) -> None:
        import pyarrow as pa

        self._details = details
        self._names = added_names((*_SENTENCE_COLUMNS, _TOP_COLUMN), source.schema.names)
        span = pa.struct(
            [
                ("type", pa.string()),
                ("score", pa.float64()),
                ("first_word", pa.int64()),
                ("end_word", pa.int64()),
                ("start", pa.int64()),
                ("end", pa.int64()),
                ("text", pa.string()),
            ]
        )
        added: list[tuple[str, pa.DataType]] = [
            ("predicted_words", pa.list_(pa.string())),
            ("predicted_labels", pa.list_(pa.string())),
            ("predicted_scores", pa.list_(pa.float64())),
            ("predicted_spans", pa.list_(span)),
        ]
        if details.top_k:
            one = pa.struct([("label", pa.string()), ("score", pa.float64())])
            added.append((_TOP_COLUMN, pa.list_(pa.list_(one))))
        fields = [pa.field(self._names[name], type) for name, type in added]
        # The metadata name the label ids of the input.
        self.schema: pa.Schema = pa.schema([*source.schema, *fields], metadata=source.schema.metadata)

    def block(self, records: Sequence[Labelled], *, is_first: bool) -> bytes:
        """An Arrow stream of the records."""
        import pyarrow as pa

        rows = []
        for record, tagged in records:
            fields = {"predicted_words": tagged.sentence.words, **prediction_fields(tagged, self._details)}
            rows.append({**record.source, **{self._names[name]: value for name, value in fields.items()}})
        buffer = io.BytesIO()
        with pa.ipc.new_stream(buffer, self.schema) as writer:
            writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=self.schema))
        return buffer.getvalue()

    def finish(self, source: Path, target: Path) -> None:
        """Write the Parquet file, whole or not at all."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        with (
            output_path(target) as partial,
            source.open("rb") as file,
            pq.ParquetWriter(partial, self.schema) as writer,
        ):
            size = source.stat().st_size
            while file.tell() < size:
                for batch in pa.ipc.open_stream(file):
                    writer.write_batch(batch)
        source.unlink()


_SENTENCE_COLUMNS = ("predicted_words", "predicted_labels", "predicted_scores", "predicted_spans")
_WORD_COLUMNS = ("predicted_label", "predicted_score")
_TOP_COLUMN = "predicted_top"


def added_names(wanted: Sequence[str], taken: Collection[str]) -> dict[str, str]:
    """What new columns are called beside those that are there: all get a number where one of the names is taken.

    >>> added_names(["predicted_labels", "predicted_scores"], ["text", "predicted_labels"])
    {'predicted_labels': 'predicted_labels_2', 'predicted_scores': 'predicted_scores_2'}
    """
    endings = ("", *(f"_{number}" for number in range(2, len(taken) + 3)))
    ending = next(ending for ending in endings if not any(f"{name}{ending}" in taken for name in wanted))
    return {name: f"{name}{ending}" for name in wanted}


def span_records(tagged: TaggedSentence, details: Details) -> list[dict[str, Any]]:
    """A record per predicted span: type, score, words [first_word, end_word), characters [start, end) of the
    text, or of the words joined by blanks where there is none, and what stands there.

    A score is the smallest probability among the labels of the span's words.
    """
    text, offsets = text_of(tagged.sentence)
    unit = details.offset_unit
    records = []
    for span in tagged.spans:
        start, end = offsets[span.start][0], offsets[span.end - 1][1]
        records.append(
            {
                "type": span.type,
                "score": _score(tagged.span_score(span)),
                "first_word": span.start,
                "end_word": span.end,
                "start": in_unit(start, text, unit),
                "end": in_unit(end, text, unit),
                "text": text[start:end],
            }
        )
    return records


def json_record(record: Record, tagged: TaggedSentence, details: Details) -> dict[str, Any]:
    """A sentence with its text or words, labels, scores and spans."""
    sentence = tagged.sentence
    line: dict[str, Any] = {}
    if sentence.text is not None:
        line["text"] = sentence.text
    elif record.problem and isinstance(record.source, str):
        line["text"] = record.source
    line["words"] = sentence.words
    line["labels"] = tagged.labels
    line["scores"] = [_score(score) for score in tagged.scores]
    line["spans"] = span_records(tagged, details)
    if details.top_k:
        line["top"] = top_labels(tagged, details.top_k)
    if record.problem:
        line["error"] = record.problem
    return line


def prediction_fields(tagged: TaggedSentence, details: Details) -> dict[str, Any]:
    """What enriched records have more than those of the input."""
    fields: dict[str, Any] = {}
    if tagged.sentence.text is not None:
        fields["predicted_words"] = tagged.sentence.words
    fields["predicted_labels"] = tagged.labels
    fields["predicted_scores"] = [_score(score) for score in tagged.scores]
    fields["predicted_spans"] = span_records(tagged, details)
    if details.top_k:
        fields[_TOP_COLUMN] = top_labels(tagged, details.top_k)
    return fields


def conll_block(tagged: TaggedSentence, details: Details) -> str:
    """A word and its predicted label a line, a blank line at the end."""
    columns: list[Iterable[str]] = [map(_one_field, tagged.sentence.words), tagged.labels]
    if details.scores:
        columns.insert(1, map(_column_score, tagged.scores))
    return "".join("\t".join(row) + "\n" for row in zip(*columns)) + "\n"


def top_labels(tagged: TaggedSentence, k: int) -> list[list[dict[str, Any]]]:
    """For each word its likeliest labels."""
    return [[{"label": label, "score": _score(score)} for label, score in one] for one in tagged.top(k)]


def labelled_sentence(tagged: TaggedSentence) -> Any:
    """The sentence as the writers of labelled data take it."""
    return replace(tagged.sentence, labels=tagged.labels)


def _score(score: float) -> float | None:
    """A probability as it is written; None where the model saw nothing to have one of."""
    return round(score, 6) if score == score else None


def _column_score(score: float) -> str:
    return f"{score:.6f}" if score == score else "_"


def _one_field(word: str) -> str:
    """A word as a column can hold it: blanks in it become no-break spaces, nothing at all an underscore."""
    if word and not word.isspace() and "\t" not in word and "\n" not in word and "\r" not in word:
        return word
    return "".join("\u00a0" if char in "\t\n\r" else char for char in word).strip(" ") or "_"


def _list_field(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _json(record: Mapping[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"


def _encoded(text: str) -> bytes:
    """UTF-8; bytes that were no text in the input, and lone surrogates, come as the replacement sign."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
