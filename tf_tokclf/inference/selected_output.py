"""Write selected sentences with their predicted labels for people who correct them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tf_tokclf.compressed import compressing, name_without_compression
from tf_tokclf.control_characters import PlainOutput
from tf_tokclf.data.formats.registry import format_of_suffix
from tf_tokclf.errors import UserError
from tf_tokclf.files import is_stream, open_output
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.records.base import Details, OutputFormat, PredictedRecord, RecordFormat
from tf_tokclf.records.jsonl import JsonRecords
from tf_tokclf.records.output import SAME, open_output_format

# Those of `predict` that can tell why each sentence was selected, and CoNLL, which can be edited as text.
FORMATS = ("jsonl", "label-studio", "prodigy", "doccano", "conll")


def selected_format(asked: str | None, output: Path | None) -> str:
    """The format in the options, else the one of the output's suffix, else JSON lines.

    Raises UserError if the suffix tells another format.

    >>> selected_format(None, None), selected_format("prodigy", Path("tasks.jsonl"))
    ('jsonl', 'prodigy')
    """
    if asked is not None or output is None or is_stream(output):
        return asked or "jsonl"
    suffix = name_without_compression(output).suffix.lower()
    told = format_of_suffix(suffix)
    if told in FORMATS and suffix != ".json":
        return str(told)
    if not suffix:
        return "jsonl"
    raise UserError(
        f"the format cannot be inferred from the name {output}.",
        hint=f"Use the suffix .jsonl or .conll, or set --output-format: {', '.join(FORMATS)}.",
    )


def open_selected_format(name: str, source: RecordFormat, scheme: Scheme, details: Details) -> OutputFormat:
    """The writer of the format `name`, one of `FORMATS`. JSON lines keep the fields of JSON records.

    Raises UserError if the format cannot contain the labels of the scheme.
    """
    own = SAME if name == "jsonl" and isinstance(source, JsonRecords) else name
    return open_output_format(own, source, scheme, details)


def write_selected(records: Sequence[PredictedRecord], format: OutputFormat, output: Path | None) -> None:
    """Write the records, completely or not at all. output: None for standard output."""
    content = format.head + format.block(records, is_first=True) + format.tail
    if output is not None:
        with open_output(output, "wb") as file, compressing(file, output) as stream:
            stream.write(content)
    elif sys.stdout is None:
        raise UserError("standard output is closed.", hint="Name a file to write to with --output.")
    else:
        out = sys.stdout.buffer
        (PlainOutput(out) if sys.stdout.isatty() else out).write(content)
        out.flush()
