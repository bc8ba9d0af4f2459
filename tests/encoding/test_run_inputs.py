"""Simple mistakes in the command line of fit: reported together, and without loading TensorFlow."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

_CODE = """
import json, sys
from tf_tokclf.cli.main import cli
try:
    cli(json.loads(sys.argv[1]))
finally:
    print(json.dumps(sorted({"tensorflow", "tf_keras", "transformers"} & set(sys.modules))))
"""


def refused(folder: Path, *args: str) -> str:
    """The message with which `fit` refuses these arguments, before any large library is loaded."""
    command = json.dumps(["fit", "--output-dir", "run", *args])
    done = subprocess.run(
        [sys.executable, "-c", _CODE, command], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert json.loads(done.stdout) == []
    return " ".join(done.stderr.split())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "train.conll").write_text("Ada\tB-PER\nsaw\tO\n\n" * 5, encoding="utf-8")
    return tmp_path


def test_all_missing_files_are_in_one_message(folder: Path):
    files = ("--train-file=trian.conll", "--validation-file=dev.conll", "--test-file=train.conll")
    message = refused(folder, *files, "--model-name-or-path=./encoders/bert")
    assert message == (
        "Error: 3 inputs cannot be used: - trian.conll: there is no such file. Did you mean train.conll? "
        "- dev.conll: there is no such file. The folder contains: train.conll. "
        "- there is no model folder ./encoders/bert. Give a folder, a Hub id or package:NAME/PATH."
    )


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--train-file=trian.conll",), "trian.conll: there is no such file. Did you mean train.conll?"),
        (("--train-file=https://a.b/c.conll",), "https://a.b/c.conll: is a URL, but a path on this machine is needed."),
        (("--train-file=train.conll", "--label-column-name=tags"), "train.conll: there is no column 'tags'."),
        (("--train-file=train.conll", "--lr-scheduler-type=linaer"), "'linaer' is not one of"),
        (("--validation-file=train.conll",), "Incomplete configuration: - no training data"),
    ],
)
def test_one_mistake(folder: Path, args: tuple[str, ...], message: str):
    assert message in refused(folder, *args, "--model-name-or-path=some/encoder")
