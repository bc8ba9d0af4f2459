"""Tables in Markdown, LaTeX and CSV, read back with other readers."""

from __future__ import annotations

import csv
import io
import re

import pytest
from rich.console import Console

from tf_tokclf.report.table_formats import Column, Kind, ResultTable, formatted, terminal_table

ODD = ["a|b", "x_y", "__x__", "*b*", "50% & $5", "{\\x}", "#1 ~^", "<i>", "[link](x)", "`c`", "a\nb", "PER\u202eX"]


def table(rows: list[tuple[object, ...]], *columns: Column, **options: object) -> ResultTable:
    return ResultTable(columns, tuple(rows), {"mode": "strict", "data": 'a,"b"'}, **options)


SCORES = table(
    [("LOC", 0.91169, (0.5, 0.999949), 1234, -0.01, (-0.02, 0.3), 0.00004, 75.2), ("PER", 1.0, *[None] * 6)],
    Column("type"),
    Column("F1", Kind.SHARE),
    Column("interval", Kind.RANGE),
    Column("support", Kind.COUNT),
    Column("difference", Kind.GAP),
    Column("its interval", Kind.GAP_RANGE),
    Column("p", Kind.P_VALUE),
    Column("time", Kind.SECONDS),
    bold=frozenset({1}),
)


def test_markdown():
    head, empty, names, rule, *rows = formatted(SCORES, "markdown").splitlines()
    assert (head, empty) == ('mode: strict; data: a,"b".', "")
    assert names == "| type | F1 | interval | support | difference | its interval | p | time |"
    assert rule == "| --- | --: | --: | --: | --: | --: | --: | --: |"
    assert rows == [
        "| LOC | 91.17 | 50.00 - 99.99 | 1,234 | -1.00 | -2.00 to +30.00 | 0.0000 | 1 min 15 s |",
        "| **PER** | **100.00** |  |  |  |  |  |  |",
    ]


def test_latex():
    lines = formatted(SCORES, "latex").splitlines()
    assert lines[:3] == ["% Needs \\usepackage{booktabs}.", "% mode: strict", '% data: a,"b"']
    assert lines[3:] == [
        "\\begin{tabular}{lrrrrrrr}",
        "\\toprule",
        "type & F1 & interval & support & difference & its interval & p & time \\\\",
        "\\midrule",
        "LOC & 91.17 & 50.00--99.99 & 1,234 & $-1.00$ & $-2.00$ to $+30.00$ & 0.0000 & 1 min 15 s \\\\",
        "\\textbf{PER} & \\textbf{100.00} &  &  &  &  &  &  \\\\",
        "\\bottomrule",
        "\\end{tabular}",
    ]


def test_csv():
    first, second = csv.DictReader(io.StringIO(formatted(SCORES, "csv")))
    assert first == {
        "type": "LOC",
        "F1 (percent)": "91.17",
        "interval from (percent)": "50.00",
        "interval to (percent)": "99.99",
        "support": "1234",
        "difference (percentage points)": "-1.00",
        "its interval from (percentage points)": "-2.00",
        "its interval to (percentage points)": "30.00",
        "p": "0.0000",
        "time (s)": "75.2",
        "mode": "strict",
        "data": 'a,"b"',
    }
    assert second["F1 (percent)"] == "100.00"
    assert {value for name, value in second.items() if "interval" in name or name in ("p", "support")} == {""}


@pytest.mark.parametrize("text", ODD)
def test_text_of_data_has_no_meaning_in_markdown(text: str):
    line = formatted(table([(text, 0.5)], Column("type"), Column("F1", Kind.SHARE)), "markdown").splitlines()[-1]
    cells = re.split(r"(?<!\\)\|", line)
    assert len(cells) == 4
    assert re.search(r"(?<!\\)[*`\[\]<]|(?<![\\\w])_|_(?!\w)(?<!\\_)", cells[1].strip()) is None
    plain = re.sub(r"\\(.)", r"\1", cells[1].strip()).replace("&lt;", "<").replace("&amp;", "&")
    assert plain == " ".join(text.split()).replace("\u202e", "\N{REPLACEMENT CHARACTER}")


LATEX_NAMES = {"textbackslash": "\\", "textasciitilde": "~", "textasciicircum": "^", "textless": "<"}
LATEX_NAMES |= {"textgreater": ">", "textbar": "|"}


@pytest.mark.parametrize("text", ODD)
def test_text_of_data_has_no_meaning_in_latex(text: str):
    lines = formatted(table([(text, 0.5)], Column("type"), Column("F1", Kind.SHARE)), "latex").splitlines()
    (line,) = [one for one in lines if one.endswith("50.00 \\\\")]
    cell = line.removesuffix(" & 50.00 \\\\")
    read, rest = "", cell.replace("{[}", "[").replace("{*}", "*")
    while rest:
        if found := re.match(r"\\(text[a-z]+)\{\}", rest):
            read += LATEX_NAMES[found[1]]
        elif found := re.match(r"\\([&%$#_{}])", rest):
            read += found[1]
        else:
            found = re.match(r"[^\\&%$#_{}~^]", rest)
            assert found is not None, rest
            read += found[0]
        rest = rest[found.end() :]
    assert read == " ".join(text.split()).replace("\u202e", "\N{REPLACEMENT CHARACTER}")
    # After a line break, these would be its arguments.
    assert line[0] not in "[*"


@pytest.mark.parametrize("text", [*ODD, 'say "x", y', "a;b"])
def test_text_of_data_survives_csv(text: str):
    found = formatted(table([(text, 0.5)], Column("type"), Column("F1", Kind.SHARE)), "csv")
    assert next(csv.DictReader(io.StringIO(found, newline="")))["type"] == text


def test_no_two_columns_of_csv_have_the_same_name():
    found = formatted(table([("a", "b")], Column("mode"), Column("x")), "csv")
    assert next(csv.reader(io.StringIO(found))) == ["mode", "x", "about mode", "data"]


def test_columns_without_values_are_in_csv_only():
    empty = table([("LOC", None)], Column("type"), Column("sd", Kind.SHARE))
    assert "sd" not in formatted(empty, "markdown") + formatted(empty, "latex")
    assert formatted(empty, "csv").startswith("type,sd (percent),mode,data\nLOC,,")


def test_a_table_without_rows_has_its_head():
    nothing = table([], Column("type"), Column("F1", Kind.SHARE))
    assert formatted(nothing, "markdown").splitlines()[-2] == "| type | F1 |"
    assert formatted(nothing, "csv").startswith("type,F1 (percent),")


def test_a_terminal_shows_the_same_values():
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(terminal_table(SCORES))
    text = console.export_text()
    for value in ("91.17", "50.00 - 99.99", "1,234", "-2.00 to +30.00", "1 min 15 s"):
        assert value in text
