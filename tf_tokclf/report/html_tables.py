"""Tables of results as HTML for notebooks.

The styles are inline, because the outputs of a notebook share one page. Text and lines have the colours of the
notebook's theme. All values are escaped.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from tf_tokclf.report.page_environment import page_environment
from tf_tokclf.report.table_formats import Kind, ResultTable, without_empty_columns


def html_table(table: ResultTable, *, caption: str = "") -> Markup:
    """The table with its facts below it. Columns without any value are left out."""
    table = without_empty_columns(table)
    template = page_environment().get_template("table.html.jinja")
    return Markup(
        template.render(
            caption=caption,
            names=[column.name for column in table.columns],
            alignments=["left" if column.kind is Kind.TEXT else "right" for column in table.columns],
            rows=list(table.shown_rows()),
            bold=table.bold,
            facts=[f"{name}: {value}" for name, value in table.facts.items()],
        )
    )


def html_findings(findings: Sequence[str], command: str | None) -> Markup:
    """What stands out in a run as a list, and the command to try next."""
    template = page_environment().get_template("findings.html.jinja")
    return Markup(template.render(findings=findings, command=command))
