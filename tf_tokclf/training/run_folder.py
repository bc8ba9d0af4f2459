"""The folder of a run: a new run starts only if there is none yet, or if it may replace the existing one."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tf_tokclf.config.cluster import is_chief
from tf_tokclf.config.loading import is_saved_config
from tf_tokclf.config.schema import Config
from tf_tokclf.data.inputs import run_inputs
from tf_tokclf.encoding.model_info import FILE_NAME as MODEL_INFO
from tf_tokclf.errors import UserError
from tf_tokclf.files import check_no_input, check_replaceable, old_of, partial_of, remove, restore_replaced
from tf_tokclf.run_dir import RunDir
from tf_tokclf.run_lock import check_link, locked


def check_room_for(config: Config, *, resume: bool) -> None:
    """Raise UserError if the run of `config` cannot start in its folder. Reads neither data nor encoder.

    resume: it continues the run that is there.
    """
    if not config.output_dir or not is_chief(config.training.strategy):
        return
    run = RunDir.of(config.output_dir)
    if not run.root.is_dir():
        return
    with locked(run):
        if not resume:
            check_room(run, overwrite=config.overwrite, inputs=run_inputs(config))


def check_room(run: RunDir, *, overwrite: bool, inputs: Iterable[Path | None] = ()) -> None:
    """Raise UserError if `claim_folder` would raise it."""
    if overwrite:
        check_replaceable(run.model)
    else:
        check_links(run)
    there = [path for path in run.files if _is_there(path)]
    if there and not overwrite:
        raise UserError(
            f"there already is a run in {run.root} ({there[0].name}).",
            hint="Continue it with --resume, choose another --output-dir, or replace that run with --force.",
        )
    if foreign := [path for path in there if not _is_of_run(path, run)]:
        raise UserError(
            "is in the way, and was not written by a run.",
            path=foreign[0],
            hint="--force replaces only runs. Move it away, or choose another --output-dir.",
        )
    inputs = list(inputs)
    for path in there:
        check_no_input(path, inputs)


def claim_folder(run: RunDir, *, overwrite: bool, inputs: Iterable[Path | None] = ()) -> None:
    """Empty the folder for a new run. An existing run is removed only if `overwrite` is on, anything else never.

    inputs: the files that the new run reads. Raises UserError if one of them would be removed.
    """
    if overwrite:
        restore_replaced(run.model)
    check_room(run, overwrite=overwrite, inputs=inputs)
    clear_folder(run)


def check_links(run: RunDir) -> None:
    """Raise UserError if a link in the run's folder leads to nothing, because its disk may only be unmounted, or to a
    model folder that cannot be replaced.
    """
    for path in run.files:
        check_link(path)
    check_replaceable(run.model)


def remove_leftovers(run: RunDir) -> None:
    """Remove the temporary files of an earlier process that was killed."""
    unfinished = [partial_of(path) for path in run.files]
    unfinished += [old_of(path) for path in run.files]
    unfinished += [*run.temporary, partial_of(run.restored_model)]
    unfinished += run.root.glob(f"{run.finished.name}.*.partial")
    unfinished += [path for folder in run.folders for path in folder.glob("*.partial")]
    for path in unfinished:
        remove(path)


def clear_folder(run: RunDir) -> None:
    """Remove everything that a run writes. Checkpoints go first and the configuration last, so that a folder that was
    only partly cleared is still recognised as a run's, but cannot be continued.
    """
    remove_leftovers(run)
    first = [run.finished, run.checkpoints]
    others = [path for path in run.files if path not in (*first, run.config)]
    for path in [*first, *others, run.config]:
        clear(path)


def clear(path: Path) -> None:
    """Remove one of a run's files or folders. A link to a folder is kept, and the folder is emptied."""
    if path.is_symlink() and path.is_dir():
        # Last the file by which the folder is recognised as a run's.
        for entry in sorted(path.iterdir(), key=lambda entry: entry.name == MODEL_INFO):
            _remove_at_once(entry)
    else:
        _remove_at_once(path)


def _remove_at_once(path: Path) -> None:
    """Remove a file, or rename and then remove a folder: a folder that was only partly removed would not be recognised
    as a run's.
    """
    if path.is_dir() and not path.is_symlink():
        path = path.rename(path.with_name(f"{path.name}.partial"))
    remove(path)


def _is_there(path: Path) -> bool:
    """Whether there is anything at `path` that would be lost. An empty folder is not."""
    if path.is_dir():
        return any(path.iterdir())
    return path.exists() or path.is_symlink()


def _is_of_run(path: Path, run: RunDir) -> bool:
    """Whether a run wrote `path`: the folder contains a run's configuration, and `path`, if it is a folder, contains
    only what a run writes into it.
    """
    if not is_saved_config(run.config):
        return False
    if path.is_symlink() and not path.is_dir():
        return True  # only the link would be removed
    if path.is_dir() != (path in run.folders):
        return False
    if not path.is_dir():
        return True
    entries = [entry for entry in path.iterdir() if entry.suffix != ".partial"]
    if path == run.model:
        return (path / MODEL_INFO).is_file() or not entries
    if path == run.logs:
        return all("tfevents" in file.name for file in path.rglob("*") if file.is_file())
    if path == run.checkpoints:
        return all(entry.name.startswith("epoch-") for entry in entries)
    if path in run.folders_of_runs:
        return all((entry / run.config.name).is_file() for entry in entries)
    if path == run.predictions and path.is_symlink():
        return all(entry.suffix == ".jsonl" for entry in entries)
    return True
