"""The cells of the grid, in the order in which they are trained."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

# Settings by their names in results and selections: what they are called in tables.
AUTO, NONE, TRAINER, TUNED = "ours-auto", "ours-none", "trainer", "trainer-tuned"
SETTINGS: Mapping[str, str] = {
    AUTO: "tf-tokclf, default",
    NONE: "tf-tokclf, `run_ner.py`'s settings",
    TRAINER: "Trainer, `run_ner.py`'s settings",
    TUNED: "Trainer, tuned",
}
FIELDS = ("data", "encoder", "setting", "seed")

Result = Mapping[str, Any]


@dataclass(frozen=True)
class Cell:
    """A training and its score. rate: the learning rate of the tuned Trainer, None for the other settings."""

    data: str
    encoder: str
    setting: str
    seed: int
    rate: float | None = None

    @classmethod
    def of(cls, result: Result) -> Cell:
        """The cell of a line of results."""
        return cls(*(result[name] for name in (*FIELDS, "rate")))

    def __str__(self) -> str:
        rate = f", learning rate {self.rate:g}" if self.rate else ""
        return f"{self.data}, {self.encoder}, {self.setting}, seed {self.seed}{rate}"


Results = dict[Cell, Result]


@dataclass(frozen=True)
class Grid:
    """What to train. The tuned Trainer tries `rates` with the first seed. only: the values that each field may have."""

    data: Sequence[str]
    encoders: Sequence[str]
    seeds: Sequence[int]
    rates: Sequence[float]
    settings: Sequence[str] = tuple(SETTINGS)
    only: Mapping[str, Collection[str]] | None = None

    def cells(self, done: Results) -> Iterator[Cell]:
        """All cells, those of the first seed first. The tuned Trainer uses the best rate with the other seeds, which is
        None as long as it is not known.
        """
        for seed in self.seeds:
            for encoder in self.encoders:
                for data in self.data:
                    for setting in self.settings:
                        if self._is_selected(one := Cell(data, encoder, setting, seed)):
                            yield from self._with_rates(one, done)

    def missing(self, done: Results) -> tuple[list[Cell], list[Cell]]:
        """The cells that can be trained now, and those that wait for others."""
        ready, waiting = [], []
        for cell in self.cells(done):
            if cell not in done:
                (ready if self._is_ready(cell, done) else waiting).append(cell)
        return ready, waiting

    def reference(self, cell: Cell) -> Cell:
        """The cell whose epochs and batch size the tuned Trainer takes over: ours, by default, with the first seed."""
        return Cell(cell.data, cell.encoder, AUTO, self.seeds[0])

    def _is_selected(self, cell: Cell) -> bool:
        return all(str(getattr(cell, name)) in values for name, values in (self.only or {}).items())

    def _with_rates(self, cell: Cell, done: Results) -> Iterator[Cell]:
        if cell.setting != TUNED:
            yield cell
        elif cell.seed == self.seeds[0]:
            yield from (replace(cell, rate=rate) for rate in self.rates)
        else:
            yield replace(cell, rate=best_rate(done, cell, self.rates, self.seeds[0]))

    def _is_ready(self, cell: Cell, done: Results) -> bool:
        return cell.setting != TUNED or (cell.rate is not None and self.reference(cell) in done)


def best_rate(done: Results, cell: Cell, rates: Sequence[float], seed: int) -> float | None:
    """The learning rate with the highest validation F1 with the first seed. None until all of them are tried."""
    found = {rate: done.get(replace(cell, seed=seed, rate=rate)) for rate in rates}
    if not found or not all(found.values()):
        return None
    return max(found, key=lambda rate: found[rate]["dev_f1"])


def chosen(done: Results) -> dict[tuple[str, str, str], dict[int, Result]]:
    """The results to report: data, encoder and setting -> seed -> result.

    Of the tuned Trainer, the rate with the highest validation F1 with the first seed counts, if all rates are there.
    """
    reported: dict[tuple[str, str, str], dict[int, Result]] = {}
    for (data, encoder, setting), cells in _by_setting(done).items():
        if setting == TUNED:
            seed = min(cell.seed for cell in cells)
            rates = sorted({cell.rate for cell in cells if cell.seed == seed and cell.rate is not None})
            tried = {rate for result in map(done.get, cells) if result for rate in result.get("rates", ())}
            rate = best_rate(done, Cell(data, encoder, setting, seed), sorted(tried or rates), seed)
            cells = [cell for cell in cells if rate is not None and cell.rate == rate]
        if cells:
            ordered = sorted(cells, key=lambda cell: cell.seed)
            reported[data, encoder, setting] = {cell.seed: done[cell] for cell in ordered}
    return reported


def _by_setting(done: Results) -> dict[tuple[str, str, str], list[Cell]]:
    groups: dict[tuple[str, str, str], list[Cell]] = {}
    for cell in done:
        groups.setdefault((cell.data, cell.encoder, cell.setting), []).append(cell)
    return groups


def selection(texts: Iterable[str]) -> dict[str, set[str]]:
    """The selection of FIELD=VALUE texts: one of the values for each field. Raises ValueError for other texts."""
    chosen_values: dict[str, set[str]] = {}
    for text in texts:
        name, _, value = text.partition("=")
        if name not in FIELDS or not value:
            raise ValueError(f"--only {text}: give FIELD=VALUE, with one of the fields {', '.join(FIELDS)}")
        if name == "setting" and value not in SETTINGS:
            raise ValueError(f"--only {text}: the settings are {', '.join(SETTINGS)}")
        chosen_values.setdefault(name, set()).add(value)
    return chosen_values
