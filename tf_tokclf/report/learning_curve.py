"""A learning curve as a table and as a chart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from tf_tokclf.report.figures import Dots, Outlook, size_chart
from tf_tokclf.report.table_formats import Column, Kind, ResultTable, percent
from tf_tokclf.scoring.learning_curve import LearningCurve
from tf_tokclf.scoring.power_law import Extrapolation

_STYLES = {"test": "s1", "validation": "s2"}
# Points of the curve that shows the power law.
_N_POINTS = 40


def short_curve_table(curve: LearningCurve) -> ResultTable:
    """A row for each share, which fits on a terminal: its size, and F1 with the standard deviation over the seeds."""
    scores = [Column(f"{split} F1", Kind.NUMBER) for split in curve.splits]
    rows = []
    for point, numbers in zip(curve.points, _sizes(curve)):
        spreads = [(point.mean(split), point.deviation(split)) for split in curve.splits]
        f1 = [percent(mean) if sd is None else f"{percent(mean)} ± {percent(sd)}" for mean, sd in spreads]
        rows.append((f"{point.share:g}", *numbers, *f1))
    return ResultTable((Column("share"), *_size_columns(curve), *scores), tuple(rows))


def _size_columns(curve: LearningCurve) -> list[Column]:
    names = ("sentences", "words", *(["spans"] if curve.points[0].n_spans is not None else []))
    return [Column(name, Kind.COUNT) for name in names]


def _sizes(curve: LearningCurve) -> list[list[int]]:
    """The numbers of sentences, words and spans of each share, without spans if the labels form none."""
    return [
        [round(n) for n in (point.n_sentences, point.n_words, point.n_spans) if n is not None] for point in curve.points
    ]


def curve_table(
    curve: LearningCurve, facts: Mapping[str, str] | None = None, *, mode: str | None = None
) -> ResultTable:
    """A row for each share: its size, and the mean and standard deviation of F1 over the seeds.

    facts: what was scored. mode: how invalid label sequences are read, if it is known.
    """
    scores = []
    for split in curve.splits:
        spread = [Column(f"standard deviation of {split} F1", Kind.SHARE)] if len(curve.seeds) > 1 else []
        scores += [Column(f"{split} F1", Kind.SHARE), *spread]
    rows = []
    for point, numbers in zip(curve.points, _sizes(curve)):
        cells: list[Any] = [f"{point.share:g}", *numbers]
        for split in curve.splits:
            cells += [point.mean(split), *([point.deviation(split)] if len(curve.seeds) > 1 else [])]
        rows.append(tuple(cells))
    seeds = ", ".join(map(str, curve.seeds))
    facts = {
        **(facts or {}),
        "F1": f"micro average, {mode} mode" if mode else "micro average",
        "seeds": f"{seeds}; sizes and F1 are means" if len(curve.seeds) > 1 else seeds,
        "outlook": curve.outlook_text,
        "model": f"share {curve.shares[-1]:g}, seed {curve.chosen}",
    }
    return ResultTable((Column("share"), *_size_columns(curve), *scores), tuple(rows), facts)


def curve_chart(curve: LearningCurve) -> Markup:
    """F1 over the number of training sentences, with each seed as a dot, and the power law if there is one."""
    lines = [
        Dots(split, _STYLES.get(split, "s3"), [(p.n_sentences, [100 * f1 for f1 in p.f1[split]]) for p in curve.points])
        for split in curve.splits
    ]
    alt = "F1 in percent by the number of training sentences. " + " ".join(
        f"{split}: {', '.join(f'{p.n_sentences:,.0f}: {percent(p.mean(split))}' for p in curve.points)}."
        for split in curve.splits
    )
    return size_chart(lines, alt=f"{alt} {curve.outlook_text}", outlook=_drawn_outlook(curve))


def _drawn_outlook(curve: LearningCurve) -> Outlook | None:
    found = curve.outlook
    if not isinstance(found, Extrapolation):
        return None
    first, last = curve.points[0].n_sentences, found.n_sentences
    sizes = [first * (last / first) ** (i / _N_POINTS) for i in range(_N_POINTS + 1)]
    low, high = found.interval
    return Outlook(
        _STYLES.get(curve.split, "s3"),
        [(n, 100 * (1 - found.law.error(n))) for n in sizes],
        (100 * low, 100 * high),
    )
