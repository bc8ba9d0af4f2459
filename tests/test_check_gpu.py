"""scripts/check_gpu, on the CPU: what it compares, and what it says if something differs or there is no GPU."""

from __future__ import annotations

import os
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "checks" / "gpu.py"
ROW = "float32"


@pytest.fixture(scope="module")
def check() -> ModuleType:
    spec = spec_from_file_location("check_gpu", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    # `dataclass` looks up the module of the class.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def found(
    check: ModuleType, tmp_path_factory: pytest.TempPathFactory, untraced: None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What both processes find, with few sentences and a narrow model: the row, and the reference."""
    arguments = ["--cpu", f"--row={ROW}", "--sentences=48", "--epochs=2", "--layers=1", "--width=32"]
    options: Namespace = check.parse_options([*arguments, f"--folder={tmp_path_factory.mktemp('check')}"])
    for options.work in ("device", "reference"):
        assert check.work(options) == 0
    return check.read(options.folder, ROW), check.read(options.folder, check.REFERENCE)


def problems(check: ModuleType, found: tuple[dict[str, Any], dict[str, Any]], **changes: Any) -> list[str]:
    row, reference = found
    return check.problems_of({**row, **changes}, reference, check.ROWS[ROW].tolerance)


def test_an_interrupted_run_agrees_with_one_that_was_not(check: ModuleType, found: tuple):
    assert problems(check, found) == []
    row, reference = found
    assert len(row["losses"]) == 2
    assert row["losses"] == pytest.approx(reference["losses"], rel=1e-5)
    shown = check.table({ROW: row, check.REFERENCE: reference}, {ROW: []})
    assert shown.splitlines()[1].split()[0] == ROW
    assert shown.splitlines()[1].endswith("agrees")


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], dict[str, Any]], str]] = {
    "loss": (lambda row: {"losses": [row["losses"][0] * 1.1, row["losses"][1]]}, "training loss of epoch 1 is"),
    "no loss": (lambda row: {"losses": [row["losses"][0], float("nan")]}, "training loss of epoch 2 is nan"),
    "labels": (lambda row: {"labels": ["B-NO", *row["labels"][1:]]}, "of the words get the same label"),
    "test loss": (lambda row: {"test_loss": row["test_loss"] * 1.1}, "on the test sentences is"),
    "error": (lambda row: {"error": "InternalError: no kernel"}, "InternalError: no kernel"),
}


@pytest.mark.parametrize("changed", CHANGES)
def test_each_difference_is_a_problem(check: ModuleType, found: tuple, changed: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(check, "FEWEST_SAME_LABELS", 1.0)
    change, message = CHANGES[changed]
    of_row = problems(check, found, **change(found[0]))
    assert message in of_row[0]
    shown = check.table({ROW: {**found[0], **change(found[0])}, check.REFERENCE: found[1]}, {ROW: of_row})
    assert shown.endswith(("differs", "failed"))


def test_without_a_gpu_one_message_says_so():
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Error: TensorFlow finds no GPU." in done.stderr
    assert "Traceback" not in done.stderr
