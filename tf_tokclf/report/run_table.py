"""The table of runs with the settings that differ between them, sorted by any column."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tf_tokclf.config.sweep import value_text
from tf_tokclf.errors import UserError
from tf_tokclf.report.listed_run import ListedRun
from tf_tokclf.report.table_formats import Column, Kind, ResultTable

# Settings that have a column of their own, and those that only affect the speed of scoring.
_SHOWN_ELSEWHERE = {"training.seed", "evaluation.per_device_eval_batch_size"}


class Sorting(NamedTuple):
    """A column to sort by: its name, the value of a run, and whether high values come first."""

    name: str
    value: Callable[[ListedRun], Any]
    descending: bool = False


def differing_settings(runs: Sequence[ListedRun]) -> list[str]:
    """The settings that are not the same in all runs, in the order of the schema, except those with an own column."""
    known = [run.settings for run in runs if run.settings]
    names = dict.fromkeys(name for settings in known for name in settings)
    return [
        name
        for name in names
        if name not in _SHOWN_ELSEWHERE and any(one.get(name) != known[0].get(name) for one in known)
    ]


def run_table(
    runs: Sequence[ListedRun], folder: Path, *, sort: str | None = None
) -> tuple[ResultTable, list[ListedRun]]:
    """The table of the runs, and the runs in its order.

    sort: the name of a column. F1 and date are sorted from high to low, everything else from low to high, and empty
    values come last. Raises UserError for an unknown column.
    """
    settings = differing_settings(runs)
    names = dict(zip(settings, _leaves(settings)))
    ordered = _sorted(runs, settings, sort) if sort else list(runs)
    columns = (
        *map(Column, ("name", "state", "data", "encoder", *names.values(), "seed")),
        Column("validation F1", Kind.SHARE),
        Column("test F1", Kind.SHARE),
        Column("training time", Kind.SECONDS),
        Column("date"),
    )
    rows = tuple(
        (
            *(run.name, run.state, run.data, run.encoder),
            *(value_text(run.settings[name]) if name in run.settings else None for name in settings),
            ", ".join(map(str, run.seeds)),
            *(run.f1.get("validation"), run.f1.get("test"), run.seconds),
            run.date.strftime("%Y-%m-%d %H:%M") if run.date else None,
        )
        for run in ordered
    )
    modes = sorted({mode for run in runs for mode in run.modes})
    facts = {"runs in": str(folder), "F1 definition": "micro average; for several seeds, the mean"}
    facts |= {"mode": " and ".join(modes)} if modes else {}
    return ResultTable(columns, rows, facts), ordered


def _leaves(settings: Sequence[str]) -> list[str]:
    """The names of settings without their sections, where no other column has that name."""
    leaves = [name.rpartition(".")[2] for name in settings]
    taken = {"name", "state", "data", "encoder", "seed", "date", *(leaf for leaf in leaves if leaves.count(leaf) > 1)}
    return [name if leaf in taken else leaf for leaf, name in zip(leaves, settings)]


def _sorted(runs: Sequence[ListedRun], settings: Sequence[str], sort: str) -> list[ListedRun]:
    columns = [
        Sorting("name", lambda run: run.name),
        Sorting("state", lambda run: run.state),
        Sorting("data", lambda run: run.data),
        Sorting("encoder", lambda run: run.encoder),
        *(Sorting(leaf, _setting_of(name)) for leaf, name in zip(_leaves(settings), settings)),
        Sorting("seed", lambda run: run.seeds or None),
        Sorting("validation F1", lambda run: run.f1.get("validation"), descending=True),
        Sorting("test F1", lambda run: run.f1.get("test"), descending=True),
        Sorting("training time", lambda run: run.seconds),
        Sorting("date", lambda run: run.date, descending=True),
    ]
    chosen = next((one for one in columns if _key(one.name) == _key(sort)), None)
    if chosen is None:
        known = ", ".join(one.name for one in columns)
        raise UserError(f"--sort {sort}: there is no such column.", hint=f"The columns are: {known}.")
    full = [run for run in runs if chosen.value(run) not in (None, "")]
    empty = [run for run in runs if chosen.value(run) in (None, "")]
    return sorted(full, key=chosen.value, reverse=chosen.descending) + empty


def _setting_of(name: str) -> Callable[[ListedRun], Any]:
    """The value of a setting for sorting: numbers by size and before texts."""

    def value(run: ListedRun) -> Any:
        found = run.settings.get(name)
        if found is None:
            return None
        if isinstance(found, (int, float)):
            return (0, float(found), "")
        return (1, 0.0, value_text(found))

    return value


def _key(name: str) -> str:
    """The name of a column as it can be written on the command line.

    >>> _key("test F1") == _key("test-f1") == _key("TEST_F1")
    True
    """
    return name.lower().replace(" ", "-").replace("_", "-")
