"""Runs that score within epochs and end within one, killed and resumed."""

from __future__ import annotations

import json
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import WORDS
from tests.encoders import make_bert
from tests.killing import UNTRACED, Ended, Ending, KillServer
from tests.training.bench import Bench
from tests.training.test_resume import outcome
from tf_tokclf.run_dir import RunDir
from tf_tokclf.training.checkpoints import N_KEPT

pytestmark = pytest.mark.long

N_STEPS = 10


@dataclass(frozen=True)
class ScoredRun(Bench):
    """A run of four steps per epoch that is scored every three, with averaged weights and a cosine schedule."""

    @property
    def settings(self) -> dict[str, Any]:
        """The run's settings without its folder."""
        return {
            **super().settings,
            "data.max_train_samples": 30,
            "optimizer.lr_scheduler_type": "cosine",
            "optimizer.warmup_steps": 2,
            "training.max_steps": N_STEPS,
            "training.eval_steps": 3,
            "training.metric_for_best_model": "loss",
            "training.per_device_train_batch_size": 4,
            "training.gradient_accumulation_steps": 2,
            "training.ema_decay": 0.9,
            "training.checkpoint_steps": 2,
            "training.keep_checkpoints": N_KEPT,
        }

    def fit(self, name: str, ending: Ending | None = None, *flags: str) -> Ended:
        """Train or resume it in the folder `name`."""
        return self.server.run(self.fit_arguments(name, *flags), self.root / name, ending, before=UNTRACED)

    def differences(self, name: str) -> list[str]:
        """The parts of the outcome of run `name` that differ from the undisturbed run."""
        expected, found = (outcome(RunDir(self.root / run), last="*") for run in ("undisturbed", name))
        assert len(expected["last variables"]) == N_KEPT
        return [part for part in expected if expected[part] != found[part]]


@pytest.fixture(scope="module")
def bench(kill_server: KillServer, conll_files: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> ScoredRun:
    root = tmp_path_factory.mktemp("scored")
    return ScoredRun(kill_server, root, conll_files, make_bert(root / "encoder", WORDS, num_hidden_layers=1))


@pytest.fixture(scope="module")
def undisturbed(bench: ScoredRun) -> Ended:
    ended = bench.fit("undisturbed")
    assert ended.code == 0, ended.stderr
    return ended


def history_of(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "history.jsonl").read_text(encoding="utf-8").splitlines()]


def test_the_steps_between_scorings_are_as_many_as_said(bench: ScoredRun, undisturbed: Ended):
    run = bench.root / "undisturbed"
    assert [record["epoch"] for record in history_of(run)] == [0.75, 1.5, 2.25, 2.5]
    names = [folder.name for folder in sorted((run / "checkpoints").iterdir())]
    assert names == ["epoch-0002-step-0000002", "epoch-0002-step-0000002-scored"]


ENDINGS = [
    # While the first scoring is saved, after step 3.
    Ending(2, place="history.jsonl"),
    # After step 6, before the second scoring, and while that is saved.
    Ending(1, signal=signal.SIGINT, place="epoch-0001-step-0000002."),
    Ending(3, place="epoch-0001-step-0000002-scored"),
    # At the end of the second epoch, which is not scored.
    Ending(5, place="epoch-0002-step-0000000"),
    Ending(1, place="finished.json"),
]


def test_a_run_stopped_again_and_again_ends_as_if_nothing_had_happened(bench: ScoredRun, undisturbed: Ended):
    codes = [bench.fit("stopped", ending, *["--resume"] * (ending is not ENDINGS[0])).code for ending in ENDINGS]
    assert codes == [130 if ending.signal == signal.SIGINT else -signal.SIGKILL for ending in ENDINGS]
    ended = bench.fit("stopped", None, "--resume")
    assert ended.code == 0, ended.stderr
    assert bench.differences("stopped") == []


@pytest.mark.slow
def test_killed_at_every_change_of_its_files(bench: ScoredRun, undisturbed: Ended):
    failed = []
    for change in range(1, undisturbed.n_changes + 1):
        name = f"change-{change}"
        assert bench.fit(name, Ending(change)).code == -signal.SIGKILL
        ended = bench.fit(name, None, "--resume")
        failed += [(name, ended.stderr)] if ended.code else [(name, part) for part in bench.differences(name)]
        shutil.rmtree(bench.root / name)
    assert failed == []
