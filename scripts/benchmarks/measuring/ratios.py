"""Stored ratios: the times of the other systems divided by ours, and what has changed since."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from measuring import Measured, markdown_table

OURS = "tf-tokclf"
# A ratio that is worse by more than this share is reported.
TOLERANCE = 0.05
HEADINGS = ("system", "measure", "stored ratio", "ratio now", "change")

Ratios = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Entry:
    """The ratios of one benchmark, by system and measure. version: of this project."""

    date: str
    version: str
    machine: str
    workload: str
    encoder: str
    ratios: Ratios

    @property
    def key(self) -> tuple[str, str, str]:
        """What must be the same for a comparison."""
        return self.machine, self.workload, self.encoder


def ratios_of(measured: Mapping[str, Sequence[Measured]]) -> Ratios:
    """The medians of each system as multiples of ours: training, an epoch after the first, and scoring."""
    ours = medians(measured[OURS])
    return {
        name: {measure: round(value / ours[measure], 4) for measure, value in medians(rows).items() if ours[measure]}
        for name, rows in measured.items()
        if name != OURS
    }


def medians(rows: Sequence[Measured]) -> dict[str, float]:
    """The medians over the rounds, in seconds, by measure."""
    found = {"training": [row["train_seconds"] for row in rows], "scoring": [row["score_seconds"] for row in rows]}
    if all(len(row["epoch_seconds"]) > 1 for row in rows):
        found["later epoch"] = [statistics.mean(row["epoch_seconds"][1:]) for row in rows]
    return {measure: statistics.median(seconds) for measure, seconds in found.items()}


def read_entries(path: Path) -> list[Entry]:
    """The entries in a file."""
    return [Entry(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))]


def write_entries(path: Path, new: Sequence[Entry]) -> None:
    """Add entries to a file. They replace those with the same machine, workload and encoder."""
    replaced = {entry.key for entry in new}
    old = [entry for entry in read_entries(path) if entry.key not in replaced] if path.exists() else []
    entries = sorted([*old, *new], key=lambda entry: entry.key)
    path.write_text(json.dumps([asdict(entry) for entry in entries], indent=2) + "\n", encoding="utf-8")


def comparison(now: Entry, stored: Sequence[Entry]) -> str:
    """A table of the changes since the stored entry, and a line for each ratio that is worse."""
    before = next((entry for entry in stored if entry.key == now.key), None)
    if before is None:
        return f"No ratios are stored for {now.encoder}, this workload and this machine."
    rows, worse = [], []
    for system, measures in now.ratios.items():
        for measure, ratio in measures.items():
            old = before.ratios.get(system, {}).get(measure)
            if old is None:
                continue
            rows.append([system, measure, f"{old:.2f}", f"{ratio:.2f}", f"{ratio / old - 1:+.0%}"])
            if _is_worse(system, old, ratio):
                worse.append(f"Worse by more than {TOLERANCE:.0%}: {system}, {measure}: {old:.2f} -> {ratio:.2f}")
    head = f"Ratios against those of {before.date}, version {before.version}:"
    return "\n".join([head, "", markdown_table(HEADINGS, rows), *(["", *worse] if worse else [])])


def _is_worse(system: str, old: float, now: float) -> bool:
    """Whether other systems have gained on ours, or one of our own settings has become slower than the default."""
    if system.startswith(OURS):
        return now > old * (1 + TOLERANCE)
    return now < old * (1 - TOLERANCE)
