"""Tables of results as HTML for notebooks: escaped, and readable on any page."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.report.runs import NASTY, make_run
from tf_tokclf.errors import UserError
from tf_tokclf.report.html_tables import html_table
from tf_tokclf.report.inline_report import InlineReport
from tf_tokclf.report.run_page import write_report
from tf_tokclf.report.table_formats import Column, Kind, ResultTable
from tf_tokclf.run_dir import RunDir
from tf_tokclf.scoring.comparison import compare_systems
from tf_tokclf.scoring.evaluation import evaluate_file


class Outline(HTMLParser):
    """The elements of a fragment with their attributes, and the cells of its table."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self._in_cell = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        self._in_cell = self._in_cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self.rows[-1][-1] += data


def check_harmless(html: str) -> Outline:
    """A fragment for a page that others share: no scripts, no resources, no styles but its own, no fixed colours."""
    outline = Outline(html)
    assert {tag for tag, _ in outline.elements} <= {"div", "table", "caption", "thead", "tbody", "tr", "th", "td", "p"}
    for _, attributes in outline.elements:
        assert attributes.keys() <= {"style", "scope"}
        assert "color" not in (attributes.get("style") or "").replace("color:inherit", "")
        assert "background" not in (attributes.get("style") or "")
    return outline


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    made = make_run(tmp_path_factory.mktemp("runs") / "one")
    write_report(made)
    return made


def test_text_is_escaped_and_empty_columns_are_left_out():
    columns = (Column(NASTY), Column("F1", Kind.SHARE), Column("empty"))
    html = html_table(ResultTable(columns, ((f"a{NASTY}\x1b", 0.5, None),), {"from": NASTY}), caption=NASTY)
    outline = check_harmless(html)
    assert outline.rows == [[NASTY, "F1"], [f"a{NASTY}�", "50.00"]]
    assert NASTY not in html


def test_an_evaluation_and_its_scores(run: RunDir):
    evaluation = evaluate_file(run.predictions_for("test"))
    outline = check_harmless(evaluation._repr_html_())
    by_name = {row[0]: row[1:] for row in outline.rows}
    for name, counts in {**evaluation.scores.by_type, "all (micro average)": evaluation.scores.overall}.items():
        low, high = evaluation.intervals[name if name in evaluation.scores.by_type else ""]
        shares = [f"{100 * share:.2f}" for share in (counts.precision, counts.recall, counts.f1)]
        assert by_name[name][:4] == [*shares, f"{100 * low:.2f} - {100 * high:.2f}"]
    alone = check_harmless(evaluation.scores._repr_html_())
    assert [row[:4] for row in alone.rows] == [row[:4] for row in outline.rows]
    assert len(alone.rows[0]) == 5


def test_a_comparison(run: RunDir):
    path = run.predictions_for("test")
    comparison = compare_systems([f"{NASTY}={path}", f"other={path}"], n_samples=9)
    outline = check_harmless(comparison._repr_html_())
    overall, by_type = outline.rows[1:3], outline.rows[4:]
    assert [row[0] for row in overall] == [NASTY, "other"]
    assert outline.rows[3][:3] == ["type", f"F1 of {NASTY}", "F1 of other"]
    scores = comparison.systems[0].scores[0]
    shown = {row[0]: row for row in by_type}
    for name, counts in {**scores.by_type, "all (micro average)": scores.overall}.items():
        f1 = f"{100 * counts.f1:.2f}"
        assert shown[name] == [name, f1, f1, "+0.00", "+0.00 to +0.00", "1.0000", str(counts.gold)]


def test_the_report_cannot_reach_the_notebook(run: RunDir):
    report = InlineReport(run.report)
    ((tag, attributes),) = Outline(report._repr_html_()).elements
    assert (tag, attributes["sandbox"]) == ("iframe", None)
    assert attributes.keys() <= {"sandbox", "title", "style", "srcdoc"}
    assert attributes["srcdoc"] == run.report.read_text(encoding="utf-8")
    assert Path(report) == run.report


def test_a_report_that_is_gone(tmp_path: Path):
    with pytest.raises(UserError, match=r"report\.html: cannot be read: No such file"):
        InlineReport(tmp_path / "report.html")._repr_html_()
