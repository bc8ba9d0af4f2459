"""Choose and open the output format of predictions: the records of the input with added fields, JSON, CoNLL, or tools.

A format encodes blocks of records. The file consists of a head, the blocks, and a tail.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tf_tokclf.compressed import name_without_compression
from tf_tokclf.config.schema import Task
from tf_tokclf.data.formats.registry import format_of_suffix, formats_by_name
from tf_tokclf.data.writing.base import Writing
from tf_tokclf.errors import UserError
from tf_tokclf.files import is_stream
from tf_tokclf.json_text import json_line
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.records.base import Details, Lines, OutputFormat, RecordFormat
from tf_tokclf.records.conll import ColumnRecords, EnrichedColumns, conll_block
from tf_tokclf.records.csv import CsvRecords, EnrichedCsv
from tf_tokclf.records.jsonl import EnrichedJson, JsonRecords, json_record
from tf_tokclf.records.label_studio import LabelStudio
from tf_tokclf.records.parquet import EnrichedParquet, ParquetRecords
from tf_tokclf.records.prediction_fields import labelled_sentence

SAME = "same"
# These formats are written only for input of the same format.
_TABLES = ("csv", "parquet")
# Annotation tools with one text per record, with the names that the writers use.
_TOOLS = ("spacy", "doccano", "prodigy")
OUTPUT_FORMATS = (SAME, "jsonl", "conll", *_TOOLS, "label-studio", *_TABLES)

# The writers that add predictions to the records of an input format. Other input formats have none.
_ENRICHED: dict[type[RecordFormat], Callable[[Any, Details], OutputFormat]] = {
    ColumnRecords: EnrichedColumns,
    JsonRecords: EnrichedJson,
    CsvRecords: EnrichedCsv,
    ParquetRecords: EnrichedParquet,
}


def choose_output_format(asked: str | None, output: Path | None, source: RecordFormat) -> str:
    """The output format: the one in the options, else the one of the output's suffix, else that of the input."""
    own = source.name if type(source) in _ENRICHED else None
    chosen = check_output_format(asked, output, source.name, keeps_records=own is not None)
    if chosen in (SAME, *_TABLES) or (asked is None and chosen == own):
        return SAME if own else "jsonl"
    return chosen


def keeps_records(format: str) -> bool:
    """Whether predictions can be added to the records of a file of this format.

    >>> keeps_records("csv"), keeps_records("text")
    (True, False)
    """
    return format in (ColumnRecords.name, JsonRecords.name, CsvRecords.name, ParquetRecords.name)


def check_output_format(asked: str | None, output: Path | None, source_format: str, *, keeps_records: bool) -> str:
    """The format in the options, else the one of the output's suffix, else "same".

    Raises UserError if it cannot be written for this source, or if the suffix tells nothing and the records of the
    source are not kept. keeps_records: whether predictions can be added to the records of the source.
    """
    suffix = name_without_compression(output).suffix if output else ""
    told = format_of_suffix(suffix.lower())
    if output and told and told not in OUTPUT_FORMATS and asked is None:
        raise UserError(
            f"the suffix of {output.name!r} means the format {told}, which predict does not write.",
            hint="Use another suffix, such as .jsonl or .conll, and convert the file afterwards.",
        )
    if output and suffix and not (told or asked or keeps_records or is_stream(output)):
        raise UserError(
            f"the format cannot be inferred from the name {output}.",
            hint=f"Use a suffix such as .jsonl or .conll, or set --output-format: {_without_tables()}.",
        )
    chosen = asked or told or SAME
    if chosen in _TABLES and not (keeps_records and chosen == source_format):
        raise UserError(
            f"{chosen} output is possible only for a single {chosen} file as input, but the input is {source_format}.",
            hint=f"Choose {_without_tables()}.",
        )
    return chosen


def _without_tables() -> str:
    return ", ".join(name for name in OUTPUT_FORMATS if name not in _TABLES)


def open_output_format(name: str, source: RecordFormat, scheme: Scheme, details: Details) -> OutputFormat:
    """The writer of the format `name`, a result of `choose_output_format`, for records of `source`.

    Raises UserError if the format cannot be written, or cannot mark spans for review as the details ask for.
    """
    labels_words = isinstance(source, ColumnRecords) or (isinstance(source, CsvRecords) and source.is_word_a_row)
    if details.review and (name in ("conll", *_TOOLS) or (name == SAME and labels_words)):
        shown = source.name if name == SAME else name
        raise UserError(f"--review: {shown} output cannot mark spans.", hint="Choose jsonl or label-studio.")
    if name == SAME and (enriched := _ENRICHED.get(type(source))):
        return enriched(source, details)
    if name in (SAME, "jsonl"):
        return Lines(lambda record, tagged: json_line(json_record(record, tagged, details)))
    if name == "conll":
        return Lines(lambda record, tagged: conll_block(tagged, details))
    if scheme is Scheme.NONE:
        raise UserError(
            f"{name} contains only spans, but the model's labels form no spans.", hint="Choose jsonl or conll."
        )
    if name == "label-studio":
        return LabelStudio(details)
    if name in _TOOLS and (write := formats_by_name()[name].write):
        writing = Writing(Task.NER, scheme, (), offset_unit=details.offset_unit)
        return Lines(
            lambda record, tagged: _with_meta("".join(write([labelled_sentence(tagged)], writing)), record.selection)
        )
    raise UserError(f"there is no output format {name!r}.", hint=f"Choose one of {', '.join(OUTPUT_FORMATS)}.")


def _with_meta(line: str, meta: Mapping[str, Any] | None) -> str:
    """A line of JSON with the field `meta`, which Prodigy and doccano show beside a text."""
    return line if meta is None else json_line({**json.loads(line), "meta": meta})
