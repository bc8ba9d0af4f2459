"""The page of results: page.md with the tables, the facts about the measurements, and what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from quality_grid.cells import AUTO, SETTINGS, TRAINER, TUNED, Results, chosen
from quality_grid.datasets import SOURCES, commands_of, title_of
from quality_grid.pictures import f1_picture, time_picture
from quality_grid.tables import (
    Gaps,
    Reported,
    Row,
    cost_table,
    difference_tables,
    gaps_of,
    missing_cells,
    overall_table,
    rows_of,
    score_table,
)

TEMPLATE = Path(__file__).with_name("page.md")


def report(results: Results, *, seeds: Sequence[int], data: Sequence[str], encoders: Sequence[str]) -> str:
    """The tables for the terminal, in Markdown."""
    reported, rows = chosen(results), rows_of(results, data, encoders)
    gaps = gaps_of(reported, rows)
    parts = [score_table(reported, rows), overall_table(gaps), difference_tables(gaps)]
    return "\n\n".join([*parts, cost_table(reported, rows, results), _missing(reported, rows, seeds)])


def page_files(
    page: Path, results: Results, *, seeds: Sequence[int], data: Sequence[str], encoders: Sequence[str]
) -> dict[Path, str]:
    """The texts of the page and of its pictures, which are in images/ beside it."""
    reported, rows = chosen(results), rows_of(results, data, encoders)
    return {page: page_text(results, reported, rows, seeds), **picture_files(page, reported, rows)}


def picture_files(page: Path, reported: Reported, rows: Sequence[Row]) -> dict[Path, str]:
    """The pictures of a page, which are in images/ beside it."""
    pictures = {"quality-f1": f1_picture(reported, rows), "quality-time": time_picture(reported, rows)}
    return {page.parent / "images" / f"{name}.svg": picture for name, picture in pictures.items()}


def page_text(results: Results, reported: Reported, rows: Sequence[Row], seeds: Sequence[int]) -> str:
    """The page in Markdown."""
    lines, gaps = list(results.values()), gaps_of(reported, rows)
    used = sorted({line["arithmetic"] for line in lines if line["setting"] in (TRAINER, TUNED)})
    rates = sorted({rate for line in lines for rate in line["rates"]})
    dates = sorted({line["date"] for line in lines})
    names = dict.fromkeys(data.partition("-")[0] for data, _ in rows)
    encoders = dict.fromkeys(encoder for _, encoder in rows)
    commands = [["tf-tokclf", *one] for name in names for one in commands_of(name, name.upper(), name)]
    return TEMPLATE.read_text(encoding="utf-8").format(
        **dict(zip(("auto", "none", "trainer", "tuned"), SETTINGS.values())),
        **{name: "; ".join(sorted({str(line[name]) for line in lines})) for name in ("machine", "versions")},
        findings="\n".join(_findings(gaps)),
        scores=score_table(reported, rows),
        overall=overall_table(gaps),
        differences=difference_tables(gaps),
        costs=cost_table(reported, rows, results),
        missing=_missing(reported, rows, seeds),
        rates=", ".join(f"{rate:g}" for rate in rates) or "several",
        seed=min(seeds),
        arithmetic=" and ".join(used) or "bfloat16",
        dates=" to ".join(dict.fromkeys([*dates[:1], *dates[-1:]])),
        preparation="\n".join([f"mkdir -p {' '.join(names)}", *map(" ".join, commands)]),
        data=" ".join(f"--data {name}={name.upper()}" for name in names),
        encoders=" ".join(f"--encoder {name}=REF" for name in encoders),
        seeds=" ".join(f"--seed {seed}" for seed in seeds),
    )


def _findings(gaps: Gaps) -> Iterator[str]:
    """How the default of tf-tokclf compares with the Trainer, in words, for both ways in which the Trainer is set."""
    for other in (TUNED, TRAINER):
        by_row = {row: gap.mean for row, gap in gaps[AUTO, other].items()}
        if by_row:
            higher = sum(mean > 0 for mean in by_row.values())
            ends = (min(by_row, key=by_row.__getitem__), max(by_row, key=by_row.__getitem__))
            named = " to ".join(f"{100 * by_row[row]:+.1f} points ({title_of(row[0])}, {row[1]})" for row in ends)
            yield (
                f"- **{SETTINGS[AUTO]}, compared with {SETTINGS[other]}:** its F1 is higher on {higher} of "
                f"{len(by_row)} pairs of data set and encoder. The differences are from {named}."
            )


def _missing(reported: Reported, rows: Sequence[Row], seeds: Sequence[int]) -> str:
    measured = {data.partition("-")[0] for data, _ in rows}
    absent = [
        *missing_cells(reported, rows, seeds),
        *(f"{source.title}: not measured" for name, source in SOURCES.items() if name not in measured),
    ]
    if not absent:
        return "Nothing is missing."
    return "\n".join(["These trainings of the grid are missing:", "", *(f"- {line}" for line in absent)])
