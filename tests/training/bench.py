"""The same run in several folders, each in separate processes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.killing import KillServer


@dataclass(frozen=True)
class Bench:
    """The run. root: the folder for its output folders."""

    server: KillServer
    root: Path
    files: dict[str, str]
    encoder: Path

    @property
    def settings(self) -> dict[str, Any]:
        """The run's settings without its folder."""
        return {
            **{f"data.{name}": path for name, path in self.files.items()},
            "recipe": "none",
            "model.name_or_path": str(self.encoder),
            "optimizer.learning_rate": 1e-3,
            "training.precision": "float32",
            "training.deterministic": True,
        }

    def fit_arguments(self, name: str, *options: str) -> tuple[str, ...]:
        """The command line of the run in the folder `name`."""
        assignments = [f"--set={key}={value}" for key, value in self.settings.items()]
        return ("fit", *assignments, f"--output-dir={self.root / name}", *options)
