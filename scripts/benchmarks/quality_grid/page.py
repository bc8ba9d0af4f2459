"""The page of results: page.md with the tables, the facts about the measurements, and what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from quality_grid.cells import AUTO, SETTINGS, TRAINER, TUNED, Results, chosen
from quality_grid.datasets import SOURCES, commands_of, title_of
from quality_grid.pictures import f1_picture, time_picture
from quality_grid.tables import (
    Reported,
    Row,
    cost_table,
    difference_table,
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
    parts = [score_table(reported, rows), overall_table(reported, rows), difference_table(reported, rows)]
    return "\n\n".join([*parts, cost_table(reported, rows, results), _missing(reported, rows, seeds)])


def page_files(
    page: Path, results: Results, *, seeds: Sequence[int], data: Sequence[str], encoders: Sequence[str]
) -> dict[Path, str]:
    """The texts of the page and of its pictures, which are in images/ beside it."""
    reported, rows = chosen(results), rows_of(results, data, encoders)
    pictures = {"quality-f1": f1_picture(reported, rows), "quality-time": time_picture(reported, rows)}
    images = {page.parent / "images" / f"{name}.svg": picture for name, picture in pictures.items()}
    return {page: page_text(results, reported, rows, seeds), **images}


def page_text(results: Results, reported: Reported, rows: Sequence[Row], seeds: Sequence[int]) -> str:
    """The page in Markdown."""
    lines = list(results.values())
    used = sorted({line["arithmetic"] for line in lines if line["setting"] in (TRAINER, TUNED)})
    rates = sorted({rate for line in lines for rate in line["rates"]})
    dates = sorted({line["date"] for line in lines})
    names = dict.fromkeys(data.partition("-")[0] for data, _ in rows)
    encoders = dict.fromkeys(encoder for _, encoder in rows)
    commands = [["tf-tokclf", *one] for name in names for one in commands_of(name, name.upper(), name)]
    return TEMPLATE.read_text(encoding="utf-8").format(
        **dict(zip(("auto", "none", "trainer", "tuned"), SETTINGS.values())),
        **{name: "; ".join(sorted({str(line[name]) for line in lines})) for name in ("machine", "versions")},
        findings="\n".join(_findings(reported, rows)),
        scores=score_table(reported, rows),
        overall=overall_table(reported, rows),
        differences=difference_table(reported, rows),
        costs=cost_table(reported, rows, results),
        missing=_missing(reported, rows, seeds),
        rates=", ".join(f"{rate:g}" for rate in rates) or "several",
        seed=min(seeds),
        arithmetic=" and ".join(used) or "bfloat16",
        dates=" to ".join(dict.fromkeys([*dates[:1], *dates[-1:]])),
        preparation="\n".join(map(" ".join, commands)),
        data=" ".join(f"--data {name}={name.upper()}" for name in names),
        encoders=" ".join(f"--encoder {name}=REF" for name in encoders),
        seeds=" ".join(f"--seed {seed}" for seed in seeds),
    )


def _findings(reported: Reported, rows: Sequence[Row]) -> Iterator[str]:
    """How the default of tf-tokclf compares with the Trainer, in words, for both ways in which the Trainer is set."""
    for other in (TUNED, TRAINER):
        gaps = gaps_of(reported, rows, (AUTO, other))
        if gaps:
            best, worst = max(gaps, key=lambda row: gaps[row].mean), min(gaps, key=lambda row: gaps[row].mean)
            higher = sum(gap.mean > 0 for gap in gaps.values())
            ends = " to ".join(f"{100 * gaps[row].mean:+.1f} points ({title_of(row[0])})" for row in (worst, best))
            yield (
                f"- **{SETTINGS[AUTO]}, compared with {SETTINGS[other]}:** its F1 is higher on {higher} of {len(gaps)} "
                f"pairs of data set and encoder. The differences are from {ends}."
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
