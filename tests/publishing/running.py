"""Commands that publish, and the files that they publish."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.local_hub import LocalHub
from tests.waiting import LIMIT_S


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def run_cli(
    hub: LocalHub, home: Path, *arguments: object, text: str = "", python: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *python, "-m", "tf_tokclf", *map(str, arguments)]
    env = {**os.environ, **hub.env(home)}
    return subprocess.run(command, env=env, input=text, capture_output=True, text=True, timeout=LIMIT_S)


def fit_options(files: dict[str, str], encoder: Path, output: Path) -> list[object]:
    options: list[object] = [f"--{name.replace('_', '-')}={path}" for name, path in files.items()]
    options += ["--recipe=none", "--model-name-or-path", encoder, "--output-dir", output, "--precision", "float32"]
    return [
        *options,
        "--num-train-epochs",
        3,
        "--learning-rate",
        "1e-2",
        "--push-to-hub",
        "--hub-model-id",
        "mine",
    ]
