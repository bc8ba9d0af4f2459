"""Prediction with several processes: the same output as with one process, even if workers die, and no leftovers."""

from __future__ import annotations

import gzip
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from tests import processes
from tests.processes import Marked
from tests.requirements import need_modules, need_proc
from tests.waiting import LIMIT_S, wait_until
from tf_tokclf.cli.main import cli
from tf_tokclf.inference.parts_folder import Part
from tf_tokclf.inference.ray_workers import Worker

pytestmark = pytest.mark.long

WORDS = ("ada", "london", "visited", "grace", "x", "and", ".")
# Messages that can appear in between on a slow machine.
PROGRESS = r"( [\d,]+ sentences, [^:]+ words per second(, about [\w. ]+ left)?)*"
# Short look-aheads, so that there are many places from which a job can be resumed.
LOOK_AHEAD = ("--look-ahead", "40")


@pytest.fixture(scope="module")
def ray() -> None:
    """Require Ray, and /proc, which lists the processes that Ray starts."""
    need_modules("ray", extra="ray")
    need_proc()


def sample_texts(n: int) -> list[str]:
    rng = np.random.default_rng(5)
    return [" ".join(rng.choice(WORDS, rng.integers(1, 12))) for _ in range(n)]


def labelled_by_one(model: Path, source: Path, output: Path) -> Path:
    result = CliRunner().invoke(cli, ["predict", str(model), str(source), "-o", str(output), *LOOK_AHEAD])
    assert result.exit_code == 0, result.stderr
    return output


class Job:
    """`tf-tokclf predict ... --workers 2` in a process group of its own."""

    def __init__(self, model: Path, source: Path, output: Path, *options: str) -> None:
        self._processes = Marked()
        command = [sys.executable, "-m", "tf_tokclf", "predict", str(model), str(source), "-o", str(output)]
        self.output = output
        self.process = subprocess.Popen(
            [*command, "--workers", "2", *LOOK_AHEAD, *options],
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, **self._processes.environment},
        )

    def stopped_worker(self) -> int:
        """Stop a worker that has written a part of a file, so that the job cannot end before it continues or dies."""
        return wait_until(self._stopped_worker)

    def _stopped_worker(self) -> int | None:
        assert self.process.poll() is None, self.process.stderr and self.process.stderr.read()
        for path in self.output.glob("*.journal"):
            partial = path.with_suffix(".partial")
            if (pid := self._processes.holder_of(partial)) is None:
                continue
            os.kill(pid, signal.SIGSTOP)
            wait_until(lambda pid=pid: processes.state(pid) == "T")
            # It may have finished the file in the meantime.
            if self._processes.holder_of(partial) == pid and path.exists():
                return pid
            os.kill(pid, signal.SIGCONT)
        return None

    def ended(self) -> tuple[int, str]:
        """The exit code and the messages with normalised white space. Checks that no process is left."""
        _, messages = self.process.communicate(timeout=LIMIT_S)
        wait_until(lambda: not self._processes.pids())
        return self.process.returncode, " ".join(messages.split())


def test_a_killed_worker_loses_and_doubles_nothing(ray: None, tiny_classifier: Path, tmp_path: Path):
    source = tmp_path / "in.csv.gz"
    lines = ["id,text", *(f"{i},{text}" for i, text in enumerate(sample_texts(1500)))]
    source.write_bytes(gzip.compress("\n".join(lines).encode()))
    job = Job(tiny_classifier, source, tmp_path / "out", "--parts", "3")
    os.kill(job.stopped_worker(), signal.SIGKILL)
    code, messages = job.ended()
    assert code == 0, messages
    # There are no messages of Ray, TensorFlow or the tokenizer in between.
    died = "(Warning: )?[Aa] worker died; its part continues where it stopped."
    said = rf"3 parts, 2 workers{PROGRESS} {died}{PROGRESS} [\d,]+ sentences in [^(]+ \([\d,.]+ words per second\)"
    assert re.fullmatch(said, messages), messages
    parts = [tmp_path / "out" / f"part-0000{i}-of-00003.csv.gz" for i in (1, 2, 3)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "_SUCCESS",
        "_job.json",
        *(part.name for part in parts),
    ]
    whole = labelled_by_one(tiny_classifier, source, tmp_path / "whole.csv.gz")
    assert b"".join(part.read_bytes() for part in parts) == whole.read_bytes()


def test_what_ctrl_c_stopped_goes_on(ray: None, tiny_classifier: Path, tmp_path: Path):
    source = tmp_path / "in"
    source.mkdir()
    for name, n in (("a", 750), ("b", 0), ("c", 625)):
        table = pa.table({"id": pa.array(range(n), pa.int64()), "text": pa.array(sample_texts(n), pa.string())})
        pq.write_table(table, source / f"{name}.parquet")
    job = Job(tiny_classifier, source, tmp_path / "out")
    worker = job.stopped_worker()
    os.killpg(job.process.pid, signal.SIGINT)
    job.process.wait(timeout=LIMIT_S)
    with suppress(ProcessLookupError):
        os.kill(worker, signal.SIGCONT)
    code, messages = job.ended()
    assert code == 130, messages
    said = r"Stopped by Ctrl-C\. Finished work is kept: continue with --resume\."
    assert re.fullmatch(rf"\S+/in: 3 files 3 parts, 2 workers{PROGRESS} {said}", messages), messages
    assert not (tmp_path / "out" / "_SUCCESS").exists()
    code, messages = Job(tiny_classifier, source, tmp_path / "out", "--resume").ended()
    assert code == 0, messages
    for name in ("a", "b", "c"):
        whole = labelled_by_one(tiny_classifier, source / f"{name}.parquet", tmp_path / f"{name}.parquet")
        assert pq.read_table(tmp_path / "out" / f"{name}.parquet").equals(pq.read_table(whole))
    assert len(pq.read_table(tmp_path / "out")) == 1375


def test_a_bad_record_is_told_once(ray: None, tiny_classifier: Path, tmp_path: Path):
    source = tmp_path / "in"
    source.mkdir()
    (source / "a.jsonl").write_text('{"text": "ada visited london"}\n')
    (source / "b.jsonl").write_text('{"text": "ada"}\n{broken\n')
    code, messages = Job(tiny_classifier, source, tmp_path / "out").ended()
    assert code == 2, messages
    assert messages.count("Error: ") == 1
    assert f"{source}/b.jsonl, line 2: is not valid JSON" in messages
    assert messages.endswith("continue with --resume.")


class Panic(BaseException):
    """Like the panics of Rust libraries, which `except Exception` does not catch."""


def test_a_worker_reports_what_ray_would_take_for_its_death(tmp_path: Path):
    class PredictionSpec:
        def tagger(self) -> None:
            raise Panic("index out of bounds")

    part = Part("in.txt", tmp_path / "out.txt", "text", None)
    with pytest.raises(RuntimeError, match="Panic: index out of bounds"):
        Worker(PredictionSpec(), {0: part})({"part": np.array([0])})
