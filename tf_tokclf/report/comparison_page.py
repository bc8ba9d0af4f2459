"""One HTML page that compares runs: learning curves, settings, scores by type, and the sentences that changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from tf_tokclf.config.sweep import value_text
from tf_tokclf.counted import counted
from tf_tokclf.errors import UserError
from tf_tokclf.labels.sentence import Span
from tf_tokclf.report.figures import Line, bar, gap_bar, line_chart
from tf_tokclf.report.listed_run import list_run
from tf_tokclf.report.marked_sentences import Shown, first_shown, marked_words
from tf_tokclf.report.marking import TypeColours, visible
from tf_tokclf.report.page_environment import page_environment
from tf_tokclf.report.run_table import differing_settings
from tf_tokclf.report.score_tables import MODE_RULES
from tf_tokclf.run_dir import RunDir
from tf_tokclf.run_history import epoch_rows
from tf_tokclf.scoring.bootstrap import OVERALL, Difference
from tf_tokclf.scoring.comparison import Comparison, System
from tf_tokclf.scoring.counts import Counts
from tf_tokclf.scoring.entities import entities_of
from tf_tokclf.scoring.predictions import Prediction

_SHOWN_EXAMPLES = 25
_STYLES = ("s1", "s2", "s3")
_LONGEST_NAME = 12


def comparison_html(comparison: Comparison) -> str:
    """The page as text. All values in it are escaped."""
    environment = page_environment()
    environment.globals.update(bar=bar, mode_rules=MODE_RULES)
    return environment.get_template("comparison.html.jinja").render(page=ComparisonPage(comparison))


@dataclass(frozen=True)
class TypeRow:
    """F1 of a type in both systems, and the difference with its interval and p-value. drawing: the difference."""

    name: str
    difference: Difference
    drawing: Any
    support: int

    @property
    def gap(self) -> str:
        """The difference in percentage points."""
        return f"{100 * self.difference.difference:+.2f}"

    @property
    def interval(self) -> str:
        """The interval of the difference in percentage points."""
        low, high = self.difference.interval
        return f"{100 * low:+.2f} to {100 * high:+.2f}"


@dataclass(frozen=True)
class Changed:
    """A sentence with the gold spans, and with those of both systems."""

    place: str
    sides: Sequence[tuple[str, Sequence[Shown]]]


@dataclass(frozen=True)
class Against:
    """Another system, compared with the first one. groups: a heading, the number of sentences, and some of them."""

    name: str
    rows: Sequence[TypeRow]
    pairs: str
    groups: Sequence[tuple[str, int, Sequence[Changed]]]


class ComparisonPage:
    """The contents of the page. Each part is read on first use."""

    def __init__(self, comparison: Comparison) -> None:
        self.comparison = comparison
        self.systems = comparison.systems
        self.first = comparison.systems[0]
        self.scores = self.first.scores[0]

    @cached_property
    def runs(self) -> list[RunDir | None]:
        """The first run of each system; None for a file of predictions."""
        return [_run_of(system) for system in self.systems]

    @cached_property
    def colours(self) -> TypeColours:
        """A colour for each type, gold or predicted."""
        return TypeColours(type_ for system in self.systems for scores in system.scores for type_ in scores.by_type)

    @property
    def types(self) -> list[str]:
        """All types."""
        return sorted({type_ for system in self.systems for scores in system.scores for type_ in scores.by_type})

    @property
    def cards(self) -> list[tuple[str, float, float | None, int]]:
        """Name, mean F1, its standard deviation, and the number of runs of each system."""
        return [(one.name, float(np.mean(one.f1())), _deviation(one.f1()), len(one.f1())) for one in self.systems]

    @property
    def charts(self) -> list[tuple[str, Any]]:
        """Captions and line charts over epochs, with a line for each system that is a run."""
        wanted = (
            ("Validation F1", "percent", "dev_f1", 100.0),
            ("Validation loss", "loss", "dev_loss", 1.0),
            ("Training loss", "loss", "train_loss", 1.0),
        )
        charts = []
        for caption, y_name, key, scale in wanted:
            if lines := self._lines(key, scale):
                alt = f"{caption} by epoch. " + " ".join(map(_in_words, lines))
                charts.append((caption, line_chart(lines, alt=alt, x_name="epoch", y_name=y_name)))
        return charts

    def _lines(self, key: str, scale: float) -> list[Line]:
        lines = []
        for number, (system, run) in enumerate(zip(self.systems, self.runs)):
            points = _points(run, key, scale) if run else []
            if points:
                name = system.name if len(system.name) <= _LONGEST_NAME else f"…{system.name[1 - _LONGEST_NAME :]}"
                lines.append(Line(visible(name), points, _STYLES[number % len(_STYLES)]))
        return lines

    @property
    def settings(self) -> list[tuple[str, list[str]]]:
        """The settings that differ between the runs, and data and encoder: a name, and the value in each system."""
        listed = [list_run(run, "") if run else None for run in self.runs]
        known = [one for one in listed if one]
        if not known:
            return []
        rows: list[tuple[str, list[str]]] = [
            ("data", [one.data if one else "" for one in listed]),
            ("encoder", [one.encoder if one else "" for one in listed]),
        ]
        for name in differing_settings(known):
            rows.append(
                (name, [value_text(one.settings[name]) if one and name in one.settings else "" for one in listed])
            )
        rows.append(("seed", [", ".join(map(str, one.seeds)) if one else "" for one in listed]))
        return [row for row in rows if any(row[1])]

    @property
    def others(self) -> Iterator[Against]:
        """Each later system against the first one."""
        for number, differences in enumerate(self.comparison.differences, 1):
            other = self.systems[number]
            pairs = self.comparison.pairs_of_runs(number)
            text = f"{other.name} has the higher F1 in {pairs.other_better:,} of {pairs.n:,} pairs of runs."
            yield Against(other.name, self._rows(differences), text if pairs.n > 1 else "", self._groups(number))

    def _rows(self, differences: Mapping[str, Difference]) -> list[TypeRow]:
        widest = max(abs(end) for one in differences.values() for end in (*one.interval, one.difference))
        rows = []
        for name, one in differences.items():
            counts = self.scores.by_type.get(name, Counts()) if name else self.scores.overall
            rows.append(TypeRow(name, one, gap_bar(one.difference, one.interval, widest), counts.gold))
        # All types together come last.
        return sorted(rows, key=lambda row: row.name == OVERALL)

    def _groups(self, number: int) -> list[tuple[str, int, list[Changed]]]:
        """The sentences that changed: those that only one system gets right, and those that both get wrong in
        different ways.
        """
        other = self.systems[number]
        first_alone, other_alone = (found.tolist() for found in self.comparison.split_sentences(number))
        groups = [
            (f"Only {other.name} is right", len(other_alone), self._changed(number, other_alone)),
            (f"Only {self.first.name} is right", len(first_alone), self._changed(number, first_alone)),
        ]
        wrong = np.flatnonzero(~(self.first.right.any(axis=0) | other.right.any(axis=0))).tolist()
        differently = list(self._differently_wrong(number, wrong))
        groups.append(("Both are wrong, in different ways", len(differently), self._changed(number, differently)))
        return [group for group in groups if group[1]]

    def _differently_wrong(self, number: int, wrong: Sequence[int]) -> Iterator[int]:
        """Those of the sentences `wrong` in which the first runs of both systems find different spans."""
        for index, (ours, theirs) in zip(wrong, self.comparison.examples(number, wrong)):
            if self._spans(ours.predicted) != self._spans(theirs.predicted):
                yield index

    def _changed(self, number: int, indices: Sequence[int]) -> list[Changed]:
        shown = list(islice(indices, _SHOWN_EXAMPLES))
        return [self._example(number, *pair) for pair in self.comparison.examples(number, shown)]

    def _example(self, number: int, ours: Prediction, theirs: Prediction) -> Changed:
        gold, mine, other = (self._spans(labels) for labels in (ours.gold or (), ours.predicted, theirs.predicted))
        shown = partial(
            marked_words, ours.words, colours=self.colours, first=first_shown([(gold, mine), (gold, other)])
        )
        sides = [
            ("gold", shown(gold, right=set(gold))),
            (self.first.name, shown(mine, right=set(gold) & set(mine))),
            (self.systems[number].name, shown(other, right=set(gold) & set(other))),
        ]
        origin = ours.origin
        place = f"{Path(origin.path).name}, {origin.unit} {origin.number}" if origin else ""
        return Changed(visible(place), sides)

    def _spans(self, labels: Sequence[str]) -> Sequence[Span]:
        return entities_of(labels, self.scores.scheme, self.scores.mode)

    @property
    def measured(self) -> list[str]:
        """How scores and differences were measured."""
        scores = self.scores
        lines = [f"{counted(scores.n_sentences, 'sentence')}, {counted(scores.n_words, 'word')}"]
        if scores.has_spans:
            lines.append(f"label scheme {scores.scheme.value}, {scores.mode} mode: {MODE_RULES[scores.mode]}")
        lines += [
            "95 % interval of the difference: paired bootstrap over sentences",
            "p: two-sided paired permutation test, not corrected for multiple comparisons",
        ]
        if any(len(system.scores) > 1 for system in self.systems):
            lines.append("counts are averaged over the runs of a system, sentence by sentence")
            lines.append("curves, settings and sentences are those of the first run of a system")
        return lines

    @property
    def sources(self) -> list[tuple[str, list[str]]]:
        """The name of each system, and the files of its predictions."""
        return [(system.name, [str(source.path) for source in system.sources]) for system in self.systems]


def _deviation(values: Sequence[float]) -> float | None:
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def _run_of(system: System) -> RunDir | None:
    """The run that wrote the predictions of the system, from the place of their file."""
    path = system.sources[0].path
    run = RunDir(path.parent.parent)
    return run if path.parent == run.predictions and run.config.is_file() else None


def _points(run: RunDir, key: str, scale: float) -> list[tuple[float, float]]:
    """The values of a key in history.jsonl by epoch. Empty if the file is missing or damaged."""
    try:
        rows = epoch_rows(run.history)
        return [
            (float(row.get("epoch", number)), scale * row[key])
            for number, row in enumerate(rows, 1)
            if isinstance(row.get(key), int | float)
        ]
    except (UserError, ValueError, TypeError):
        return []


def _in_words(line: Line) -> str:
    return f"{line.name}: " + ", ".join(f"{y:.2f}" for _, y in line.points[-20:]) + "."
