"""The names of a run's files, and writing them whole or not at all."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tf_tokclf.errors import UserError

# What the system says where nothing fits any more: no mistake in a file's name.
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True, slots=True)
class RunDir:
    """A run's folder; this class alone spells the names in it."""

    root: Path

    @classmethod
    def of(cls, output_dir: str | None) -> RunDir:
        """The folder that a configuration names; where it names none, this one."""
        return cls(Path(output_dir or "."))

    @property
    def config(self) -> Path:
        """The configuration as the user wrote it, options folded in."""
        return self.root / "config.yaml"

    @property
    def model(self) -> Path:
        """The best weights with tokenizer, card and `tf_tokclf.json`: a model folder that stands alone."""
        return self.root / "model"

    @property
    def checkpoints(self) -> Path:
        """What `--resume` needs."""
        return self.root / "checkpoints"

    @property
    def history(self) -> Path:
        """One JSON line per epoch."""
        return self.root / "history.jsonl"

    @property
    def history_table(self) -> Path:
        """The same as a CSV table, where it was asked for."""
        return self.root / "history.csv"

    @property
    def logs(self) -> Path:
        """TensorBoard's event files."""
        return self.root / "logs"

    @property
    def results(self) -> Path:
        """Scores per split and how they were made."""
        return self.root / "results.json"

    @property
    def report(self) -> Path:
        """One HTML file to look at."""
        return self.root / "report.html"

    @property
    def predictions(self) -> Path:
        """The folder of the files of predictions."""
        return self.root / "predictions"

    @property
    def seeds(self) -> Path:
        """Scores of the runs of several seeds, of which this folder holds the median one."""
        return self.root / "seeds.json"

    def of_seed(self, seed: int) -> RunDir:
        """The run of one of several seeds."""
        return RunDir(self.root / f"seed-{seed}")

    @property
    def sweep(self) -> Path:
        """Settings and scores of the trials of a sweep, of which this folder holds the best one."""
        return self.root / "sweep.json"

    @property
    def sweep_storage(self) -> Path:
        """Optuna's data base of a sweep."""
        return self.root / "sweep.db"

    @property
    def trials(self) -> Path:
        """The folder of the runs of a sweep."""
        return self.root / "trials"

    def of_trial(self, name: str) -> RunDir:
        """The run of one trial of a sweep."""
        return RunDir(self.trials / name)

    @property
    def files(self) -> tuple[Path, ...]:
        """Everything that a run writes."""
        return (
            self.config,
            self.model,
            self.checkpoints,
            self.history,
            self.history_table,
            self.logs,
            self.results,
            self.predictions,
            self.report,
            self.seeds,
            self.sweep,
            self.sweep_storage,
            self.trials,
        )

    def predictions_for(self, split: str) -> Path:
        """Words, gold and predicted labels and scores of one split, a JSON line per sentence."""
        return self.predictions / f"{split}.jsonl"


@contextmanager
def open_whole(path: str | Path, mode: str = "w", **options: Any) -> Iterator[IO[Any]]:
    """Open `path` for writing so that it ends up whole or stays as it was: a partial name first, then a rename."""
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    if "b" not in mode:
        options.setdefault("encoding", "utf-8")
    try:
        with _opened(partial, mode, options) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _opened(path: Path, mode: str, options: dict[str, Any]) -> IO[Any]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open(mode, **options)
    except OSError as error:
        if error.errno in DISK_FULL:
            raise
        hint = "Check the folder's permissions, or name another place."
        raise UserError(f"cannot be written: {error.strerror}.", path=path.with_suffix(""), hint=hint) from error


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented UTF-8 JSON, whole or not at all."""
    with open_whole(path) as file:
        json.dump(value, file, ensure_ascii=False, indent=2)
        file.write("\n")
