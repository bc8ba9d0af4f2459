"""Find all runs below a folder. Damaged runs are found too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tf_tokclf.errors import UserError
from tf_tokclf.report.listed_run import ListedRun, list_run
from tf_tokclf.run_dir import RunDir


def find_runs(folder: Path, *, with_parts: bool = False) -> list[ListedRun]:
    """The runs in `folder` and below, ordered by name.

    A folder of several seeds, of a sweep, or of a learning curve, is one run. with_parts: also list the run of each
    seed, each trial and each share. It is implied if `folder` is such a folder itself.
    """
    if not folder.is_dir():
        hint = "Name the folder that contains the folders of runs."
        raise UserError("this folder does not exist.", path=folder, hint=hint)
    found = list(_run_folders(folder, with_parts=with_parts or _has_parts(RunDir(folder))))
    return [list_run(run, _name(run, folder)) for run in found]


def _name(run: RunDir, folder: Path) -> str:
    return folder.resolve().name if run.root == folder else run.root.relative_to(folder).as_posix()


def _run_folders(folder: Path, *, with_parts: bool) -> Iterator[RunDir]:
    """Runs by name. Links are followed once."""
    seen = set()
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        run = RunDir(here)
        try:
            real = here.resolve()
            if real in seen:
                continue
            seen.add(real)
            is_run = _is_run(run)
            inner = sorted(
                (one for one in here.iterdir() if one.is_dir() and not one.name.startswith(".")), reverse=True
            )
        except OSError:
            continue
        if is_run:
            yield run
            inner = [one for one in inner if one not in run.folders or one in run.folders_of_runs]
            parts = {*run.folders_of_runs, *map(Path, (run.of_seed(seed).root for seed in run.seeds_with_folder))}
            inner = inner if with_parts else [one for one in inner if one not in parts]
        waiting += inner


def _is_run(run: RunDir) -> bool:
    files = (run.config, run.finished, run.results, run.history, run.seeds, run.sweep, run.learning_curve)
    return any(path.is_file() for path in files) or run.checkpoints.is_dir()


def _has_parts(run: RunDir) -> bool:
    files = (run.seeds, run.sweep, run.learning_curve)
    return any(path.is_file() for path in files) or any(folder.is_dir() for folder in run.folders_of_runs)
