"""The report of `inspect` on the terminal: tables, examples with labels below their words, problems."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from rich.cells import cell_len, set_cell_size
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tf_tokclf.control_characters import plain_text
from tf_tokclf.counted import counted
from tf_tokclf.inspection.inspect import FormatFinding, Inspection
from tf_tokclf.inspection.label_variation import MAX_LISTED_WORDS
from tf_tokclf.inspection.problem import Example, Level, Problem, ProblemKind
from tf_tokclf.inspection.statistics import Lengths, SplitStatistics
from tf_tokclf.labels.label_set import LabelSet
from tf_tokclf.labels.schemes import OUTSIDE_LABEL, Scheme, split_label

# Readable on dark and light backgrounds, and not distinguished by red and green alone.
_COLOURS = ("cyan", "magenta", "yellow", "green", "blue", "red")
_LEVEL_STYLES = {Level.ERROR: "bold red", Level.WARNING: "bold yellow", Level.NOTE: "bold cyan"}
# So many problems of one kind are shown.
_MAX_OF_KIND = 5
_MAX_ROWS = 40
_MAX_WORDS = 80
_BAR_WIDTH = 20


def inspection_report(inspection: Inspection, *, width: int = 80) -> RenderableType:
    """The whole report. width: number of terminal cells for the examples."""
    parts: list[RenderableType] = [
        _heading("Data"),
        *_formats(inspection.formats),
        Text(plain_text(inspection.scheme)),
        _sizes(inspection.splits, inspection.labels),
        _heading("Labels" if inspection.labels.scheme is Scheme.NONE else "Spans"),
        _counts(inspection.splits, inspection.labels),
        *_span_lengths(inspection.splits),
        *_annotators(inspection),
        *_forms(inspection),
        _heading("Words per sentence"),
        _histogram({split.name: split.lengths for split in inspection.splits}),
        *_pieces(inspection),
    ]
    if inspection.examples:
        parts.append(_heading(f"Examples (seed {inspection.seed})"))
        for example in inspection.examples:
            parts.append(_place(example))
            parts += labelled_lines(example, inspection.labels, width, indent=2)
    parts += [_heading("Problems"), *_problems(inspection, width)]
    return Group(*parts)


def visible(text: str) -> str:
    """`text` on one line. Invisible and control characters are written as their code points.

    >>> visible("a\\u200bb\\x1b[2J")
    'a<200B>b<1B>[2J'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or _joins(c) else f"<{ord(c):02X}>" for c in text)


def _joins(character: str) -> bool:
    return character in "\u200c\u200d" or unicodedata.category(character).startswith("M")


def labelled_lines(example: Example, labels: LabelSet, width: int, *, indent: int = 0) -> Iterator[Text]:
    """Words with their labels below them, aligned, in lines of at most `width` terminal cells.

    Words outside spans have nothing below them. If no word in a line is in a span, the line of labels is left out.
    """
    colours = {name: _COLOURS[i % len(_COLOURS)] for i, name in enumerate(labels.types)}
    columns = []
    for word, label in zip(example.words[:_MAX_WORDS], example.labels):
        type_ = label if labels.scheme is Scheme.NONE else split_label(label)[1]
        below = "" if label == OUTSIDE_LABEL else visible(label)
        columns.append((visible(word) or "<>", below, colours.get(type_, "")))
    upper, lower = Text(" " * indent), Text(" " * indent)
    for above, below, style in columns:
        cells = min(max(cell_len(above), cell_len(below)), width - indent)
        if upper.cell_len > indent and upper.cell_len + cells > width:
            yield from _filled(upper, lower)
            upper, lower = Text(" " * indent), Text(" " * indent)
        upper.append(set_cell_size(above, cells) + " ", style)
        lower.append(set_cell_size(below, cells) + " ", style)
    yield from _filled(upper, lower)
    if len(example.words) > _MAX_WORDS:
        yield Text(f"{' ' * indent}... and {counted(len(example.words) - _MAX_WORDS, 'more word')}", style="dim")


def _place(example: Example, *, indent: int = 0) -> Text:
    """The position of an example on a single line, so that it can be copied."""
    return Text(" " * indent + visible(example.place), style="dim", no_wrap=True, overflow="ignore")


def _filled(*lines: Text) -> Iterator[Text]:
    for line in lines:
        line.rstrip()
        if line.plain:
            yield line


def _heading(text: str) -> RenderableType:
    return Text(f"\n{text}", style="bold underline")


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column(columns[0], overflow="fold", max_width=32)
    for name in columns[1:]:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _formats(findings: Sequence[FormatFinding]) -> Iterator[RenderableType]:
    """The format of each split, the reason and the alternatives; only once if they are the same for all splits."""
    said = [_format_lines(finding) for finding in findings]
    if len({tuple(lines) for lines in said}) == 1:
        yield from map(Text, said[0])
        return
    for finding, (first, *others) in zip(findings, said):
        yield Text(f"{visible(finding.split)}: {first}")
        yield from map(Text, others)


def _format_lines(finding: FormatFinding) -> list[str]:
    lines = [visible(f"format {finding.format} ({finding.confidence}: {finding.reason})")]
    lines += [visible(f"  could also be {o.format} ({o.confidence}: {o.reason})") for o in finding.others]
    if finding.others:
        lines.append("  to choose another format, pass --format NAME (in other commands --set data.format=NAME)")
    return lines


def _sizes(splits: Sequence[SplitStatistics], labels: LabelSet) -> Table:
    spans = labels.scheme is not Scheme.NONE
    table = _table("split", "sentences", "distinct", "words", "distinct", *(("spans", "words in spans") * spans))
    for split in splits:
        row = [split.n_sentences, split.n_distinct_sentences, split.n_words, split.n_distinct_words]
        cells = [f"{n:,}" for n in row]
        if spans:
            n_inside = sum(length * n for length, n in split.span_lengths.items())
            cells += [f"{split.n_spans:,}", _percent(n_inside, split.n_words)]
        table.add_row(Text(visible(split.name)), *cells)
    return table


def _counts(splits: Sequence[SplitStatistics], labels: LabelSet) -> RenderableType:
    columns = [split.labels if labels.scheme is Scheme.NONE else split.spans for split in splits]
    table = _table("label" if labels.scheme is Scheme.NONE else "type", *(split.name for split in splits))
    total = {name: sum(column.get(name, 0) for column in columns) for column in columns for name in column}
    ranked = sorted(total, key=lambda name: -total[name])
    for name in ranked[:_MAX_ROWS]:
        table.add_row(Text(visible(name)), *(f"{column.get(name, 0):,}" for column in columns))
    more = len(ranked) - _MAX_ROWS
    return Group(table, Text(f"... and {more:,} more (see --json)", style="dim")) if more > 0 else table


def _span_lengths(splits: Sequence[SplitStatistics]) -> Iterator[RenderableType]:
    lengths: dict[int, int] = {}
    for split in splits:
        for length, n in split.span_lengths.items():
            lengths[length] = lengths.get(length, 0) + n
    total = sum(lengths.values())
    if total:
        short = ", ".join(f"{n} ({_percent(lengths[n], total)})" for n in (1, 2, 3) if n in lengths)
        yield Text(f"words per span: {short}{', ' * bool(short)}longest {max(lengths)}")


def _annotators(inspection: Inspection) -> Iterator[RenderableType]:
    """A table with a row for each pair of annotators of the same records."""
    if not inspection.annotators:
        return
    yield _heading("Annotator agreement")
    table = _table("annotators", "split", "records", "words", "same label", "Cohen's kappa")
    for pair in inspection.annotators:
        names = Text(visible(" and ".join(pair.annotators)))
        kappa = "-" if pair.kappa is None else f"{pair.kappa:.3f}"
        counts = (f"{pair.n_records:,}", f"{pair.n_words:,}", _percent(pair.n_equal, pair.n_words), kappa)
        table.add_row(names, Text(visible(pair.split)), *counts)
    yield table


def _forms(inspection: Inspection) -> Iterator[RenderableType]:
    if inspection.forms:
        cut = any(split.n_words > MAX_LISTED_WORDS for split in inspection.splits)
        among = f" (first {MAX_LISTED_WORDS:,} words of each split)" if cut else ""
        yield _heading(f"Most frequent words with several labels{among}")
        table = _table("words")
        table.add_column("labels", overflow="fold")
        for form in inspection.forms:
            counts = ", ".join(f"{name} {n:,}" for name, n in form.types.items())
            table.add_row(Text(visible(" ".join(form.words))), Text(visible(counts)))
        yield table


def _histogram(lengths: Mapping[str, Lengths]) -> RenderableType:
    """A table with the count of each split in each bin, and a bar for all splits together."""
    table = _table("length", *lengths, "")
    table.columns[-1].justify = "left"
    bins = sorted({(low, high) for one in lengths.values() for low, high, _ in one.histogram})
    counts = {name: {(low, high): n for low, high, n in one.histogram} for name, one in lengths.items()}
    total = {bin_: sum(count.get(bin_, 0) for count in counts.values()) for bin_ in bins}
    for low, high in bins:
        n_cells = -(-_BAR_WIDTH * total[low, high] // max(total.values()))
        cells = [f"{counts[name].get((low, high), 0):,}" for name in lengths]
        table.add_row(f"{low} to {high}", *cells, Text("█" * n_cells, style="blue"))
    for name, value in (("mean", "mean"), ("median", "median"), ("95th percentile", "percentile_95")):
        table.add_row(Text(name, style="dim"), *(f"{getattr(one, value):.1f}" for one in lengths.values()), "")
    table.add_row(Text("longest", style="dim"), *(f"{one.longest:,}" for one in lengths.values()), "")
    return table


def _pieces(inspection: Inspection) -> Iterator[RenderableType]:
    yield _heading("Subword tokens and windows")
    if inspection.model is None:
        yield Text("Name a model with --model-name-or-path to see them.")
        return
    assert inspection.window is not None, "set together with the model"
    windows = f"windows of at most {counted(inspection.window, 'subword token')}"
    if any(split.pieces.n_long for split in inspection.splits if split.pieces):
        windows += f", overlapping by {inspection.overlap}"
    yield Text(f"{visible(inspection.model)}, {windows}")
    table = _table("split", "subwords", "per word", "unknown", "no subword", "long", "windows")
    for split in inspection.splits:
        if split.pieces:
            table.add_row(
                Text(visible(split.name)),
                f"{split.pieces.n_pieces:,}",
                f"{split.pieces.per_word(split.n_words):.2f}",
                _percent(split.pieces.n_unknown, split.pieces.n_pieces),
                f"{split.pieces.n_words_without:,}",
                f"{split.pieces.n_long:,}",
                f"{split.pieces.n_windows:,}",
            )
    yield table
    yield Text("no subword: words that the model does not see. long: sentences in several windows.", style="dim")
    yield _heading("Subword tokens per sentence")
    yield _histogram({split.name: split.pieces.lengths for split in inspection.splits if split.pieces})


def _problems(inspection: Inspection, width: int) -> Iterator[RenderableType]:
    if not inspection.problems:
        yield Text("none found")
        return
    shown: Counter[ProblemKind] = Counter()
    for problem in inspection.problems:
        shown[problem.kind] += 1
        if shown[problem.kind] > _MAX_OF_KIND:
            continue
        yield _problem_text(problem)
        for example in problem.examples:
            yield _place(example, indent=2)
            yield from labelled_lines(example, inspection.labels, width, indent=4)
    for kind, n in shown.items():
        if n > _MAX_OF_KIND:
            more = counted(n - _MAX_OF_KIND, "more problem", "more problems")
            yield Text(f"{more} of the kind {kind.value}. --json lists all.", style="dim")
    counts = ((inspection.count(level), level.value) for level in Level)
    yield Text("\n" + ", ".join(counted(n, name) for n, name in counts if n), style="bold")


def _problem_text(problem: Problem) -> Text:
    return Text.assemble(
        (problem.level.value, _LEVEL_STYLES[problem.level]),
        f": {visible(problem.message)}",
        (f" {visible(problem.hint)}" if problem.hint else "", "italic"),
        (f" [{problem.kind.value}]", "dim"),
    )


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"
