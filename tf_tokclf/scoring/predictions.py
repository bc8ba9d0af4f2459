"""Files of predictions, whoever wrote them, and their scores."""

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
from tf_tokclf.data.reading.tables import TableReader
from tf_tokclf.data.reading.texts import TextReading, given_scheme
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

# In a file with so many sentences with spans, a system that never errs is most likely the gold labels themselves.
MANY_SENTENCES = 50
# From so many labels on both sides on, it is no coincidence that none are of the same kind, though both have O.
MANY_LABELS = 20

_PART = re.compile(r"part-\d+-of-\d+")
_NAME_LABELS = "Name its column of labels with --label-column-name."

# What a file may hold of a sentence: labels of words, or something that becomes labels on the words of the gold file.
Found = Prediction | PredictedText | PredictedLabels | PredictedPieces


Opened = TypeVar("Opened")


class PredictionReader(Protocol):
    """A file whose content is known. has_gold: whether it has gold labels too. span_scheme: the scheme in which its
    predicted spans are given as labels; None where the file contains labels.
    """

    @property
    def has_gold(self) -> bool: ...

    @property
    def span_scheme(self) -> Scheme | None: ...

    def predictions(self, problems: Problems) -> Iterator[Found]:
        """What the file holds, sentence by sentence, read anew each time."""
        ...


@dataclass(frozen=True)
class PredictionFile:
    """A file, or a folder of parts, of predictions, and what its sentences' gold labels are.

    gold: a file of the same sentences; None where the predictions have their gold labels beside them. data: how both
    are read; its label column is that of the gold labels. predicted_column: of the predicted labels, where names and
    order do not tell. gold_data: how the gold file is read, if not like the predictions.
    """

    path: Path
    gold: Path | None = None
    data: DataConfig = field(default_factory=DataConfig)
    task: Task = Task.NER
    predicted_column: str | int | None = None
    gold_data: DataConfig | None = None

    def predictions(self) -> Iterator[Prediction]:
        """The predictions with their gold labels, read anew each time, all labels in the standard spelling."""
        if standard := self._standard:
            return (_in_spelling(one, standard) for one in self._read())
        return self._read()

    @cached_property
    def survey(self) -> LabelSurvey:
        """What labels there are, read once."""
        return LabelSurvey.of(self.path, self.predictions()) if self._standard else self._first_survey

    @cached_property
    def _first_survey(self) -> LabelSurvey:
        """What labels there are, as they are spelt."""
        return LabelSurvey.of(self.path, self._read())

    @cached_property
    def _standard(self) -> dict[str, str]:
        """The standard spelling of labels that are spelt in another way."""
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
        """The scheme that the options name, or that of all gold labels."""
        given = given_scheme(self.data)
        if given is not None:
            check_scheme(self.survey.gold, given, place=str(self.gold or self.path))
            return given
        logger.info("Scheme %s", self.survey.gold_scheme)
        return self.survey.gold_scheme.scheme

    def in_scheme(self, scheme: Scheme) -> Callable[[], Iterator[Prediction]]:
        """The predictions with labels in the scheme of the gold labels.

        Spans are always written in this scheme. Labels are rewritten only if they have prefixes that this scheme lacks.
        Otherwise they may be its own labels in invalid sequences, which rewriting would repair before they are scored.
        Labels with the letters B and I are left as they are, since conlleval reads all schemes of them alike.
        """
        detection = self.survey.predicted_scheme
        source = self._span_scheme or detection.scheme
        if Scheme.NONE in (source, scheme) or source is scheme:
            return self.predictions
        if self._span_scheme is None and detection.prefixes.keys() - {""} <= _letters(scheme):
            return self.predictions
        logger.info("%s: predicted labels are rewritten from scheme %s to gold's, %s", self.path, source, scheme)
        return lambda: (
            replace(one, predicted=tuple(translated_labels(one.predicted, source, scheme)))
            for one in self.predictions()
        )

    @property
    def _span_scheme(self) -> Scheme | None:
        """The scheme of the labels that were predicted spans; None where the files contain labels."""
        schemes = {reader.span_scheme if reader else None for reader in self._readers}
        return schemes.pop() if len(schemes) == 1 else None

    @cached_property
    def _files(self) -> list[Path]:
        return files_of(self.path)

    @cached_property
    def _said(self) -> list[Path | None]:
        """The files about which everything was said, which happens once."""
        return []

    @cached_property
    def _readers(self) -> list[PredictionReader | None]:
        """What is known about each of the files; None for our own lines, which need no finding out."""
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
            hint = "Name a file of gold labels with --gold."
            raise UserError("contains predicted labels only.", path=path, hint=hint)
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
        """The sentences of the gold file; None for each record that is left out, so that its prediction is too."""
        reader = self._gold_reader
        problems = Problems(skip=(self.gold_data or self.data).on_error == "skip")
        n_left_out = 0
        for n_sentences, sentence in enumerate(reader.sentences(problems)):
            n_before = _n_left_out(problems)
            if isinstance(reader, TableReader) and reader.layout.shape is not Shape.WORD and sentence.origin:
                # Rows are left out before the first one of their batch comes: their numbers tell where.
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
        """Each prediction with the gold labels of its sentence; words may differ, which is said, lengths not."""
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
            message = "%s: %s not as in the gold file, first at %s"
            logger.warning(message, self.path, counted(n_other_words, "word"), first)


@dataclass(frozen=True)
class LabelSurvey:
    """The labels of a file of predictions. n_with_labels: sentences with a gold label besides O. n_different: sentences
    where gold and predicted labels are not the same.
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
        """Look at all predictions of a file. Raises UserError where there are none, or they have no gold labels."""
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
        """Raise UserError where the labels cannot be of the same kind; warn where they are suspiciously alike."""
        if not self.n_different and self.n_with_labels >= MANY_SENTENCES:
            logger.warning(
                "%s: predicted and gold labels are the same in all of %s with labels. Check that the column read "
                " as predicted labels (--predicted-column-name) does not hold the gold labels.",
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
    """Predictions with their gold labels, lazily. The arguments are those of `PredictionFile`."""
    own = PredictionFile(
        Path(path), None if gold is None else Path(gold), data or DataConfig(), predicted_column=predicted_column
    )
    return own.predictions()


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
    logger.info("Gold labels: %s", detection)
    return detection.scheme


def gold_of(prediction: Prediction) -> Sequence[str]:
    """Its gold labels; that there are none is the user's mistake."""
    if prediction.gold is None:
        problem, hint = "The predictions have no gold labels.", "Name a file of gold labels with --gold."
        raise prediction.origin.error(problem, hint) if prediction.origin else UserError(problem, hint=hint)
    return prediction.gold


def _with_or_without_words(open_: Callable[[DataConfig], Opened], data: DataConfig) -> Opened:
    """A file, opened with the column of words that was named if it has that column: the other file may have it."""
    try:
        return open_(data)
    except UserError:
        if data.text_column_name is None:
            raise
    return open_(data.model_copy(update={"text_column_name": None}))


def _open_as(path: Path, data: DataConfig, task: Task, asked: Asked) -> PredictionReader:
    """A file of predictions, in its format."""
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
    """The files that predictions are in: a file, a folder that is one data set, or those in a folder, in their order.

    Parts of one file (`predict --workers`) become that file, in a folder that goes with the process. Raises UserError
    where parts are missing.
    """
    if not path.is_dir() or detect_format(path) != "folder":
        return [path]
    files = [file for file in sorted(path.iterdir()) if file.is_file() and file.name[0] not in "._"]
    if (path / "_job.json").exists() and not (path / "_SUCCESS").exists():
        hint = "Finish them: the same tf-tokclf predict with --resume."
        raise UserError("the predictions in this folder are not complete.", path=path, hint=hint)
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
    """Whether a folder holds predictions as `predict --workers` writes them, or is a saved data set."""
    files = [file for file in path.iterdir() if file.is_file()]
    return detect_format(path) == "hf" or any(file.name == "_job.json" or _PART.search(file.name) for file in files)


def _pairs(
    predictions: Iterator[Found], sentences: Iterator[Sentence | None], path: Path, gold: Path
) -> Iterator[tuple[Found, Sentence]]:
    """Predictions and sentences in order; on both sides those without words may be missing. The prediction of a record
    that is left out of the gold file (None) is left out.
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
                f"ends after {counted(number, 'sentence')}, but {more} goes on.",
                path=fewer,
                hint="Score predictions of the very same sentences.",
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
    """A prediction with the gold labels of its sentence. Raises UserError where the words are others."""
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
        raise origin.error(problem, "Score predictions of the very same words.")
    return replace(prediction, gold=projected, origin=sentence.origin)


def _labels_on(
    words: Sequence[str], sentence: Sentence, reading: TextReading, problems: Problems
) -> tuple[str, ...] | None:
    """Gold labels that were spans of a text, on words into which that text was split by another rule; None where there
    is no such text.
    """
    if sentence.text is None or sentence.offsets is None or sentence.labels is None:
        return None
    offsets = word_offsets(words, sentence.text)
    if offsets is None:
        return None
    spans = char_spans(spans_of(sentence.labels, reading.scheme), sentence.text, sentence.offsets)
    # Places of words count code points, whatever the offsets in the file count.
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
    """How many records of a file, or sentences, did not come."""
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
