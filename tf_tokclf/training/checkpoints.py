"""Checkpoints: folders that hold all of a run's state, written whole or not at all. While a run goes on the last two
are kept; when it is finished, as many as `training.keep_checkpoints` says.

checkpoints/epoch-0002-step-0000030/     2 epochs done, and 30 steps of the next one
    state.json                           where the run stands, its history, and what it is a run of: its configuration,
                                         settings and hashes of data and encoder
    variables.index, variables.data-*    weights, the optimizer's state, loss scale, batch number (tf.train.Checkpoint)
    best.safetensors                     the weights of the best epoch so far
    SHA256SUMS                           of the files above; `sha256sum --check` reads it
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tf_tokclf.counted import counted
from tf_tokclf.errors import UserError
from tf_tokclf.files import copy_whole, is_stream, sha256_of, whole_folder
from tf_tokclf.json_text import read_json
from tf_tokclf.model.backend import tf
from tf_tokclf.training.history import EpochRecord
from tf_tokclf.training.run_identity import Identity

log = logging.getLogger(__name__)

N_KEPT = 2
FORMAT = 1
STATE, VARIABLES, BEST, SUMS = "state.json", "variables", "best.safetensors", "SHA256SUMS"


@dataclass(frozen=True)
class Position:
    """Where a run stands.

    epoch: epochs done. step: steps done of the next one. loss: the sum of their losses. train_seconds: their time.
    run_seconds: the time of the whole run. history: the epochs done. What is best and for how long follows from it.
    """

    epoch: int = 0
    step: int = 0
    loss: float = 0.0
    train_seconds: float = 0.0
    run_seconds: float = 0.0
    history: tuple[EpochRecord, ...] = ()

    def after_step(self, loss: float, seconds: float) -> Position:
        """The position after one more step."""
        return replace(
            self,
            step=self.step + 1,
            loss=self.loss + loss,
            train_seconds=self.train_seconds + seconds,
            run_seconds=self.run_seconds + seconds,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Position:
        """The position that `to_json` gave. Raises TypeError or ValueError for what is none."""
        history = tuple(EpochRecord(**record) for record in fields["history"])
        position = cls(**{**fields, "history": history})
        _ = position.name  # which only whole numbers make
        return position

    @property
    def name(self) -> str:
        """Of a checkpoint folder; later ones sort behind."""
        return f"epoch-{self.epoch:04d}-step-{self.step:07d}"

    def __str__(self) -> str:
        return f"epoch {self.epoch + 1}, step {self.step}" if self.step else f"the end of epoch {self.epoch}"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint folder whose files are whole. config: the text of the run's configuration."""

    folder: Path
    position: Position
    identity: Identity
    config: str = ""

    @property
    def best_weights(self) -> Path | None:
        """The weights of the best epoch, in PyTorch's layout; None before the first epoch's end."""
        path = self.folder / BEST
        return path if path.is_file() else None

    def restore(self, state: tf.train.Checkpoint) -> None:
        """Put the variables back into what `state` tracks, all of them."""
        status = state.read(str(self.folder / VARIABLES))
        status.assert_existing_objects_matched()
        status.assert_consumed()


class CheckpointStore:
    """The checkpoints of one run. The newest `n_kept` that are known to be whole stay; `newest` is one of them."""

    def __init__(self, root: Path, *, newest: Path | None = None, n_kept: int = N_KEPT) -> None:
        self.root = root
        self._whole = [newest] if newest else []
        self._n_kept = n_kept

    def folders(self) -> list[Path]:
        """The folders of all checkpoints, the oldest first."""
        return sorted(path for path in self.root.glob("epoch-*") if path.is_dir() and path.suffix != ".partial")

    def whole(self) -> Iterator[Checkpoint]:
        """The whole checkpoints, the newest first; a warning for each damaged one."""
        for folder in reversed(self.folders()):
            damage = find_damage(folder)
            if damage is None:
                yield read_checkpoint(folder)
            else:
                log.warning("%s is damaged (%s): looking for an older checkpoint.", folder, damage)

    def newest(self) -> Checkpoint | None:
        """The newest whole checkpoint. None where there is none at all. Raises UserError where all are damaged."""
        found = next(self.whole(), None)
        if found is None and (folders := self.folders()):
            raise UserError(
                f"none of the {counted(len(folders), 'checkpoint')} is complete.",
                path=self.root,
                hint="Start again with --force, or restore that folder from a backup.",
            )
        return found

    def write(
        self, state: tf.train.Checkpoint, position: Position, identity: Identity, *, best: Path | None, config: str
    ) -> Path:
        """Write what `state` tracks and the rest of the run's state; older checkpoints go when it is on disk.

        best: the file of the best weights so far. config: the text of the run's configuration.
        """
        folder = self.root / position.name
        if folder in self._whole:
            return folder
        # What has that name is damaged: whole ones are in self._whole.
        shutil.rmtree(folder, ignore_errors=True)
        with whole_folder(folder) as partial:
            state.write(str(partial / VARIABLES))
            if best is not None:
                # A copy, not a link: a damaged block must not spoil both checkpoints and the model.
                shutil.copyfile(best, partial / BEST)
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
        """Remove what is older than the last ones, which a process that was killed had no time for."""
        older = sorted(path for path in self.root.glob("epoch-*") if path <= self._whole[-1])[: -self._n_kept]
        for path in older:
            shutil.rmtree(path, ignore_errors=True)

    def keep_last(self, n: int) -> None:
        """Remove all checkpoints but the last `n`. One that is only half removed is not taken for a checkpoint."""
        folders = self.folders()
        for folder in folders[: len(folders) - n]:
            partial = folder.with_name(f"{folder.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            shutil.rmtree(folder.rename(partial))
        if n == 0:
            with suppress(OSError):  # a link, or a folder with something else in it
                self.root.rmdir()

    def adopt(self, checkpoint: Checkpoint) -> Checkpoint:
        """Copy a whole checkpoint from elsewhere into this store, in the place of what is there."""
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
    """The newest whole checkpoint at `place`: a checkpoint folder, or one that holds some, such as a run's."""
    found = [path.parent for pattern in ("", "*/", "*/*/") for path in place.glob(pattern + SUMS)]
    whole = []
    for folder in found:
        damage = find_damage(folder)
        if damage is None:
            whole.append(read_checkpoint(folder))
        else:
            log.warning("%s is damaged (%s): looking for another checkpoint.", folder, damage)
    if not whole:
        problem = "none of the checkpoints there is complete." if found else "there is no checkpoint."
        raise UserError(problem, path=place, hint="Name a run, its checkpoints folder or one checkpoint.")
    return max(whole, key=lambda checkpoint: checkpoint.position.name)


def read_checkpoint(folder: Path) -> Checkpoint:
    """The checkpoint in a folder that is whole."""
    hint = "Start again with --force, or go on from another checkpoint."
    about: Any = read_json(folder / STATE, hint=hint)
    try:
        if about["format"] != FORMAT:
            problem = f"a checkpoint of format {about['format']}, and this version reads {FORMAT}."
            raise UserError(problem, path=folder, hint=hint)
        identity = Identity(dict(about["settings"]), dict(about["contents"]))
        return Checkpoint(folder, Position.from_json(about["position"]), identity, str(about.get("config", "")))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"is not the state of a run: {error!r}.", path=folder / STATE, hint=hint) from error


def write_sums(folder: Path) -> None:
    """Write SHA256SUMS for all files in `folder`."""
    lines = [f"{sha256_of(path)}  {path.name}\n" for path in sorted(folder.iterdir())]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def find_damage(folder: Path) -> str | None:
    """What is wrong with a checkpoint's files by their checksums, or None."""
    if is_stream(folder / SUMS):
        return f"{SUMS} is not a regular file"
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
        sums = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    except (OSError, ValueError):
        return f"{SUMS} is missing or cannot be read"
    for name in (STATE, f"{VARIABLES}.index"):
        if name not in sums:
            return f"{SUMS} does not name {name}"
    for name, expected in sums.items():
        if Path(name).name != name:
            return f"{SUMS} names {name}, which is no file in it"
        try:
            if sha256_of(folder / name) != expected:
                return f"{name} is not what was written"
        except OSError as error:
            return f"{name}: {error.strerror}"
    return None
