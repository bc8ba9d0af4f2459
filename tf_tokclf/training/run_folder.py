"""Who may write in a run's folder: one run at a time, a new one only where there is none or when told to."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tf_tokclf.config.loading import is_saved_config
from tf_tokclf.data.model_info import FILE_NAME as MODEL_INFO
from tf_tokclf.errors import UserError
from tf_tokclf.run_dir import RunDir

log = logging.getLogger(__name__)


@contextmanager
def locked(run: RunDir) -> Iterator[None]:
    """Make the run's folder and keep other runs out of it; the lock ends with the process, however that ends."""
    try:
        run.root.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(run.root, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        hint = "Choose another --output-dir."
        raise UserError(f"the folder cannot be made: {error.strerror}.", path=run.root, hint=hint) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise UserError(
            "another run is writing in this folder.",
            path=run.root,
            hint="Wait for it, or choose another --output-dir.",
        ) from error
    except OSError as error:
        log.debug("%s: this file system has no locks (%s)", run.root, error.strerror)
    try:
        yield
    finally:
        os.close(descriptor)


def claim_folder(run: RunDir, *, overwrite: bool) -> None:
    """Make room for a run. One that is there already goes only if `overwrite` is on, and nothing else does."""
    there = [path for path in run.files if path.exists()]
    if there and not overwrite:
        raise UserError(
            f"there already is a run in {run.root} ({there[0].name}).",
            hint="Go on with it by --resume, choose another --output-dir, or replace that run with --force.",
        )
    if foreign := [path for path in there if not _is_of_run(path, run)]:
        raise UserError(
            "is in the way, and no run has written it.",
            path=foreign[0],
            hint="--force replaces runs only: move it away, or choose another --output-dir.",
        )
    clear_folder(run)


def remove_leftovers(run: RunDir) -> None:
    """Remove what was being written or replaced at the moment when an earlier process was killed."""
    unfinished = [path.with_name(f"{path.name}.partial") for path in run.files]
    unfinished += [run.model.with_name(f"{run.model.name}{suffix}") for suffix in (".old", ".restored")]
    unfinished += [run.model.with_name(f"{run.model.name}.restored.partial")]
    unfinished += [*run.root.glob(f"{run.finished.name}.*.partial"), *run.model.glob("*.partial")]
    # Of SQLite, which would bring what stands in it back into the next data base of that name.
    unfinished += [run.sweep_storage.with_name(f"{run.sweep_storage.name}-journal")]
    unfinished += [*run.checkpoints.glob("epoch-*.partial"), *run.predictions.glob("*.partial")]
    for path in unfinished:
        if path.is_dir():
            shutil.rmtree(path)
        elif path.exists():
            path.unlink()


def clear_folder(run: RunDir) -> None:
    """Remove everything that a run writes: first what could be gone on with, last what says that a run was here."""
    remove_leftovers(run)
    first = [run.finished, run.checkpoints]
    others = [path for path in run.files if path not in (*first, run.config)]
    for path in [*first, *others, run.config]:
        if path.is_dir():
            # A folder half removed would not be known again as a run's.
            partial = path.rename(path.with_name(f"{path.name}.partial"))
            shutil.rmtree(partial)
        else:
            path.unlink(missing_ok=True)


def _is_of_run(path: Path, run: RunDir) -> bool:
    """Whether a run wrote what is at `path`, one of the names of its files: its configuration says that there was a
    run, and folders hold what a run puts into them.
    """
    if not is_saved_config(run.config):
        return False
    if path == run.model:
        return (path / MODEL_INFO).is_file()
    if path == run.logs:
        return all("tfevents" in file.name for file in path.rglob("*") if file.is_file())
    if path == run.checkpoints:
        return all(entry.name.startswith("epoch-") for entry in path.iterdir())
    if path == run.trials:
        return all((entry / run.config.name).is_file() for entry in path.iterdir())
    return True
