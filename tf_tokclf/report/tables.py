"""Scores as tables for a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tf_tokclf.scoring.counts import Average, Counts
from tf_tokclf.scoring.scores import Scores

# What a fact beside the scores is called; others are shown by their own name.
_FACTS = {
    "n_unseen_words": "words that the model never saw",
    "n_truncated_words": "words past the model's limit, which it never saw",
    "n_empty_words": "words that became no piece, which the model never saw",
    "n_repaired_labels": "labels repaired before scoring",
    "n_repaired_sentences": "sentences repaired before scoring",
    "n_unseen_labels": "words whose gold label the model does not know",
}

Interval = tuple[float, float]


def scores_table(scores: Scores, intervals: Mapping[str, Interval] | None = None) -> RenderableType:
    """Per type and overall: precision, recall, F1, support; below, how the numbers were made.

    intervals: 95 % intervals of F1 by type, and by "" for all types together; where given they get a column.
    """
    table = Table(box=None, pad_edge=False, header_style="bold", collapse_padding=True, padding=(0, 2, 0, 0))
    table.add_column("type" if scores.has_spans else "label", overflow="fold", max_width=28)
    for name in ("precision", "recall", "F1"):
        table.add_column(name, justify="right", no_wrap=True)
    if intervals:
        table.add_column("95 % of F1", justify="right", no_wrap=True)
    table.add_column("support", justify="right", no_wrap=True)

    def row(name: str, scored: Counts | Average, key: str | None = None, style: str = "") -> None:
        cells = [percent(scored.precision), percent(scored.recall), percent(scored.f1)]
        if intervals:
            cells.append(interval_text(intervals.get(key)) if key is not None else "")
        table.add_row(Text(name), *cells, f"{scored.support:,}", style=style)

    for type_, counts in scores.by_type.items():
        row(type_, counts, type_)
    table.add_section()
    row("micro", scores.overall, "", style="bold")
    row("macro", scores.macro)
    row("weighted", scores.weighted)
    return Group(table, Text(), *(Text(line) for line in score_notes(scores)))


def score_notes(scores: Scores) -> list[str]:
    """Lines that say how the scores were made, each at most 80 characters wide."""
    accuracy = f"token accuracy {percent(scores.token_accuracy)}"
    inside = scores.token_accuracy_without_o
    if inside is not None:
        accuracy += f", without O {percent(inside)}"
    lines = [accuracy]
    if scores.has_spans:
        others = [f"F1 {percent(scores.tables[mode].overall.f1)} {mode}" for mode in scores.tables]
        lines.append(f"scheme {scores.scheme.value}, spans scored per sentence; {', '.join(others)}")
        lenient = [f"{name} {percent(counts.f1)}" for name, counts in scores.lenient.items()]
        lines.append(f"forgiving F1: {', '.join(lenient)}")
    else:
        lines.append("no scheme: labels of words are scored, not spans")
    if scores.surface is not None:
        lines.append(f"F1 of unique surface forms {percent(sum(scores.surface.values(), Counts()).f1)}")
    lines.append(f"{scores.n_sentences:,} sentences, {scores.n_words:,} words")
    lines += [
        f"{number:,} {_FACTS.get(name, name.replace('_', ' '))}" for name, number in scores.facts.items()
    ]
    return lines


def percent(share: float) -> str:
    """A share as a percentage with two decimals, as conlleval prints it.

    >>> percent(0.40784)
    '40.78'
    """
    return f"{100 * share:.2f}"


def interval_text(interval: Interval | None) -> str:
    """An interval of shares.

    >>> interval_text((0.371, 0.442))
    '37.1 - 44.2'
    """
    return f"{100 * interval[0]:.1f} - {100 * interval[1]:.1f}" if interval else ""
