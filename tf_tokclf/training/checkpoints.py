"""Checkpoints: folders with the complete state of a run, written completely or not at all. During a run the last two
are kept. Of a finished run, `training.keep_checkpoints` are kept.

checkpoints/epoch-0002-step-0000030/     2 complete epochs, and 30 steps of the next one. The name ends with -scored if
                                         the validation sentences were scored after these steps
    state.json                           position and history of the run, its configuration and settings, and hashes of
                                         data and encoder
    variables.index, variables.data-*    weights, optimizer state, loss scale, batch number (tf.train.Checkpoint)
    best.safetensors                     the weights of the best epoch so far
    crf.json                             its transitions, if the model has a CRF
    SHA256SUMS                           checksums of the files above, for `sha256sum --check`
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tf_tokclf.counted import counted
from tf_tokclf.encoding.crf_file import FILE_NAME as CRF
from tf_tokclf.errors import JobError, UserError
from tf_tokclf.files import copy_whole, is_stream, sha256_of, whole_folder
from tf_tokclf.json_text import read_json
from tf_tokclf.model.backend import tf
from tf_tokclf.training.history import EpochRecord
from tf_tokclf.training.run_identity import Identity
from tf_tokclf.training.timetable import Timetable

log = logging.getLogger(__name__)

N_KEPT = 2
FORMAT = 1
STATE, VARIABLES, BEST, SUMS = "state.json", "variables", "best.safetensors", "SHA256SUMS"


@dataclass(frozen=True)
class Position:
    """The position of a run.

    epoch: number of complete epochs. step: number of steps in the next epoch. n_unscored: number of steps since the
    last scoring. loss, train_seconds: sum of the losses and of the time of these steps. run_seconds: time of the whole
    run. history: the scorings so far, from which the best one follows.
    """

    epoch: int = 0
    step: int = 0
    n_unscored: int = 0
    loss: float = 0.0
    train_seconds: float = 0.0
    run_seconds: float = 0.0
    history: tuple[EpochRecord, ...] = ()

    def after_step(self, loss: float, seconds: float) -> Position:
        """The position after one more step."""
        return replace(
            self,
            step=self.step + 1,
            n_unscored=self.n_unscored + 1,
            loss=self.loss + loss,
            train_seconds=self.train_seconds + seconds,
            run_seconds=self.run_seconds + seconds,
        )

    def after_scoring(self, record: EpochRecord) -> Position:
        """The position after the validation sentences were scored."""
        return Position(
            self.epoch,
            self.step,
            run_seconds=self.run_seconds + record.dev_seconds,
            history=(*self.history, record),
        )

    def n_steps(self, timetable: Timetable) -> int:
        """The number of steps of the run so far."""
        return self.epoch * timetable.steps_per_epoch + self.step

    def after_epoch(self) -> Position:
        """The beginning of the next epoch."""
        return replace(self, epoch=self.epoch + 1, step=0)

    def to_json(self) -> dict[str, Any]:
        """The position as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Position:
        """The inverse of `to_json`. Raises TypeError or ValueError for invalid fields."""
        history = tuple(EpochRecord(**record) for record in fields["history"])
        # Earlier versions scored at the end of each epoch only.
        position = cls(**{"n_unscored": fields["step"], **fields, "history": history})
        _ = position.name  # raises ValueError unless epoch and step are whole numbers
        return position

    @property
    def name(self) -> str:
        """The name of the checkpoint folder. Names sort by position."""
        scored = "-scored" if self.step and not self.n_unscored else ""
        return f"epoch-{self.epoch:04d}-step-{self.step:07d}{scored}"

    def __str__(self) -> str:
        return f"epoch {self.epoch + 1}, step {self.step}" if self.step else f"the end of epoch {self.epoch}"


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint folder. config: the text of the run's configuration."""

    folder: Path
    position: Position
    identity: Identity
    config: str = ""

    @property
    def best_weights(self) -> Path | None:
        """The file with the weights of the best epoch, in PyTorch's layout. None during the first epoch."""
        path = self.folder / BEST
        return path if path.is_file() else None

    def has_slot(self, name: str) -> bool:
        """Whether the checkpoint contains an optimizer slot of this name for any weight."""
        names = tf.train.load_checkpoint(str(self.folder / VARIABLES)).get_variable_to_shape_map()
        return any(f"/{name}/.ATTRIBUTES" in variable for variable in names)

    def restore(self, state: tf.train.Checkpoint) -> None:
        """Restore all variables that `state` tracks."""
        status = state.read(str(self.folder / VARIABLES))
        status.assert_existing_objects_matched()
        status.assert_consumed()


def check_tracked(state: tf.train.Checkpoint, variables: Sequence[tf.Variable]) -> None:
    """Raise JobError unless a checkpoint of `state` contains all `variables` of its model.

    The optimizer's variables follow from those of the model. TensorFlow finds variables through the attributes of
    objects. Two parts of a layer with the same name hide one another, and no error is raised.
    """
    tracked = {id(found) for found in tf.train.TrackableView(state).descendants()}
    if missing := [variable.name for variable in variables if id(variable) not in tracked]:
        raise JobError(
            f"checkpoints of this model would lack {counted(len(missing), 'weight')}, such as {missing[0]}. "
            "Please report this with the type of the encoder."
        )


class CheckpointStore:
    """The checkpoints of one run. It keeps the newest `n_kept` that are known to be complete, such as `newest`."""

    def __init__(self, root: Path, *, newest: Path | None = None, n_kept: int = N_KEPT) -> None:
        self.root = root
        self._whole = [newest] if newest else []
        self._n_kept = n_kept

    def folders(self) -> list[Path]:
        """The folders of all checkpoints, the oldest first."""
        return sorted(path for path in self.root.glob("epoch-*") if path.is_dir() and path.suffix != ".partial")

    def whole(self) -> Iterator[Checkpoint]:
        """The complete checkpoints, the newest first. Warns of each damaged one."""
        for folder in reversed(self.folders()):
            damage = find_damage(folder)
            if damage is None:
                yield read_checkpoint(folder)
            else:
                log.warning("%s is damaged (%s). Looking for an older checkpoint.", folder, damage)

    def newest(self) -> Checkpoint | None:
        """The newest complete checkpoint. None if there are no checkpoints. Raises UserError if all are damaged."""
        found = next(self.whole(), None)
        if found is None and (folders := self.folders()):
            raise UserError(
                f"none of the {counted(len(folders), 'checkpoint')} is complete.",
                path=self.root,
                hint="Start again with --force, or restore that folder from a backup.",
            )
        return found

    def write(
        self,
        state: tf.train.Checkpoint,
        position: Position,
        identity: Identity,
        *,
        best: Path | None,
        config: str,
        crf: Path | None = None,
    ) -> Path:
        """Write the variables that `state` tracks and the rest of the run's state, then remove older checkpoints.

        best: the file with the best weights so far. config: the text of the run's configuration. crf: the file with the
        transitions that belong to `best`.
        """
        folder = self.root / position.name
        if folder in self._whole:
            return folder
        # A folder of that name is damaged: complete ones are in self._whole.
        shutil.rmtree(folder, ignore_errors=True)
        with whole_folder(folder) as partial:
            state.write(str(partial / VARIABLES))
            if best is not None:
                # A copy, not a link, so that a damaged disk block does not affect both checkpoints and the model.
                shutil.copyfile(best, partial / BEST)
            if crf is not None:
                shutil.copyfile(crf, partial / CRF)
            about = {
                "format": FORMAT,
                "position": position.to_json(),
                "settings": dict(identity.settings),
                "contents": dict(identity.contents),
                "config": config,
            }
            (partial / STATE).write_text(json.dumps(about, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
            write_sums(partial)
        self._whole.append(folder)
        self._prune()
        return folder

    def tidy(self) -> None:
        """Remove old checkpoints that a killed process had no time to remove."""
        older = sorted(path for path in self.root.glob("epoch-*") if path <= self._whole[-1])[: -self._n_kept]
        for path in older:
            shutil.rmtree(path, ignore_errors=True)

    def keep_last(self, n: int) -> None:
        """Remove all checkpoints except the last `n`. They are renamed first, so that none is left half removed."""
        folders = self.folders()
        for folder in folders[: len(folders) - n]:
            partial = folder.with_name(f"{folder.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            shutil.rmtree(folder.rename(partial))
        if n == 0:
            with suppress(OSError):  # a link, or a folder that contains other files
                self.root.rmdir()

    def adopt(self, checkpoint: Checkpoint) -> Checkpoint:
        """Replace the checkpoints of this store by a copy of a complete checkpoint from elsewhere."""
        target = self.root / checkpoint.position.name
        if not (target.exists() and target.samefile(checkpoint.folder)):
            copy_whole(checkpoint.folder, target)
        self._whole = [target]
        self._prune()
        return replace(checkpoint, folder=target)

    def _prune(self) -> None:
        self._whole = self._whole[-self._n_kept :]
        for path in self.root.glob("epoch-*"):
            if path not in self._whole:
                shutil.rmtree(path, ignore_errors=True)


def find_checkpoint(place: Path) -> Checkpoint:
    """The newest complete checkpoint at `place`: a checkpoint folder, or a folder with some in it, such as a run."""
    found = [path.parent for pattern in ("", "*/", "*/*/") for path in place.glob(pattern + SUMS)]
    whole = []
    for folder in found:
        damage = find_damage(folder)
        if damage is None:
            whole.append(read_checkpoint(folder))
        else:
            log.warning("%s is damaged (%s). Looking for another checkpoint.", folder, damage)
    if not whole:
        problem = "none of the checkpoints in this folder is complete." if found else "there is no checkpoint."
        raise UserError(problem, path=place, hint="Name a run, its folder of checkpoints, or one checkpoint.")
    return max(whole, key=lambda checkpoint: checkpoint.position.name)


def read_checkpoint(folder: Path) -> Checkpoint:
    """The checkpoint in a complete folder."""
    hint = "Start again with --force, or continue from another checkpoint."
    about: Any = read_json(folder / STATE, hint=hint)
    try:
        if about["format"] != FORMAT:
            problem = f"the checkpoint has format {about['format']}, but this version reads format {FORMAT}."
            raise UserError(problem, path=folder, hint=hint)
        identity = Identity(dict(about["settings"]), dict(about["contents"]))
        return Checkpoint(folder, Position.from_json(about["position"]), identity, str(about.get("config", "")))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"does not contain the state of a run: {error!r}.", path=folder / STATE, hint=hint) from error


def write_sums(folder: Path) -> None:
    """Write SHA256SUMS for all files in `folder`."""
    lines = [f"{sha256_of(path)}  {path.name}\n" for path in sorted(folder.iterdir())]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def find_damage(folder: Path) -> str | None:
    """What is wrong with the files of a checkpoint, or None."""
    if is_stream(folder / SUMS):
        return f"{SUMS} is not a regular file"
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
        sums = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    except (OSError, ValueError):
        return f"{SUMS} is missing or cannot be read"
    for name in (STATE, f"{VARIABLES}.index"):
        if name not in sums:
            return f"{SUMS} does not list {name}"
    for name, expected in sums.items():
        if Path(name).name != name:
            return f"{SUMS} lists {name}, which is not in the folder"
        try:
            if sha256_of(folder / name) != expected:
                return f"{name} has the wrong checksum"
        except OSError as error:
            return f"{name}: {error.strerror}"
    return None
