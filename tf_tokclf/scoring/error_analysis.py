"""Error analysis: kinds of errors, confusions between types, and scores of parts of the data."""

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

NOTHING = ""  # the type in a confusion if there is no predicted span, or no gold span

_SPAN_LENGTHS = (1, 2, 3, 4, 6)
SENTENCE_LENGTHS = (1, 6, 11, 21, 41, 81)
_TYPE_FREQUENCIES = (0, 1, 10, 100, 1000, 10000)
_POSITIONS = (0, 16, 32, 64, 128, 256)
_DISPUTED_ABOVE = 0.9
_KEPT = 20


class Outcome(StrEnum):
    """How a gold span was predicted, or how a predicted span relates to the gold ones."""

    RIGHT = "right"
    WRONG_TYPE = "wrong type"
    WRONG_BOUNDARY = "wrong boundary"
    WRONG_BOTH = "wrong type and boundary"
    MISSED = "missed"
    SPURIOUS = "spurious"


def outcome_of(pair: Pair) -> Outcome:
    """The outcome of a gold span and the predicted span that is aligned with it."""
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
    """The surface forms and the number of spans of each type in the training data."""

    forms: Mapping[str, frozenset[tuple[str, ...]]]
    n_spans: Mapping[str, int]


def training_of(sentences: Iterable[Sentence], scheme: Scheme) -> Training:
    """Collect the surface forms of the spans in labelled training sentences."""
    forms: defaultdict[str, set[tuple[str, ...]]] = defaultdict(set)
    n_spans: Counter[str] = Counter()
    for sentence in sentences:
        for span in entities_of(sentence.labels or (), scheme):
            forms[span.type].add(sentence.words[span.start : span.end])
            n_spans[span.type] += 1
    return Training({type_: frozenset(found) for type_, found in forms.items()}, n_spans)


@dataclass(frozen=True)
class Ranked:
    """A sentence to look at, with its rank score. position: the index of the word to look at, if it is about one."""

    score: float
    number: int
    prediction: Prediction
    position: int | None = None


@dataclass(frozen=True)
class ErrorAnalysis:
    """The result of an error analysis.

    outcomes: number of spans by type and outcome. SPURIOUS is counted under the predicted type, the others under the
    gold type.
    confusion: number of aligned spans by (gold, predicted) type, with NOTHING for a missing span.
    parts: counts by parts of the data, such as {"span length in words": {"1": ...}}.
    worst: the sentences with the highest loss (mean -log probability of the gold labels; if it is unknown, errors per
    word).
    disputed: words with a gold label that the model rejects with high confidence, the most confident first. Many of
    them are annotation errors.
    examples: sentences by outcome.
    calibration: how well the scores of predicted spans match their accuracy; None without scores.
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
        """The analysis for results.json. Sentences are given by number (from 1) and place, without their words."""
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
    """Analyse the errors in one pass. Memory holds only counts and the sentences of the result."""
    analyst = ErrorAnalyst(scheme, mode, training, n_kept)
    for prediction in predictions:
        analyst.add(prediction)
    return analyst.result()


@dataclass
class ErrorAnalyst:
    """Analyses sentence by sentence. `result()` may be called at any time."""

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
        """Add a sentence with gold labels."""
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
        """The analysis of the sentences added so far."""
        return ErrorAnalysis(
            n_sentences=self.n_sentences,
            outcomes=dict(sorted(self.outcomes.items())),
            confusion=self.confusion,
            parts={name: dict(sorted(parts.items(), key=part_order)) for name, parts in self.parts.items()},
            worst=_ranked(self.worst),
            disputed=_ranked(self.disputed),
            examples=self.examples,
            calibration=reliability(self.scores, self.right) if self.scores else None,
        )

    def _count_parts(self, prediction: Prediction, gold: Sequence[Span], predicted: Sequence[Span]) -> None:
        """Count each span, gold or predicted, in its own part of the data."""
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
            "sentence length in words": lambda span: bucket(n_words, SENTENCE_LENGTHS),
        }
        if self.scheme is not Scheme.NONE:
            divisions["span length in words"] = lambda span: bucket(span.length, _SPAN_LENGTHS)
        if self.training:
            known = self.training
            divisions["spans of its type in training"] = lambda span: bucket(
                known.n_spans.get(span.type, 0), _TYPE_FREQUENCIES
            )
            divisions["surface form in training"] = lambda span: familiarity(prediction, span, known)
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
            # From Python 3.12 on, `sum` rounds otherwise than before.
            loss = math.fsum(losses) / len(losses) if losses else 0.0
        else:
            loss = n_errors / max(1, len(prediction.words))
        if loss > 0:
            self._push(self.worst, Ranked(loss, self.n_sentences, prediction))
        for position, (gold, predicted) in enumerate(zip(gold_of(prediction), prediction.predicted)):
            score = prediction.scores[position] if prediction.scores else None
            if gold != predicted and score is not None and score >= _DISPUTED_ABOVE:
                self._push(self.disputed, Ranked(score, self.n_sentences, prediction, position))

    def _push(self, heap: list[tuple[float, int, Ranked]], ranked: Ranked) -> None:
        # Of sentences with equal scores, the earlier one is kept.
        item = (ranked.score, -ranked.number * 1_000_000 - (ranked.position or 0), ranked)
        if len(heap) < self.n_kept:
            heapq.heappush(heap, item)
        else:
            heapq.heappushpop(heap, item)


def _ranked(heap: list[tuple[float, int, Ranked]]) -> list[Ranked]:
    return [item[-1] for item in sorted(heap, key=lambda item: item[:2], reverse=True)]


def familiarity(prediction: Prediction, span: Span, training: Training) -> str:
    """Whether the words of a span occur as a span in the training data."""
    form = prediction.words[span.start : span.end]
    if form in training.forms.get(span.type, ()):
        return "seen with this type"
    return "seen with another type" if any(form in forms for forms in training.forms.values()) else "unseen"


def _position_part(position: int | None) -> str:
    return "never seen" if position is None else bucket(position, _POSITIONS)


def bucket(value: int, starts: Sequence[int]) -> str:
    """The name of the range that contains `value`. starts: the first value of each range.

    >>> [bucket(n, (1, 2, 4)) for n in (1, 3, 9)]
    ['1', '2 - 3', '4 or more']
    """
    for low, high in pairwise(starts):
        if value < high:
            return str(low) if high == low + 1 else f"{low} - {high - 1}"
    return f"{starts[-1]} or more"


def part_order(item: tuple[str, Counts]) -> tuple[bool, int, str]:
    """The key by which parts are sorted: ranges by their first number, then the others by name."""
    first = item[0].split()[0]
    return not first.isdigit(), int(first) if first.isdigit() else 0, item[0]
