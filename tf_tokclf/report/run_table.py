"""The table of runs with the settings that differ between them, sorted by any column."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tf_tokclf.config.flat_settings import is_free, setting_values
from tf_tokclf.config.schema import Config
from tf_tokclf.config.sweep import value_text
from tf_tokclf.errors import UserError
from tf_tokclf.report.listed_run import ListedRun
from tf_tokclf.report.table_formats import Column, Kind, ResultTable
from tf_tokclf.similar_names import similar_name

# Settings that a column of every table contains: the setting -> the column.
_IN_OWN_COLUMN = {"training.seed": "seed"}
# Those, and settings that only affect the speed of scoring.
_SHOWN_ELSEWHERE = {*_IN_OWN_COLUMN, "evaluation.per_device_eval_batch_size"}
# A name for both columns of F1.
_F1 = "f1"
# Lower cutoffs suggest other columns: name for date.
_CUTOFF = 0.7


@dataclass(frozen=True)
class RunColumn:
    """A column of the table.

    Attributes:
        name: The name in the header.
        shown: The value of a run in the table. None or an empty text if it has none.
        kind: What the column contains.
        key: The value to sort by, if it differs from `shown`.
        descending: Whether high values come first when the runs are sorted by this column.
        in_json: The keys that lead to the value in the JSON of a run. For a setting, its dotted name is the last one.
    """

    name: str
    shown: Callable[[ListedRun], Any]
    kind: Kind = Kind.TEXT
    key: Callable[[ListedRun], Any] | None = None
    descending: bool = False
    in_json: tuple[str, ...] = ()

    @property
    def setting(self) -> str | None:
        """The dotted name of the setting that the column contains, if it contains one."""
        return self.in_json[1] if self.in_json[0] == "settings" else None


_BEFORE_SETTINGS = (
    RunColumn("name", lambda run: run.name, in_json=("name",)),
    RunColumn("state", lambda run: run.state, in_json=("state",)),
    RunColumn("data", lambda run: run.data, in_json=("data",)),
    RunColumn("encoder", lambda run: run.encoder, in_json=("encoder",)),
)
_AFTER_SETTINGS = (
    RunColumn("seed", lambda run: ", ".join(map(str, run.seeds)), key=lambda run: run.seeds, in_json=("seeds",)),
    RunColumn(
        "validation F1", lambda run: run.f1.get("validation"), Kind.SHARE, descending=True, in_json=("f1", "validation")
    ),
    RunColumn("test F1", lambda run: run.f1.get("test"), Kind.SHARE, descending=True, in_json=("f1", "test")),
    RunColumn("training time", lambda run: run.seconds, Kind.SECONDS, in_json=("seconds",)),
    RunColumn(
        "date",
        lambda run: run.date.strftime("%Y-%m-%d %H:%M") if run.date else None,
        key=lambda run: run.date,
        descending=True,
        in_json=("date",),
    ),
)
# The names of the columns that every table has, as they are written on the command line.
COLUMN_NAMES = tuple(column.name.replace(" ", "-") for column in (*_BEFORE_SETTINGS, *_AFTER_SETTINGS))


def differing_settings(runs: Sequence[ListedRun]) -> list[str]:
    """The settings that are not the same in all runs, in the order of the schema, except those with an own column."""
    known = [run.settings for run in runs if run.settings]
    names = dict.fromkeys(name for settings in known for name in settings)
    return [
        name
        for name in names
        if name not in _SHOWN_ELSEWHERE and any(one.get(name) != known[0].get(name) for one in known)
    ]


@dataclass(frozen=True)
class RunTable:
    """Runs in their order, and the columns to show. is_whole: whether the user chose no columns."""

    folder: Path
    runs: tuple[ListedRun, ...]
    columns: tuple[RunColumn, ...]
    is_whole: bool

    def table(self) -> ResultTable:
        """The table. If a column contains F1, the facts say how it was measured."""
        columns = tuple(Column(column.name, column.kind) for column in self.columns)
        rows = tuple(tuple(column.shown(run) for column in self.columns) for run in self.runs)
        facts = {"runs in": str(self.folder)}
        if any(column.kind is Kind.SHARE for column in self.columns):
            facts["F1 definition"] = "micro average; for several seeds, the mean"
            modes = sorted({mode for run in self.runs for mode in run.modes})
            facts |= {"mode": " and ".join(modes)} if modes else {}
        return ResultTable(columns, rows, facts)

    def to_json(self) -> list[dict[str, Any]]:
        """The values of each run: all, or those in the chosen columns."""
        settings = [column.setting for column in self.columns if column.setting]
        runs = [run.to_json(settings) for run in self.runs]
        return runs if self.is_whole else [_part(run, [column.in_json for column in self.columns]) for run in runs]


def run_table(
    runs: Sequence[ListedRun], folder: Path, *, columns: Sequence[str] = (), sort: str | None = None
) -> RunTable:
    """The table of the runs.

    columns: the names of the columns to show, in this order. `f1` means F1 on validation and test. Settings can be
    named with or without their section. Without names, the table has the columns of every run and the settings that
    differ. sort: the name of a column. F1 and date are sorted from high to low, everything else from low to high, and
    empty values come last. Raises UserError for an unknown column.
    """
    shown = (*_BEFORE_SETTINGS, *_setting_columns(differing_settings(runs)), *_AFTER_SETTINGS)
    chosen = [column for name in columns for column in _named(name, shown, "--columns")] or shown
    ordered = _sorted(runs, _named(sort, shown, "--sort")[0]) if sort else runs
    return RunTable(folder, tuple(ordered), tuple(dict.fromkeys(chosen)), is_whole=not columns)


def _setting_columns(settings: Sequence[str]) -> Iterator[RunColumn]:
    """A column for each setting, named without its section unless another column has that name."""
    leaves = [name.rpartition(".")[2] for name in settings]
    taken = {*COLUMN_NAMES, *(leaf for leaf in leaves if leaves.count(leaf) > 1)}
    for leaf, name in zip(leaves, settings):
        yield RunColumn(name if leaf in taken else leaf, _text_of(name), key=_size_of(name), in_json=("settings", name))


def _text_of(name: str) -> Callable[[ListedRun], str | None]:
    """A setting as text."""
    return lambda run: value_text(run.settings[name]) if name in run.settings else None


def _named(name: str, shown: Sequence[RunColumn], option: str) -> tuple[RunColumn, ...]:
    """The columns of that name: one of those shown by default, or any setting."""
    if _key(name) == _F1:
        return tuple(column for column in shown if column.kind is Kind.SHARE)
    others = _setting_columns([name for name in setting_values(Config()) if not is_free(name)])
    # Where settings differ, a column has the name that it has in the table.
    by_name = {_key(each): one for one in (*others, *shown) for each in (one.setting or one.name, one.name)}
    by_name |= {_key(setting): by_name[column] for setting, column in _IN_OWN_COLUMN.items()}
    if (found := by_name.get(_key(name))) is not None:
        return (found,)
    near = similar_name(_key(name), by_name, cutoff=_CUTOFF)
    listed = f"The columns are: {', '.join(one.name for one in shown)}."
    hint = f"Did you mean {by_name[near].name}? {listed}" if near else listed
    raise UserError(f"{option} {name}: there is no such column.", hint=hint)


def _sorted(runs: Sequence[ListedRun], column: RunColumn) -> list[ListedRun]:
    key = column.key or column.shown
    full = [run for run in runs if key(run) not in (None, "", ())]
    empty = [run for run in runs if key(run) in (None, "", ())]
    return sorted(full, key=key, reverse=column.descending) + empty


def _size_of(name: str) -> Callable[[ListedRun], Any]:
    """The value of a setting for sorting: numbers by size and before texts."""

    def value(run: ListedRun) -> Any:
        found = run.settings.get(name)
        if found is None:
            return None
        if isinstance(found, (int, float)):
            return (0, float(found), "")
        return (1, 0.0, value_text(found))

    return value


def _part(run: Mapping[str, Any], places: Iterable[tuple[str, ...]]) -> dict[str, Any]:
    """The values of a run at these places.

    >>> _part({"name": "a", "f1": {"test": 0.5, "validation": 0.25}}, [("f1", "test"), ("name",)])
    {'f1': {'test': 0.5}, 'name': 'a'}
    """
    part: dict[str, Any] = {}
    for first, *rest in places:
        if not rest:
            part[first] = run[first]
        else:
            inner = part.setdefault(first, {})
            inner |= {key: run[first][key] for key in rest if key in run[first]}
    return part


def _key(name: str) -> str:
    """The name of a column as it can be written on the command line.

    >>> _key("test F1") == _key("test-f1") == _key("TEST_F1")
    True
    """
    return name.lower().replace(" ", "-").replace("_", "-")
