"""Thresholds and trade-off curves as tables in all formats, and the curves as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from tf_tokclf.control_characters import plain_text
from tf_tokclf.report.figures import Line, line_chart, standalone
from tf_tokclf.report.table_formats import Column, Kind, ResultTable, percent, terminal_table, without_empty_columns
from tf_tokclf.scoring.counts import Counts
from tf_tokclf.scoring.operating_points import OperatingPoint

Curve = Sequence[tuple[float, Counts]]

_ALL = "all (micro average)"
_MEASURES = (("precision", "s1"), ("recall", "s2"), ("f1", "s3"))
_NAMES = {"precision": "precision", "recall": "recall", "f1": "F1"}
_POINTS = (
    Column("type"),
    Column("target"),
    Column("threshold", Kind.NUMBER),
    Column("lower bound", Kind.SHARE),
    *(
        column
        for name in _NAMES.values()
        for column in (Column(name, Kind.SHARE), Column(f"{name} before", Kind.SHARE))
    ),
    Column("support", Kind.COUNT),
)


def points_table(points: Mapping[str, OperatingPoint], facts: Mapping[str, str]) -> ResultTable:
    """The threshold of each type, and its scores with the threshold and before, by plain decoding.

    facts: how they were chosen, as a name and a value.
    """
    rows = [_point_row(point) for point in points.values()]
    missed = frozenset(i for i, point in enumerate(points.values()) if not point.is_met)
    return ResultTable(_POINTS, tuple(rows), facts, missed)


def _point_row(point: OperatingPoint) -> tuple[Any, ...]:
    scores = [getattr(counts, name) for name in _NAMES for counts in (point.counts, point.plain)]
    low = point.low if point.target and point.is_met else None
    return point.type, _target_text(point), point.threshold, low, *scores, point.counts.gold


def _target_text(point: OperatingPoint) -> str:
    """The target of a type. If it is out of reach, also the highest lower bound at any threshold.

    >>> from tf_tokclf.scoring.operating_points import Target
    >>> missed = OperatingPoint("X", Target("X", "recall", 0.9), 0.5, False, 0.8, 0.7, Counts(), Counts())
    >>> _target_text(missed)
    'recall>=0.9 not reachable: at most 70.00 (measured 80.00)'
    """
    if point.target is None:
        return ""
    wanted = f"{point.target.measure}>={point.target.least:g}"
    if point.is_met:
        return wanted
    if point.value is None or point.low is None:
        return f"{wanted} not reachable"
    return f"{wanted} not reachable: at most {percent(point.low)} (measured {percent(point.value)})"


def points_for_terminal(points: Mapping[str, OperatingPoint]) -> RenderableType:
    """A narrower `points_table`: each score before and with the threshold in one column. Targets out of reach are
    listed below the table.
    """
    columns = (
        Column("type"),
        Column("target"),
        Column("threshold", Kind.NUMBER),
        Column("at least", Kind.SHARE),
        *(Column(name, Kind.NUMBER) for name in _NAMES.values()),
    )
    rows = []
    for point in points.values():
        kept = point.target and point.is_met
        scores = [_change(getattr(point.plain, name), getattr(point.counts, name)) for name in _NAMES]
        target = f"{point.target.measure}>={point.target.least:g}" if point.target and kept else None
        rows.append((point.type, target, point.threshold, point.low if kept else None, *scores))
    table = without_empty_columns(ResultTable(columns, tuple(rows)))
    missed = [f"{point.type}: {_target_text(point)}" for point in points.values() if not point.is_met]
    notes = ["Scores: by plain decoding → with the threshold. At least: the lower bound of the target's measure."]
    if any(not point.is_met or not point.target for point in points.values()):
        notes.append("Types without a target that can be kept have the threshold with the highest F1.")
    return Group(terminal_table(table), "", *(Text(plain_text(line)) for line in (*missed, *notes)))


def _change(before: float, after: float) -> str:
    """Two shares in percent.

    >>> _change(0.5, 0.625)
    '50.0→62.5'
    """
    return f"{100 * before:.1f}→{100 * after:.1f}"


def curve_table(curves: Mapping[str, Curve], facts: Mapping[str, str]) -> ResultTable:
    """Precision, recall and F1 by threshold. curves: by type, of all types under ""."""
    columns = (
        Column("type"),
        Column("threshold", Kind.NUMBER),
        *(Column(name, Kind.SHARE) for name in _NAMES.values()),
        Column("predicted", Kind.COUNT),
        Column("support", Kind.COUNT),
    )
    rows = [
        (type_ or _ALL, threshold, counts.precision, counts.recall, counts.f1, counts.predicted, counts.gold)
        for type_, curve in curves.items()
        for threshold, counts in curve
    ]
    return ResultTable(columns, tuple(rows), facts)


def curve_picture(curves: Mapping[str, Curve], points: Mapping[str, OperatingPoint]) -> str:
    """An SVG file with a chart for each type with a target, marked at its threshold, and for all types if there are
    several.
    """
    with_target = [name for name, point in points.items() if point.target and point.counts.gold]
    shown = with_target if len(points) == 1 and with_target else ["", *with_target]
    charts = []
    for name in shown:
        curve = curves[name]
        lines = [
            Line(_NAMES[measure], [(threshold, 100 * getattr(counts, measure)) for threshold, counts in curve], style)
            for measure, style in _MEASURES
        ]
        alt = f"Precision, recall and F1 of {name or 'all types'} by threshold"
        mark = points[name].threshold if name else None
        charts.append((name or _ALL, line_chart(lines, alt=alt, x_name="threshold", y_name="percent", mark=mark)))
    return standalone(charts)
