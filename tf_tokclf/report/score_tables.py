"""Scores as tables for a terminal of 80 columns. Scores are in percent with two decimals."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tf_tokclf.control_characters import plain_text
from tf_tokclf.counted import counted, counted_kind
from tf_tokclf.labels.sentence import Origin
from tf_tokclf.report.table_formats import interval_text, percent
from tf_tokclf.scoring.bootstrap import FEWEST_TO_RESAMPLE, OVERALL, Difference
from tf_tokclf.scoring.comparison import Comparison, System
from tf_tokclf.scoring.counts import Average, Counts
from tf_tokclf.scoring.entities import MODES, Mode, entities_of
from tf_tokclf.scoring.error_analysis import NOTHING, ErrorAnalysis, Outcome, Ranked
from tf_tokclf.scoring.evaluation import Evaluation
from tf_tokclf.scoring.leaks import Leaks, Miss
from tf_tokclf.scoring.measures import Measure
from tf_tokclf.scoring.predictions import Prediction
from tf_tokclf.scoring.requirements import Checked
from tf_tokclf.scoring.scores import Scores
from tf_tokclf.scoring.slices import Slices

_OUTCOMES = {
    Outcome.RIGHT: "right",
    Outcome.WRONG_TYPE: "wrong\ntype",
    Outcome.WRONG_BOUNDARY: "wrong\nboundary",
    Outcome.WRONG_BOTH: "wrong\nboth",
    Outcome.MISSED: "missed",
    Outcome.SPURIOUS: "spurious",
}

# Descriptions of the counts in `Scores.facts`. A count of 0 is not shown.
_FACTS = {
    "n_unseen_words": "words that the model did not see",
    "n_truncated_words": "words beyond the model's length limit, which it did not see",
    "n_empty_words": "words without subword tokens, which the model did not see",
    "n_repaired_sentences": "sentences whose gold labels were repaired before scoring",
    "n_unseen_labels": "words with a gold label that the model cannot predict",
}
# How each mode reads labels that are invalid in the label scheme, such as I-LOC after O in IOB2.
MODE_RULES: dict[Mode, str] = {
    "conlleval": "invalid labels are read as conlleval.pl reads them",
    "strict": "spans with invalid labels do not count",
}
# Names for the criteria of `Scores.lenient`.
LENIENT = {"partial": "partial overlap", "boundary": "boundaries only", "type": "type only"}
# Names for the measures of `Leaks`: how much of the gold spans is covered by predicted spans of any type.
COVERED = {"character_recall": "characters", "touched": "touched", "covered": "fully covered"}
# Names for divisions in `ErrorAnalysis.parts`, whose own names are keys in results.json.
NAMES_OF_PARTS = {
    "position in the window in pieces": "position in the window in subword tokens",
    "spans of its type in training": "training spans of the same type",
}

Interval = tuple[float, float]


def scores_table(scores: Scores, intervals: Mapping[str, Interval] | None = None) -> Table:
    """Precision, recall, F1 and support by type, averages, and all types together in the last row.

    intervals: 95 % intervals of F1 by type, and by "" for all types together. They get a column if given.
    """
    names = ["precision", "recall", "F1", *(["95 % interval"] if intervals else []), "support"]
    table = _table("type" if scores.has_spans else "label", *names)

    def row(name: str, scored: Counts | Average, key: str | None = None, style: str = "") -> None:
        cells = [percent(scored.precision), percent(scored.recall), percent(scored.f1)]
        if intervals:
            cells.append(interval_text(intervals.get(key)) if key is not None else "")
        table.add_row(_text(name), *cells, f"{scored.support:,}", style=style)

    for type_, counts in scores.by_type.items():
        row(type_, counts, type_)
    table.add_section()
    row("macro average", scores.macro)
    row("weighted average", scores.weighted)
    row("all (micro average)", scores.overall, OVERALL, style="bold")
    return table


def score_notes(scores: Scores, *, by_argmax: Scores | None = None) -> list[str]:
    """Lines below the table, each at most 80 characters wide. The last one is the main score.

    by_argmax: scores of each word's most probable label, if another decoding was used.
    """
    lines = [f"{counted(scores.n_sentences, 'sentence')}, {counted(scores.n_words, 'word')}"]
    if scores.has_spans:
        lines[0] += f", label scheme {scores.scheme.value}"
    lines += fact_lines(scores.facts)
    if not scores.has_spans:
        return [*lines, f"accuracy {percent(scores.token_accuracy)} (these labels form no spans)"]
    accuracy = f"token accuracy {percent(scores.token_accuracy)}"
    if scores.token_accuracy_without_o is not None:
        accuracy += f", without O {percent(scores.token_accuracy_without_o)}"
    lines.append(accuracy)
    if scores.surface is not None:
        lines.append(f"F1 of distinct surface forms {percent(sum(scores.surface.values(), Counts()).f1)}")
    lenient = [f"{LENIENT[name]} {percent(counts.f1)}" for name, counts in scores.lenient.items()]
    lines.append(f"lenient F1: {', '.join(lenient)}")
    if scores.leaks is not None:
        shares = ", ".join(f"{COVERED[name]} {percent(share)}" for name, share in scores.leaks.shares().items())
        lines.append(f"gold spans covered: {shares}")
    if by_argmax:
        lines.append(f"F1 with argmax decoding (each word's most probable label) {percent(by_argmax.overall.f1)}")
    return lines + _mode_lines(scores)


def _mode_lines(scores: Scores) -> list[str]:
    """F1 in each mode, that of the scores last."""
    f1 = {mode: percent(scores.tables[mode].overall.f1) for mode in MODES}
    if len(set(f1.values())) == 1:
        return [f"F1 {f1[scores.mode]} (the same in conlleval and strict mode)"]
    modes = sorted(MODES, key=lambda mode: mode == scores.mode)
    return [f"F1 {f1[mode]} in {mode} mode: {MODE_RULES[mode]}" for mode in modes]


def fact_lines(facts: Mapping[str, int]) -> list[str]:
    """The counts that qualify the scores, as text. Those that are 0 are left out.

    >>> fact_lines({"n_truncated_words": 0, "n_unseen_words": 1})
    ['1 word that the model did not see']
    """
    shown = {name: number for name, number in facts.items() if name in _FACTS and number}
    return [counted_kind(number, _FACTS[name]) for name, number in shown.items()]


def size_notes(scores: Scores) -> list[str]:
    """A note if there are too few gold spans or sentences to conclude much. Otherwise empty."""
    few = []
    if scores.has_spans and scores.overall.gold < FEWEST_TO_RESAMPLE:
        few.append(counted(scores.overall.gold, "gold span"))
    if scores.n_sentences < FEWEST_TO_RESAMPLE:
        few.append(counted(scores.n_sentences, "sentence"))
    too_few = "too few to conclude much from these scores. Label more sentences."
    return [f"Only {' in '.join(few)}: {too_few}"] if few else []


def evaluation_tables(evaluation: Evaluation) -> RenderableType:
    """The error analysis if there is one, then scores with intervals and notes."""
    parts: list[RenderableType] = []
    if evaluation.errors:
        parts += [errors_table(evaluation.errors), ""]
        if evaluation.scores.leaks:
            parts += [leaks_table(evaluation.scores.leaks), ""]
    if evaluation.slices:
        parts += [slices_table(evaluation.slices), ""]
    notes = score_notes(evaluation.scores, by_argmax=evaluation.by_argmax)
    if evaluation.thresholds:
        notes = [*notes, f"Spans with a probability of at least {evaluation.thresholds}."]
    return Group(
        *parts,
        scores_table(evaluation.scores, evaluation.intervals),
        "",
        *map(Text, [*notes, *size_notes(evaluation.scores)]),
    )


def failed_requirements(failed: Sequence[Checked], *, n_all: int) -> RenderableType:
    """The requirements that are not met, with the values that were found. n_all: number of all requirements."""
    has_subjects = any(one.subject for one in failed)
    table = _table("not met", *(["system"] if has_subjects else []), "value")
    table.columns[0].max_width = None  # names can be copied
    for one in failed:
        value = "unknown" if one.value is None else f"{one.value:.4f}"
        table.add_row(_text(str(one.requirement)), *([_text(one.subject)] if has_subjects else []), value)
    heading = Text(f"{len(failed)} of {counted(n_all, 'requirement')} not met", style="bold red")
    return Group(heading, table)


def seeds_table(f1: Mapping[int, Mapping[str, float]], *, median: int) -> RenderableType:
    """The F1 of each seed's run by split, with mean and standard deviation."""
    splits = list(next(iter(f1.values())))
    table = _table("seed", *(f"{split} F1" for split in splits))
    for seed, values in f1.items():
        name = f"{seed} (median)" if seed == median else str(seed)
        table.add_row(name, *(percent(values[split]) for split in splits))
    columns = [[values[split] for values in f1.values()] for split in splits]
    table.add_row("standard deviation", *(percent(statistics.stdev(column)) for column in columns))
    table.add_row("mean", *(percent(statistics.mean(column)) for column in columns), style="bold")
    return table


def sweep_table(
    names: Sequence[str], trials: Sequence[tuple[str, Sequence[str], float | None]], measure: Measure
) -> RenderableType:
    """Trials, best first: name, values of the settings `names`, and the validation score by `measure`, which is None
    for a failed trial.
    """
    table = _table("trial", *short_names(names), f"validation {measure.name}")
    for i, (name, values, value) in enumerate(trials):
        shown = "failed" if value is None else measure.shown(value)
        table.add_row(_text(f"{name} (best)" if i == 0 else name), *map(_text, values), shown)
    return table


def short_names(settings: Sequence[str]) -> list[str]:
    """The names of settings without their sections, where that is unambiguous.

    >>> short_names(["optimizer.learning_rate", "data.format", "hub.format"])
    ['learning_rate', 'data.format', 'hub.format']
    """
    leaves = [name.rpartition(".")[2] for name in settings]
    return [leaf if leaves.count(leaf) == 1 else name for leaf, name in zip(leaves, settings)]


def comparison_tables(comparison: Comparison, *, n_examples: int = 3) -> RenderableType:
    """All systems, then for each later system: examples, and its differences from the first one by type."""
    overview = _table("system", "runs", "precision", "recall", "F1", "sd of F1")
    for system in comparison.systems:
        overview.add_row(_text(system.name), *_overview(system))
    parts: list[RenderableType] = [overview]
    for number, differences in enumerate(comparison.differences, 1):
        a, b = comparison.systems[0], comparison.systems[number]
        parts += _alone(comparison, number, n_examples)
        parts += ["", _difference_table(a, b, differences)]
        pairs = comparison.pairs_of_runs(number)
        if pairs.n > 1:
            parts += [_text(f"{b.name} has the higher F1 in {pairs.other_better:,} of {pairs.n:,} pairs of runs")]
    scores = comparison.systems[0].scores[0]
    notes = [f"{counted(scores.n_sentences, 'sentence')}, {counted(scores.n_words, 'word')}"]
    if scores.has_spans:
        notes[0] += f", label scheme {scores.scheme.value}"
        notes += [f"{scores.mode} mode: {MODE_RULES[scores.mode]}"]
    notes += [
        "difference: F1 of the second system in the table minus F1 of the first",
        "95 % interval of the difference: paired bootstrap over sentences",
        "p: two-sided paired permutation test, not corrected for multiple comparisons",
    ]
    if any(len(system.scores) > 1 for system in comparison.systems):
        notes += [
            "Counts are averaged over the runs of a system, sentence by sentence. Interval",
            "and p show the effect of the choice of sentences, sd and pairs that of seeds.",
        ]
    return Group(*parts, "", *(Text(note) for note in [*notes, *size_notes(scores)]))


def _overview(system: System) -> list[str]:
    f1 = system.f1()
    spread = percent(statistics.stdev(f1)) if len(f1) > 1 else ""
    overall = [scores.overall for scores in system.scores]
    precision, recall = (statistics.fmean(getattr(o, name) for o in overall) for name in ("precision", "recall"))
    return [str(len(f1)), percent(precision), percent(recall), percent(statistics.fmean(f1)), spread]


def _difference_table(a: System, b: System, differences: Mapping[str, Difference]) -> Table:
    # The column of types is as wide as it needs to be, up to 23. The names of systems get the rest of 80.
    widest = max(map(len, differences))
    length = min(10, max(6, (35 - widest) // 2))
    short = [name if len(name) <= length else "…" + name[1 - length :] for name in (a.name, b.name)]
    table = _table("F1 by type", *short, "difference", "95 % interval", "p", "support", gap=2 if widest < 10 else 1)
    by_type = a.scores[0].by_type
    for name, one in differences.items():
        support = by_type.get(name, Counts()) if name else a.scores[0].overall
        numbers = [
            percent(one.a),
            percent(one.b),
            f"{100 * one.difference:+.2f}",
            f"{100 * one.interval[0]:+.2f} to {100 * one.interval[1]:+.2f}",
            f"{one.p_value:.4f}",
            f"{support.gold:,}",
        ]
        table.add_row(_text(name or "all"), *numbers, style="" if name else "bold")
    return table


def _alone(comparison: Comparison, number: int, n_examples: int) -> list[RenderableType]:
    """Sentences that only one of the two systems gets right."""
    a, b = comparison.systems[0], comparison.systems[number]
    parts: list[RenderableType] = []
    for winner, loser, numbers in zip((a, b), (b, a), comparison.split_sentences(number)):
        if not len(numbers):
            continue
        parts += ["", _text(f"Only {winner.name} is right in {counted(len(numbers), 'sentence')}")]
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
    return ", ".join(named) or "no spans"


def errors_table(analysis: ErrorAnalysis, *, n_confusions: int = 8, n_listed: int = 5) -> RenderableType:
    """Outcomes by type, the most frequent confusions of types, scores of parts of the data, and words to review."""
    outcomes = _table("type", *_OUTCOMES.values())
    rows = [*analysis.outcomes.items(), ("all", analysis.totals)]
    for type_, counts in rows:
        outcomes.add_row(_text(type_), *(f"{counts[outcome]:,}" for outcome in _OUTCOMES))
    parts: list[RenderableType] = [outcomes]
    confused = [(pair, n) for pair, n in analysis.confusion.most_common() if pair[0] != pair[1] and NOTHING not in pair]
    if confused:
        table = _table("confused types: gold", "predicted", "spans")
        for (gold, predicted), n in confused[:n_confusions]:
            table.add_row(_text(gold), _text(predicted), f"{n:,}")
        parts += ["", table]
    for name, buckets in analysis.parts.items():
        table = _table(NAMES_OF_PARTS.get(name, name), "precision", "recall", "F1", "support")
        for part, scored in buckets.items():
            shares = (scored.precision, scored.recall, scored.f1)
            table.add_row(_text(part), *map(percent, shares), f"{scored.support:,}")
        parts += ["", table]
    if analysis.calibration:
        error = percent(analysis.calibration.expected_calibration_error)
        parts += ["", f"expected calibration error of span scores: {error} %"]
    if analysis.disputed:
        parts += ["", "gold labels to check, because the model is confident in another label:"]
        parts += [_text("  " + disputed_text(one)) for one in analysis.disputed[:n_listed]]
    return Group(*parts)


def slices_table(slices: Slices) -> RenderableType:
    """A table of the scores of slices for each division, then the slices that are significantly worse."""
    parts: list[RenderableType] = []
    for name in slices.tables:
        table = _table(f"by {plain_text(name)}", "precision", "recall", "F1", "95 % interval", "support", "p", gap=1)
        for part, counts in slices.parts(name).items():
            test = slices.tests.get((name, part))
            table.add_row(
                _text(part),
                *map(percent, (counts.precision, counts.recall, counts.f1)),
                interval_text(slices.intervals[name]["f1"].get(part)),
                f"{counts.support:,}",
                f"{test.corrected:.4f}" if test else "",
                style="bold" if test and test.is_worse else "",
            )
        parts += [table, ""]
    parts.append(Text("p: one-sided, F1 lower than in the rest of the data, after Holm's correction"))
    for name, part in slices.worse:
        gap = f"{100 * slices.tests[name, part].difference:+.2f}"
        parts.append(_text(f"significantly worse by {name}: {part} (F1 {gap} compared with the rest)"))
    return Group(*parts)


def leaks_table(leaks: Leaks, *, n_listed: int = 5) -> RenderableType:
    """How much of the gold spans of each type is covered by predicted spans of any type, and the worst misses."""
    table = _table("covered gold spans", "characters", "95 % interval", "touched", "fully covered", "support", gap=1)
    for type_ in (*leaks.types, OVERALL):
        shares = leaks.shares(type_)
        interval = interval_text(leaks.intervals["character_recall"].get(type_))
        cells = [percent(shares["character_recall"]), interval, percent(shares["touched"]), percent(shares["covered"])]
        table.add_row(_text(type_ or "all"), *cells, f"{leaks.n_spans(type_):,}", style="" if type_ else "bold")
    parts: list[RenderableType] = [table]
    if leaks.worst:
        parts += ["", "gold spans with the most characters that are not covered:"]
        parts += [_text("  " + miss_text(miss)) for miss in leaks.worst[:n_listed]]
    return Group(*parts)


def miss_text(miss: Miss) -> str:
    """A gold span that is not fully covered: its place, words and type, and how many characters are not covered."""
    leaked = f"{miss.n_leaked} of {counted(miss.n_characters, 'character')} not covered"
    return f"{place_text(miss.origin, miss.number)}, {' '.join(miss.words)} [{miss.type}]: {leaked}"


def place_text(origin: Origin | None, number: int) -> str:
    """The place of a sentence, whose number is used if its origin is not known."""
    return f"{origin.path}, sentence at {origin.unit} {origin.number}" if origin else f"sentence {number}"


def disputed_text(one: Ranked) -> str:
    """A word to review: its place, the gold label, the predicted label and its probability."""
    prediction, position = one.prediction, one.position or 0
    gold = (prediction.gold or ())[position]
    predicted = prediction.predicted[position]
    place = place_text(prediction.origin, one.number)
    return f"{place}, {prediction.words[position]}: gold {gold}, predicted {predicted} ({one.score:.3f})"


def _table(first: str, *others: str, gap: int = 2) -> Table:
    """A plain table: a column of names, then columns of numbers. gap: number of spaces between columns."""
    table = Table(box=None, pad_edge=False, header_style="bold", collapse_padding=True, padding=(0, gap, 0, 0))
    table.add_column(Text(first), overflow="fold", max_width=26)
    for name in others:
        table.add_column(Text(name), justify="right", no_wrap=True)
    return table


def _text(text: str) -> Text:
    """Text from data, without markup and control characters."""
    return Text(plain_text(text))
