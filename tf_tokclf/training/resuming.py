"""Saving a run's state as it goes on, and going on from it: what is on disk fits together after every moment.

An epoch ends in this order: the model folder if the epoch is the best, history.jsonl, the checkpoint. Whatever
moment a run is killed at, going on begins with the newest whole checkpoint and makes the other two what they were
with it.
"""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tf_tokclf.config.loading import load_config
from tf_tokclf.data.cache import change_while_in_use
from tf_tokclf.errors import JobError, Stopped, UserError
from tf_tokclf.files import DISK_FULL
from tf_tokclf.model.backend import keras, tf
from tf_tokclf.model.saving import WEIGHTS, save_model_folder
from tf_tokclf.run_dir import RunDir
from tf_tokclf.training.averaging import WeightAverage
from tf_tokclf.training.checkpoints import (
    Checkpoint,
    CheckpointStore,
    Position,
    find_checkpoint,
    same_content,
)
from tf_tokclf.training.distribution import Devices
from tf_tokclf.training.dropout import SeededDropout
from tf_tokclf.training.history import best_epoch, write_history
from tf_tokclf.training.identity import Identity, setting_differences, settings_of
from tf_tokclf.training.plan import RunPlan
from tf_tokclf.training.run_folder import clear_folder, remove_leftovers
from tf_tokclf.training.stopping import NAMES, StopRequest

log = logging.getLogger(__name__)


def resume_folder(plan: RunPlan, identity: Identity, place: Path | None) -> Checkpoint | None:
    """What the run in the plan's folder goes on from: its newest whole checkpoint, or the one at `place`.

    None where it was stopped before its first one: then what is there is removed. Raises UserError, with
    nothing touched, where the run is another one.
    """
    store = CheckpointStore(plan.run.checkpoints)
    if place is not None:
        checkpoint = find_checkpoint(place)
        _check_same(identity, checkpoint, plan.run)
        checkpoint = store.adopt(checkpoint)
    elif (newest := store.newest()) is not None:
        checkpoint = newest
        _check_same(identity, checkpoint, plan.run)
    else:
        _check_begun(plan)
        clear_folder(plan.run)
        log.warning("%s: there is no checkpoint yet; this run begins at the beginning.", plan.run.root)
        return None
    log.info("going on from %s (%s)", checkpoint.position, checkpoint.folder)
    return checkpoint


def _check_same(identity: Identity, checkpoint: Checkpoint, run: RunDir) -> None:
    if differences := identity.differences(checkpoint.identity):
        raise _changed(differences, run)


def _check_begun(plan: RunPlan) -> None:
    """Raise UserError unless the run in the plan's folder is this one and not finished without any checkpoint."""
    if plan.run.results.is_file():
        raise UserError(
            "the run is finished and has no checkpoint to go on from.",
            path=plan.run.root,
            hint="Train anew in another --output-dir, or replace it with --force.",
        )
    if plan.run.config.is_file():
        before = settings_of(load_config(plan.run.config))
        if differences := setting_differences(settings_of(plan.config), before):
            raise _changed(differences, plan.run)


def _changed(differences: list[str], run: RunDir) -> UserError:
    return UserError(
        f"this is another run than the one to go on with; changed: {', '.join(differences)}.",
        path=run.root,
        hint=f"Change it back ({run.config} has the settings), or train anew in another --output-dir.",
    )


class RunSaver:
    """Writes and restores the state of one run."""

    def __init__(
        self,
        plan: RunPlan,
        identity: Identity,
        checkpoint: Checkpoint | None,
    ) -> None:
        self._plan = plan
        self._identity = identity
        self._checkpoint = checkpoint
        self._store = CheckpointStore(plan.run.checkpoints, newest=checkpoint.folder if checkpoint else None)

    def start(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        dropout: SeededDropout,
        average: WeightAverage,
    ) -> Position:
        """Take charge of these, all of whose variables exist. What there is to go on from is put into them; the
        history and the best model become what they were then.
        """
        self._model = model
        self._average = average
        state = {"model": model, "optimizer": optimizer, "batch_number": dropout.batch_number}
        self._state = tf.train.Checkpoint(**state, **({"average": average.averages} if average.averages else {}))
        self._saved_at = time.monotonic()
        checkpoint = self._checkpoint
        if checkpoint is None:
            return Position()
        remove_leftovers(self._plan.run)
        self._store.tidy()
        checkpoint.restore(self._state)
        write_history(self._plan.run.history, checkpoint.position.history)
        self._restore_best(checkpoint.best_weights)
        return checkpoint.position

    def _restore_best(self, weights: Path | None) -> None:
        folder = self._plan.run.model
        if weights is None:
            shutil.rmtree(folder, ignore_errors=True)
        elif not same_content(folder / WEIGHTS, weights):
            save_model_folder(self._model, self._plan.tokenizer, self._plan.info, folder, weights=weights)

    def end_step(self, position: Position) -> None:
        """Save after so many steps or minutes."""
        training = self._plan.config.training
        if not training.checkpoints:
            return
        n_steps = position.epoch * self._plan.steps_per_epoch + position.step
        by_steps = training.checkpoint_steps is not None and n_steps % training.checkpoint_steps == 0
        minutes = (time.monotonic() - self._saved_at) / 60
        if by_steps or (training.checkpoint_minutes is not None and minutes >= training.checkpoint_minutes):
            self.save(position)

    def end_epoch(self, position: Position) -> None:
        """Save the model if it is the best so far, the history, and a checkpoint."""
        check_data()
        plan = self._plan
        if best_epoch(position.history) is position.history[-1]:
            with self._average.in_place():
                save_model_folder(self._model, plan.tokenizer, plan.info, plan.run.model)
        write_history(plan.run.history, position.history)
        if plan.config.training.checkpoints:
            self.save(position)

    def save(self, position: Position) -> None:
        """Write a checkpoint."""
        check_data()
        best = self._plan.run.model / WEIGHTS if position.history else None
        self._store.write(self._state, position, self._identity, best)
        self._saved_at = time.monotonic()


def check_data() -> None:
    """Raise JobError where the run may have trained on damaged data."""
    if change := change_while_in_use():
        raise change


def stopped(stop: StopRequest, position: Position, run: RunDir) -> Stopped:
    """What to tell the person who asked to stop."""
    number = stop.signal or signal.SIGTERM
    by = NAMES[stop.signal] if stop.signal else "another worker"
    return Stopped(
        f"stopped by {by} at {position}; everything is saved. "
        f"Go on with: {resume_command(run)}",
        exit_code=128 + number,
    )


def resume_command(run: RunDir) -> str:
    """What to type to go on with a run."""
    return shlex.join(["tf-tokclf", "fit", str(run.config), "--resume"])


@contextmanager
def explained_errors(run: RunDir, devices: Devices) -> Iterator[None]:
    """Turn into a JobError: a full disk, in whichever words a library reports it, a cached file that was changed while
    the run read it, and a worker that is gone.
    """
    try:
        with devices.explained_failures(resume_command(run)):
            yield
    except Exception as error:
        if change := change_while_in_use():
            raise JobError(f"{change} What was saved before is whole, go on with: {resume_command(run)}") from error
        reason = disk_problem(error)
        if reason is None:
            raise
        raise JobError(
            f"{run.root}: the disk is full ({reason}). What was saved before is whole: make room, then go on "
            f"with: {resume_command(run)}"
        ) from error


def disk_problem(error: Exception) -> str | None:
    """Why nothing fits any more, if `error` says so: by number, or in words as TensorFlow and safetensors do."""
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno) if error.errno in DISK_FULL else None
    return next((os.strerror(number) for number in DISK_FULL if os.strerror(number) in str(error)), None)
