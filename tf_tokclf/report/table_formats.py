"""Tables of results for papers, issues and scripts: Markdown, LaTeX with booktabs, and CSV.

A table states how its numbers were measured: in Markdown above it, in LaTeX in comments, and in CSV in further columns.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from rich.table import Table
from rich.text import Text

from tf_tokclf.control_characters import plain_text
from tf_tokclf.report.terminal import duration

# Formats that `formatted` writes. Commands also print tables for terminals, and JSON.
TABLE_FORMATS = ("markdown", "latex", "csv")


class Kind(Enum):
    """What a column contains.

    SHARE: a fraction, shown in percent. GAP: the difference of two shares, shown in percentage points with its sign.
    RANGE, GAP_RANGE: the ends of an interval of these; in CSV, two columns. P_VALUE: a probability. LOSS: a loss.
    COUNT: a whole number. SECONDS: a duration. NUMBER: a value as it is. TEXT: anything else.
    """

    TEXT = "text"
    NUMBER = "number"
    COUNT = "count"
    SECONDS = "seconds"
    SHARE = "share"
    GAP = "gap"
    RANGE = "range"
    GAP_RANGE = "range of gaps"
    P_VALUE = "p"
    LOSS = "loss"

    @property
    def is_range(self) -> bool:
        """Whether a value consists of two numbers."""
        return self in (Kind.RANGE, Kind.GAP_RANGE)


@dataclass(frozen=True)
class Column:
    """A column of a table. unit: added to the name in CSV, where numbers stand alone."""

    name: str
    kind: Kind = Kind.TEXT

    def shown(self, value: Any) -> str:
        """A value as text for people; empty for None."""
        return "" if value is None else _SHOWN[self.kind](value)


@dataclass(frozen=True)
class ResultTable:
    """A table of results. A value of None is an empty cell.

    Attributes:
        columns: The columns.
        rows: The values of each row, one per column. Shares are fractions.
        facts: How the numbers were measured: a name and a value, such as the label scheme.
        bold: Indices of the rows to emphasise.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    facts: Mapping[str, str] = field(default_factory=dict)
    bold: frozenset[int] = frozenset()

    def shown_rows(self) -> Iterator[list[str]]:
        """The rows as text for people."""
        for row in self.rows:
            yield [column.shown(value) for column, value in zip(self.columns, row, strict=True)]


def percent(share: float) -> str:
    """A share as a percentage with two decimals, as conlleval prints it.

    >>> percent(0.40784)
    '40.78'
    """
    return f"{100 * share:.2f}"


def interval_text(interval: tuple[float, float] | None) -> str:
    """An interval of shares in percent.

    >>> interval_text((0.371, 0.442))
    '37.10 - 44.20'
    """
    return f"{percent(interval[0])} - {percent(interval[1])}" if interval else ""


def without_empty_columns(table: ResultTable) -> ResultTable:
    """The table without columns that have no value in any row."""
    kept = [i for i in range(len(table.columns)) if any(row[i] is not None for row in table.rows)]
    rows = tuple(tuple(row[i] for i in kept) for row in table.rows)
    return replace(table, columns=tuple(table.columns[i] for i in kept), rows=rows) if table.rows else table


def terminal_table(table: ResultTable) -> Table:
    """The table for a terminal. Its facts are left out."""
    shown = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in table.columns:
        is_text = column.kind is Kind.TEXT
        shown.add_column(
            Text(plain_text(column.name)), justify="left" if is_text else "right", no_wrap=not is_text, overflow="fold"
        )
    for number, row in enumerate(table.shown_rows()):
        shown.add_row(*(Text(_one_line(cell)) for cell in row), style="bold" if number in table.bold else "")
    return shown


def formatted(table: ResultTable, format: str, *, with_empty: bool = False) -> str:
    """The table as text in one of TABLE_FORMATS, with a line end.

    with_empty: whether it contains columns without any value. CSV always does.
    """
    table = table if with_empty or format == "csv" else without_empty_columns(table)
    return _WRITERS[format](table)


def _markdown(table: ResultTable) -> str:
    names = [_markdown_cell(column.name) for column in table.columns]
    lines = [f"{_markdown_cell('; '.join(_facts(table)))}.", ""] if table.facts else []
    lines += [_piped(names), _piped("---" if column.kind is Kind.TEXT else "--:" for column in table.columns)]
    for number, row in enumerate(table.shown_rows()):
        cells = map(_markdown_cell, row)
        lines.append(_piped(f"**{cell}**" if number in table.bold and cell else cell for cell in cells))
    return "\n".join(lines) + "\n"


def _piped(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_cell(text: str) -> str:
    """Text without a meaning in Markdown or HTML.

    >>> print(_markdown_cell("a|b*c <i> my_type _x_"))
    a\\|b\\*c &lt;i> my_type \\_x\\_
    """
    return markdown_text(_one_line(text).replace("&", "&amp;").replace("<", "&lt;"))


def markdown_text(text: str) -> str:
    """Text with Markdown escaped. An underscore within a word has no meaning in Markdown, and stays as it is.

    >>> print(markdown_text("B-my_type __init__ **bold**"))
    B-my_type \\_\\_init\\_\\_ \\*\\*bold\\*\\*
    """
    return re.sub(r"([\\`*\[\]|~]|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", text)


def _latex(table: ResultTable) -> str:
    lines = ["% Needs \\usepackage{booktabs}.", *(f"% {_one_line(fact)}" for fact in _facts(table))]
    alignments = "".join("l" if column.kind is Kind.TEXT else "r" for column in table.columns)
    lines += [f"\\begin{{tabular}}{{{alignments}}}", "\\toprule"]
    lines += [_latex_row(_latex_text(column.name) for column in table.columns), "\\midrule"]
    for number, row in enumerate(table.rows):
        cells = [_latex_cell(column, value) for column, value in zip(table.columns, row, strict=True)]
        if number in table.bold:
            cells = [f"\\textbf{{{cell}}}" if cell else "" for cell in cells]
        lines.append(_latex_row(cells))
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"]) + "\n"


def _latex_row(cells: Iterable[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def _latex_cell(column: Column, value: Any) -> str:
    """A value in LaTeX. Signs are set in mathematics mode, and ranges have a dash.

    >>> print(_latex_cell(Column("", Kind.GAP), -0.012), _latex_cell(Column("", Kind.RANGE), (0.371, 0.442)))
    $-1.20$ 37.10--44.20
    """
    shown = column.shown(value)
    if column.kind is Kind.RANGE:
        return shown.replace(" - ", "--")
    if column.kind in (Kind.GAP, Kind.GAP_RANGE):
        return re.sub(r"[+-]\d+\.\d+", r"$\g<0>$", shown)
    return _latex_text(shown)


_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
}


def _latex_text(text: str) -> str:
    """Text without a meaning in LaTeX.

    >>> print(_latex_text("50% of B-LOC_x & {y}"), _latex_text("[x]"))
    50\\% of B-LOC\\_x \\& \\{y\\} {[}x]
    """
    escaped = "".join(_LATEX.get(letter, letter) for letter in _one_line(text))
    # At the start of a row, these would be read as arguments of the line break before it.
    return re.sub(r"^[\[*]", r"{\g<0>}", escaped)


def _csv(table: ResultTable) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    names = [name for column in table.columns for name in _csv_names(column)]
    writer.writerow([*names, *(f"about {name}" if name in names else name for name in table.facts)])
    for row in table.rows:
        values = [value for column, each in zip(table.columns, row, strict=True) for value in _csv_values(column, each)]
        writer.writerow([*values, *table.facts.values()])
    return file.getvalue()


def _csv_names(column: Column) -> list[str]:
    unit = _UNITS.get(column.kind, "")
    if column.kind.is_range:
        return [f"{column.name} {end}{unit}" for end in ("from", "to")]
    return [f"{column.name}{unit}"]


def _csv_values(column: Column, value: Any) -> list[str]:
    if column.kind.is_range:
        return [f"{100 * end:.2f}" for end in value] if value is not None else ["", ""]
    if value is None:
        return [""]
    if column.kind in (Kind.COUNT, Kind.NUMBER):
        return [str(value)]
    if column.kind is Kind.SECONDS:
        return [f"{value:.1f}"]
    if column.kind is Kind.GAP:
        return [f"{100 * value:.2f}"]
    return [column.shown(value)]


def _gap(value: float) -> str:
    return f"{100 * value:+.2f}"


_SHOWN: Mapping[Kind, Callable[[Any], str]] = {
    Kind.TEXT: str,
    Kind.NUMBER: str,
    Kind.COUNT: "{:,}".format,
    Kind.SECONDS: duration,
    Kind.SHARE: percent,
    Kind.GAP: _gap,
    Kind.RANGE: interval_text,
    Kind.GAP_RANGE: lambda value: f"{_gap(value[0])} to {_gap(value[1])}",
    Kind.P_VALUE: "{:.4f}".format,
    Kind.LOSS: "{:.4f}".format,
}
# Units in the head of a CSV file.
_UNITS = {
    **dict.fromkeys((Kind.SHARE, Kind.RANGE), " (percent)"),
    **dict.fromkeys((Kind.GAP, Kind.GAP_RANGE), " (percentage points)"),
    Kind.SECONDS: " (s)",
}
_WRITERS: Mapping[str, Callable[[ResultTable], str]] = {"markdown": _markdown, "latex": _latex, "csv": _csv}


def _facts(table: ResultTable) -> Iterator[str]:
    return (f"{name}: {value}" for name, value in table.facts.items())


def _one_line(text: str) -> str:
    return plain_text(" ".join(str(text).split()))
