"""Scores as tables for a terminal of 80 columns."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tf_tokclf.control_characters import plain_text
from tf_tokclf.counted import counted, counted_kind
from tf_tokclf.scoring.bootstrap import Difference
from tf_tokclf.scoring.comparison import Comparison, System
from tf_tokclf.scoring.counts import Average, Counts
from tf_tokclf.scoring.entities import entities_of
from tf_tokclf.scoring.error_analysis import NOTHING, ErrorAnalysis, Outcome, Ranked
from tf_tokclf.scoring.evaluation import Evaluation
from tf_tokclf.scoring.predictions import Prediction
from tf_tokclf.scoring.scores import Scores

_OUTCOMES = {
    Outcome.RIGHT: "right",
    Outcome.WRONG_TYPE: "wrong type",
    Outcome.WRONG_BOUNDARY: "boundary",
    Outcome.WRONG_BOTH: "both",
    Outcome.MISSED: "missed",
    Outcome.SPURIOUS: "spurious",
}

# What a fact beside the scores is called; others are shown by their own name.
FACTS = {
    "n_unseen_words": "words that the model did not see",
    "n_truncated_words": "words beyond the model's length limit, which it did not see",
    "n_empty_words": "words without subword tokens, which the model did not see",
    "n_repaired_sentences": "sentences whose gold labels were repaired before scoring",
    "n_unseen_labels": "words whose gold label the model does not know",
}

Interval = tuple[float, float]


def scores_table(scores: Scores, intervals: Mapping[str, Interval] | None = None) -> RenderableType:
    """Per type and overall: precision, recall, F1, support; below, how the numbers were made.

    intervals: 95 % intervals of F1 by type, and by "" for all types together; where given they get a column.
    """
    names = ["precision", "recall", "F1", *(["95 % of F1"] if intervals else []), "support"]
    table = _table("type" if scores.has_spans else "label", *names)

    def row(name: str, scored: Counts | Average, key: str | None = None, style: str = "") -> None:
        cells = [percent(scored.precision), percent(scored.recall), percent(scored.f1)]
        if intervals:
            cells.append(interval_text(intervals.get(key)) if key is not None else "")
        table.add_row(_text(name), *cells, f"{scored.support:,}", style=style)

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
    lines.append(f"{counted(scores.n_sentences, 'sentence')}, {counted(scores.n_words, 'word')}")
    lines += [counted_kind(number, FACTS.get(name, name.replace("_", " "))) for name, number in scores.facts.items()]
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


def evaluation_tables(evaluation: Evaluation) -> RenderableType:
    """Scores with intervals, F1 without the decoding where one was asked for, the errors where they were analysed."""
    parts: list[RenderableType] = [scores_table(evaluation.scores, evaluation.intervals)]
    if evaluation.by_argmax:
        parts.append(Text(f"F1 of each word's most probable label {percent(evaluation.by_argmax.overall.f1)}"))
    if evaluation.errors:
        parts += ["", errors_table(evaluation.errors)]
    return Group(*parts)


def seeds_table(f1: Mapping[int, Mapping[str, float]], *, median: int) -> RenderableType:
    """The F1 of each seed's run by split, with mean and standard deviation."""
    splits = list(next(iter(f1.values())))
    table = _table("seed", *(f"{split} F1" for split in splits))
    for seed, values in f1.items():
        name = f"{seed} (median)" if seed == median else str(seed)
        table.add_row(name, *(percent(values[split]) for split in splits))
    columns = [[values[split] for values in f1.values()] for split in splits]
    table.add_row("mean", *(percent(statistics.mean(column)) for column in columns))
    table.add_row("deviation", *(percent(statistics.stdev(column)) for column in columns))
    return table


def sweep_table(names: Sequence[str], trials: Sequence[tuple[str, Sequence[str], float | None]]) -> RenderableType:
    """Trials, the best first: name, the values of the settings `names`, and dev F1, None where it failed."""
    leaves = [name.rpartition(".")[2] for name in names]
    table = _table("trial", *(leaf if leaves.count(leaf) == 1 else name for leaf, name in zip(leaves, names)), "dev F1")
    for i, (name, values, f1) in enumerate(trials):
        shown = "failed" if f1 is None else percent(f1)
        table.add_row(_text(f"{name} (best)" if i == 0 else name), *map(_text, values), shown)
    return table


def comparison_tables(comparison: Comparison, *, n_examples: int = 3) -> RenderableType:
    """All systems, then each later one against the first by type, and sentences that one gets right alone."""
    overview = _table("system", "runs", "F1", "sd", "precision", "recall")
    for system in comparison.systems:
        overview.add_row(_text(system.name), *_overview(system))
    parts: list[RenderableType] = [overview]
    for number, differences in enumerate(comparison.differences, 1):
        a, b = comparison.systems[0], comparison.systems[number]
        parts += ["", _difference_table(a, b, differences)]
        pairs = comparison.pairs_of_runs(number)
        if pairs.n > 1:
            parts += [_text(f"{b.name} has the higher F1 in {pairs.other_better:,} of {pairs.n:,} pairs of runs")]
        parts += _alone(comparison, number, n_examples)
    scores = comparison.systems[0].scores[0]
    notes = [
        f"{counted(scores.n_sentences, 'sentence')}, {counted(scores.n_words, 'word')}",
        f"scheme {scores.scheme.value}, mode {scores.mode}",
        "intervals: paired bootstrap over sentences; p: two-sided paired permutation",
        "test, not corrected for looking at several types or systems",
    ]
    if any(len(system.scores) > 1 for system in comparison.systems):
        notes += [
            "several runs of a system: their counts are averaged sentence by sentence;",
            "intervals and p are about the choice of sentences, sd and pairs about seeds",
        ]
    return Group(*parts, "", *(Text(note) for note in notes))


def _overview(system: System) -> list[str]:
    f1 = system.f1()
    spread = percent(statistics.stdev(f1)) if len(f1) > 1 else ""
    overall = [scores.overall for scores in system.scores]
    precision, recall = (statistics.fmean(getattr(o, name) for o in overall) for name in ("precision", "recall"))
    return [str(len(f1)), percent(statistics.fmean(f1)), spread, percent(precision), percent(recall)]


def _difference_table(a: System, b: System, differences: Mapping[str, Difference]) -> Table:
    short = [name if len(name) <= 10 else "…" + name[-9:] for name in (a.name, b.name)]
    table = _table("type", *short, "B - A", "95 %", "p", "support")
    by_type = a.scores[0].by_type
    for name, one in differences.items():
        support = by_type.get(name, Counts()) if name else a.scores[0].overall
        interval = f"{100 * one.interval[0]:+.1f} to {100 * one.interval[1]:+.1f}"
        numbers = [
            percent(one.a),
            percent(one.b),
            f"{100 * one.difference:+.2f}",
            interval,
            f"{one.p_value:.4f}",
        ]
        table.add_row(_text(name or "all"), *numbers, f"{support.gold:,}", style="" if name else "bold")
    return table


def _alone(comparison: Comparison, number: int, n_examples: int) -> list[RenderableType]:
    a, b = comparison.systems[0], comparison.systems[number]
    parts: list[RenderableType] = []
    for winner, loser, numbers in zip((a, b), (b, a), comparison.split_sentences(number)):
        parts += [
            "",
            _text(f"Right in {winner.name} only: {counted(len(numbers), 'sentence')}"),
        ]
        for ours, theirs in comparison.examples(number, numbers[:n_examples]):
            wrong = theirs if winner is a else ours
            parts += [_text(f"  {ours.origin}: {' '.join(ours.words)}")]
            parts += [_text(f"    gold: {_spans_text(comparison, ours, ours.gold or ())}")]
            parts += [_text(f"    {loser.name}: {_spans_text(comparison, wrong, wrong.predicted)}")]
    return parts


def _spans_text(comparison: Comparison, prediction: Prediction, labels: Sequence[str]) -> str:
    scores = comparison.systems[0].scores[0]
    spans = entities_of(labels, scores.scheme, scores.mode)
    named = [f"[{' '.join(prediction.words[span.start : span.end])}] {span.type}" for span in spans]
    return ", ".join(named) or "nothing"


def errors_table(analysis: ErrorAnalysis, *, n_confusions: int = 8, n_listed: int = 5) -> RenderableType:
    """What became of the spans of each type, the commonest confusions, F1 of parts, and words to review."""
    outcomes = _table("type", *_OUTCOMES.values())
    rows = [*analysis.outcomes.items(), ("all", analysis.totals)]
    for type_, counts in rows:
        outcomes.add_row(_text(type_), *(f"{counts[outcome]:,}" for outcome in _OUTCOMES))
    parts: list[RenderableType] = [outcomes]
    confused = [(pair, n) for pair, n in analysis.confusion.most_common() if pair[0] != pair[1] and NOTHING not in pair]
    if confused:
        table = _table("taken for another type: gold", "predicted", "times")
        for (gold, predicted), n in confused[:n_confusions]:
            table.add_row(_text(gold), _text(predicted), f"{n:,}")
        parts += ["", table]
    for name, buckets in analysis.parts.items():
        table = _table(name, "precision", "recall", "F1", "support")
        for part, scored in buckets.items():
            shares = (scored.precision, scored.recall, scored.f1)
            table.add_row(_text(part), *map(percent, shares), f"{scored.support:,}")
        parts += ["", table]
    if analysis.calibration:
        error = percent(analysis.calibration.expected_calibration_error)
        parts += ["", f"expected calibration error of span scores: {error} %"]
    if analysis.disputed:
        parts += ["", "gold labels that the model strongly disputes:"]
        parts += [_text("  " + disputed_text(one)) for one in analysis.disputed[:n_listed]]
    return Group(*parts)


def disputed_text(one: Ranked) -> str:
    """One word to review: its sentence, the word, both labels and the probability of the model's own."""
    prediction, position = one.prediction, one.position or 0
    gold = (prediction.gold or ())[position]
    predicted = prediction.predicted[position]
    origin = prediction.origin
    place = f"{origin.path}, sentence at {origin.unit} {origin.number}" if origin else f"sentence {one.number}"
    return f"{place}, {prediction.words[position]}: gold {gold}, model {predicted} ({one.score:.3f})"


def _table(first: str, *others: str) -> Table:
    """A plain table: one column of names, the others of numbers."""
    table = Table(box=None, pad_edge=False, header_style="bold", collapse_padding=True, padding=(0, 2, 0, 0))
    table.add_column(Text(first), overflow="fold", max_width=28)
    for name in others:
        table.add_column(Text(name), justify="right", no_wrap=True)
    return table


def _text(text: str) -> Text:
    """Text of data: no markup, no control characters."""
    return Text(plain_text(text))
