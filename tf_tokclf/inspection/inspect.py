"""Collect what `inspect` reports about data: statistics, problems and random examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_tokclf.config.schema import DataConfig
from tf_tokclf.data.detection import files_in, is_folder_of_files, rank_formats
from tf_tokclf.data.formats.format import Confidence, Kind, Match
from tf_tokclf.data.reading.annotators import PairCounts
from tf_tokclf.data.splits import Splits
from tf_tokclf.encoding.windows import WindowSettings
from tf_tokclf.inspection.checks import find_problems
from tf_tokclf.inspection.hashed_split import code_split
from tf_tokclf.inspection.label_variation import ambiguous_forms
from tf_tokclf.inspection.problem import Example, Inspected, Level, Problem
from tf_tokclf.inspection.statistics import SplitStatistics, piece_statistics, split_statistics
from tf_tokclf.labels.label_set import LabelSet

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True)
class Tokenization:
    """The tokenizer and the window settings of a model, and the model's name."""

    model: str
    tokenizer: PreTrainedTokenizerFast
    reading: WindowSettings


@dataclass(frozen=True)
class FormStatistics:
    """Words that occur with several types, and the count of each type."""

    words: tuple[str, ...]
    types: Mapping[str, int]


@dataclass(frozen=True)
class AnnotatorPair:
    """The agreement of two annotators, per word, on the records of a split that both annotated.

    kappa: Cohen's kappa; None if both annotators used only one label.
    """

    split: str
    annotators: tuple[str, str]
    n_records: int
    n_words: int
    n_equal: int
    kappa: float | None

    @classmethod
    def of(cls, split: str, counts: PairCounts) -> AnnotatorPair:
        """From the counts of a split."""
        pair = (counts.one, counts.other)
        return cls(split, pair, counts.n_records, counts.n_words, counts.n_equal, counts.kappa())


@dataclass(frozen=True)
class OtherFormat:
    """Another format that fits the data."""

    format: str
    confidence: str
    reason: str


@dataclass(frozen=True)
class FormatFinding:
    """The format in which a split was read, and why.

    confidence: certain, likely or possible; "given" if the options name the format. others: other formats that fit,
    the most likely first.
    """

    split: str
    place: str
    format: str
    confidence: str
    reason: str
    others: tuple[OtherFormat, ...] = ()


@dataclass(frozen=True)
class Inspection:
    """The result of an inspection.

    scheme: the detected scheme, with the reason. forms: the most frequent words with several types. examples: drawn
    from the first split with `seed`. annotators: pairs that annotated the same records. formats: one per split.
    """

    scheme: str
    labels: LabelSet
    splits: tuple[SplitStatistics, ...]
    forms: tuple[FormStatistics, ...]
    problems: tuple[Problem, ...]
    examples: tuple[Example, ...]
    notes: tuple[str, ...]
    seed: int
    annotators: tuple[AnnotatorPair, ...] = ()
    formats: tuple[FormatFinding, ...] = ()
    model: str | None = None
    window: int | None = None
    overlap: int | None = None

    def count(self, level: Level) -> int:
        """The number of problems of that level."""
        return sum(problem.level is level for problem in self.problems)

    def to_json(self) -> dict[str, Any]:
        """The result as plain values with stable keys."""
        tree = asdict(self, dict_factory=_plain_dict)
        tree["labels"] = {"names": list(self.labels.names), "scheme": str(self.labels.scheme)}
        tree["n_problems"] = {level.value: self.count(level) for level in Level}
        for split, statistics in zip(tree["splits"], self.splits):
            split["n_spans"] = statistics.n_spans
            if statistics.pieces:
                split["pieces"]["per_word"] = statistics.pieces.per_word(statistics.n_words)
                split["pieces"]["unknown_rate"] = statistics.pieces.unknown_rate
        return tree


def inspect_splits(
    splits: Splits,
    *,
    data: DataConfig | None = None,
    tokenization: Tokenization | None = None,
    n_examples: int = 3,
    seed: int = 42,
) -> Inspection:
    """Compute statistics, run all checks and draw examples, with about 10 bytes of memory per word.

    data: the options with which the splits were read.
    """
    there = tuple(splits)
    coded = tuple(code_split(split, splits.labels) for split in there)
    pieces = [
        piece_statistics(split, tokenization.tokenizer, tokenization.reading) if tokenization else None
        for split in there
    ]
    statistics = tuple(split_statistics(c, splits.labels, pieces=p) for c, p in zip(coded, pieces))
    inspected = Inspected(there, coded, statistics, splits.labels)
    n_drawn = min(n_examples, coded[0].n_sentences)
    drawn = np.random.default_rng(seed).choice(coded[0].n_sentences, n_drawn, replace=False)
    return Inspection(
        scheme=str(splits.detection or f"label scheme {splits.scheme}, as given"),
        labels=splits.labels,
        splits=statistics,
        forms=tuple(
            FormStatistics(inspected.example_at(at.split, at.start, at.end, around=0).words, form.types)
            for form in ambiguous_forms(coded, splits.labels)
            for at in [form.place]
        ),
        problems=tuple(find_problems(inspected)),
        examples=tuple(inspected.example(0, row) for row in sorted(drawn.tolist())),
        notes=splits.notes,
        seed=seed,
        formats=tuple(find_format(s.name, s.place, splits.formats[s.name], data or DataConfig()) for s in there),
        annotators=tuple(AnnotatorPair.of(s.name, pair) for s in there for pair in s.metadata.agreement),
        model=tokenization.model if tokenization else None,
        window=tokenization.reading.max_length if tokenization else None,
        overlap=tokenization.reading.overlap if tokenization else None,
    )


def find_format(split: str, place: str, format: str, data: DataConfig) -> FormatFinding:
    """Find out why a split was read in `format`, and which other formats fit.

    place: a file, a folder, or the name of a data set on the Hub.
    """
    path = Path(place)
    if not path.exists():
        return FormatFinding(split, place, format, str(Confidence.CERTAIN), "it is a Hugging Face data set")
    if is_folder_of_files(path, data.format):
        path = files_in(path)[0]
    ranked = {one.format.name: one for one in rank_formats(path, data.encoding)}
    taken = ranked.pop(format, None)
    if taken is not None and taken.format.kind is Kind.RECORDS:
        ranked.pop("jsonl", None)  # the container of the records, not another way to read them
    others = tuple(OtherFormat(name, str(one.match.confidence), one.match.reason) for name, one in ranked.items())
    if data.format != "auto":
        return FormatFinding(split, place, format, "given", "set by the options", others)
    match = taken.match if taken else Match(Confidence.POSSIBLE, "no other format fits")
    return FormatFinding(split, place, format, str(match.confidence), match.reason, others)


def _plain_dict(items: list[tuple[str, Any]]) -> dict[str, Any]:
    return {key: value.value if isinstance(value, Enum) else value for key, value in items}
