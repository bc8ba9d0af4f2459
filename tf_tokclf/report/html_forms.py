"""The HTML forms of scores, comparisons and data in notebooks, which `HtmlForm` calls."""

from __future__ import annotations

from functools import singledispatch
from itertools import islice

from markupsafe import Markup

from tf_tokclf.data.splits import Splits
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.sentence import Sentence, text_of
from tf_tokclf.labels.spans import spans_of
from tf_tokclf.report.html_tables import html_table
from tf_tokclf.report.learning_curve import curve_table
from tf_tokclf.report.marked_text import MarkedText, TextSpan, marked_html
from tf_tokclf.report.result_tables import difference_table, evaluation_table, overall_comparison_table, score_table
from tf_tokclf.report.table_formats import Column, Kind, ResultTable
from tf_tokclf.scoring.comparison import Comparison
from tf_tokclf.scoring.evaluation import Evaluation
from tf_tokclf.scoring.learning_curve import LearningCurve
from tf_tokclf.scoring.scores import Scores

_SHOWN_SENTENCES = 5


@singledispatch
def html_form(result: object) -> Markup:
    """The HTML form of a result. Raises TypeError for a class that has none."""
    raise TypeError(f"{type(result).__name__} has no HTML form")


@html_form.register
def _(result: Evaluation) -> Markup:
    return html_table(evaluation_table({"": result}, {}))


@html_form.register
def _(result: LearningCurve) -> Markup:
    return html_table(curve_table(result))


@html_form.register
def _(result: Scores) -> Markup:
    return html_table(score_table(result))


@html_form.register
def _(result: Comparison) -> Markup:
    """All systems, and for each later one the differences from the first by type."""
    by_type = [html_table(difference_table(result, number)) for number in range(1, len(result.systems))]
    return html_table(overall_comparison_table(result)) + Markup("").join(by_type)


@html_form.register
def _(result: Splits) -> Markup:
    """The sizes of the splits, and the first sentences of the first one."""
    columns = (
        Column("split"),
        Column("sentences", Kind.COUNT),
        Column("words", Kind.COUNT),
        Column("data"),
    )
    rows = tuple((split.name, len(split), split.n_words, split.place) for split in result)
    facts = {"label scheme": result.scheme.value, "types": str(len(result.labels.types))}
    facts |= {"notes": "; ".join(result.notes)} if result.notes else {}
    first = next(iter(result), None)
    sentences = islice(first, _SHOWN_SENTENCES) if first is not None else ()
    shown = marked_html([_marked(one, result.scheme) for one in sentences], result.labels.types)
    return html_table(ResultTable(columns, rows, facts)) + shown


def _marked(sentence: Sentence, scheme: Scheme) -> MarkedText:
    text, offsets = text_of(sentence)
    labels = sentence.labels or ()
    if scheme is Scheme.NONE:
        return MarkedText(text, [TextSpan(*place, label) for place, label in zip(offsets, labels)])
    spans = [
        TextSpan(offsets[span.start][0], offsets[span.end - 1][1], span.type or "_")
        for span in spans_of(labels, scheme)
    ]
    return MarkedText(text, spans)
