"""Where a system errs: kinds of errors, confusions, and scores of parts of the data."""

from __future__ import annotations

import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import Any

from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.sentence import Sentence, Span
from tf_tokclf.scoring.calibration import Reliability, reliability, span_score
from tf_tokclf.scoring.counts import Counts
from tf_tokclf.scoring.entities import Mode, entities_of
from tf_tokclf.scoring.matching import Pair, align_spans
from tf_tokclf.scoring.predictions import Prediction, gold_of
from tf_tokclf.scoring.scores import numbers

NOTHING = ""  # stands for the missing side in a confusion: nothing predicted, or nothing there

_SPAN_LENGTHS = (1, 2, 3, 4, 6)
_SENTENCE_LENGTHS = (1, 6, 11, 21, 41, 81)
_TYPE_FREQUENCIES = (0, 1, 10, 100, 1000, 10000)
_POSITIONS = (0, 16, 32, 64, 128, 256)
_DISPUTED_ABOVE = 0.9
_KEPT = 20


class Outcome(StrEnum):
    """What became of a gold span, or what a predicted one is."""

    RIGHT = "right"
    WRONG_TYPE = "wrong type"
    WRONG_BOUNDARY = "wrong boundary"
    WRONG_BOTH = "wrong type and boundary"
    MISSED = "missed"
    SPURIOUS = "spurious"


def outcome_of(pair: Pair) -> Outcome:
    """The outcome of a gold span and the predicted one beside it."""
    gold, predicted = pair
    if predicted is None:
        return Outcome.MISSED
    if gold is None:
        return Outcome.SPURIOUS
    same_bounds = (gold.start, gold.end) == (predicted.start, predicted.end)
    if gold.type == predicted.type:
        return Outcome.RIGHT if same_bounds else Outcome.WRONG_BOUNDARY
    return Outcome.WRONG_TYPE if same_bounds else Outcome.WRONG_BOTH


@dataclass(frozen=True)
class Training:
    """What the training data held: surface forms by type, and how many spans each type has."""

    forms: Mapping[str, frozenset[tuple[str, ...]]]
    n_spans: Mapping[str, int]


def training_of(sentences: Iterable[Sentence], scheme: Scheme) -> Training:
    """Gather surface forms of the spans of labelled training sentences."""
    forms: defaultdict[str, set[tuple[str, ...]]] = defaultdict(set)
    n_spans: Counter[str] = Counter()
    for sentence in sentences:
        for span in entities_of(sentence.labels or (), scheme):
            forms[span.type].add(sentence.words[span.start : span.end])
            n_spans[span.type] += 1
    return Training({type_: frozenset(found) for type_, found in forms.items()}, n_spans)


@dataclass(frozen=True)
class Ranked:
    """A sentence worth a look, and by how much; `position` is the word in question, where there is one."""

    score: float
    number: int
    prediction: Prediction
    position: int | None = None


@dataclass(frozen=True)
class ErrorAnalysis:
    """What went wrong, where.

    outcomes: for each type how often each outcome was its spans'; SPURIOUS counts by predicted type, the
    others by gold type. confusion: (gold, predicted) types of spans held against each other, NOTHING for a
    missing side. parts: counts by parts of the data, such as {"span length": {"1 word": ...}}. worst:
    sentences with the highest loss (mean -log probability of gold labels; where that is unknown: errors a
    word). disputed: words whose gold label the model strongly denies, the likeliest annotation errors first.
    examples: sentences by outcome. calibration: scores of predicted spans against whether they are right;
    None without scores.
    """

    n_sentences: int
    outcomes: Mapping[str, Counter[Outcome]]
    confusion: Counter[tuple[str, str]]
    parts: Mapping[str, Mapping[str, Counts]]
    worst: Sequence[Ranked]
    disputed: Sequence[Ranked]
    examples: Mapping[Outcome, Sequence[Ranked]]
    calibration: Reliability | None = None

    @property
    def totals(self) -> Counter[Outcome]:
        """Outcomes of all types together."""
        return sum(self.outcomes.values(), Counter[Outcome]())

    def to_json(self) -> dict[str, Any]:
        """All of it but whole sentences, which are named by number (from 1) and place."""
        return {
            "outcomes": {type_: {k.value: n for k, n in counts.items()} for type_, counts in self.outcomes.items()},
            "confusion": [
                {"gold": gold or None, "predicted": predicted or None, "n": n}
                for (gold, predicted), n in self.confusion.most_common()
            ],
            "parts": {
                name: {part: numbers(counts) for part, counts in parts.items()} for name, parts in self.parts.items()
            },
            "worst": [_place(one) for one in self.worst],
            "disputed": [_place(one) | _dispute(one) for one in self.disputed],
            "calibration": self.calibration.to_json() if self.calibration else None,
        }


def _place(one: Ranked) -> dict[str, Any]:
    origin = one.prediction.origin
    return {"sentence": one.number, "place": str(origin) if origin else None, "score": one.score}


def _dispute(one: Ranked) -> dict[str, Any]:
    position = one.position or 0
    gold = gold_of(one.prediction)[position]
    return {
        "word": one.prediction.words[position],
        "gold": gold,
        "predicted": one.prediction.predicted[position],
    }


def analyse_errors(
    predictions: Iterable[Prediction],
    scheme: Scheme,
    *,
    mode: Mode = "conlleval",
    training: Training | None = None,
    n_kept: int = _KEPT,
) -> ErrorAnalysis:
    """Look at each sentence once; memory holds counts and the sentences worth a look."""
    analyst = ErrorAnalyst(scheme, mode, training, n_kept)
    for prediction in predictions:
        analyst.add(prediction)
    return analyst.result()


@dataclass
class ErrorAnalyst:
    """Looks at one sentence after the other; `result()` may be asked at any time."""

    scheme: Scheme
    mode: Mode = "conlleval"
    training: Training | None = None
    n_kept: int = _KEPT
    n_sentences: int = 0
    outcomes: defaultdict[str, Counter[Outcome]] = field(default_factory=lambda: defaultdict(Counter))
    confusion: Counter[tuple[str, str]] = field(default_factory=Counter)
    parts: defaultdict[str, defaultdict[str, Counts]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(Counts))
    )
    worst: list[tuple[float, int, Ranked]] = field(default_factory=list)
    disputed: list[tuple[float, int, Ranked]] = field(default_factory=list)
    examples: dict[Outcome, list[Ranked]] = field(default_factory=lambda: {outcome: [] for outcome in Outcome})
    scores: list[float] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)

    def add(self, prediction: Prediction) -> None:
        """Take in a sentence that knows its gold labels."""
        self.n_sentences += 1
        gold, predicted = (
            entities_of(labels, self.scheme, self.mode) for labels in (gold_of(prediction), prediction.predicted)
        )
        pairs = align_spans(gold, predicted)
        for pair in pairs:
            outcome = outcome_of(pair)
            here, there = pair
            self.outcomes[(here or there).type][outcome] += 1  # type: ignore[union-attr]
            self.confusion[here.type if here else NOTHING, there.type if there else NOTHING] += 1
        self._count_parts(prediction, gold, predicted)
        self._keep_examples(prediction, pairs)
        self._rank(prediction, sum(outcome_of(pair) is not Outcome.RIGHT for pair in pairs))
        if prediction.scores is not None:
            there_too = set(gold)
            for span in predicted:
                score = span_score(prediction.scores, span)
                if score is not None:
                    self.scores.append(score)
                    self.right.append(span in there_too)

    def result(self) -> ErrorAnalysis:
        """What was seen so far."""
        return ErrorAnalysis(
            n_sentences=self.n_sentences,
            outcomes=dict(sorted(self.outcomes.items())),
            confusion=self.confusion,
            parts={name: dict(sorted(parts.items(), key=_part_order)) for name, parts in self.parts.items()},
            worst=_ranked(self.worst),
            disputed=_ranked(self.disputed),
            examples=self.examples,
            calibration=reliability(self.scores, self.right) if self.scores else None,
        )

    def _count_parts(self, prediction: Prediction, gold: Sequence[Span], predicted: Sequence[Span]) -> None:
        """Each span counts in the part that it belongs to by itself, whichever side it is on."""
        both = set(gold) & set(predicted)
        for name, part_of in self._divisions(prediction).items():
            counts = self.parts[name]
            for side, spans in (("gold", gold), ("predicted", predicted), ("correct", both)):
                for span in spans:
                    part = part_of(span)
                    if part is not None:
                        counts[part] += Counts(**{side: 1})

    def _divisions(self, prediction: Prediction) -> dict[str, Callable[[Span], str | None]]:
        n_words = len(prediction.words)
        divisions: dict[str, Callable[[Span], str | None]] = {
            "sentence length in words": lambda span: bucket(n_words, _SENTENCE_LENGTHS),
        }
        if self.scheme is not Scheme.NONE:
            divisions["span length in words"] = lambda span: bucket(span.length, _SPAN_LENGTHS)
        if self.training:
            known = self.training
            divisions["spans of its type in training"] = lambda span: bucket(
                known.n_spans.get(span.type, 0), _TYPE_FREQUENCIES
            )
            divisions["surface form in training"] = lambda span: _familiarity(prediction, span, known)
        if prediction.positions is not None:
            positions = prediction.positions
            divisions["position in the window in pieces"] = lambda span: _position_part(positions[span.start])
        return divisions

    def _keep_examples(self, prediction: Prediction, pairs: Sequence[Pair]) -> None:
        for outcome in {outcome_of(pair) for pair in pairs}:
            if len(self.examples[outcome]) < self.n_kept:
                self.examples[outcome].append(Ranked(0.0, self.n_sentences, prediction))

    def _rank(self, prediction: Prediction, n_errors: int) -> None:
        if prediction.gold_scores is not None:
            losses = [-math.log(max(score, 1e-6)) for score in prediction.gold_scores if score is not None]
            loss = sum(losses) / len(losses) if losses else 0.0
        else:
            loss = n_errors / max(1, len(prediction.words))
        if loss > 0:
            self._push(self.worst, Ranked(loss, self.n_sentences, prediction))
        for position, (gold, predicted) in enumerate(zip(gold_of(prediction), prediction.predicted)):
            score = prediction.scores[position] if prediction.scores else None
            if gold != predicted and score is not None and score >= _DISPUTED_ABOVE:
                self._push(self.disputed, Ranked(score, self.n_sentences, prediction, position))

    def _push(self, heap: list[tuple[float, int, Ranked]], ranked: Ranked) -> None:
        # Sentences of equal score: the earlier one stays.
        item = (ranked.score, -ranked.number * 1_000_000 - (ranked.position or 0), ranked)
        if len(heap) < self.n_kept:
            heapq.heappush(heap, item)
        else:
            heapq.heappushpop(heap, item)


def _ranked(heap: list[tuple[float, int, Ranked]]) -> list[Ranked]:
    return [item[-1] for item in sorted(heap, key=lambda item: item[:2], reverse=True)]


def _familiarity(prediction: Prediction, span: Span, training: Training) -> str:
    form = prediction.words[span.start : span.end]
    if form in training.forms.get(span.type, ()):
        return "seen with this type"
    return "seen with another type" if any(form in forms for forms in training.forms.values()) else "unseen"


def _position_part(position: int | None) -> str:
    return "never seen" if position is None else bucket(position, _POSITIONS)


def bucket(value: int, starts: Sequence[int]) -> str:
    """The range that `value` falls into, in words.

    >>> [bucket(n, (1, 2, 4)) for n in (1, 3, 9)]
    ['1', '2 - 3', '4 and more']
    """
    for low, high in pairwise(starts):
        if value < high:
            return str(low) if high == low + 1 else f"{low} - {high - 1}"
    return f"{starts[-1]} and more"


def _part_order(item: tuple[str, Counts]) -> tuple[bool, int, str]:
    first = item[0].split()[0]
    return not first.isdigit(), int(first) if first.isdigit() else 0, item[0]
