"""What has to be the same for a run to go on: settings and data, and in which of them two runs differ."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tf_tokclf.config.flat_settings import setting_values
from tf_tokclf.config.schema import Config
from tf_tokclf.data.split_cache import content_hash
from tf_tokclf.data.splits import Split
from tf_tokclf.errors import UserError
from tf_tokclf.run_dir import RunDir

# Settings that change nothing about the weights; the files' content is compared, not their places.
FREE = {
    "output_dir",
    "overwrite",
    "sweep",
    "sweep_trials",
    "training.logging_steps",
    "training.report_to",
    "training.checkpoints",
    "training.keep_checkpoints",
    "training.checkpoint_steps",
    "training.checkpoint_minutes",
    "training.strategy",
    "training.worker_timeout_s",
    "data.train_file",
    "data.validation_file",
    "data.test_file",
    "data.dataset_name",
    "data.use_cache",
    "data.cache_size_gb",
    "model.name_or_path",
}
FREE_SECTIONS = ("hub.",)
N_EPOCHS = "training.num_train_epochs"
_DEVICES = "number of devices"


@dataclass(frozen=True)
class Identity:
    """settings: dotted name -> value. contents: what a run reads, by name ("train data", "encoder") -> hash of it."""

    settings: Mapping[str, Any]
    contents: Mapping[str, str]

    @classmethod
    def of(cls, config: Config, splits: Iterable[Split], encoder: Path, *, n_replicas: int = 1) -> Identity:
        """The identity of a run of `config` on `splits`, from the encoder in a folder on.

        n_replicas: each draws its own dropout, so that their number shows in the weights.
        """
        contents = {f"{split.name} data": content_hash(split) for split in splits}
        contents |= {"encoder": encoder_hash(encoder), _DEVICES: str(n_replicas)}
        return cls(settings_of(config), contents)

    def is_longer_than(self, before: Identity) -> bool:
        """Whether it is that run, but for a larger number of epochs."""
        n_before = before.settings.get(N_EPOCHS)
        same = Identity({**self.settings, N_EPOCHS: n_before}, self.contents)
        return isinstance(n_before, int) and self.settings[N_EPOCHS] > n_before and not same.differences(before)

    def without_devices(self) -> Identity:
        """The same, on any number of devices: for a run that is finished it does not matter."""
        return Identity(self.settings, {name: value for name, value in self.contents.items() if name != _DEVICES})

    def differences(self, before: Identity) -> list[str]:
        """What is not as it was before, a phrase each."""
        return setting_differences(self.settings, before.settings) + [
            f"the {name}" if name in before.contents and name in self.contents else f"whether there are {name}"
            for name in sorted({*self.contents, *before.contents})
            if self.contents.get(name) != before.contents.get(name)
        ]


def setting_differences(now: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    """The settings that are not as they were before; one that did not exist before had its default."""
    default = settings_of(Config())
    return [
        f"{name} (was {before.get(name, default.get(name))!r}, is {value!r})"
        for name, value in now.items()
        if before.get(name, default.get(name)) != value
    ]


def check_same(differences: Sequence[str], run: RunDir, *, kind: str = "run") -> None:
    """Raise UserError where what to train differs from what is in the folder of `run`. kind: what to call it."""
    if differences:
        raise another_run(f"changed: {', '.join(differences)}", run, kind=kind)


def another_run(what: str, run: RunDir, *, kind: str = "run") -> UserError:
    """The error where `run` cannot go on, since `what` is not as it was. kind: what to call it."""
    return UserError(
        f"this is another {kind} than the one to go on with; {what}.",
        path=run.root,
        hint=f"Change it back ({run.config} has the settings), or train anew in another --output-dir.",
    )


def settings_of(config: Config) -> dict[str, Any]:
    """The settings that training depends on, by dotted name, defaults included."""
    return {
        name: value
        for name, value in setting_values(config).items()
        if name not in FREE and not name.startswith(FREE_SECTIONS)
    }


def encoder_hash(folder: Path) -> str:
    """A hash of an encoder's configuration and tokenizer, without its weights: those are in the checkpoint."""
    digest = hashlib.blake2b(digest_size=16)
    for name in ("config.json", "tokenizer.json", "vocab.txt", "vocab.json", "merges.txt"):
        path = folder / name
        if path.is_file():
            digest.update(name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
