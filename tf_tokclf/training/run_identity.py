"""The settings and data that must stay the same for a run to be continued, and how those of two runs differ."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tf_tokclf.config.flat_settings import is_free, values_or_auto
from tf_tokclf.config.schema import Config
from tf_tokclf.data.split_cache import content_hash
from tf_tokclf.data.splits import Split
from tf_tokclf.errors import UserError
from tf_tokclf.run_dir import RunDir

N_EPOCHS, N_STEPS = "training.num_train_epochs", "training.max_steps"
_DEVICES = "number of devices"


@dataclass(frozen=True)
class Identity:
    """settings: dotted name -> value. contents: name of an input ("train data", "encoder") -> hash of its content."""

    settings: Mapping[str, Any]
    contents: Mapping[str, str]

    @classmethod
    def of(
        cls, config: Config, splits: Iterable[Split], encoder: Path, *, n_replicas: int = 1, soft: str = ""
    ) -> Identity:
        """The identity of a run of `config` on `splits` with the encoder in the folder `encoder`.

        n_replicas: included because each replica draws its own dropout masks. soft: a hash of soft labels, if there are
        any.
        """
        contents = {
            f"{split.name} data": content_hash(split, with_unlabelled=split.name == "extra") for split in splits
        }
        contents |= {"soft labels": soft} if soft else {}
        contents |= {"encoder": encoder_hash(encoder), _DEVICES: str(n_replicas)}
        return cls(settings_of(config), contents)

    def is_longer_than(self, before: Identity) -> bool:
        """Whether this is the run `before` with more epochs."""
        if self.settings.get(N_STEPS) is not None:
            return False
        n_before = before.settings.get(N_EPOCHS)
        same = Identity({**self.settings, N_EPOCHS: n_before}, self.contents)
        return isinstance(n_before, int) and self.settings[N_EPOCHS] > n_before and not same.differences(before)

    def without_devices(self) -> Identity:
        """The identity without the number of devices, which does not matter for a finished run."""
        return Identity(self.settings, {name: value for name, value in self.contents.items() if name != _DEVICES})

    def differences(self, before: Identity) -> list[str]:
        """A phrase for each difference."""
        return setting_differences(self.settings, before.settings) + [
            f"the {name}" if name in before.contents and name in self.contents else f"whether there are {name}"
            for name in sorted({*self.contents, *before.contents})
            if self.contents.get(name) != before.contents.get(name)
        ]


def setting_differences(now: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    """A phrase for each setting that changed. A setting that did not exist before had its default value."""
    default = settings_of(Config(recipe="none"))
    return [
        f"{name} (was {before.get(name, default.get(name))!r}, is {value!r})"
        for name, value in now.items()
        if before.get(name, default.get(name)) != value
    ]


def check_same(differences: Sequence[str], run: RunDir, *, kind: str = "run") -> None:
    """Raise UserError if there are differences to what is in the folder of `run`. kind: "run" or "sweep", for the
    message.
    """
    if differences:
        raise another_run(f"changed: {', '.join(differences)}", run, kind=kind)


def another_run(what: str, run: RunDir, *, kind: str = "run") -> UserError:
    """The error for a run that cannot be continued. what: what changed. kind: "run" or "sweep", for the message."""
    return UserError(
        f"the {kind} in this folder has other settings or data and cannot be continued; {what}.",
        path=run.root,
        hint=f"Use the original ones (see {run.config}), or train in another --output-dir.",
    )


def settings_of(config: Config) -> dict[str, Any]:
    """The settings that training depends on, including those at their defaults, by dotted name. Those that the recipe
    has not chosen yet are "auto".
    """
    values = {name: value for name, value in values_or_auto(config).items() if not is_free(name)}
    if config.training.eval_by == "steps":
        values["training.eval_steps"] = config.training.steps_between_scorings
    return values


def encoder_hash(folder: Path) -> str:
    """A hash of an encoder's configuration and tokenizer, without the weights, which the checkpoint contains."""
    digest = hashlib.blake2b(digest_size=16)
    for name in ("config.json", "tokenizer.json", "vocab.txt", "vocab.json", "merges.txt"):
        path = folder / name
        if path.is_file():
            digest.update(name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
