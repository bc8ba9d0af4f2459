"""Imports of the command line, and what programs that use the package as a library notice of them."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from tf_tokclf import lean_imports
from tf_tokclf.lean_imports import collected_afterwards, leave_out

# Modules that commands import besides those that they need for their help.
OF_COMMANDS = (
    "runs.fit",
    "inference.evaluate",
    "inference.prediction_job",
    "serving.server",
    "publishing.export.export",
)
IMPORT_AS_A_COMMAND = f"""
import gc, json, sys
from tf_tokclf.lean_imports import declare_command
declare_command()
for name in {OF_COMMANDS!r}:
    __import__("tf_tokclf." + name)
import tensorflow, tf_keras, transformers
absent = [name for name in ("pandas", "scipy", "sklearn", "matplotlib", "datasets", "torch") if name not in sys.modules]
import pandas, scipy.sparse
assert pandas.DataFrame({{"a": [1]}}).shape == (1, 1)
print(json.dumps([absent, gc.isenabled(), gc.get_freeze_count() > 100_000]))
"""


def test_commands_import_tensorflow_without_what_they_do_not_use():
    done = subprocess.run([sys.executable, "-c", IMPORT_AS_A_COMMAND], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    absent, collects, froze = json.loads(done.stdout)
    assert absent == ["pandas", "scipy", "sklearn", "matplotlib", "datasets", "torch"]
    assert collects
    assert froze


READ_AS_A_COMMAND = """
import json, sys
from tf_tokclf.lean_imports import declare_command
declare_command()
from tf_tokclf import load_config, load_data
splits = load_data(load_config(options={"data.train_file": sys.argv[1], "data.use_cache": False}))
absent = "pandas" not in sys.modules
import pyarrow
frame = pyarrow.table({"a": [1, None]}).to_pandas()
again = pyarrow.Table.from_pandas(frame)
print(json.dumps([sum(map(len, splits)), absent, type(frame).__name__, again.column("a").null_count]))
"""


def test_commands_read_data_without_pandas_and_pyarrow_can_still_convert(tmp_path: Path):
    (tmp_path / "train.conll").write_text("Ada B-PER\nleft O\n\nOslo B-LOC\n\n", encoding="utf-8")
    command = [sys.executable, "-c", READ_AS_A_COMMAND, str(tmp_path / "train.conll")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [2, True, "DataFrame", 1]


SCORE_AS_A_COMMAND = """
import json, sys
from tf_tokclf.lean_imports import declare_command
declare_command()
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.scoring.entities import entities_of
labels = ["B-X", "I-X", "O", "I-Y"]
found = [[str(span) for span in entities_of(labels, Scheme.IOB2, mode)] for mode in ("conlleval", "strict")]
absent = not {"sklearn", "scipy", "pandas"} & set(sys.modules)
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import f1_score
print(json.dumps([found, absent, UndefinedMetricWarning.__module__, f1_score([1, 0], [1, 0])]))
"""


def test_commands_score_without_scikit_learn_which_can_still_be_imported():
    done = subprocess.run([sys.executable, "-c", SCORE_AS_A_COMMAND], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (conlleval, strict), absent, module, f1 = json.loads(done.stdout)
    assert conlleval == ["Span(start=0, end=2, type='X')", "Span(start=3, end=4, type='Y')"]
    assert strict == conlleval[:1]
    assert absent
    assert module == "sklearn.exceptions"
    assert f1 == 1


@pytest.fixture(params=[True, False])
def is_command(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[bool]:
    monkeypatch.setattr(lean_imports, "_is_command", request.param)
    yield request.param
    gc.unfreeze()


def test_only_a_command_leaves_packages_out_and_only_inside_the_block(
    is_command: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "not_needed.py").write_text("answer = 42")
    monkeypatch.syspath_prepend(tmp_path)
    with leave_out("not_needed", "json"):
        assert import_module("json") is json  # was imported before
        if is_command:
            with pytest.raises(ModuleNotFoundError):
                import_module("not_needed")
    try:
        assert import_module("not_needed").answer == 42
    finally:
        sys.modules.pop("not_needed", None)


@pytest.mark.parametrize("was_on", [True, False])
def test_objects_are_collected_again_after_the_block(is_command: bool, was_on: bool):
    (gc.enable if was_on else gc.disable)()
    try:
        frozen = gc.get_freeze_count()
        with collected_afterwards():
            assert not gc.isenabled()
        assert gc.isenabled() == was_on
        assert (gc.get_freeze_count() > frozen) == is_command
    finally:
        gc.enable()
