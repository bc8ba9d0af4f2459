"""`report.html`: the report of a run, in one file without scripts and external resources."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tf_tokclf.config.loading import load_config
from tf_tokclf.config.schema import Config, DataConfig
from tf_tokclf.encoding.model_info import FILE_NAME as MODEL_INFO
from tf_tokclf.errors import UserError
from tf_tokclf.files import open_whole
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.sentence import Origin
from tf_tokclf.report.figures import Line, bar, line_chart, reliability_chart, stacked_bar
from tf_tokclf.report.learning_curve import curve_chart
from tf_tokclf.report.marked_sentences import Shown, first_shown, joined, marked_words
from tf_tokclf.report.marking import TypeColours, visible
from tf_tokclf.report.page_environment import page_environment
from tf_tokclf.report.score_tables import COVERED, LENIENT, MODE_RULES, NAMES_OF_PARTS, fact_lines
from tf_tokclf.report.table_formats import percent
from tf_tokclf.report.terminal import duration
from tf_tokclf.run_dir import RunDir
from tf_tokclf.run_history import epoch_rows
from tf_tokclf.scoring.counts import Counts
from tf_tokclf.scoring.entities import Mode, entities_of
from tf_tokclf.scoring.error_analysis import NOTHING, ErrorAnalysis, Outcome, Ranked, Training
from tf_tokclf.scoring.evaluation import Evaluation, evaluate_predictions
from tf_tokclf.scoring.learning_curve import LearningCurve, read_curve
from tf_tokclf.scoring.predictions import read_predictions, scheme_of
from tf_tokclf.scoring.slices import SliceCounter, slice_counter

_SPLITS = ("test", "validation", "train")  # errors are analysed on the first one that exists
_SHOWN_EXAMPLES = 6
_SHOWN_TYPES = 16
_SHOWN_MISSES = 10
_OUTCOME_STYLES = {
    Outcome.RIGHT: "right",
    Outcome.WRONG_TYPE: "type",
    Outcome.WRONG_BOUNDARY: "boundary",
    Outcome.WRONG_BOTH: "both",
    Outcome.MISSED: "missed",
}
# The command that results.json contains if looking at the errors is more useful than another training.
SEE_ERRORS = "tf-tokclf evaluate RUN --errors"


def write_report(run: RunDir, *, training: Training | None = None) -> Path:
    """Write the report.html of a run from the files in its folder, and return its path.

    training: the spans in the training data, for scores of seen and unseen spans.
    """
    with open_whole(run.report) as file:
        file.write(report_html(run, training=training))
    return run.report


def report_html(run: RunDir, *, training: Training | None = None, by: Sequence[str] = ()) -> str:
    """The report as text. All values in it are escaped.

    by: divisions into slices, see `slice_counter`. Raises UserError if one of them is not possible.
    """
    environment = page_environment()
    environment.globals.update(bar=bar, stacked_bar=stacked_bar, mode_rules=MODE_RULES, lenient_names=LENIENT)
    environment.globals.update(see_errors=SEE_ERRORS, covered_names=COVERED)
    return environment.get_template("report.html.jinja").render(page=Page(run, training, by))


@dataclass(frozen=True)
class Example:
    """A sentence with gold and predicted spans."""

    place: str
    note: str
    gold: Sequence[Shown]
    predicted: Sequence[Shown]


@dataclass(frozen=True)
class Dispute:
    """A word with its neighbours, its gold label, and the different label that the model predicted."""

    place: str
    before: str
    word: str
    after: str
    gold: str
    predicted: str
    score: float


@dataclass(frozen=True)
class Missed:
    """A gold span that predicted spans do not cover."""

    place: str
    span: str
    type: str
    n_leaked: int
    n_characters: int


@dataclass(frozen=True)
class Slice:
    """The scores of a slice of the data. interval: of F1. is_worse: significantly worse than the rest."""

    name: str
    counts: Counts
    interval: tuple[float, float] | None
    is_worse: bool


@dataclass(frozen=True)
class Confusion:
    """The confusion matrix: how often gold types (rows) were predicted as other types (columns)."""

    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[tuple[int, int]]]]  # (gold type, (count, percent of the row) for each column)
    n_left_out: int


class Page:
    """The contents of the report. Each part is read on first use, and is empty if the run does not have it."""

    def __init__(self, run: RunDir, training: Training | None, by: Sequence[str] = ()) -> None:
        self.run = run
        self.training = training
        self.by = by
        self.name = run.root.resolve().name

    @cached_property
    def results(self) -> dict[str, Any]:
        """The contents of results.json."""
        return json.loads(self.run.results.read_text(encoding="utf-8")) if self.run.results.is_file() else {}

    @cached_property
    def history(self) -> list[dict[str, Any]]:
        """The rows of history.jsonl."""
        return epoch_rows(self.run.history)

    @cached_property
    def config(self) -> str:
        """The text of config.yaml."""
        return self.run.config.read_text(encoding="utf-8") if self.run.config.is_file() else ""

    @cached_property
    def splits(self) -> dict[str, dict[str, Any]]:
        """Scores by split, from results.json or computed from the predictions."""
        known = dict(self.results.get("splits", {}))
        if self.closely and self.evaluation:
            known[self.closely] = self.evaluation.to_json() | known.get(self.closely, {})
        order = [name for name in _SPLITS if name in known]
        return {name: known[name] for name in [*order, *sorted(known.keys() - set(order))]}

    @cached_property
    def closely(self) -> str | None:
        """The split whose errors are analysed."""
        there = [path.stem for path in sorted(self.run.predictions.glob("*.jsonl")) if _has_gold(path)]
        return next((name for name in (*_SPLITS, *there) if name in there), None)

    @cached_property
    def scheme(self) -> Scheme:
        """The label scheme."""
        assert self.closely
        stored = self.results.get("splits", {}).get(self.closely, {}).get("scheme")
        return Scheme(stored) if stored else scheme_of(self._predictions, DataConfig())

    @cached_property
    def evaluation(self) -> Evaluation | None:
        """Scores and error analysis of the split `closely`."""
        if self.closely is None:
            return None
        return evaluate_predictions(
            self._predictions,
            self.scheme,
            mode=self.mode,
            errors=True,
            training=self.training,
            slices=self._slice_counter(),
        )

    def _slice_counter(self) -> SliceCounter | None:
        config = load_config(self.run.config) if self.by and self.run.config.is_file() else Config()
        options: dict[str, Any] = {"data": config.data, "task": config.task, "training": self.training}
        return slice_counter(self.by, self.scheme, self.mode, **options) if self.by else None

    @property
    def mode(self) -> Mode:
        """The mode of the run's scores (how invalid label sequences are read)."""
        stored = self.results.get("splits", {}).get(self.closely, {}).get("mode")
        return "strict" if stored == "strict" else "conlleval"

    def _predictions(self) -> Iterator[Any]:
        assert self.closely
        return read_predictions(self.run.predictions_for(self.closely))

    @property
    def errors(self) -> ErrorAnalysis | None:
        """The error analysis."""
        return self.evaluation.errors if self.evaluation else None

    @property
    def slices(self) -> list[tuple[str, list[Slice]]]:
        """For each division: its name and its slices. Raises UserError if slices are asked for without predictions."""
        if self.by and self.evaluation is None:
            problem = "has no predictions with gold labels, so slices cannot be scored."
            raise UserError(problem, path=self.run.root, hint="Score the model with tf-tokclf evaluate --by.")
        found = self.evaluation.slices if self.evaluation else None
        if found is None:
            return []
        return [
            (
                name,
                [
                    Slice(part, counts, found.intervals[name]["f1"].get(part), (name, part) in found.worse)
                    for part, counts in found.parts(name).items()
                ],
            )
            for name in found.tables
        ]

    @property
    def parts(self) -> list[tuple[str, str, Mapping[str, Counts]]]:
        """Counts by parts of the data, for divisions with more than one part: name, unit, counts by part."""
        found = self.errors.parts.items() if self.errors else ()
        return [(*_name_and_unit(NAMES_OF_PARTS.get(name, name)), parts) for name, parts in found if len(parts) > 1]

    @cached_property
    def types(self) -> list[str]:
        """The types of all gold and predicted spans, sorted."""
        return sorted({type_ for pair in self.errors.confusion for type_ in pair if type_}) if self.errors else []

    @cached_property
    def colours(self) -> TypeColours:
        """A colour for each type."""
        return TypeColours(self.types)

    @property
    def facts(self) -> list[str]:
        """Counts that qualify the scores of each split."""
        return [f"{name}: {line}" for name, scores in self.splits.items() for line in fact_lines(scores)]

    @property
    def notes(self) -> list[str]:
        """Notes about the data, such as the label scheme and repairs."""
        return [*self.results.get("notes", [])]

    @property
    def details(self) -> list[tuple[str, str]]:
        """Seed, epochs, precision, time, versions and machine."""
        results = self.results
        names = {"seed": "seed", "n_epochs": "epochs", "best_epoch": "best epoch"}
        rows: list[tuple[str, Any]] = [(shown, results[name]) for name, shown in names.items() if name in results]
        rows += [(f"precision in {name}", value) for name, value in results.get("precision", {}).items()]
        if "seconds" in results:
            rows.append(("time", duration(results["seconds"])))
        rows += [(f"{name} version", value) for name, value in results.get("versions", {}).items()]
        rows += [(name, value) for name, value in results.get("machine", {}).items()]
        return [(name.replace("_", " "), str(value)) for name, value in rows]

    @property
    def data(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Numbers of sentences and words, and fingerprint, by split."""
        return list(self.results.get("data", {}).items())

    @property
    def charts(self) -> list[tuple[str, Any]]:
        """Captions and line charts over epochs."""
        losses = self._lines({"training": ("train_loss", "s1"), "validation": ("dev_loss", "s2")})
        scores = self._lines(
            {"F1": ("dev_f1", "s1"), "precision": ("dev_precision", "s2"), "recall": ("dev_recall", "s3")}, scale=100
        )
        best = self.results.get("best_epoch")
        charts = []
        for caption, y_name, lines in (("Loss", "loss", losses), ("Scores on the validation set", "percent", scores)):
            if lines:
                alt = f"{caption} by epoch. " + " ".join(map(_line_in_words, lines))
                charts.append((caption, line_chart(lines, alt=alt, x_name="epoch", y_name=y_name, mark=best)))
        return charts

    def _lines(self, wanted: Mapping[str, tuple[str, str]], *, scale: float = 1) -> list[Line]:
        lines = []
        for name, (key, style) in wanted.items():
            points = [
                (row.get("epoch", i), scale * row[key])
                for i, row in enumerate(self.history, 1)
                if isinstance(row.get(key), int | float)
            ]
            if points:
                lines.append(Line(name, points, style))
        return lines

    @cached_property
    def curve(self) -> LearningCurve | None:
        """The learning curve in the folder, of which the run is a part."""
        return read_curve(self.run)

    @property
    def curve_chart(self) -> Any:
        """The chart of F1 by the number of training sentences."""
        return curve_chart(self.curve) if self.curve else None

    @property
    def outcomes(self) -> list[tuple[str, list[tuple[str, int]], list[tuple[float, str]], int]]:
        """For each type: counts by outcome, the shares of its gold spans for the bar, number of spurious spans."""
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
        """Names and styles of the outcomes of gold spans."""
        return [(outcome.value, "o-" + style) for outcome, style in _OUTCOME_STYLES.items()]

    @property
    def confusion(self) -> Confusion | None:
        """The confusion matrix of the most frequent types."""
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
        error = f"{percent(calibration.expected_calibration_error)} %"
        bins = ", ".join(f"{one.mean_score:.2f}: {one.accuracy:.2f}" for one in calibration.bins)
        alt = f"Reliability of span scores, calibration error {error}. Mean score and share of right spans: {bins}."
        return reliability_chart(calibration, alt=alt)

    @property
    def temperature(self) -> float | None:
        """The temperature of the model, by which its logits are divided."""
        path = self.run.model / MODEL_INFO
        return json.loads(path.read_text(encoding="utf-8")).get("temperature") if path.is_file() else None

    @property
    def examples(self) -> list[tuple[str, int, list[Example]]]:
        """For each outcome: its name, the number of spans, and example sentences."""
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
        """Words whose gold label the model rejects with high confidence."""
        if not self.errors:
            return []
        rows = []
        for one in self.errors.disputed:
            prediction, position = one.prediction, one.position or 0
            words = prediction.words
            rows.append(
                Dispute(
                    place=_place(one),
                    before=joined(words[max(0, position - 3) : position]),
                    word=joined(words[position : position + 1]),
                    after=joined(words[position + 1 : position + 4]),
                    gold=(prediction.gold or ())[position],
                    predicted=prediction.predicted[position],
                    score=one.score,
                )
            )
        return rows

    @property
    def missed(self) -> list[Missed]:
        """The gold spans with the most characters that are not covered."""
        leaks = self.evaluation.scores.leaks if self.evaluation else None
        return [
            Missed(_place_of(one.origin, one.number), joined(one.words), one.type, one.n_leaked, one.n_characters)
            for one in (leaks.worst[:_SHOWN_MISSES] if leaks else ())
        ]

    def _example(self, one: Ranked, note: str = "") -> Example:
        prediction = one.prediction
        gold = entities_of(prediction.gold or (), self.scheme, self.mode)
        predicted = entities_of(prediction.predicted, self.scheme, self.mode)
        right = set(gold) & set(predicted)
        first = first_shown([(gold, predicted)])
        sides = (marked_words(prediction.words, spans, right, self.colours, first) for spans in (gold, predicted))
        return Example(_place(one), note, *sides)


def _has_gold(path: Path) -> bool:
    first = next(read_predictions(path), None)
    return first is not None and first.gold is not None


def _place(one: Ranked) -> str:
    return _place_of(one.prediction.origin, one.number)


def _place_of(origin: Origin | None, number: int) -> str:
    return visible(f"{Path(origin.path).name}, {origin.unit} {origin.number}" if origin else f"sentence {number}")


def _name_and_unit(name: str) -> tuple[str, str]:
    """The name of a division of the data, and the unit of its parts.

    >>> _name_and_unit("span length in words"), _name_and_unit("surface form in training")
    (('span length', 'words'), ('surface form in training', ''))
    """
    head, found, unit = name.rpartition(" in ")
    return (head, unit) if found and unit in ("words", "subword tokens") else (name, "")


def _line_in_words(line: Line) -> str:
    return f"{line.name}: " + ", ".join(f"{y:.2f}" for _, y in line.points[-20:]) + "."
