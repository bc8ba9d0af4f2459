"""Scores as tables in all formats: of an evaluation, of systems that are compared, of several seeds, and of a sweep."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tf_tokclf.report.score_tables import MODE_RULES, fact_lines, short_names
from tf_tokclf.report.table_formats import Column, Kind, ResultTable, percent
from tf_tokclf.scoring.bootstrap import OVERALL, Difference, Interval
from tf_tokclf.scoring.comparison import Comparison, System
from tf_tokclf.scoring.counts import Average, Counts
from tf_tokclf.scoring.evaluation import Evaluation
from tf_tokclf.scoring.measures import Measure
from tf_tokclf.scoring.scores import Scores
from tf_tokclf.scoring.slices import Slices

# A trial: its name, the values of the settings, its F1 by split, and its validation score by the
# measure that chooses the best. Both are None if it failed.
Trial = tuple[str, Sequence[str], Mapping[str, float] | None, float | None]
_ALL = "all (micro average)"
_INTERVAL = "bootstrap over sentences, or Wilson's for few entities"
_SCORES = (Column("precision", Kind.SHARE), Column("recall", Kind.SHARE), Column("F1", Kind.SHARE))
_DIFFERENCE = (
    Column("difference", Kind.GAP),
    Column("95 % interval of the difference", Kind.GAP_RANGE),
    Column("p", Kind.P_VALUE),
)
_COMPARED = (
    Column("system"),
    Column("runs", Kind.COUNT),
    Column("type"),
    *_SCORES,
    Column("standard deviation of F1", Kind.SHARE),
    *_DIFFERENCE,
    Column("support", Kind.COUNT),
)


def evaluation_table(evaluations: Mapping[str, Evaluation], facts: Mapping[str, str]) -> ResultTable:
    """The scores of one or several splits by type, with averages and intervals.

    evaluations: by the name of the split. A column names it if there are several. facts: what was scored, as a name and
    a value, such as the model and the data.
    """
    several = len(evaluations) > 1
    first = next(iter(evaluations.values())).scores
    columns = (*([Column("split")] if several else []), *_columns(first))
    rows: list[tuple[Any, ...]] = []
    bold = set()
    facts = {**facts, **_measured(first)}
    if used := next(iter(evaluations.values())).thresholds:
        facts["thresholds"] = used
    for name, evaluation in evaluations.items():
        of_types = _rows(evaluation.scores, evaluation.intervals)
        rows += [(*([name] if several else []), *row) for row in of_types]
        bold.add(len(rows) - 1)
        facts |= {f"{name} {what}" if several else what: text for what, text in _sizes(evaluation.scores).items()}
        if evaluation.slices:
            rows += [(*([name] if several else []), *row) for row in _slice_rows(evaluation.slices)]
            worse = ", ".join(f"{division}: {part}" for division, part in evaluation.slices.worse)
            facts["slices significantly worse than the rest"] = worse or "none"
    facts["interval"] = _INTERVAL
    return ResultTable(columns, tuple(rows), facts, frozenset(bold))


def score_table(scores: Scores) -> ResultTable:
    """The same for scores alone, without intervals."""
    rows = _rows(scores, {})
    return ResultTable(
        _columns(scores), tuple(rows), {**_measured(scores), **_sizes(scores)}, frozenset({len(rows) - 1})
    )


def overall_table(evaluations: Mapping[str, Evaluation], facts: Mapping[str, str]) -> ResultTable:
    """The scores of all types together, with a row for each split. facts: what was scored."""
    columns = (
        Column("split"),
        *_SCORES,
        Column("95 % interval of F1", Kind.RANGE),
        Column("support", Kind.COUNT),
        Column("sentences", Kind.COUNT),
    )
    rows = []
    for name, evaluation in evaluations.items():
        overall = evaluation.scores.overall
        interval = evaluation.intervals.get(OVERALL)
        shares = (overall.precision, overall.recall, overall.f1)
        rows.append((name, *shares, interval, overall.support, evaluation.scores.n_sentences))
        facts = {**facts, **_measured(evaluation.scores)}
    return ResultTable(columns, tuple(rows), {**facts, "interval": _INTERVAL})


def epochs_table(epochs: Iterable[tuple[float, Mapping[str, float]]], *, best: int | None = None) -> ResultTable:
    """Losses and validation scores over the epochs.

    epochs: the number of epochs before each scoring, and the values under the names that Keras callbacks use. best: the
    index of the scoring whose model was kept.
    """
    names = {"loss": "training loss", "val_loss": "validation loss"}
    scores = {"val_precision": "precision", "val_recall": "recall", "val_f1": "F1"}
    columns = (
        Column("epoch", Kind.NUMBER),
        *(Column(name, Kind.NUMBER) for name in names.values()),
        *(Column(name, Kind.SHARE) for name in scores.values()),
    )
    rows = tuple(
        (number, *(f"{values[name]:.4f}" for name in names), *(values[name] for name in scores))
        for number, values in epochs
    )
    facts = {"precision, recall and F1": "on the validation set"}
    if best is None:
        return ResultTable(columns, rows, facts)
    return ResultTable(columns, rows, {**facts, "bold": "the model that was kept"}, frozenset({best}))


def _columns(scores: Scores) -> tuple[Column, ...]:
    return (
        Column("type" if scores.has_spans else "label"),
        *_SCORES,
        Column("95 % interval of F1", Kind.RANGE),
        Column("support", Kind.COUNT),
    )


def _rows(scores: Scores, intervals: Mapping[str, Interval]) -> list[tuple[Any, ...]]:
    def row(name: str, scored: Counts | Average, key: str | None = None) -> tuple[Any, ...]:
        interval = None if key is None else intervals.get(key)
        return (name, scored.precision, scored.recall, scored.f1, interval, scored.support)

    rows = [row(type_, counts, type_) for type_, counts in scores.by_type.items()]
    averages = [row("macro average", scores.macro), row("weighted average", scores.weighted)]
    return [*rows, *averages, row(_ALL, scores.overall, OVERALL)]


def _slice_rows(slices: Slices) -> Iterator[tuple[Any, ...]]:
    """The scores of each slice, which is named after its division."""
    for division in slices.tables:
        for part, counts in slices.parts(division).items():
            interval = slices.intervals[division]["f1"].get(part)
            shares = (counts.precision, counts.recall, counts.f1)
            yield (f"{division}: {part}", *shares, interval, counts.support)


def comparison_table(comparison: Comparison) -> ResultTable:
    """Each system by type: scores, and for all but the first system the difference of F1 from that of the first.

    Scores are averaged over the runs of a system. The difference is that of the averaged counts.
    """
    rows: list[tuple[Any, ...]] = []
    bold = set()
    for system, differences in zip(comparison.systems, ({}, *comparison.differences)):
        names = [*system.scores[0].by_type, OVERALL]
        rows += [_compared(system, name, differences.get(name), comparison.systems[0]) for name in names]
        bold.add(len(rows) - 1)
    return ResultTable(_COMPARED, tuple(rows), _compared_facts(comparison), frozenset(bold))


def overall_comparison_table(comparison: Comparison) -> ResultTable:
    """The same for all types together: a row for each system."""
    pairs = zip(comparison.systems, ({}, *comparison.differences))
    rows = [_compared(system, OVERALL, found.get(OVERALL), comparison.systems[0]) for system, found in pairs]
    return ResultTable(_COMPARED, tuple(rows), _compared_facts(comparison))


def difference_table(comparison: Comparison, number: int) -> ResultTable:
    """F1 by type of the first system and of system `number`, and the difference."""
    first, other = comparison.systems[0], comparison.systems[number]
    columns = (
        Column("type"),
        Column(f"F1 of {first.name}", Kind.SHARE),
        Column(f"F1 of {other.name}", Kind.SHARE),
        *_DIFFERENCE,
        Column("support", Kind.COUNT),
    )
    differences = comparison.differences[number - 1]
    rows = [
        (name or _ALL, one.a, one.b, one.difference, one.interval, one.p_value, _support(first, name))
        for name, one in sorted(differences.items(), key=lambda pair: pair[0] == OVERALL)
    ]
    return ResultTable(columns, tuple(rows), bold=frozenset({len(rows) - 1}))


def _compared_facts(comparison: Comparison) -> dict[str, str]:
    first = comparison.systems[0].scores[0]
    return {
        **_measured(first),
        **_sizes(first, accuracy=False),
        "scores": "averaged over the runs of a system",
        "difference": f"of F1 from that of {comparison.systems[0].name}, from counts averaged over the runs",
        "interval": "paired bootstrap over sentences",
        "p-value": "two-sided paired permutation test, not corrected for multiple comparisons",
    }


def _compared(system: System, name: str, difference: Difference | None, first: System) -> tuple[Any, ...]:
    counts = [scores.by_type.get(name, Counts()) if name else scores.overall for scores in system.scores]
    precision, recall = (statistics.fmean(getattr(one, ratio) for one in counts) for ratio in ("precision", "recall"))
    f1 = [one.f1 for one in counts]
    gap = (None, None, None) if difference is None else (difference.difference, difference.interval, difference.p_value)
    spread = statistics.stdev(f1) if len(f1) > 1 else None
    return (
        system.name,
        len(f1),
        name or _ALL,
        precision,
        recall,
        statistics.fmean(f1),
        spread,
        *gap,
        _support(first, name),
    )


def _support(first: System, name: str) -> int:
    """The number of gold spans of a type, or of all types together."""
    scores = first.scores[0]
    return (scores.by_type.get(name, Counts()) if name else scores.overall).gold


def seeds_result_table(
    f1: Mapping[int, Mapping[str, float]],
    facts: Mapping[str, str],
    *,
    median: int,
    measure: Measure,
    mode: str | None = None,
) -> ResultTable:
    """The F1 of each seed by split, then mean and standard deviation.

    facts: what was scored. median: the seed with the median validation score by `measure`. mode: how invalid label
    sequences are read, if it is known.
    """
    splits = list(next(iter(f1.values())))
    columns = (Column("seed"), *(Column(f"{split} F1", Kind.SHARE) for split in splits))
    rows: list[tuple[Any, ...]] = [(str(seed), *(values[split] for split in splits)) for seed, values in f1.items()]
    by_split = [[values[split] for values in f1.values()] for split in splits]
    rows += [("mean", *map(statistics.mean, by_split)), ("standard deviation", *map(statistics.stdev, by_split))]
    facts = {**facts, "F1": _average(mode), "model": f"seed {median}, with the median validation {measure.name}"}
    return ResultTable(columns, tuple(rows), facts, frozenset({len(f1)}))


def sweep_result_table(
    names: Sequence[str],
    trials: Sequence[Trial],
    facts: Mapping[str, str],
    *,
    measure: Measure,
    mode: str | None = None,
) -> ResultTable:
    """The trials of a sweep over the settings `names`, best first by `measure`.

    facts: what was scored. mode: how invalid label sequences are read, if it is known.
    """
    splits = list(dict.fromkeys(split for *_, f1, _ in trials for split in f1 or ()))
    others = [Column(f"validation {measure.name}", Kind.LOSS if measure.is_loss else Kind.SHARE)]
    others = [] if measure.name == "F1" else others
    columns = (
        Column("trial"),
        *map(Column, short_names(names)),
        *(Column(f"{split} F1", Kind.SHARE) for split in splits),
        *others,
        Column("state"),
    )
    rows = tuple(
        (
            *(name, *values, *((f1 or {}).get(split) for split in splits)),
            *([value] if others else []),
            "finished" if f1 else "failed",
        )
        for name, values, f1, value in trials
    )
    facts = {
        **facts,
        "F1": _average(mode),
        "model": f"trial {trials[0][0]}, with the best validation {measure.name}",
    }
    return ResultTable(columns, rows, facts, frozenset({0}))


def _average(mode: str | None) -> str:
    return f"micro average, {mode} mode" if mode else "micro average"


def _measured(scores: Scores) -> dict[str, str]:
    """How scores are measured."""
    if not scores.has_spans:
        return {"scored": "the label of each word"}
    return {
        "scored": "spans with the right boundaries and type",
        "mode": f"{scores.mode}, {MODE_RULES[scores.mode]}",
        "label scheme": scores.scheme.value,
    }


def _sizes(scores: Scores, *, accuracy: bool = True) -> dict[str, str]:
    sizes = {"sentences": str(scores.n_sentences), "words": str(scores.n_words)}
    if accuracy:
        sizes["token accuracy"] = percent(scores.token_accuracy)
        if notes := fact_lines(scores.facts):
            sizes["notes"] = ", ".join(notes)
    return sizes
