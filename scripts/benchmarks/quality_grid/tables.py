"""The tables of results, in Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence

from measuring import markdown_table

from quality_grid.cells import AUTO, NONE, SETTINGS, TRAINER, TUNED, Cell, Result, Results
from quality_grid.datasets import SOURCES, title_of
from quality_grid.differences import Gap, gap_between, sign_p_value
from tf_tokclf.scoring.bootstrap import holm

MISSING = "-"
# Pairs of settings to compare: the first minus the second.
PAIRS = ((AUTO, TUNED), (AUTO, TRAINER), (NONE, TRAINER), (AUTO, NONE))

Reported = Mapping[tuple[str, str, str], Mapping[int, Result]]
Row = tuple[str, str]  # data set and encoder
Pair = tuple[str, str]  # two settings
Gaps = Mapping[Pair, Mapping[Row, Gap]]


def rows_of(results: Results, data: Sequence[str] = (), encoders: Sequence[str] = ()) -> list[Row]:
    """The data sets and encoders of the tables: those that are named and those of the results."""
    order = list(SOURCES)
    found = dict.fromkeys([*data, *(cell.data for cell in results)])
    names = sorted(found, key=lambda name: (order.index(name.partition("-")[0]), name))
    known = dict.fromkeys([*encoders, *(cell.encoder for cell in results)])
    return [(name, encoder) for encoder in known for name in names]


def score_table(reported: Reported, rows: Sequence[Row]) -> str:
    """Test F1 in percent of each setting: the mean over seeds, the standard deviation and the number of seeds."""
    cells = [
        [title_of(data), encoder, *(_score(reported.get((data, encoder, setting))) for setting in SETTINGS)]
        for data, encoder in rows
    ]
    return markdown_table(("data", "encoder", *SETTINGS.values()), cells)


def cost_table(reported: Reported, rows: Sequence[Row], results: Results) -> str:
    """What each setting was trained with, and what it cost: means over seeds."""
    headings = ("data", "encoder", "setting", "rate", "batch", "epochs", "training, min", "tuning, min", "peak GB")
    cells = [
        [title_of(data), encoder, SETTINGS[setting], *_costs(reported[data, encoder, setting], results)]
        for data, encoder in rows
        for setting in SETTINGS
        if (data, encoder, setting) in reported
    ]
    return markdown_table((*headings, "lost words"), cells)


def gaps_of(reported: Reported, rows: Sequence[Row]) -> Gaps:
    """The differences of each pair of settings, where both have a seed in common."""
    gaps: dict[Pair, dict[Row, Gap]] = {pair: {} for pair in PAIRS}
    for pair, by_row in gaps.items():
        for row in rows:
            first, second = (reported.get((*row, setting), {}) for setting in pair)
            if (gap := gap_between(first, second)) is not None:
                by_row[row] = gap
    return gaps


def difference_tables(gaps: Gaps) -> str:
    """The differences of F1 in points with their intervals and p-values: a table for each pair of settings."""
    headings = ("data", "encoder", "seeds", "points of F1", "95 % interval", "p, sentences", "corrected", "p, seeds")
    tables = []
    for pair, by_row in gaps.items():
        cells = []
        corrected = holm([gap.p_sentences for gap in by_row.values()])
        for (data, encoder), gap, p in zip(by_row, by_row.values(), corrected):
            low, high = (100 * end for end in gap.interval)
            numbers = (str(gap.n_seeds), f"{100 * gap.mean:+.1f}", f"{low:+.1f} to {high:+.1f}")
            cells.append([title_of(data), encoder, *numbers, *map(_p, (gap.p_sentences, p, gap.p_seeds))])
        if cells:
            tables.append(f"### {_pair_name(pair)}\n\n{markdown_table(headings, cells)}")
    return "\n\n".join(tables)


def overall_table(gaps: Gaps) -> str:
    """Each pair of settings over all data sets and encoders that have both."""
    cells = []
    for pair, by_row in gaps.items():
        means = [gap.mean for gap in by_row.values()]
        shown = f"{100 * statistics.mean(means):+.1f}" if means else MISSING
        better = f"{sum(mean > 0 for mean in means)} of {len(means)}"
        cells.append([_pair_name(pair), better, shown, _p(sign_p_value(means))])
    return markdown_table(("difference", "first is better", "mean, points of F1", "p"), cells)


def missing_cells(reported: Reported, rows: Sequence[Row], seeds: Sequence[int]) -> list[str]:
    """A line for each data set, encoder and setting without a result for some of the seeds."""
    return [
        f"{title_of(data)}, {encoder}, {SETTINGS[setting]}: seed{'s' * (len(absent) > 1)} {', '.join(map(str, absent))}"
        for data, encoder in rows
        for setting in SETTINGS
        if (absent := [seed for seed in seeds if seed not in reported.get((data, encoder, setting), {})])
    ]


def _pair_name(pair: Pair) -> str:
    return " minus ".join(SETTINGS[setting] for setting in pair)


def _score(by_seed: Mapping[int, Result] | None) -> str:
    if not by_seed:
        return MISSING
    values = [100 * result["f1"] for result in by_seed.values()]
    if len(values) == 1:
        return f"{values[0]:.1f} (1 seed)"
    return f"{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f} ({len(values)} seeds)"


def _costs(by_seed: Mapping[int, Result], results: Results) -> Iterator[str]:
    first = next(iter(by_seed.values()))
    is_auto = first["setting"] == AUTO
    yield "by layer" if is_auto else f"{first['learning_rate']:g}"
    yield str(first["batch_size"])
    yield str(first["epochs"])
    yield f"{statistics.mean(result['train_seconds'] for result in by_seed.values()) / 60:.1f}"
    tuning = sum(_same_tuning(first, result) * result["train_seconds"] for result in results.values())
    yield f"{tuning / 60:.1f}" if first["setting"] == TUNED else MISSING
    yield f"{statistics.mean(result['peak_gb'] for result in by_seed.values()):.2f}"
    yield str(first["n_lost_words"])


def _same_tuning(tuned: Result, other: Result) -> bool:
    """Whether the other result belongs to the search for the learning rate, which the first seed is for."""
    return tuned["setting"] == TUNED and Cell.of({**other, "rate": None}) == Cell.of({**tuned, "rate": None})


def _p(value: float | None) -> str:
    if value is None:
        return MISSING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
