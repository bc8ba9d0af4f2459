"""Read and score files of predictions that this or another program wrote."""

from __future__ import annotations

import atexit
import logging
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol, TypeVar

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.counted import counted
from tf_tokclf.data.detection import detect_format, open_reader
from tf_tokclf.data.label_spellings import respelling_note, respelt, standard_labels
from tf_tokclf.data.reading.annotated import Annotated, Annotation
from tf_tokclf.data.reading.base import Problems, Reader
from tf_tokclf.data.reading.records import Shape
from tf_tokclf.data.reading.texts import TextReading, given_scheme
from tf_tokclf.data.sentence_batches import is_table
from tf_tokclf.data.splits import check_scheme, keeps_spelling
from tf_tokclf.errors import UserError
from tf_tokclf.labels.char_spans import CharSpan, char_spans
from tf_tokclf.labels.schemes import OUTSIDE_LABEL, RULES, Scheme
from tf_tokclf.labels.sentence import Origin, Sentence
from tf_tokclf.labels.spans import spans_of, translated_labels
from tf_tokclf.labels.validation import Detection, SchemeDetector, detect_scheme
from tf_tokclf.labels.word_splitting import word_offsets
from tf_tokclf.scoring.entities import Mode
from tf_tokclf.scoring.prediction_columns import Asked, shortened, types_of
from tf_tokclf.scoring.prediction_lines import Prediction, is_own_lines, read_own_lines
from tf_tokclf.scoring.prediction_tables import (
    TABLE_FORMATS,
    PredictedTable,
    PredictedText,
    open_predicted_table,
    prediction_of,
)
from tf_tokclf.scoring.prediction_texts import (
    PredictedColumns,
    PredictedLabels,
    PredictedPieces,
    PredictedSentences,
    find_pipeline_output,
    find_tags,
)
from tf_tokclf.scoring.scores import Scorer, Scores

logger = logging.getLogger(__name__)

__all__ = [
    "LabelSurvey",
    "Prediction",
    "PredictionFile",
    "files_of",
    "gold_of",
    "is_folder_of_predictions",
    "read_predictions",
    "scheme_of",
    "score_predictions",
]

# If a file has this many sentences with spans and no error, the predicted labels are most likely the gold labels.
MANY_SENTENCES = 50
# With this many gold and predicted labels other than O, it is no coincidence that they have no type in common.
MANY_LABELS = 20

_PART = re.compile(r"part-\d+-of-\d+")
_NAME_LABELS = "Name the column of labels with --label-column-name."

# What a file may contain for a sentence: labels of words, or something from which labels for the words of the gold file
# are derived.
Found = Prediction | PredictedText | PredictedLabels | PredictedPieces

Opened = TypeVar("Opened")


class PredictionReader(Protocol):
    """A file of predictions in a known format.

    has_gold: whether it also contains gold labels. span_scheme: the label scheme into which its predicted spans are
    converted; None if it contains labels.
    """

    @property
    def has_gold(self) -> bool: ...

    @property
    def span_scheme(self) -> Scheme | None: ...

    def predictions(self, problems: Problems) -> Iterator[Found]:
        """The predictions, sentence by sentence. Each call reads the file again."""
        ...


@dataclass(frozen=True)
class PredictionFile:
    """A file of predictions, or a folder of their parts, with the gold labels.

    gold: a file with the same sentences; None if the file of predictions also contains the gold labels.
    data: how both files are read. Its label column is that of the gold labels.
    predicted_column: the column of predicted labels, if it cannot be recognised by names and order.
    gold_data: how the gold file is read; None for `data`.
    """

    path: Path
    gold: Path | None = None
    data: DataConfig = field(default_factory=DataConfig)
    task: Task = Task.NER
    predicted_column: str | int | None = None
    gold_data: DataConfig | None = None

    def predictions(self) -> Iterator[Prediction]:
        """The predictions with gold labels, in the standard spelling. Each call reads the files again."""
        if standard := self._standard:
            return (_in_spelling(one, standard) for one in self._read())
        return self._read()

    @cached_property
    def survey(self) -> LabelSurvey:
        """The labels in the file. It is read once for this."""
        return LabelSurvey.of(self.path, self.predictions()) if self._standard else self._first_survey

    @cached_property
    def _first_survey(self) -> LabelSurvey:
        """The labels in the file, in their original spelling."""
        return LabelSurvey.of(self.path, self._read())

    @cached_property
    def _standard(self) -> dict[str, str]:
        """The standard spelling of each label that has a different one."""
        if keeps_spelling(self.data, self.task) or self._readers == [None]:
            return {}
        counts = self._first_survey.gold + self._first_survey.predicted
        standard = standard_labels(counts, self.task)
        if standard:
            logger.warning("%s: %s", self.path, respelling_note(standard, counts))
        return standard

    def _read(self) -> Iterator[Prediction]:
        problems = Problems(skip=self.data.on_error == "skip")
        found = self._found(problems)
        if self.gold is not None:
            yield from self._beside_gold(found, problems)
        else:
            yield from (one for one in found if isinstance(one, Prediction))
        if self.path not in self._said:
            self._said.append(self.path)
            _say(self.path, problems)

    @cached_property
    def scheme(self) -> Scheme:
        """The label scheme in the options; otherwise the scheme of all gold labels."""
        given = given_scheme(self.data)
        if given is not None:
            check_scheme(self.survey.gold, given, place=str(self.gold or self.path))
            return given
        logger.info("%s (gold labels): %s", self.gold or self.path, self.survey.gold_scheme)
        return self.survey.gold_scheme.scheme

    def in_scheme(self, scheme: Scheme) -> Callable[[], Iterator[Prediction]]:
        """The predictions with labels in `scheme`, which is that of the gold labels.

        Spans are always converted to this scheme. Labels are converted only if they have prefixes that are not in it.
        Other labels may be invalid sequences in this scheme, and converting would repair them before they are scored.
        Labels with B and I only are not converted, because conlleval reads them alike in all schemes.
        """
        detection = self.survey.predicted_scheme
        source = self._span_scheme or detection.scheme
        if Scheme.NONE in (source, scheme) or source is scheme:
            return self.predictions
        if self._span_scheme is None and detection.prefixes.keys() - {""} <= _letters(scheme):
            return self.predictions
        message = "%s: predicted labels are converted from %s to %s, the label scheme of the gold labels"
        logger.info(message, self.path, source, scheme)
        return lambda: (
            replace(one, predicted=tuple(translated_labels(one.predicted, source, scheme)))
            for one in self.predictions()
        )

    @property
    def _span_scheme(self) -> Scheme | None:
        """The label scheme into which predicted spans are converted; None if the files contain labels."""
        schemes = {reader.span_scheme if reader else None for reader in self._readers}
        return schemes.pop() if len(schemes) == 1 else None

    @cached_property
    def _files(self) -> list[Path]:
        return files_of(self.path)

    @cached_property
    def _said(self) -> list[Path | None]:
        """The files whose problems were already logged, so that they are logged only once."""
        return []

    @cached_property
    def _readers(self) -> list[PredictionReader | None]:
        """A reader for each file; None for predictions files of runs, whose format is known."""
        if self.gold is None:
            asked = Asked(self.predicted_column, self.data.label_column_name)
        else:
            asked = Asked(self.predicted_column, None, self._gold_labels)
        return [self._open(path, asked) for path in self._files]

    def _open(self, path: Path, asked: Asked) -> PredictionReader | None:
        if is_own_lines(path, self.data) and asked.predicted in (None, "predicted") and self.data.format == "auto":
            return None
        if self.gold is None:
            reader = _open_as(path, self.data, self.task, asked)
        else:
            data = self.data.model_copy(update={"label_column_name": None, "layer": None, "scheme": "auto"})
            reader = _with_or_without_words(lambda data: _open_as(path, data, self.task, asked), data)
        logger.info("%s: %s", path, reader)
        if not reader.has_gold and self.gold is None:
            hint = "Give a file with the gold labels with --gold."
            raise UserError("contains only predicted labels.", path=path, hint=hint)
        return reader

    def _found(self, problems: Problems) -> Iterator[Found]:
        for path, reader in zip(self._files, self._readers, strict=True):
            yield from read_own_lines(path, self.data) if reader is None else reader.predictions(problems)

    @cached_property
    def _gold_reader(self) -> Reader:
        gold = self.gold
        assert gold is not None
        reader = _with_or_without_words(lambda data: open_reader(gold, data, self.task), self.gold_data or self.data)
        logger.info("%s: %s: %s", self.gold, reader.options.format, "; ".join(reader.notes))
        return reader

    def _gold_sentences(self) -> Iterator[Sentence | None]:
        """The sentences of the gold file, with None for each skipped record, so that its prediction is skipped too."""
        reader = self._gold_reader
        problems = Problems(skip=(self.gold_data or self.data).on_error == "skip")
        n_left_out = 0
        for n_sentences, sentence in enumerate(reader.sentences(problems)):
            n_before = _n_left_out(problems)
            if is_table(reader) and reader.layout.shape is not Shape.WORD and sentence.origin:
                # The rows of a batch are skipped before its first sentence arrives. The row number of a sentence tells
                # how many were skipped before it.
                n_before = sentence.origin.number - 1 - n_sentences
            yield from (None for _ in range(n_before - n_left_out))
            n_left_out = max(n_left_out, n_before)
            yield sentence
        yield from (None for _ in range(_n_left_out(problems) - n_left_out))
        if self.gold not in self._said:
            self._said.append(self.gold)
            _say(reader.place, problems)

    def _gold_labels(self) -> Iterator[Sequence[str]]:
        return (sentence.labels or () for sentence in self._gold_sentences() if sentence)

    def _beside_gold(self, found: Iterator[Found], problems: Problems) -> Iterator[Prediction]:
        """Each prediction with the gold labels of its sentence. Words may differ, which is logged; lengths may not."""
        assert self.gold is not None
        reading = TextReading.of(self.gold_data or self.data)
        n_other_words, first = 0, ""
        for prediction, sentence in _pairs(found, self._gold_sentences(), self.path, self.gold):
            if sentence.labels is None:
                raise UserError("contains words without labels.", path=self.gold, hint=_NAME_LABELS)
            joined = _joined(prediction, sentence, reading, problems)
            if joined is None:
                continue
            if (
                isinstance(prediction, Prediction)
                and len(prediction.words) == len(sentence)
                and (prediction.words != sentence.words)
            ):
                n_other_words += sum(a != b for a, b in zip(prediction.words, sentence.words))
                first = first or str(sentence.origin)
            yield joined
        if n_other_words and self.path not in self._said:
            differ = "differs from" if n_other_words == 1 else "differ from"
            message = "%s: %s %s the gold file, first at %s"
            logger.warning(message, self.path, counted(n_other_words, "word"), differ, first)


@dataclass(frozen=True)
class LabelSurvey:
    """The labels in a file of predictions.

    gold, predicted: number of words by label. n_with_labels: sentences with a gold label other than O. n_different:
    sentences whose gold and predicted labels differ.
    """

    path: Path
    gold_scheme: Detection
    predicted_scheme: Detection
    gold: Counter[str]
    predicted: Counter[str]
    n_with_labels: int
    n_different: int

    @classmethod
    def of(cls, path: Path, predictions: Iterable[Prediction]) -> LabelSurvey:
        """Survey all predictions of a file. Raises UserError if there are none, or if they have no gold labels."""
        gold, predicted = SchemeDetector(), SchemeDetector()
        n_sentences = n_with_labels = n_different = 0
        for prediction in predictions:
            labels = gold_of(prediction)
            gold.add(labels)
            predicted.add(prediction.predicted)
            n_sentences += 1
            n_with_labels += any(label != OUTSIDE_LABEL for label in labels)
            n_different += tuple(labels) != tuple(prediction.predicted)
        if not n_sentences:
            raise UserError("contains no sentences.", path=path, hint="Check the program that wrote it.")
        if not gold.labels:
            problem = "contains no words: all its sentences are empty."
            raise UserError(problem, path=path, hint="Check the program that wrote it.")
        return cls(path, gold.result(), predicted.result(), gold.labels, predicted.labels, n_with_labels, n_different)

    def check(self) -> None:
        """Raise UserError if gold and predicted labels are of different kinds; warn if all of them are equal."""
        if not self.n_different and self.n_with_labels >= MANY_SENTENCES:
            logger.warning(
                "%s: predicted and gold labels are equal in all of %s with labels. Check that the column of predicted "
                "labels (--predicted-column-name) does not contain the gold labels.",
                self.path,
                counted(self.n_with_labels, "sentence"),
            )
        gold, predicted = types_of(self.gold), types_of(self.predicted)
        if not gold or not predicted or gold & predicted:
            return
        wrong, right = self.predicted.keys() - self.gold.keys(), self.gold.keys() - self.predicted.keys()
        problem = f"no predicted label ({shortened(wrong)}) is among the gold labels ({shortened(right)})"
        n_labels = min(sum(n for label, n in side.items() if types_of([label])) for side in (self.gold, self.predicted))
        share_outside = bool(self.gold.keys() & self.predicted.keys())
        if (n_labels < MANY_LABELS and share_outside) or self.gold.total() == 1:
            logger.warning("%s: %s", self.path, problem)
            return
        hint = "Name the columns with --predicted-column-name and --label-column-name, or label ids with"
        raise UserError(f"{problem}.", path=self.path, hint=f"{hint} --set data.label_names=[...].")


def read_predictions(
    path: str | Path,
    gold: str | Path | None = None,
    *,
    data: DataConfig | None = None,
    predicted_column: str | int | None = None,
) -> Iterator[Prediction]:
    """Read predictions with their gold labels, lazily. The arguments are those of `PredictionFile`."""
    own = PredictionFile(
        Path(path), None if gold is None else Path(gold), data or DataConfig(), predicted_column=predicted_column
    )
    return own.predictions()


def score_predictions(
    predictions: Callable[[], Iterable[Prediction]], scheme: Scheme, *, mode: Mode = "conlleval"
) -> Scores:
    """Scores of predictions that have gold labels."""
    scorer = Scorer(scheme, mode=mode)
    n_unseen: int | None = None
    for prediction in predictions():
        scorer.add(gold_of(prediction), prediction.predicted, prediction.words, prediction.origin)
        if prediction.scores is not None:
            n_unseen = (n_unseen or 0) + prediction.scores.count(None)
    scores = scorer.scores()
    return scores if n_unseen is None else scores.with_facts(n_unseen_words=n_unseen)


def scheme_of(predictions: Callable[[], Iterable[Prediction]], data: DataConfig) -> Scheme:
    """The label scheme in `data`; otherwise the scheme of all gold labels."""
    given = given_scheme(data)
    if given is not None:
        return given
    detection = detect_scheme(gold_of(prediction) for prediction in predictions())
    logger.info("gold labels: %s", detection)
    return detection.scheme


def gold_of(prediction: Prediction) -> Sequence[str]:
    """The gold labels of a prediction. Raises UserError if there are none."""
    if prediction.gold is None:
        problem, hint = "The predictions have no gold labels.", "Give a file with the gold labels with --gold."
        raise prediction.origin.error(problem, hint) if prediction.origin else UserError(problem, hint=hint)
    return prediction.gold


def _with_or_without_words(open_: Callable[[DataConfig], Opened], data: DataConfig) -> Opened:
    """Open a file, without the named column of words if it has no such column (the other file may have it)."""
    try:
        return open_(data)
    except UserError:
        if data.text_column_name is None:
            raise
    return open_(data.model_copy(update={"text_column_name": None}))


def _open_as(path: Path, data: DataConfig, task: Task, asked: Asked) -> PredictionReader:
    """Open a file of predictions in its format."""
    format = data.format if data.format != "auto" else detect_format(path, data.encoding)
    if format == "jsonl" and (output := find_pipeline_output(path, data)):
        return output
    if format in TABLE_FORMATS:
        return PredictedTable(open_predicted_table(path, data, task, format), asked)
    if format in ("conll", "text"):
        if data.format == "auto" and (tags := find_tags(path, data, asked.gold_labels)):
            return tags
        return PredictedColumns(path, data, task, asked)
    return PredictedSentences(path, data, task, asked)


def files_of(path: Path) -> list[Path]:
    """The files of predictions at `path`: the file itself, a folder that is one data set, or the files of a folder.

    Parts of one file (`predict --workers`) are joined in a temporary folder, which is deleted when the process ends.
    Raises UserError if parts are missing.
    """
    if not path.is_dir() or detect_format(path) != "folder":
        return [path]
    files = [file for file in sorted(path.iterdir()) if file.is_file() and file.name[0] not in "._"]
    if (path / "_job.json").exists() and not (path / "_SUCCESS").exists():
        hint = "Repeat the tf-tokclf predict command with --resume."
        raise UserError("the predictions in this folder are incomplete.", path=path, hint=hint)
    if not files:
        raise UserError("contains no predictions.", path=path, hint="Check the program that wrote it.")
    if not all(_PART.search(file.name) for file in files) or files[0].suffix == ".parquet":
        return files
    folder = tempfile.TemporaryDirectory(prefix="tf-tokclf-")
    atexit.register(folder.cleanup)
    whole = Path(folder.name) / f"{path.name}{''.join(files[0].suffixes)}"
    with whole.open("wb") as target:
        for file in files:
            with file.open("rb") as part:
                shutil.copyfileobj(part, target)
    return [whole]


def is_folder_of_predictions(path: Path) -> bool:
    """Whether a folder contains predictions as `predict --workers` writes them, or is a saved data set."""
    files = [file for file in path.iterdir() if file.is_file()]
    return detect_format(path) == "hf" or any(file.name == "_job.json" or _PART.search(file.name) for file in files)


def _pairs(
    predictions: Iterator[Found], sentences: Iterator[Sentence | None], path: Path, gold: Path
) -> Iterator[tuple[Found, Sentence]]:
    """Pair predictions with gold sentences in order.

    Empty sentences may be missing on either side. The prediction for a skipped record of the gold file (None) is
    skipped.
    """
    number = 0
    end = Sentence(("end",))
    prediction, sentence = next(predictions, None), next(sentences, end)
    while prediction is not None or sentence is not end:
        if sentence is None:
            prediction, sentence = next(predictions, None), next(sentences, end)
        elif prediction is not None and _is_empty(prediction) and (sentence is end or sentence.words):
            prediction = next(predictions, None)
        elif sentence is not end and not sentence.words and not (prediction and _may_be_empty(prediction)):
            sentence = next(sentences, end)
        elif prediction is None or sentence is end:
            fewer, more = (path, gold) if prediction is None else (gold, path)
            raise UserError(
                f"ends after {counted(number, 'sentence')}, but {more} has more.",
                path=fewer,
                hint="Predictions and gold labels must be of the same sentences.",
            )
        else:
            number += 1
            yield prediction, sentence
            prediction, sentence = next(predictions, None), next(sentences, end)


def _is_empty(prediction: Found) -> bool:
    if isinstance(prediction, Prediction):
        return not prediction.words
    if isinstance(prediction, PredictedLabels):
        return not prediction.labels
    return isinstance(prediction, PredictedText) and prediction.is_empty is True


def _may_be_empty(prediction: Found) -> bool:
    if isinstance(prediction, PredictedText):
        return prediction.is_empty is not False
    return _is_empty(prediction) or isinstance(prediction, PredictedPieces)


def _joined(prediction: Found, sentence: Sentence, reading: TextReading, problems: Problems) -> Prediction | None:
    """A prediction with the gold labels of its sentence. Raises UserError if the words do not match."""
    if not isinstance(prediction, Prediction):
        labels = prediction.labels_of(sentence, problems)
        return None if labels is None else prediction_of(replace(sentence, labels=labels), sentence)
    if len(prediction.words) == len(sentence.words):
        whole = replace(prediction, words=sentence.words, gold=sentence.labels, origin=sentence.origin)
        return whole.where_labelled(sentence)
    projected = _labels_on(prediction.words, sentence, reading, problems)
    if projected is None:
        problem = f"{counted(len(prediction.words), 'word')}, but {len(sentence)} in {sentence.origin}."
        origin = prediction.origin or sentence.origin or Origin("predictions", 1)
        raise origin.error(problem, "Predictions and gold labels must be of the same words.")
    return replace(prediction, gold=projected, origin=sentence.origin)


def _labels_on(
    words: Sequence[str], sentence: Sentence, reading: TextReading, problems: Problems
) -> tuple[str, ...] | None:
    """Transfer gold spans of a text to `words`, into which that text was divided by a different rule.

    None if the sentence has no text, or the text does not consist of these words.
    """
    if sentence.text is None or sentence.offsets is None or sentence.labels is None:
        return None
    offsets = word_offsets(words, sentence.text)
    if offsets is None:
        return None
    spans = char_spans(spans_of(sentence.labels, reading.scheme), sentence.text, sentence.offsets)
    # These offsets count code points, regardless of the unit in the file.
    rules = replace(reading.rules, unit="codepoint", inclusive_end=False, layer=None)
    origin = sentence.origin or Origin("gold", 1)
    found = Annotated(
        sentence.text,
        tokens=tuple(CharSpan(start, end, "") for start, end in offsets),
        annotations=(Annotation.of_spans(spans),),
    )
    projected = replace(reading, rules=rules).sentence(found, origin, problems)
    return projected.labels if projected else None


def _in_spelling(prediction: Prediction, standard: Mapping[str, str]) -> Prediction:
    gold = tuple(respelt(prediction.words, gold_of(prediction), standard))
    return replace(prediction, predicted=tuple(respelt(prediction.words, prediction.predicted, standard)), gold=gold)


def _n_left_out(problems: Problems) -> int:
    """The number of records or sentences of a file that were skipped."""
    kinds = ("records left out", "sentences left out")
    return problems.n_skipped + sum(n for what, n in problems.counts.items() if what.startswith(kinds))


def _letters(scheme: Scheme) -> frozenset[str]:
    return RULES[scheme].prefixes if RULES[scheme].ends_marked else frozenset("BI")


def _say(path: Path | str, problems: Problems) -> None:
    for change in problems.changes():
        logger.warning("%s: %s", path, change)
    if problems.n_skipped:
        skipped = counted(problems.n_skipped, "sentence")
        logger.warning("%s: %s left out:\n%s", path, skipped, "\n".join(problems.skipped))
