"""Scores as tables in all formats: of an evaluation, of systems that are compared, of several seeds, and of a sweep."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from tf_tokclf.report.score_tables import MODE_RULES, fact_lines, short_names
from tf_tokclf.report.table_formats import Column, Kind, ResultTable, percent
from tf_tokclf.scoring.bootstrap import OVERALL, Difference
from tf_tokclf.scoring.comparison import Comparison, System
from tf_tokclf.scoring.counts import Average, Counts
from tf_tokclf.scoring.evaluation import Evaluation
from tf_tokclf.scoring.scores import Scores

# A trial: its name, the values of the settings, and its F1 by split, which is None if it failed.
Trial = tuple[str, Sequence[str], Mapping[str, float] | None]
_ALL = "all (micro average)"
_SCORES = (Column("precision", Kind.SHARE), Column("recall", Kind.SHARE), Column("F1", Kind.SHARE))


def evaluation_table(evaluations: Mapping[str, Evaluation], facts: Mapping[str, str]) -> ResultTable:
    """The scores of one or several splits by type, with averages and intervals.

    evaluations: by the name of the split. A column names it if there are several. facts: what was scored, as a name and
    a value, such as the model and the data.
    """
    several = len(evaluations) > 1
    first = next(iter(evaluations.values())).scores
    columns = (
        *([Column("split")] if several else []),
        Column("type" if first.has_spans else "label"),
        *_SCORES,
        Column("95 % interval of F1", Kind.RANGE),
        Column("support", Kind.COUNT),
    )
    rows: list[tuple[Any, ...]] = []
    bold = set()
    facts = {**facts, **_measured(first)}
    for name, evaluation in evaluations.items():
        rows += [(*([name] if several else []), *row) for row in _rows(evaluation)]
        bold.add(len(rows) - 1)
        facts |= {f"{name} {what}" if several else what: text for what, text in _sizes(evaluation.scores).items()}
    facts["interval"] = "bootstrap over sentences, or Wilson's for few entities"
    return ResultTable(columns, tuple(rows), facts, frozenset(bold))


def _rows(evaluation: Evaluation) -> list[tuple[Any, ...]]:
    scores, intervals = evaluation.scores, evaluation.intervals

    def row(name: str, scored: Counts | Average, key: str | None = None) -> tuple[Any, ...]:
        interval = None if key is None else intervals.get(key)
        return (name, scored.precision, scored.recall, scored.f1, interval, scored.support)

    rows = [row(type_, counts, type_) for type_, counts in scores.by_type.items()]
    averages = [row("macro average", scores.macro), row("weighted average", scores.weighted)]
    return [*rows, *averages, row(_ALL, scores.overall, OVERALL)]


def comparison_table(comparison: Comparison) -> ResultTable:
    """Each system by type: scores, and for all but the first system the difference of F1 from that of the first.

    Scores are averaged over the runs of a system. The difference is that of the averaged counts.
    """
    columns = (
        Column("system"),
        Column("runs", Kind.COUNT),
        Column("type"),
        *_SCORES,
        Column("standard deviation of F1", Kind.SHARE),
        Column("difference", Kind.GAP),
        Column("95 % interval of the difference", Kind.GAP_RANGE),
        Column("p", Kind.P_VALUE),
        Column("support", Kind.COUNT),
    )
    rows: list[tuple[Any, ...]] = []
    bold = set()
    for system, differences in zip(comparison.systems, ({}, *comparison.differences)):
        names = [*system.scores[0].by_type, OVERALL]
        rows += [_compared(system, name, differences.get(name), comparison.systems[0]) for name in names]
        bold.add(len(rows) - 1)
    first = comparison.systems[0].scores[0]
    facts = {
        **_measured(first),
        **_sizes(first, accuracy=False),
        "scores": "averaged over the runs of a system",
        "difference": f"of F1 from that of {comparison.systems[0].name}, from counts averaged over the runs",
        "interval": "paired bootstrap over sentences",
        "p-value": "two-sided paired permutation test, not corrected for multiple comparisons",
    }
    return ResultTable(columns, tuple(rows), facts, frozenset(bold))


def _compared(system: System, name: str, difference: Difference | None, first: System) -> tuple[Any, ...]:
    counts = [scores.by_type.get(name, Counts()) if name else scores.overall for scores in system.scores]
    precision, recall = (statistics.fmean(getattr(one, ratio) for one in counts) for ratio in ("precision", "recall"))
    f1 = [one.f1 for one in counts]
    gap = (None, None, None) if difference is None else (difference.difference, difference.interval, difference.p_value)
    gold = first.scores[0].by_type.get(name, Counts()) if name else first.scores[0].overall
    spread = statistics.stdev(f1) if len(f1) > 1 else None
    return (system.name, len(f1), name or _ALL, precision, recall, statistics.fmean(f1), spread, *gap, gold.gold)


def seeds_result_table(
    f1: Mapping[int, Mapping[str, float]], facts: Mapping[str, str], *, median: int, mode: str
) -> ResultTable:
    """The F1 of each seed by split, then mean and standard deviation.

    facts: what was scored. mode: how invalid label sequences are read.
    """
    splits = list(next(iter(f1.values())))
    columns = (Column("seed"), *(Column(f"{split} F1", Kind.SHARE) for split in splits))
    rows: list[tuple[Any, ...]] = [(str(seed), *(values[split] for split in splits)) for seed, values in f1.items()]
    by_split = [[values[split] for values in f1.values()] for split in splits]
    rows += [("mean", *map(statistics.mean, by_split)), ("standard deviation", *map(statistics.stdev, by_split))]
    facts = {**facts, "F1": f"micro average, {mode} mode", "model": f"seed {median}, with the median validation F1"}
    return ResultTable(columns, tuple(rows), facts, frozenset({len(f1)}))


def sweep_result_table(
    names: Sequence[str], trials: Sequence[Trial], facts: Mapping[str, str], *, mode: str
) -> ResultTable:
    """The trials of a sweep over the settings `names`, best first.

    facts: what was scored. mode: how invalid label sequences are read.
    """
    splits = list(dict.fromkeys(split for *_, f1 in trials for split in f1 or ()))
    columns = (
        Column("trial"),
        *map(Column, short_names(names)),
        *(Column(f"{split} F1", Kind.SHARE) for split in splits),
        Column("state"),
    )
    rows = tuple(
        (name, *values, *((f1 or {}).get(split) for split in splits), "finished" if f1 else "failed")
        for name, values, f1 in trials
    )
    facts = {
        **facts,
        "F1": f"micro average, {mode} mode",
        "model": f"trial {trials[0][0]}, with the best validation F1",
    }
    return ResultTable(columns, rows, facts, frozenset({0}))


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
