"""Choose and open the output format of predictions: the records of the input with added fields, JSON, CoNLL, or tools.

A format encodes blocks of records. The file consists of a head, the blocks, and a tail.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tf_tokclf.compressed import name_without_compression
from tf_tokclf.config.schema import Task
from tf_tokclf.data.formats.registry import format_of_suffix, formats_by_name
from tf_tokclf.data.writing.base import Writing
from tf_tokclf.errors import UserError
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
    chosen = check_output_format(asked, output, source.name, is_table=own in _TABLES)
    if chosen in (SAME, *_TABLES) or (asked is None and chosen == own):
        return SAME if own else "jsonl"
    return chosen


def check_output_format(asked: str | None, output: Path | None, source_format: str, *, is_table: bool) -> str:
    """The format in the options, else the one of the output's suffix, else "same".

    Raises UserError if it cannot be written for this source. is_table: whether the source is a single table, as CSV or
    Parquet.
    """
    told = format_of_suffix(name_without_compression(output).suffix.lower()) if output else None
    if output and told and told not in OUTPUT_FORMATS and asked is None:
        raise UserError(
            f"the suffix of {output.name!r} means the format {told}, which predict does not write.",
            hint="Use another suffix, such as .jsonl or .conll, and convert the file afterwards.",
        )
    chosen = asked or told or SAME
    if chosen in _TABLES and not (is_table and chosen == source_format):
        others = ", ".join(name for name in OUTPUT_FORMATS if name not in _TABLES)
        raise UserError(
            f"{chosen} output is possible only for a single {chosen} file as input, but the input is {source_format}.",
            hint=f"Choose {others}.",
        )
    return chosen


def open_output_format(name: str, source: RecordFormat, scheme: Scheme, details: Details) -> OutputFormat:
    """The writer of the format `name`, a result of `choose_output_format`, for records of `source`."""
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
        return Lines(lambda record, tagged: "".join(write([labelled_sentence(tagged)], writing)))
    raise UserError(f"there is no output format {name!r}.", hint=f"Choose one of {', '.join(OUTPUT_FORMATS)}.")
