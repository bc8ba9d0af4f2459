"""Small charts as inline SVG. The style sheet of the page sets their colours, for light and dark mode."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from tf_tokclf.control_characters import plain_text
from tf_tokclf.counted import counted
from tf_tokclf.scoring.calibration import Reliability

_WIDTH, _HEIGHT = 400, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 86, 14, 40
_NAME_HEIGHT = 14
_CHARACTER_WIDTH = 7


@dataclass(frozen=True)
class Line:
    """A line with a name. style: a class of the style sheet."""

    name: str
    points: Sequence[tuple[float, float]]
    style: str


@dataclass(frozen=True)
class _Plane:
    """Converts values to coordinates of the chart."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def x(self, value: float) -> float:
        share = (value - self.x_low) / ((self.x_high - self.x_low) or 1)
        return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(self, value: float) -> float:
        share = (value - self.y_low) / ((self.y_high - self.y_low) or 1)
        return round(_HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM), 1)


def ticks(low: float, high: float, n: int = 5) -> list[float]:
    """Round numbers for an axis that contains `low` and `high`.

    >>> ticks(0.2, 0.83)
    [0.2, 0.4, 0.6, 0.8, 1.0]
    """
    span = (high - low) or 1.0
    power = 10.0 ** math.floor(math.log10(span / n))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor * n >= span)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 10) for i in range(first, max(last, first + 1) + 1)]


def line_chart(lines: Sequence[Line], *, alt: str, x_name: str, y_name: str, mark: float | None = None) -> Markup:
    """A chart of lines with their names at the right end. mark: an x value to mark with a vertical line."""
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points]
    y_ticks = ticks(min(ys), max(ys))
    inside = [x for x in ticks(min(xs), max(xs), 6) if min(xs) <= x <= max(xs)]
    # Fractions of epochs only where there are no two whole ones.
    whole = [x for x in inside if x == int(x)]
    x_ticks = whole if len(whole) > 1 else inside
    plane = _Plane(min(xs), max(xs), y_ticks[0], y_ticks[-1])
    parts = _axes(plane, x_ticks, y_ticks, x_name, y_name)
    if mark is not None:
        x = plane.x(mark)
        parts.append(f'<line class="mark" x1="{x}" x2="{x}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>')
    for line in lines:
        places = [(plane.x(x), plane.y(y)) for x, y in line.points]
        path = " ".join(f"{x},{y}" for x, y in places)
        parts.append(f'<polyline class="line {line.style}" points="{path}"/>')
        parts += [f'<circle class="dot {line.style}" cx="{x}" cy="{y}" r="3"/>' for x, y in places]
    parts += _line_names(plane, [(line.name, line.style, *line.points[-1]) for line in lines])
    return _svg(parts, alt)


def _line_names(plane: _Plane, ends: Iterable[tuple[str, str, float, float]]) -> list[str]:
    """The names of lines, at their right ends. ends: name, style, x and y of each line."""
    parts, lowest = [], -math.inf
    for name, style, x, y in sorted(ends, key=lambda end: plane.y(end[3])):
        # Names keep the order of the ends of their lines, without overlapping.
        lowest = max(plane.y(y), lowest + _NAME_HEIGHT)
        text = f'x="{plane.x(x) + 8}" y="{round(lowest + 4, 1)}">{escape(name)}'
        parts.append(f'<text class="name {style}" {text}</text>')
    return parts


@dataclass(frozen=True)
class Dots:
    """The values at each size, with a line through their means. style: a class of the style sheet."""

    name: str
    style: str
    values: Sequence[tuple[float, Sequence[float]]]


@dataclass(frozen=True)
class Outlook:
    """A law, as points of its curve, and the interval of its last value."""

    style: str
    points: Sequence[tuple[float, float]]
    interval: tuple[float, float]


def size_chart(series: Sequence[Dots], *, alt: str, outlook: Outlook | None = None) -> Markup:
    """Scores in percent over sizes of training data, on a logarithmic scale. outlook: drawn as a dashed curve."""
    sizes = [size for one in series for size, _ in one.values]
    ends = [size for size, _ in outlook.points] if outlook else []
    values = [value for one in series for _, those in one.values for value in those]
    values += outlook.interval if outlook else ()
    y_ticks = ticks(min(values), max(values))
    plane = _Plane(math.log(min(sizes)), math.log(max([*sizes, *ends])), y_ticks[0], y_ticks[-1])
    parts = _axes(plane, [], y_ticks, "training sentences", "F1 in percent")
    parts += _size_ticks(plane, sorted({*sizes, *ends[-1:]}))
    if outlook:
        path = " ".join(f"{plane.x(math.log(n))},{plane.y(y)}" for n, y in outlook.points)
        parts.append(f'<polyline class="line {outlook.style}" stroke-dasharray="2 4" points="{path}"/>')
        x, (low, high) = plane.x(math.log(ends[-1])), map(plane.y, outlook.interval)
        parts.append(
            f'<path class="line {outlook.style}" d="M{x} {low}V{high}M{x - 4} {low}H{x + 4}M{x - 4} {high}H{x + 4}"/>'
        )
    for one in series:
        means = [(plane.x(math.log(size)), plane.y(sum(those) / len(those))) for size, those in one.values]
        parts.append(f'<polyline class="line {one.style}" points="{" ".join(f"{x},{y}" for x, y in means)}"/>')
        for (x, _), (_, those) in zip(means, one.values):
            parts += [f'<circle class="dot {one.style}" cx="{x}" cy="{plane.y(value)}" r="3"/>' for value in those]
    # At the right end of the chart, because the curve of the outlook goes on beyond the lines.
    last = [(one.name, one.style, one.values[-1][1]) for one in series]
    parts += _line_names(plane, [(name, style, plane.x_high, sum(v) / len(v)) for name, style, v in last])
    return _svg(parts, alt)


def _size_ticks(plane: _Plane, sizes: Sequence[float]) -> list[str]:
    """The sizes below the axis. Those that would overlap the one before are left out."""
    parts, free = [], -math.inf
    for size in sizes:
        x, text = plane.x(math.log(size)), f"{size:,.0f}"
        width = _CHARACTER_WIDTH * len(text) / 2
        if x - width >= free:
            parts.append(f'<text class="tick middle" x="{x}" y="{_HEIGHT - _BOTTOM + 16}">{text}</text>')
            free = x + width + _CHARACTER_WIDTH
    return parts


def reliability_chart(calibration: Reliability, *, alt: str) -> Markup:
    """The share of right spans over the mean score of each bin. Well calibrated scores are on the diagonal."""
    plane = _Plane(0, 1, 0, 1)
    marks = [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    parts = _axes(plane, marks, marks, "mean score of the spans in a bin", "share of right spans")
    parts.append(f'<line class="mark" x1="{plane.x(0)}" y1="{plane.y(0)}" x2="{plane.x(1)}" y2="{plane.y(1)}"/>')
    most = max(one.n for one in calibration.bins)
    for one in calibration.bins:
        x, y = plane.x(one.mean_score), plane.y(one.accuracy)
        parts.append(f'<line class="gap" x1="{x}" x2="{x}" y1="{y}" y2="{plane.y(one.mean_score)}"/>')
        radius = round(3 + 6 * math.sqrt(one.n / most), 1)
        parts.append(
            f'<circle class="dot s1" cx="{x}" cy="{y}" r="{radius}">'
            f"<title>{counted(one.n, 'span')}: mean score {one.mean_score:.2f}, share right {one.accuracy:.2f}"
            "</title></circle>"
        )
    return _svg(parts, alt)


def bar(value: float, interval: tuple[float, float] | None = None) -> Markup:
    """A share as a bar, with its interval as a whisker. It is decoration, because the number is next to it."""
    parts = ['<rect class="ground" width="100" height="12" rx="2"/>']
    parts.append(f'<rect class="bar" width="{100 * value:.1f}" height="12" rx="2"/>')
    if interval:
        low, high = (f"{100 * end:.1f}" for end in interval)
        parts.append(f'<path class="whisker" d="M{low} 6H{high}M{low} 3V9M{high} 3V9"/>')
    return _decoration(parts)


def gap_bar(gap: float, interval: tuple[float, float], widest: float) -> Markup:
    """A difference as a bar to the left or right of zero, with its interval as a whisker. It is decoration.

    widest: the value at the ends of the scale.
    """

    def place(value: float) -> float:
        return round(50 + 50 * max(-1.0, min(1.0, value / (widest or 1))), 1)

    left, right = sorted((place(0), place(gap)))
    low, high = map(place, interval)
    parts = ['<rect class="ground" width="100" height="12" rx="2"/>']
    parts.append(f'<rect class="bar" x="{left}" width="{round(right - left, 1)}" height="12"/>')
    parts.append('<path class="zero" d="M50 0V12"/>')
    parts.append(f'<path class="whisker" d="M{low} 6H{high}M{low} 3V9M{high} 3V9"/>')
    return _decoration(parts)


def stacked_bar(shares: Sequence[tuple[float, str]]) -> Markup:
    """A bar that is divided into shares, each in the colour of its class."""
    parts, x = [], 0.0
    for share, style in shares:
        if share:
            parts.append(f'<rect class="{escape(style)}" x="{100 * x:.1f}" width="{100 * share:.1f}" height="12"/>')
        x += share
    return _decoration(parts)


def _decoration(parts: Sequence[str]) -> Markup:
    inside = "".join(parts)
    frame = 'class="inline" viewBox="0 0 100 12" preserveAspectRatio="none" aria-hidden="true"'
    return Markup(f"<svg {frame}>{inside}</svg>")


def _axes(plane: _Plane, x_ticks: Sequence[float], y_ticks: Sequence[float], x_name: str, y_name: str) -> list[str]:
    left, right, bottom = _LEFT, _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    parts = []
    for value in y_ticks:
        y = plane.y(value)
        parts.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text class="tick end" x="{left - 6}" y="{y + 4}">{value:g}</text>')
    for value in x_ticks:
        parts.append(f'<text class="tick middle" x="{plane.x(value)}" y="{bottom + 16}">{value:g}</text>')
    middle = (left + right) / 2
    parts.append(f'<text class="tick middle" x="{middle}" y="{_HEIGHT - 6}">{escape(x_name)}</text>')
    turned = f'transform="translate(11 {(_TOP + bottom) / 2}) rotate(-90)"'
    parts.append(f'<text class="tick middle" {turned}>{escape(y_name)}</text>')
    return parts


def _svg(parts: Sequence[str], alt: str) -> Markup:
    inside = "".join(parts)
    frame = f'class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(alt)}"'
    return Markup(f"<svg {frame}>{inside}</svg>")


# The colours of the page in its light mode, with a white ground, since other programs show the picture.
_STYLE = """svg { font: 12px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
text { fill: #55585e; } .title { font-weight: 600; fill: #1b1c1e; } .grid { stroke: #d9dadd; }
.middle { text-anchor: middle; } .end { text-anchor: end; } .mark { stroke: #55585e; stroke-dasharray: 4 4; }
.line { fill: none; stroke-width: 2; } .name { font-weight: 600; }
.line.s1 { stroke: #1d5fa6; } .line.s2 { stroke: #b04a00; } .line.s3 { stroke: #2b7a4b; }
.s1.dot, .s1.name { fill: #1d5fa6; } .s2.dot, .s2.name { fill: #b04a00; } .s3.dot, .s3.name { fill: #2b7a4b; }"""
_TITLE_HEIGHT = 24


def standalone(charts: Sequence[tuple[str, Markup]]) -> str:
    """Charts with their titles, one below the other, as the text of an SVG file."""
    row = _HEIGHT + _TITLE_HEIGHT
    parts = [f'<rect width="{_WIDTH}" height="{row * len(charts)}" fill="#fff"/>', f"<style>{_STYLE}</style>"]
    for number, (title, chart) in enumerate(charts):
        top = number * row
        placed = str(chart).replace("<svg ", f'<svg y="{top + _TITLE_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" ', 1)
        parts += [f'<text class="title" x="{_LEFT}" y="{top + 18}">{escape(plain_text(title))}</text>', placed]
    size = f'width="{2 * _WIDTH}" height="{2 * row * len(charts)}" viewBox="0 0 {_WIDTH} {row * len(charts)}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(parts)}</svg>\n'
