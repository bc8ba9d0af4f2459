"""All formats of JSON records that have a name, the likeliest first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tf_tokclf.data.formats import (
    argilla,
    bigbio,
    bioc,
    cluener,
    dialogflow,
    dygie,
    gliner,
    ground_truth,
    luis,
    massive,
    rasa,
    snips,
    spacy_pairs,
    spacy_v2,
    spert,
    w2ner,
)
from tf_tokclf.data.formats.annotation_tools import TOOLS
from tf_tokclf.data.reading.annotated import JsonFormat
from tf_tokclf.data.reading.guessing import WORD_NAMES, guess_named_column
from tf_tokclf.errors import UserError

# Formats with fields of their own come before those of tools, most of whose fields others have too.
_OWN = (
    *(argilla, rasa, luis, cluener, bioc, bigbio, massive, gliner, spert, dygie, w2ner, spacy_v2),
    *(ground_truth, dialogflow, snips),
)
JSON_FORMATS: Mapping[str, JsonFormat] = {
    format.name: format for format in (TOOLS[0], *(module.FORMAT for module in _OWN), *TOOLS[1:])
}
_SPLITS = ("train", "validation", "dev", "valid", "test")


def records_in(value: Any, place: str) -> list[Any]:
    """The records in a JSON document: a list, the list in an object that wraps it, the rows of an object of columns, or
    one record. Raises UserError where there are none.
    """
    if isinstance(value, list):
        return value
    if not isinstance(value, dict):
        raise UserError(
            f"is not a list of records: {str(value)[:60]!r}.", path=place, hint="Write one record per line."
        )
    for unwrap in (spacy_pairs.unwrap, *(format.unwrap for format in JSON_FORMATS.values())):
        if unwrap is not None and (records := unwrap(value)) is not None:
            return records
    if isinstance(value.get("data"), list):
        return list(value["data"])
    splits = [name for name in value if name.lower() in _SPLITS and isinstance(value[name], list)]
    if len(splits) > 1:
        hint = "Write each split to a file of its own."
        raise UserError(f"holds several splits: {', '.join(splits)}.", path=place, hint=hint)
    if splits:
        return list(value[splits[0]])
    return _rows(value) or [value]


def _rows(value: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of an object whose fields are columns of equal length: lists of lists or of texts."""
    columns = list(value.values())
    if len(columns) < 2 or not all(isinstance(column, list) and column for column in columns):
        return []
    found = guess_named_column(list(value), WORD_NAMES)
    cells = [] if found is None else columns[found]
    # One record has lists too, and as many boxes as words, say; its words are neither lists nor texts.
    are_words = all(isinstance(cell, list) for cell in cells)
    are_texts = all(isinstance(cell, str) for cell in cells) and any(" " in cell.strip() for cell in cells)
    if not cells or not (are_words or are_texts) or len({len(column) for column in columns}) > 1:
        return []
    return [dict(zip(value, row)) for row in zip(*columns)]


def wraps_records(value: Any) -> bool:
    """Whether a JSON object is a whole document of records, and not one of several records of a file.

    >>> wraps_records({"rasa_nlu_data": {"common_examples": []}}), wraps_records({"tokens": ["Ada"], "tags": ["O"]})
    (True, False)
    """
    if not isinstance(value, dict):
        return False
    try:
        records = records_in(value, "")
    except UserError:
        return True
    return not (len(records) == 1 and records[0] is value)
