"""scripts/benchmark lists what it can run."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"


def test_each_benchmark_is_listed_and_each_that_is_listed_is_there():
    done = subprocess.run(["bash", str(SCRIPTS / "benchmark")], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    listed = re.findall(r"^  ([a-z_]+)  ", done.stderr, re.MULTILINE)
    assert sorted(listed) == sorted(path.stem for path in (SCRIPTS / "benchmarks").glob("*.py"))


def test_an_unknown_name_is_answered_with_the_list():
    done = subprocess.run(["bash", str(SCRIPTS / "benchmark"), "trian"], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "trian" in done.stderr
    assert "train " in done.stderr
