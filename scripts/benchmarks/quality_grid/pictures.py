"""The pictures of results, as SVG on a white ground, so that they can be read on light and dark pages."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from html import escape

from quality_grid.cells import AUTO, NONE, SETTINGS, TRAINER, TUNED, Result
from quality_grid.datasets import title_of
from quality_grid.scores import count_table
from quality_grid.tables import Reported, Row
from tf_tokclf.scoring.bootstrap import Interval, f1_intervals

WIDTH, NAMES, ROW, GAP = 1000, 290, 26, 58
AXIS = WIDTH - NAMES - 110
PER_ROW, PANEL, PANEL_HEIGHT = 3, 320, 270
INK, FAINT, LINES = "#212121", "#616161", "#e0e0e0"
# Settings differ in colour and in shape: ours are round, the Trainer's square, and the plain settings hollow.
COLOURS: Mapping[str, str] = {AUTO: "#3f51b5", NONE: "#3f51b5", TRAINER: "#757575", TUNED: "#757575"}
HOLLOW, ROUND = (NONE, TRAINER), (AUTO, NONE)
NAMES_OF = {setting: name.replace("`", "") for setting, name in SETTINGS.items()}


def interval_of(by_seed: Mapping[int, Result]) -> Interval:
    """The 95 % interval of F1 over test sentences: the mean over seeds of its ends."""
    found = [f1_intervals(count_table(row["counts"]), n_samples=2_000)[""] for row in by_seed.values()]
    low, high = (statistics.mean(ends) for ends in zip(*found))
    return low, high


def f1_picture(reported: Reported, rows: Sequence[Row]) -> str:
    """F1 of each setting with its interval, by data set and encoder. A thin line stands for each seed."""
    shown = {key: interval_of(by_seed) for key, by_seed in reported.items() if key[:2] in rows}
    lowest = min((low for low, _ in shown.values()), default=0.0)
    start = math.floor(10 * lowest) * 10
    elements, top = [*_legend(16)], 50
    for data, encoder in rows:
        present = [setting for setting in SETTINGS if (data, encoder, setting) in shown]
        if not present:
            continue
        elements.append(_text(16, top + 16, f"{title_of(data)}, {encoder}", 'font-size="17" font-weight="bold"'))
        bottom = top + 34 + ROW * len(present)
        elements += _axis(start, top + 28, bottom)
        for place, setting in enumerate(present):
            key = (data, encoder, setting)
            elements += _f1_row(setting, reported[key], shown[key], start, top + 44 + place * ROW)
        top = bottom + GAP - 20
    return _document("Test F1 of each setting, with intervals", elements, top)


def time_picture(reported: Reported, rows: Sequence[Row]) -> str:
    """F1 against the minutes of training, a panel for each data set and encoder."""
    elements, place = [*_legend(16)], 0
    for data, encoder in rows:
        points = {
            setting: (
                statistics.mean(row["train_seconds"] for row in by_seed.values()) / 60,
                100 * statistics.mean(row["f1"] for row in by_seed.values()),
            )
            for setting in SETTINGS
            if (by_seed := reported.get((data, encoder, setting)))
        }
        if points:
            left, top = 20 + place % PER_ROW * (PANEL + 10), 50 + place // PER_ROW * PANEL_HEIGHT
            elements += _panel(f"{title_of(data)}, {encoder}", points, left, top)
            place += 1
    return _document("Test F1 against the time of training", elements, 60 + -(-place // PER_ROW) * PANEL_HEIGHT)


def _f1_row(
    setting: str, by_seed: Mapping[int, Result], interval: Interval, start: float, middle: float
) -> Iterator[str]:
    def x(percent: float) -> float:
        return NAMES + (percent - start) / (100 - start) * AXIS

    values = [100 * result["f1"] for result in by_seed.values()]
    mean = statistics.mean(values)
    low, high = (x(100 * end) for end in interval)
    yield _text(16, middle + 5, NAMES_OF[setting])
    yield f'<path d="M{low:.1f} {middle}H{high:.1f}" stroke="{COLOURS[setting]}" stroke-width="3"/>'
    for value in values if len(values) > 1 else ():
        yield f'<path d="M{x(value):.1f} {middle - 8}v16" stroke="{INK}" stroke-width="1"/>'
    yield _mark(setting, x(mean), middle)
    yield _text(WIDTH - 90, middle + 5, f"{mean:.1f}")


def _axis(start: int, top: float, bottom: float) -> Iterator[str]:
    for percent in range(start, 101, 10):
        x = NAMES + (percent - start) / (100 - start) * AXIS
        yield f'<path d="M{x:.1f} {top}V{bottom}" stroke="{LINES}"/>'
        yield _text(x, bottom + 14, str(percent), f'font-size="12" text-anchor="middle" fill="{FAINT}"')


def _panel(title: str, points: Mapping[str, tuple[float, float]], left: float, top: float) -> Iterator[str]:
    """Points of (minutes, F1) by setting, with a logarithmic axis of time."""
    x0, y0, width, height = left + 36, top + 30, PANEL - 56, PANEL_HEIGHT - 90
    minutes, scores = zip(*points.values())
    first, last = math.log10(min(minutes)) - 0.15, math.log10(max(minutes)) + 0.15
    low, high = _f1_range(scores)
    yield _text(left, top + 14, title, 'font-weight="bold"')
    yield _text(x0 + width, top + 14, "F1, %", f'font-size="12" text-anchor="end" fill="{FAINT}"')
    yield f'<rect x="{x0}" y="{y0}" width="{width}" height="{height}" fill="none" stroke="{LINES}"/>'
    for percent in _ticks(low, high):
        y = y0 + height * (high - percent) / (high - low)
        yield f'<path d="M{x0} {y:.1f}h{width}" stroke="{LINES}"/>'
        yield _text(x0 - 6, y + 4, f"{percent:g}", f'font-size="12" text-anchor="end" fill="{FAINT}"')
    for minute in _minutes(first, last):
        x = x0 + width * (math.log10(minute) - first) / (last - first)
        yield f'<path d="M{x:.1f} {y0}v{height}" stroke="{LINES}"/>'
        yield _text(x, y0 + height + 16, f"{minute:g}", f'font-size="12" text-anchor="middle" fill="{FAINT}"')
    yield _text(x0 + width / 2, y0 + height + 34, "minutes", f'font-size="12" text-anchor="middle" fill="{FAINT}"')
    for setting, (time, score) in points.items():
        x = x0 + width * (math.log10(time) - first) / (last - first)
        yield _mark(setting, x, y0 + height * (high - score) / (high - low))


def _f1_range(scores: Sequence[float]) -> tuple[float, float]:
    """An axis that contains the scores, of at least two points, with ends at which the marks have room."""
    room = max(0.12 * (max(scores) - min(scores)), (2 - max(scores) + min(scores)) / 2, 0.4)
    return min(scores) - room, max(scores) + room


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers between two values, three to seven of them."""
    step = next(step for step in (0.5, 1, 2, 5, 10, 20, 50) if (high - low) / step <= 7)
    return [round(n * step, 1) for n in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _minutes(first: float, last: float) -> list[float]:
    """1, 2 and 5 times powers of ten between two logarithms. Or the rounded middle, if there are none."""
    powers = range(math.floor(first), math.ceil(last) + 1)
    found = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
    return [minute for minute in found if first <= math.log10(minute) <= last] or [
        float(f"{10 ** ((first + last) / 2):.1g}")
    ]


def _legend(y: float) -> Iterator[str]:
    x = 24.0
    for setting, name in NAMES_OF.items():
        yield _mark(setting, x, y)
        yield _text(x + 12, y + 5, name)
        x += 40 + 7 * len(name)


def _mark(setting: str, x: float, y: float) -> str:
    colour = COLOURS[setting]
    style = f'fill="{"#fff" if setting in HOLLOW else colour}" stroke="{colour}" stroke-width="2"'
    if setting in ROUND:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" {style}/>'
    return f'<rect x="{x - 5:.1f}" y="{y - 5:.1f}" width="10" height="10" {style}/>'


def _text(x: float, y: float, text: str, style: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text)}</text>'


def _document(title: str, elements: Sequence[str], height: float) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img" font-size="14"'
        f' font-family="system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, sans-serif" fill="{INK}">'
    )
    ground = f'<rect width="{WIDTH}" height="{height:.0f}" rx="6" fill="#fff"/>'
    return "\n".join([head, f"<title>{escape(title)}</title>", ground, *elements, "</svg>", ""])
