"""Saving the state of a run, and resuming it. The files on disk are consistent whenever the process is killed.

After the validation sentences were scored, which usually is at the end of an epoch, these are written in this order:
the model folder if it is the best, history.jsonl, and a checkpoint. A resumed run starts from the newest complete
checkpoint, and resets the other two to the state at that time.

At the end of a run, these are written in this order: finished.json with the checksums of the model, after the model was
read back; predictions, results and report; finished.json with their checksums too. Then the checkpoints are removed.
Once finished.json exists, resuming means to check the files by it, and to restore missing and damaged ones.
"""

from __future__ import annotations

import logging
import shlex
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tf_tokclf.config.loading import config_text, load_config, save_config, with_settings
from tf_tokclf.config.schema import Config
from tf_tokclf.counted import counted
from tf_tokclf.data.cache import change_while_in_use
from tf_tokclf.encoding.crf_file import FILE_NAME as CRF
from tf_tokclf.encoding.crf_file import read_crf
from tf_tokclf.encoding.model_info import FILE_NAME as MODEL_INFO
from tf_tokclf.errors import JobError, Stopped, UserError
from tf_tokclf.files import copy_whole, disk_problem, open_whole, remove, restore_replaced, sha256_of
from tf_tokclf.model.backend import keras, tf
from tf_tokclf.model.saving import WEIGHTS, save_model_folder
from tf_tokclf.run_dir import RunDir
from tf_tokclf.run_record import RunRecord, checksums, damage, read_record, write_record
from tf_tokclf.training.averaging import WeightAverage
from tf_tokclf.training.checkpoints import (
    N_KEPT,
    Checkpoint,
    CheckpointStore,
    Position,
    check_tracked,
    find_checkpoint,
)
from tf_tokclf.training.distribution import Devices
from tf_tokclf.training.dropout import SeededDropout
from tf_tokclf.training.history import scorings_since_best, write_history
from tf_tokclf.training.optimizer import UP_TO
from tf_tokclf.training.plan import RunPlan
from tf_tokclf.training.run_folder import check_links, clear, clear_folder, remove_leftovers
from tf_tokclf.training.run_identity import N_EPOCHS, Identity, check_same, setting_differences, settings_of
from tf_tokclf.training.stopping import NAMES, StopRequest

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Finished:
    """A finished run. damage: what is wrong with its files, by name. weights: a file with the weights of the model."""

    record: RunRecord
    damage: Mapping[str, str]
    weights: Path

    @property
    def position(self) -> Position:
        """The position at which the run ended."""
        return Position.from_json(self.record.position)


def with_earlier_choices(config: Config, *, place: Path | None = None) -> Config:
    """The configuration with what its recipe chose when the run in its output folder started.

    place: use the run of the newest checkpoint in this folder instead. Unchanged if no run has started there, or if the
    configuration leaves nothing to the recipe.
    """
    left = config.left_to_recipe
    before = _settings_before(RunDir.of(config.output_dir), place) if left else None
    if before is None:
        return config
    default = settings_of(Config(recipe="none"))
    values = {name: before.get(name, default[name]) for name in left}
    # The folder of a sweep has no values of its own until its best trial is known.
    if "auto" in values.values():
        return config
    return with_settings(config, {**values, "recipe": "none"})


def _settings_before(run: RunDir, place: Path | None) -> Mapping[str, Any] | None:
    """The settings of the run in a folder. None if there is no run."""
    if place is not None:
        return find_checkpoint(place).identity.settings
    if record := read_record(run):
        return record.settings
    try:
        if run.config.is_file():
            return settings_of(load_config(run.config))
    except UserError as error:
        log.debug("%s", error)
    checkpoint = next(CheckpointStore(run.checkpoints).whole(), None)
    return checkpoint.identity.settings if checkpoint else None


def resume_folder(plan: RunPlan, identity: Identity, place: Path | None) -> Checkpoint | Finished | None:
    """What the run in the plan's folder is resumed from: its final state if it is finished, else its newest complete
    checkpoint. place: use the newest checkpoint in this folder instead.

    None if the run was stopped before its first checkpoint. Its files are then removed. Raises UserError, without
    changing anything, if it is another run, or if it is finished and cannot be restored.
    """
    restore_replaced(plan.run.model)
    check_links(plan.run)
    store = CheckpointStore(plan.run.checkpoints)
    record = read_record(plan.run)
    begin: Checkpoint | Finished | None
    if place is not None:
        begin = find_checkpoint(place)
        check_same(identity.differences(begin.identity), plan.run)
        begin = store.adopt(begin)
    elif record is not None:
        begin = _finished_run(plan, identity, record, store)
    elif (begin := store.newest()) is not None:
        _check_goes_on(identity, begin, plan.run)
    else:
        _check_begun(plan)
        clear_folder(plan.run)
        log.warning("%s: there is no checkpoint yet. The run starts from the beginning.", plan.run.root)
        return None
    if isinstance(begin, Checkpoint):
        # These describe files that are about to change.
        plan.run.finished.unlink(missing_ok=True)
        plan.run.results.unlink(missing_ok=True)
        log.info("continuing from %s (%s)", begin.position, begin.folder)
    _restore_config(plan)
    return begin


def _finished_run(
    plan: RunPlan, identity: Identity, record: RunRecord, store: CheckpointStore
) -> Checkpoint | Finished:
    """Where to begin with a finished run.

    Its last checkpoint if more epochs are wanted. Otherwise the finished run, to check it, or another checkpoint if its
    weights are lost and must be computed again.
    """
    run = plan.run
    before = Identity(record.settings, record.contents)
    if identity.is_longer_than(before):
        return _last_checkpoint(plan, identity, record, store)
    check_same(identity.without_devices().differences(before.without_devices()), run)
    found = damage(run, record)
    if not found:
        what = "the run is finished" if record.is_scored(run) else "training is finished"
        log.info("%s: %s, and its files are intact.", run.root, what)
    weights = (run.model / WEIGHTS).relative_to(run.root).as_posix()
    begin = _with_weights(run, record, store, found, weights)
    if begin is None:
        gone = "none of its checkpoints is complete" if store.folders() else "its checkpoints were removed"
        raise UserError(
            f"{weights} {found[weights]} and cannot be restored: the run is finished, and {gone}.",
            path=run.root,
            hint="Copy the file from a backup or the Hub and resume again, or train again with --force.",
        )
    for name, what in found.items():
        log.warning("%s %s. It is restored.", run.root / name, what)
    return begin


def _with_weights(
    run: RunDir, record: RunRecord, store: CheckpointStore, found: Mapping[str, str], weights: str
) -> Checkpoint | Finished | None:
    """What the weights of a finished run can be restored from, or computed from. None if there is nothing.

    found: what is wrong with its files, by name.
    """
    if weights not in found:
        return Finished(record, found, run.root / weights)
    whole = list(store.whole())
    for checkpoint in whole:
        if checkpoint.best_weights is not None and sha256_of(checkpoint.best_weights) == record.files[weights]:
            return Finished(record, found, checkpoint.best_weights)
    return whole[0] if whole else None


def _last_checkpoint(plan: RunPlan, identity: Identity, record: RunRecord, store: CheckpointStore) -> Checkpoint:
    last = next(store.whole(), None)
    if last is not None and last.position.name == Position.from_json(record.position).name:
        _check_goes_on(identity, last, plan.run)
        return last
    n_epochs = plan.config.training.num_train_epochs
    raise UserError(
        "the run is finished and its last checkpoint was not kept, so it cannot be continued to "
        f"{counted(n_epochs, 'epoch')}.",
        path=plan.run.root,
        hint=f"Train with --num-train-epochs {n_epochs} in another --output-dir. More epochs can only be added to a "
        "run that was trained with --keep-checkpoints 1 or more.",
    )


def _check_goes_on(identity: Identity, checkpoint: Checkpoint, run: RunDir) -> None:
    """Raise UserError if the checkpoint belongs to another run. More epochs are allowed after the last checkpoint."""
    before, position = checkpoint.identity, checkpoint.position
    n_before, n_epochs = before.settings.get(N_EPOCHS), identity.settings[N_EPOCHS]
    if not (identity.is_longer_than(before) and position.step == 0 and position.epoch == n_before):
        check_same(identity.differences(before), run)
        return
    log.warning(
        "%s: a run of %s is continued to %d. Its first epochs used the learning rates of a shorter run, "
        "so the result differs from that of a run of %s.",
        run.root,
        counted(n_before, "epoch"),
        n_epochs,
        counted(n_epochs, "epoch"),
    )


def _check_begun(plan: RunPlan) -> None:
    """Raise UserError if the folder of a run without checkpoints contains another run, or a finished one."""
    if plan.run.results.is_file():
        raise UserError(
            f"the run is finished, but without checkpoints and {plan.run.finished.name} it cannot be checked.",
            path=plan.run.root,
            hint="Train in another --output-dir, or replace the run with --force.",
        )
    if plan.run.config.is_file():
        before = settings_of(load_config(plan.run.config))
        check_same(setting_differences(settings_of(plan.config), before), plan.run)


def _restore_config(plan: RunPlan) -> None:
    """Write the run's configuration if it is missing or has other settings."""
    try:
        if not setting_differences(settings_of(plan.config), settings_of(load_config(plan.run.config))):
            return
    except UserError as error:
        log.debug("%s", error)
    save_config(plan.config, plan.run.config)
    log.warning("%s was missing or had other settings. It is written again.", plan.run.config)


def restore_config(run: RunDir) -> None:
    """Restore a missing configuration from `finished.json` or the newest checkpoint, if they contain it."""
    record = read_record(run)
    text = record.texts.get(run.config.name) if record else None
    if text is None:
        text = next((checkpoint.config for checkpoint in CheckpointStore(run.checkpoints).whole()), None)
    if not text:
        return
    with open_whole(run.config) as file:
        file.write(text)
    log.warning("%s was missing. It is restored.", run.config)


class RunSaver:
    """Saves and restores the state of one run."""

    def __init__(
        self,
        plan: RunPlan,
        identity: Identity,
        begin: Checkpoint | Finished | None,
    ) -> None:
        self._plan = plan
        self._identity = identity
        self._begin = begin
        self._store = CheckpointStore(
            plan.run.checkpoints,
            newest=begin.folder if isinstance(begin, Checkpoint) else None,
            n_kept=max(N_KEPT, plan.config.training.keep_checkpoints),
        )

    @property
    def deferred_embedding(self) -> bool | None:
        """Whether the run that is continued deferred updates of the embedding. None if there is no checkpoint."""
        return self._begin.has_slot(UP_TO) if isinstance(self._begin, Checkpoint) else None

    def start(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        dropout: SeededDropout,
        average: WeightAverage,
    ) -> Position:
        """Save the state of these from now on. All of their variables must exist. On resuming, their state is restored,
        and so are the history and the best model.
        """
        self._model = model
        self._average = average
        state = {"model": model, "optimizer": optimizer, "batch_number": dropout.batch_number}
        self._state = tf.train.Checkpoint(**state, **({"average": average.averages} if average.averages else {}))
        check_tracked(self._state, model.variables)
        self._saved_at = time.monotonic()
        if self._begin is None:
            return Position()
        remove_leftovers(self._plan.run)
        position = self._begin.position
        if isinstance(self._begin, Finished):
            self._restore_files(self._begin)
        else:
            self._store.tidy()
            self._begin.restore(self._state)
            self._restore_best(self._begin)
        write_history(self._plan.run.history, position.history)
        return position

    def end(self) -> None:
        """Forget the model and its state, which are saved, so that their memory can be freed."""
        del self._model, self._average, self._state

    def _restore_best(self, checkpoint: Checkpoint) -> None:
        """Write the model folder again: even if the weights are intact, another file in it may be damaged."""
        plan, weights = self._plan, checkpoint.best_weights
        if weights is None:
            clear(plan.run.model)
            return
        crf = read_crf(checkpoint.folder, plan.info.labels) if plan.has_crf else None
        save_model_folder(self._model, plan.tokenizer, replace(plan.info, crf=crf), plan.run.model, weights=weights)

    def _restore_files(self, finished: Finished) -> None:
        """Restore damaged files of the model folder. Results, predictions and report are always written again."""
        run, texts = self._plan.run, finished.record.texts
        damaged = [name for name in finished.damage if (run.root / name).parent == run.model]
        if not damaged:
            return
        restored = run.restored_model
        save_model_folder(self._model, self._plan.tokenizer, self._plan.info, restored, weights=finished.weights)
        for name in damaged:
            target = run.root / name
            if name in texts:
                with open_whole(target) as file:
                    file.write(texts[name])
            elif (restored / target.name).is_file():
                target.parent.mkdir(exist_ok=True)
                copy_whole(restored / target.name, target)
            else:
                hint = "Copy it from a backup or the Hub, or train again with --force."
                raise UserError("cannot be restored: this version does not write such a file.", path=target, hint=hint)
        remove(restored)
        log.info("%s: restored %s", run.root, ", ".join(damaged))

    def finish(self, position: Position) -> None:
        """Record that the run is finished and scored, then remove checkpoints that are not to be kept."""
        self.record(position, scored=True)
        self._store.keep_last(self._plan.config.training.keep_checkpoints)

    def record(self, position: Position, *, scored: bool = False) -> None:
        """Record that training is finished, with the checksums of the model's files.

        scored: the run is scored as well, so the checksums of all other files are recorded too.
        """
        run, identity = self._plan.run, self._identity
        kept = [run.model / name for name in (MODEL_INFO, *([CRF] if self._plan.has_crf else []))]
        texts = {path.relative_to(run.root).as_posix(): path.read_text(encoding="utf-8") for path in kept}
        texts[run.config.name] = config_text(self._plan.config)
        files = checksums(run, scored=scored)
        record = RunRecord(identity.settings, identity.contents, position.to_json(), files, texts)
        write_record(run, record)

    def is_due(self, n_steps: int) -> bool:
        """Whether a checkpoint is due, by the number of steps of the run or by the minutes since the last one."""
        training = self._plan.config.training
        if not training.checkpoints:
            return False
        minutes = (time.monotonic() - self._saved_at) / 60
        by_steps = training.checkpoint_steps is not None and n_steps % training.checkpoint_steps == 0
        return by_steps or (training.checkpoint_minutes is not None and minutes >= training.checkpoint_minutes)

    def end_epoch(self, position: Position) -> None:
        """Write a checkpoint at the end of an epoch that is not scored."""
        if self._plan.config.training.checkpoints:
            self.save(position)

    def end_stretch(self, position: Position) -> None:
        """Save the model if it is the best so far, the history, and a checkpoint."""
        plan = self._plan
        check_data(plan.run)
        if scorings_since_best(position.history, plan.measure) == 0:
            with self._average.in_place():
                save_model_folder(self._model, plan.tokenizer, plan.info, plan.run.model)
        write_history(plan.run.history, position.history)
        if plan.config.training.checkpoints:
            self.save(position)

    def save(self, position: Position) -> None:
        """Write a checkpoint."""
        run = self._plan.run
        check_data(run)
        best = run.model / WEIGHTS if position.history else None
        crf = run.model / CRF if best and self._plan.has_crf else None
        config = config_text(self._plan.config)
        self._store.write(self._state, position, self._identity, best=best, config=config, crf=crf)
        self._saved_at = time.monotonic()


def check_data(run: RunDir) -> None:
    """Raise JobError if the run may have trained on damaged data."""
    if change := change_while_in_use():
        raise JobError(f"{change} Everything saved before is intact. To continue: {resume_command(run)}")


def stopped(stop: StopRequest, position: Position, run: RunDir) -> Stopped:
    """The exception for a run that stopped on request."""
    number = stop.signal or signal.SIGTERM
    by = NAMES[stop.signal] if stop.signal else "another worker"
    return Stopped(
        f"stopped by {by} at {position}. A checkpoint was saved. To continue: {resume_command(run)}",
        exit_code=128 + number,
    )


def resume_command(run: RunDir) -> str:
    """The command that continues a run."""
    return shlex.join(["tf-tokclf", "fit", str(run.config), "--resume"])


@contextmanager
def explained_errors(run: RunDir, devices: Devices) -> Iterator[None]:
    """Turn these into a JobError: a full disk, however a library reports it, a cached file that changed while the run
    read it, and a lost worker.
    """
    try:
        with devices.explained_failures(resume_command(run)):
            yield
    except Exception as error:
        check_data(run)
        reason = disk_problem(error)
        if reason is None:
            raise
        raise JobError(
            f"{run.root}: the disk is full ({reason}). Everything saved before is intact. Free some space, then "
            f"continue with: {resume_command(run)}"
        ) from error
