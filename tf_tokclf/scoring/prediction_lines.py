"""The predictions files of runs: JSON lines with the words, labels and probabilities of one sentence per line."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tf_tokclf.config.schema import DataConfig
from tf_tokclf.counted import counted
from tf_tokclf.data.detection import detect_format
from tf_tokclf.data.reading.base import check_decoded, read_lines
from tf_tokclf.errors import UserError
from tf_tokclf.json_text import parse_json
from tf_tokclf.labels.sentence import Origin, Sentence, of_labelled_words

Probabilities = tuple[float | None, ...]

_NUMBERS = (int, float, type(None))
# The lists of a record, words first, and the types of their items.
_COLUMNS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("words", "predicted", "gold"), str),
    **dict.fromkeys(("scores", "gold_scores", "positions"), _NUMBERS),
}
_UNITS = ("line", "row")


@dataclass(frozen=True, slots=True)
class Prediction:
    """A sentence with the labels that a system predicted, and the gold labels if they are known.

    scores, gold_scores: the probability of each word's predicted and gold label; None for words that the model did not
    see. positions: the position of each word's first subword token in its window, from 0. Fields that are not known are
    None.
    """

    words: tuple[str, ...]
    predicted: tuple[str, ...]
    gold: tuple[str, ...] | None = None
    scores: Probabilities | None = None
    gold_scores: Probabilities | None = None
    positions: tuple[int | None, ...] | None = None
    origin: Origin | None = None

    def where_labelled(self, gold: Sentence) -> Prediction:
        """The prediction without the words that have no gold label in a sentence where other words have one."""
        if not gold.unlabelled:
            return self
        columns: dict[str, Any] = {name: values for name in _COLUMNS if (values := getattr(self, name)) is not None}
        kept: dict[str, Any] = {name: tuple(of_labelled_words(gold, values)) for name, values in columns.items()}
        return replace(self, **kept)

    def to_json(self) -> dict[str, Any]:
        """The record of the sentence in a predictions file."""
        record: dict[str, Any] = {"words": self.words, "gold": self.gold, "predicted": self.predicted}
        for name in ("scores", "gold_scores"):
            values = getattr(self, name)
            record[name] = None if values is None else [_rounded(value) for value in values]
        record["positions"] = self.positions
        if self.origin:
            record["origin"] = {
                "path": self.origin.path,
                "number": self.origin.number,
                "unit": self.origin.unit,
            }
        return {name: value for name, value in record.items() if value is not None}


def _rounded(probability: float | None) -> float | None:
    return None if probability is None or math.isnan(probability) else round(probability, 6)


def is_own_lines(path: Path, data: DataConfig) -> bool:
    """Whether a file contains lines as `Prediction.to_json` writes them."""
    if detect_format(path, data.encoding) != "jsonl":
        return False
    first = next((line for line in read_lines(path, data.encoding) if not line.isspace()), "")
    if not first:
        return True
    try:
        record = parse_json(first)
    except ValueError:
        return False
    return isinstance(record, dict) and {"words", "predicted"} <= record.keys()


def read_own_lines(path: Path, data: DataConfig) -> Iterator[Prediction]:
    """Read the predictions lazily. Raises UserError for an invalid line."""
    for number, line in enumerate(read_lines(path, data.encoding), 1):
        if not line.isspace():
            check_decoded(line, Origin(str(path), number), data.encoding)
            yield _from_line(line, path, number)


def _from_line(line: str, path: Path, number: int) -> Prediction:
    hint = "Each line must be a JSON object with the lists words, predicted and gold."
    try:
        record = parse_json(line)
    except ValueError as error:
        raise UserError(f"is not valid JSON ({error}).", path=path, line=number, hint=hint) from error
    if not isinstance(record, dict) or record.get("words") is None or record.get("predicted") is None:
        raise UserError("has no words or no predicted labels.", path=path, line=number, hint=hint)
    columns: dict[str, Any] = {}
    for name, types in _COLUMNS.items():
        column = record.get(name)
        if column is None:
            columns[name] = None
            continue
        if not isinstance(column, list) or not all(isinstance(value, types) for value in column):
            raise UserError(f"{name} is not a list of {_kind(types)}.", path=path, line=number, hint=hint)
        columns[name] = tuple(column)
        if len(column) != len(columns["words"]):
            problem = f"{counted(len(columns['words']), 'word')} but {len(column)} {name}."
            raise UserError(problem, path=path, line=number, hint=hint)
    for name in ("scores", "gold_scores"):
        # This form of the condition also rejects NaN.
        if not all(value is None or 0 <= value <= 1 for value in columns[name] or ()):
            problem = f"{name} must be probabilities from 0 to 1, or null."
            raise UserError(problem, path=path, line=number, hint=hint)
    return Prediction(origin=_origin(record.get("origin")) or Origin(str(path), number), **columns)


def _kind(types: type | tuple[type, ...]) -> str:
    return "texts" if types is str else "numbers"


def _origin(value: Any) -> Origin | None:
    """The origin in a record; None if it is not in the form that `Prediction.to_json` writes."""
    if not isinstance(value, dict) or not isinstance(value.get("number"), int) or value.get("unit") not in _UNITS:
        return None
    if "path" not in value:
        return None
    return Origin(str(value["path"]), value["number"], value["unit"])
