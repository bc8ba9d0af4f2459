"""Files of predictions: our own JSON lines, or anybody's labelled words beside a file of gold labels."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from tf_tokclf.config.schema import DataConfig
from tf_tokclf.data.json_text import parse_json
from tf_tokclf.data.readers.detection import detect_format
from tf_tokclf.data.readers.reading import read_lines, undecoded
from tf_tokclf.data.readers.texts import given_scheme
from tf_tokclf.data.schemes import Scheme, detect_scheme
from tf_tokclf.data.sentence import Origin, Sentence
from tf_tokclf.data.splits import read_sentences
from tf_tokclf.errors import UserError
from tf_tokclf.files import open_whole
from tf_tokclf.scoring.scores import Mode, Scorer, Scores

logger = logging.getLogger(__name__)

Probabilities = tuple[float | None, ...]


_NUMBERS = (int, float, type(None))
# The lists of a record, words first, and what they hold.
_COLUMNS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("words", "predicted", "gold"), str),
    **dict.fromkeys(("scores", "gold_scores", "positions"), _NUMBERS),
}
_UNITS = ("line", "row")


@dataclass(frozen=True, slots=True)
class Prediction:
    """A sentence as a system labelled it, with gold where that is known.

    scores, gold_scores: the probability of each word's predicted and gold label, None for words the model
    never saw. positions: where in its window a word stood, in pieces from 0. Each is None where nobody told.
    """

    words: tuple[str, ...]
    predicted: tuple[str, ...]
    gold: tuple[str, ...] | None = None
    scores: Probabilities | None = None
    gold_scores: Probabilities | None = None
    positions: tuple[int | None, ...] | None = None
    origin: Origin | None = None

    def to_json(self) -> dict[str, Any]:
        """One line of a predictions file."""
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


def write_predictions(path: str | Path, predictions: Iterable[Prediction]) -> None:
    """Write them as JSON lines, whole or not at all."""
    with open_whole(path) as file:
        for prediction in predictions:
            file.write(json.dumps(prediction.to_json(), ensure_ascii=False) + "\n")


def read_predictions(
    path: str | Path, gold: str | Path | None = None, *, data: DataConfig | None = None
) -> Iterator[Prediction]:
    """Predictions with their gold labels, lazily.

    path: our JSON lines, or a file of any format that data may have; of columns, the last one holds the
    predicted labels. gold: a file of the same sentences; without it the predictions have their own: `gold` in
    JSON lines, the last column but one in columns, as conlleval wants them.
    data: how both files are read.
    """
    return _read(Path(path), gold, data or DataConfig())


def at_least_one(predictions: Iterator[Prediction], path: str | Path) -> Iterator[Prediction]:
    """The predictions in a file, which may not be empty: of nothing there is no score."""
    first = next(predictions, None)
    if first is None:
        raise UserError("holds no sentences.", path=path, hint="Check what wrote it.")
    yield first
    yield from predictions


def _read(path: Path, gold: str | Path | None, data: DataConfig) -> Iterator[Prediction]:
    if _is_ours(path, data):
        predictions = _read_ours(path, data)
        return predictions if gold is None else _beside_gold(predictions, gold, path, data)
    if gold is not None:
        return _beside_gold(map(_unscored, _read_column(path, data, -1)), gold, path, data)
    if _format(path, data) != "conll" or _n_columns(path, data) < 3:
        raise UserError(
            "holds predicted labels only.",
            path=path,
            hint="Name a file of gold labels with --gold, or give columns of words, gold, predicted.",
        )
    pairs = zip(_read_column(path, data, -2), _read_column(path, data, -1))
    return (replace(_unscored(predicted), gold=gold.labels) for gold, predicted in pairs)


def score_predictions(
    predictions: Callable[[], Iterable[Prediction]], scheme: Scheme, *, mode: Mode = "conlleval"
) -> Scores:
    """Scores of predictions that know their gold labels."""
    scorer = Scorer(scheme, mode=mode)
    n_unseen: int | None = None
    for prediction in predictions():
        scorer.add(gold_of(prediction), prediction.predicted, prediction.words)
        if prediction.scores is not None:
            n_unseen = (n_unseen or 0) + prediction.scores.count(None)
    scores = scorer.scores()
    return scores if n_unseen is None else scores.with_facts(n_unseen_words=n_unseen)


def scheme_of(predictions: Callable[[], Iterable[Prediction]], data: DataConfig) -> Scheme:
    """The scheme that `data` names, or that of all gold labels."""
    given = given_scheme(data)
    if given is not None:
        return given
    detection = detect_scheme(gold_of(prediction) for prediction in predictions())
    logger.info("Scheme %s", detection)
    return detection.scheme


def gold_of(prediction: Prediction) -> Sequence[str]:
    """Its gold labels; that there are none is the user's mistake."""
    if prediction.gold is None:
        problem, hint = "The predictions have no gold labels.", "Name a file of gold labels with --gold."
        raise prediction.origin.error(problem, hint) if prediction.origin else UserError(problem, hint=hint)
    return prediction.gold


def _beside_gold(
    predictions: Iterable[Prediction], gold: str | Path, path: Path, data: DataConfig
) -> Iterator[Prediction]:
    """Each prediction with the gold labels of its sentence; words may differ, which is said, lengths not."""
    n_other_words, first = 0, ""
    for number, (prediction, sentence) in enumerate(zip_longest(predictions, read_sentences(gold, data)), 1):
        if prediction is None or sentence is None:
            fewer, more = (path, gold) if prediction is None else (gold, path)
            raise UserError(
                f"ends after {number - 1} sentences, but {more} goes on.",
                path=fewer,
                hint="Score predictions of the very same sentences.",
            )
        if sentence.labels is None:
            raise UserError("holds words without labels.", path=gold, hint="Name its column of labels.")
        if len(prediction.words) != len(sentence.words):
            problem = f"{len(prediction.words)} words, but {len(sentence)} in {sentence.origin}."
            raise (prediction.origin or Origin(str(path), number, "row")).error(
                problem, "Score predictions of the very same words."
            )
        if prediction.words != sentence.words:
            n_other_words += sum(a != b for a, b in zip(prediction.words, sentence.words))
            first = first or str(sentence.origin)
        yield replace(prediction, words=sentence.words, gold=sentence.labels, origin=sentence.origin)
    if n_other_words:
        logger.warning("%s: %d words differ from those of the gold file, first at %s", path, n_other_words, first)


def _unscored(sentence: Sentence) -> Prediction:
    return Prediction(words=sentence.words, predicted=sentence.labels or (), origin=sentence.origin)


def _read_column(path: Path, data: DataConfig, column: int) -> Iterator[Sentence]:
    """Sentences labelled by a column, counted from the end; other formats know their place themselves."""
    if _format(path, data) == "conll":
        data = data.model_copy(update={"label_column_name": column})
    return read_sentences(path, data)


def _format(path: Path, data: DataConfig) -> str:
    return data.format if data.format != "auto" else detect_format(path, data.encoding)


def _n_columns(path: Path, data: DataConfig) -> int:
    from tf_tokclf.data.readers.columns import splitter

    lines = (line.rstrip("\r\n") for line in read_lines(path, data.encoding))
    first = next((line for line in lines if line.strip() and not line.startswith("-DOCSTART-")), "")
    return len(splitter(data.separator)(first))


def _is_ours(path: Path, data: DataConfig) -> bool:
    if detect_format(path, data.encoding) != "jsonl":
        return False
    first = next(iter(read_lines(path, data.encoding)), "")
    if not first:
        return True
    try:
        record = parse_json(first)
    except ValueError:
        return False
    return isinstance(record, dict) and {"words", "predicted"} <= record.keys()


def _read_ours(path: Path, data: DataConfig) -> Iterator[Prediction]:
    for number, line in enumerate(read_lines(path, data.encoding), 1):
        if not line.isspace():
            if error := undecoded(line, path, number, data.encoding):
                raise error
            yield _from_line(line, path, number)


def _from_line(line: str, path: Path, number: int) -> Prediction:
    hint = "Each line is a JSON object with words, predicted and, to be scored, gold."
    try:
        record = parse_json(line)
    except ValueError as error:
        raise UserError(f"is no JSON ({error}).", path=path, line=number, hint=hint) from error
    if not isinstance(record, dict) or record.get("words") is None or record.get("predicted") is None:
        raise UserError("has no words or no predicted labels.", path=path, line=number, hint=hint)
    columns: dict[str, Any] = {}
    for name, types in _COLUMNS.items():
        column = record.get(name)
        if column is None:
            columns[name] = None
            continue
        if not isinstance(column, list) or not all(isinstance(value, types) for value in column):
            raise UserError(f"{name} is no list of {_kind(types)}.", path=path, line=number, hint=hint)
        columns[name] = tuple(column)
        if len(column) != len(columns["words"]):
            problem = f"{len(columns['words'])} words but {len(column)} {name}."
            raise UserError(problem, path=path, line=number, hint=hint)
    for name in ("scores", "gold_scores"):
        # Written so that NaN, which is in no range, is found too.
        if not all(value is None or 0 <= value <= 1 for value in columns[name] or ()):
            problem = f"{name} are probabilities, from 0 to 1 or null."
            raise UserError(problem, path=path, line=number, hint=hint)
    return Prediction(origin=_origin(record.get("origin")) or Origin(str(path), number), **columns)


def _kind(types: type | tuple[type, ...]) -> str:
    return "texts" if types is str else "numbers"


def _origin(value: Any) -> Origin | None:
    """The place that a record says it is from, where it says so in our way."""
    if not isinstance(value, dict) or not isinstance(value.get("number"), int) or value.get("unit") not in _UNITS:
        return None
    if "path" not in value:
        return None
    return Origin(str(value["path"]), value["number"], value["unit"])
