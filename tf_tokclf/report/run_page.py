"""`report.html`: a run to look at, in one file that needs no network and runs no script."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from tf_tokclf.config.schema import DataConfig
from tf_tokclf.counted import counted_kind
from tf_tokclf.encoding.model_info import FILE_NAME as MODEL_INFO
from tf_tokclf.files import open_whole
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.sentence import Span
from tf_tokclf.report.figures import Line, bar, line_chart, reliability_chart, stacked_bar
from tf_tokclf.report.marking import TypeColours, visible
from tf_tokclf.report.score_tables import FACTS
from tf_tokclf.report.terminal import duration
from tf_tokclf.run_dir import RunDir
from tf_tokclf.scoring.counts import Counts
from tf_tokclf.scoring.entities import Mode, entities_of
from tf_tokclf.scoring.error_analysis import NOTHING, ErrorAnalysis, Outcome, Ranked, Training
from tf_tokclf.scoring.evaluation import Evaluation, evaluate_predictions
from tf_tokclf.scoring.matching import align_spans
from tf_tokclf.scoring.predictions import read_predictions, scheme_of

_SPLITS = ("test", "validation", "train")  # the first that is there is looked at closely
_SHOWN_EXAMPLES = 6
_SHOWN_WORDS = 90
_SHOWN_CHARACTERS = 40
_SHOWN_TYPES = 16
_OUTCOME_STYLES = {
    Outcome.RIGHT: "right",
    Outcome.WRONG_TYPE: "type",
    Outcome.WRONG_BOUNDARY: "boundary",
    Outcome.WRONG_BOTH: "both",
    Outcome.MISSED: "missed",
}


def write_report(run: RunDir, *, training: Training | None = None) -> Path:
    """Write a run's report.html from whatever its folder holds, and return the file's path.

    training: what the training data held, for scores of seen and unseen spans.
    """
    with open_whole(run.report) as file:
        file.write(report_html(run, training=training))
    return run.report


def report_html(run: RunDir, *, training: Training | None = None) -> str:
    """The report as text. Everything in it is escaped."""
    environment = Environment(
        loader=PackageLoader("tf_tokclf.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=_percent, count=lambda n: f"{n:,}", plain=visible)
    environment.globals.update(bar=bar, stacked_bar=stacked_bar)
    return environment.get_template("report.html.jinja").render(page=Page(run, training))


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}"


@dataclass(frozen=True)
class Shown:
    """Words of an example: outside spans, or one span with its type, its colour's class and whether it is right."""

    words: str
    type: str = ""
    css_class: str = ""
    right: bool = True


@dataclass(frozen=True)
class Example:
    """A sentence with gold and predicted spans."""

    place: str
    note: str
    gold: Sequence[Shown]
    predicted: Sequence[Shown]


@dataclass(frozen=True)
class Dispute:
    """A word among its neighbours, with the labels that contradict each other."""

    place: str
    before: str
    word: str
    after: str
    gold: str
    predicted: str
    score: float


@dataclass(frozen=True)
class Confusion:
    """A table of how often gold types (rows) were labelled as predicted ones (columns)."""

    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[tuple[int, int]]]]  # (gold type, (times, per cent of the row) of each column)
    n_left_out: int


class Page:
    """What the template shows, each part read when it is asked for and empty where the run has none."""

    def __init__(self, run: RunDir, training: Training | None) -> None:
        self.run = run
        self.training = training
        self.name = run.root.resolve().name

    @cached_property
    def results(self) -> dict[str, Any]:
        """results.json."""
        return json.loads(self.run.results.read_text(encoding="utf-8")) if self.run.results.is_file() else {}

    @cached_property
    def history(self) -> list[dict[str, Any]]:
        """history.jsonl."""
        if not self.run.history.is_file():
            return []
        return [json.loads(line) for line in self.run.history.read_text(encoding="utf-8").splitlines() if line]

    @cached_property
    def config(self) -> str:
        """The settings as the user wrote them."""
        return self.run.config.read_text(encoding="utf-8") if self.run.config.is_file() else ""

    @cached_property
    def splits(self) -> dict[str, dict[str, Any]]:
        """Scores of each split by name, as results.json has them or as the predictions give them."""
        known = dict(self.results.get("splits", {}))
        if self.closely and self.evaluation:
            known[self.closely] = self.evaluation.to_json() | known.get(self.closely, {})
        order = [name for name in _SPLITS if name in known]
        return {name: known[name] for name in [*order, *sorted(known.keys() - set(order))]}

    @cached_property
    def closely(self) -> str | None:
        """The split whose predictions are looked at closely."""
        there = [path.stem for path in sorted(self.run.predictions.glob("*.jsonl")) if _has_gold(path)]
        return next((name for name in (*_SPLITS, *there) if name in there), None)

    @cached_property
    def scheme(self) -> Scheme:
        """The scheme of the labels."""
        assert self.closely
        stored = self.results.get("splits", {}).get(self.closely, {}).get("scheme")
        return Scheme(stored) if stored else scheme_of(self._predictions, DataConfig())

    @cached_property
    def evaluation(self) -> Evaluation | None:
        """Scores and errors of the predictions of the split looked at closely."""
        if self.closely is None:
            return None
        return evaluate_predictions(self._predictions, self.scheme, mode=self.mode, errors=True, training=self.training)

    @property
    def mode(self) -> Mode:
        """The reading of invalid label sequences that the run's scores are by."""
        stored = self.results.get("splits", {}).get(self.closely, {}).get("mode")
        return "strict" if stored == "strict" else "conlleval"

    def _predictions(self) -> Iterator[Any]:
        assert self.closely
        return read_predictions(self.run.predictions_for(self.closely))

    @property
    def errors(self) -> ErrorAnalysis | None:
        """Where the errors are."""
        return self.evaluation.errors if self.evaluation else None

    @property
    def parts(self) -> list[tuple[str, str, Mapping[str, Counts]]]:
        """Counts by parts of the data, where there are several: what divides, its unit, the parts."""
        found = self.errors.parts.items() if self.errors else ()
        return [(*_name_and_unit(name), parts) for name, parts in found if len(parts) > 1]

    @cached_property
    def types(self) -> list[str]:
        """The types of all gold and predicted spans, in order."""
        return sorted({type_ for pair in self.errors.confusion for type_ in pair if type_}) if self.errors else []

    @cached_property
    def colours(self) -> TypeColours:
        """A colour for each type."""
        return TypeColours(self.types)

    @property
    def facts(self) -> list[str]:
        """How the scores of each split were made, beyond the scores."""
        return [
            f"{name}: {counted_kind(value, FACTS[key])}"
            for name, scores in self.splits.items()
            for key, value in scores.items()
            if key in FACTS
        ]

    @property
    def notes(self) -> list[str]:
        """What was found out or changed while reading the data."""
        return [*self.results.get("notes", [])]

    @property
    def details(self) -> list[tuple[str, str]]:
        """Seed, precision, machine, time, versions, fingerprints."""
        results = self.results
        rows: list[tuple[str, Any]] = [
            (name, results[name]) for name in ("seed", "best_epoch", "n_epochs") if name in results
        ]
        rows += [(f"precision of {name}", value) for name, value in results.get("precision", {}).items()]
        if "seconds" in results:
            rows.append(("time", duration(results["seconds"])))
        rows += [(f"version of {name}", value) for name, value in results.get("versions", {}).items()]
        rows += [(name, value) for name, value in results.get("machine", {}).items()]
        return [(name.replace("_", " "), str(value)) for name, value in rows]

    @property
    def data(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Sentences, words and fingerprint of each split."""
        return list(self.results.get("data", {}).items())

    @property
    def charts(self) -> list[tuple[str, Any]]:
        """Curves over epochs, with captions."""
        losses = self._lines({"train": ("train_loss", "s1"), "dev": ("dev_loss", "s2")})
        scores = self._lines(
            {"F1": ("dev_f1", "s1"), "precision": ("dev_precision", "s2"), "recall": ("dev_recall", "s3")}
        )
        best = self.results.get("best_epoch")
        charts = []
        for caption, y_name, lines in (("Loss", "loss", losses), ("Scores on dev", "share", scores)):
            if lines:
                alt = f"{caption} by epoch. " + " ".join(map(_line_in_words, lines))
                charts.append((caption, line_chart(lines, alt=alt, x_name="epoch", y_name=y_name, mark=best)))
        return charts

    def _lines(self, wanted: Mapping[str, tuple[str, str]]) -> list[Line]:
        lines = []
        for name, (key, style) in wanted.items():
            points = [
                (row.get("epoch", i), row[key])
                for i, row in enumerate(self.history, 1)
                if isinstance(row.get(key), int | float)
            ]
            if points:
                lines.append(Line(name, points, style))
        return lines

    @property
    def outcomes(self) -> list[tuple[str, list[tuple[str, int]], list[tuple[float, str]], int]]:
        """For each type: counts by outcome, shares of its gold spans to draw, number of spurious ones."""
        if not self.errors:
            return []
        rows = []
        for type_, counts in self.errors.outcomes.items():
            kinds = [(outcome, counts[outcome]) for outcome in _OUTCOME_STYLES]
            total = sum(n for _, n in kinds) or 1
            shares = [(n / total, "o-" + _OUTCOME_STYLES[outcome]) for outcome, n in kinds]
            rows.append((type_, [(outcome.value, n) for outcome, n in kinds], shares, counts[Outcome.SPURIOUS]))
        return rows

    @property
    def outcome_names(self) -> list[tuple[str, str]]:
        """Names and styles of what becomes of a gold span."""
        return [(outcome.value, "o-" + style) for outcome, style in _OUTCOME_STYLES.items()]

    @property
    def confusion(self) -> Confusion | None:
        """The confusion of the types that occur most."""
        if not self.errors:
            return None
        counts = self.errors.confusion
        weight = {type_: sum(n for pair, n in counts.items() if type_ in pair) for type_ in self.types}
        types = sorted(sorted(weight, key=lambda t: (-weight[t], t))[:_SHOWN_TYPES])
        columns = [*types, NOTHING]
        rows = []
        for gold in columns:
            row = [counts[gold, predicted] for predicted in columns]
            total = sum(row) or 1
            rows.append((gold, [(n, round(100 * n / total)) for n in row]))
        return Confusion(columns, rows, len(self.types) - len(types))

    @property
    def reliability(self) -> Any:
        """The reliability diagram."""
        calibration = self.errors.calibration if self.errors else None
        if calibration is None:
            return None
        error = f"{100 * calibration.expected_calibration_error:.1f} %"
        bins = ", ".join(f"{one.mean_score:.2f}: {one.accuracy:.2f}" for one in calibration.bins)
        alt = f"Reliability of span scores, calibration error {error}. Mean score: share right. {bins}."
        return reliability_chart(calibration, alt=alt)

    @property
    def temperature(self) -> float | None:
        """What the model's logits are divided by."""
        path = self.run.model / MODEL_INFO
        return json.loads(path.read_text(encoding="utf-8")).get("temperature") if path.is_file() else None

    @property
    def examples(self) -> list[tuple[str, int, list[Example]]]:
        """Sentences by outcome: its name, how often it occurs, and some of them."""
        if not self.errors:
            return []
        totals = self.errors.totals
        return [
            (
                outcome.value,
                totals[outcome],
                [self._example(one) for one in self.errors.examples[outcome][:_SHOWN_EXAMPLES]],
            )
            for outcome in (*list(Outcome)[1:], Outcome.RIGHT)
            if totals[outcome]
        ]

    @property
    def worst(self) -> list[Example]:
        """The sentences with the highest loss."""
        if not self.errors:
            return []
        return [self._example(one, note=f"{one.score:.2f}") for one in self.errors.worst[:_SHOWN_EXAMPLES]]

    @property
    def disputed(self) -> list[Dispute]:
        """Words whose gold label the model denies."""
        if not self.errors:
            return []
        rows = []
        for one in self.errors.disputed:
            prediction, position = one.prediction, one.position or 0
            words = prediction.words
            rows.append(
                Dispute(
                    place=_place(one),
                    before=_joined(words[max(0, position - 3) : position]),
                    word=_joined(words[position : position + 1]),
                    after=_joined(words[position + 1 : position + 4]),
                    gold=(prediction.gold or ())[position],
                    predicted=prediction.predicted[position],
                    score=one.score,
                )
            )
        return rows

    def _example(self, one: Ranked, note: str = "") -> Example:
        prediction = one.prediction
        gold = entities_of(prediction.gold or (), self.scheme, self.mode)
        predicted = entities_of(prediction.predicted, self.scheme, self.mode)
        right = set(gold) & set(predicted)
        first = self._first_shown(gold, predicted)
        sides = (self._shown(prediction.words, spans, right, first) for spans in (gold, predicted))
        return Example(_place(one), note, *sides)

    @staticmethod
    def _first_shown(gold: Sequence[Span], predicted: Sequence[Span]) -> int:
        """The word to begin with, so that the first error is in sight in long sentences."""
        wrong = [min(s.start for s in pair if s) for pair in align_spans(gold, predicted) if pair[0] != pair[1]]
        first = min(wrong, default=0)
        return max(0, first - 10) if first > _SHOWN_WORDS // 2 else 0

    def _shown(self, words: Sequence[str], spans: Sequence[Span], right: set[Span], first: int) -> list[Shown]:
        end = min(len(words), first + _SHOWN_WORDS)
        shown = [Shown("…")] if first else []
        position = first
        for span in spans:
            if span.start < position or span.start >= end:
                continue
            if span.start > position:
                shown.append(Shown(_joined(words[position : span.start])))
            inside = _joined(words[span.start : min(span.end, end)])
            shown.append(Shown(inside, visible(span.type), self.colours.css_class(span.type), span in right))
            position = span.end
        if position < end:
            shown.append(Shown(_joined(words[position:end])))
        return [*shown, Shown("…")] if end < len(words) else shown


def _has_gold(path: Path) -> bool:
    first = next(read_predictions(path), None)
    return first is not None and first.gold is not None


def _joined(words: Sequence[str]) -> str:
    return " ".join(visible(w if len(w) <= _SHOWN_CHARACTERS else w[:_SHOWN_CHARACTERS] + "…") for w in words)


def _place(one: Ranked) -> str:
    origin = one.prediction.origin
    return visible(f"{Path(origin.path).name}, {origin.unit} {origin.number}" if origin else f"sentence {one.number}")


def _name_and_unit(name: str) -> tuple[str, str]:
    """What a division of the data is called, and what its parts are counted in.

    >>> _name_and_unit("span length in words"), _name_and_unit("surface form in training")
    (('span length', 'words'), ('surface form in training', ''))
    """
    head, found, unit = name.rpartition(" in ")
    return (head, unit) if found and unit in ("words", "pieces") else (name, "")


def _line_in_words(line: Line) -> str:
    return f"{line.name}: " + ", ".join(f"{y:.3f}" for _, y in line.points[-20:]) + "."
