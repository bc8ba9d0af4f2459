"""Runs that are killed, interrupted or out of disk space and then resumed have the same outcome as undisturbed ones."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import WORDS
from tests.encoders import make_bert
from tests.killing import TWO_LANES, UNTRACED, Ended, Ending, KillServer
from tests.training.bench import Bench
from tf_tokclf import fit, load_config
from tf_tokclf.errors import UserError
from tf_tokclf.model.backend import tf
from tf_tokclf.run_dir import RunDir
from tf_tokclf.run_lock import locked

pytestmark = pytest.mark.long

N_EPOCHS = 3


@dataclass(frozen=True)
class ResumedRun(Bench):
    """A run that is stopped and resumed. n_batches: the number of batches per step."""

    n_batches: int

    @property
    def settings(self) -> dict[str, Any]:
        """The run's settings without its folder."""
        return {
            **super().settings,
            "training.num_train_epochs": N_EPOCHS,
            "training.per_device_train_batch_size": 8 // self.n_batches,
            "training.gradient_accumulation_steps": self.n_batches,
            "training.checkpoint_steps": 3,
            # The content of the final checkpoints is compared too.
            "training.keep_checkpoints": 2,
        }

    def fit(
        self,
        name: str,
        ending: Ending | None = None,
        *,
        resume: bool = True,
        more: tuple[str, ...] = (),
        before: str = "",
        **options: Any,
    ) -> Ended:
        """Train or resume it in the folder `name`. more: other settings. before: Python code to run first."""
        flags = [*more, "--resume"] if resume else more
        args, before = self.fit_arguments(name, *flags), TWO_LANES + before
        return self.server.run(args, self.root / name, ending, before=before, **options)


# With several batches per step, the optimizer takes another path: it does not defer updates of the embedding.
@pytest.fixture(scope="module", params=[1, pytest.param(2, marks=pytest.mark.slow)], ids="{}-a-step".format)
def bench(
    request: pytest.FixtureRequest,
    kill_server: KillServer,
    conll_files: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> ResumedRun:
    root = tmp_path_factory.mktemp("resuming")
    encoder = make_bert(root / "encoder", WORDS, num_hidden_layers=1)
    return ResumedRun(kill_server, root, conll_files, encoder, request.param)


@pytest.fixture(scope="module")
def undisturbed(bench: ResumedRun) -> Ended:
    ended = bench.fit("undisturbed", resume=False)
    assert ended.code == 0, ended.stderr
    return ended


def variables_in(checkpoint: Path) -> dict[str, bytes]:
    """The bytes of everything that TensorFlow stored in a checkpoint."""
    reader = tf.train.load_checkpoint(str(checkpoint / "variables"))
    return {
        name: np.asarray(reader.get_tensor(name)).tobytes()
        for name in sorted(reader.get_variable_to_shape_map())
        if not name.startswith("_CHECKPOINTABLE")
    }


def outcome(run: RunDir, *, last: str = f"epoch-{N_EPOCHS:04d}-*") -> dict[str, Any]:
    """Everything of a finished run that must not depend on interruptions: all files, without times.

    last: a pattern for the names of checkpoints whose variables are compared.
    """
    results = json.loads(run.results.read_text(encoding="utf-8"))
    results.pop("seconds")
    history = [json.loads(line) for line in run.history.read_text(encoding="utf-8").splitlines()]
    return {
        "best weights": (run.model / "model.safetensors").read_bytes(),
        "last variables": [variables_in(folder) for folder in sorted(run.checkpoints.glob(last))],
        "history": [{key: value for key, value in record.items() if "second" not in key} for record in history],
        "results": results,
        "predictions": [path.read_bytes() for path in sorted(run.predictions.iterdir())],
        "files": sorted(
            path.relative_to(run.root).as_posix() for path in run.root.rglob("*") if "tfevents" not in path.name
        ),
    }


def differences(bench: ResumedRun, name: str, expected_run: str = "undisturbed") -> list[str]:
    """The parts of the outcome of run `name` that differ from the undisturbed run."""
    expected, found = (outcome(RunDir(bench.root / run)) for run in (expected_run, name))
    return [part for part in expected if expected[part] != found[part]]


def newest_checkpoint(folder: Path) -> Path:
    return max((folder / "checkpoints").glob("epoch-????-step-???????"))


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@dataclass(frozen=True)
class Disturbed:
    """How the stages of a run ended that was interrupted in every way."""

    killed: list[Ended]
    interrupted: Ended
    after_damage: Ended


@pytest.fixture(scope="module")
def disturbed(bench: ResumedRun, undisturbed: Ended) -> Disturbed:
    folder = bench.root / "disturbed"
    # One second is in the middle of tracing, the others while the first epoch is saved.
    moments = (Ending(seconds=1.0), Ending(change=1, place="model.partial/", seconds=0.005))
    killed = [bench.fit("disturbed", moment) for moment in moments]
    interrupted = bench.fit("disturbed", Ending(change=1, place="epoch-0001-step-0000000", signal=signal.SIGINT))
    flip_a_byte(newest_checkpoint(folder) / "variables.data-00000-of-00001")
    after_damage = bench.fit("disturbed")
    return Disturbed(killed, interrupted, after_damage)


def test_the_undisturbed_run_has_something_to_compare(bench: ResumedRun, undisturbed: Ended):
    found = outcome(RunDir(bench.root / "undisturbed"))
    assert len({record["dev_f1"] for record in found["history"]}) > 1
    assert len(found["last variables"]) == 1


def test_a_run_killed_again_and_again_ends_as_if_nothing_had_happened(bench: ResumedRun, disturbed: Disturbed):
    assert [ended.code for ended in disturbed.killed] == [-signal.SIGKILL] * 2
    assert disturbed.after_damage.code == 0, disturbed.after_damage.stderr
    assert differences(bench, "disturbed") == []


def test_an_average_of_weights_and_a_budget_in_pieces_go_on_exactly(bench: ResumedRun):
    more = ("--ema-decay=0.9", "--max-pieces-per-batch=40")
    undisturbed = bench.fit("averaged", resume=False, more=more)
    assert undisturbed.code == 0, undisturbed.stderr
    # In the middle of the second epoch, and while an epoch is saved.
    second, third = "checkpoints/epoch-0001-step", "checkpoints/epoch-0002-step-0000000"
    for ending in (Ending(change=9, place=second), Ending(change=2, place=third, seconds=0.005)):
        assert bench.fit("averaged-killed", ending, more=more).code == -signal.SIGKILL
    assert bench.fit("averaged-killed", more=more).code == 0
    assert differences(bench, "averaged-killed", "averaged") == []


def test_a_run_goes_on_with_gradient_checkpointing(bench: ResumedRun, undisturbed: Ended):
    assert bench.fit("recomputed", Ending(change=1, place="epoch-0001-step-0000000", signal=signal.SIGINT)).code == 130
    ended = bench.fit("recomputed", more=("--gradient-checkpointing",))
    assert ended.code == 0, ended.stderr
    assert differences(bench, "recomputed") == []


def test_ctrl_c_saves_and_tells_how_to_go_on(bench: ResumedRun, disturbed: Disturbed):
    assert disturbed.interrupted.code == 130
    command = f"tf-tokclf fit {bench.root / 'disturbed' / 'config.yaml'} --resume"
    assert "Stopped by Ctrl-C at epoch " in disturbed.interrupted.stderr
    assert disturbed.interrupted.stderr.rstrip().endswith(command)


def test_a_damaged_checkpoint_is_named_and_an_older_one_taken(disturbed: Disturbed):
    message = "is damaged (variables.data-00000-of-00001 has the wrong checksum). Looking for an older checkpoint"
    assert message in disturbed.after_damage.stderr


def test_two_checkpoints_are_kept_that_sha256sum_finds_whole(bench: ResumedRun, undisturbed: Ended):
    folders = list((bench.root / "undisturbed" / "checkpoints").iterdir())
    assert len(folders) == 2
    for folder in folders:
        check = ["sha256sum", "--check", "--strict", "--status", "SHA256SUMS"]
        assert subprocess.run(check, cwd=folder, check=False).returncode == 0


def test_a_full_disk_is_told_and_leaves_what_was_whole(bench: ResumedRun, undisturbed: Ended):
    weights = (bench.root / "undisturbed" / "model" / "model.safetensors").stat().st_size
    # Room for the model's weights, not for a checkpoint with the optimizer's two moments.
    full = bench.fit("full", max_file_size=weights + 20_000)
    assert full.code == 1
    assert "the disk is full" in full.stderr
    assert "Free some space, then continue with: tf-tokclf fit" in full.stderr
    assert bench.fit("full").code == 0
    assert differences(bench, "full") == []


@pytest.fixture
def finished(bench: ResumedRun, undisturbed: Ended, tmp_path: Path) -> Path:
    return shutil.copytree(bench.root / "undisturbed", tmp_path / "run")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"training.seed": 7}, r"changed: training.seed \(was 42, is 7\)"),
        ({"optimizer.learning_rate": 1e-4}, r"changed: optimizer.learning_rate \(was 0.001, is 0.0001\)"),
        ({"data.max_train_samples": 20}, r"data.max_train_samples \(was None, is 20\), the train data\."),
    ],
)
def test_another_run_is_refused_by_name_and_nothing_touched(
    bench: ResumedRun, finished: Path, changed: dict[str, Any], message: str
):
    before = contents(finished)
    config = load_config(options={**bench.settings, "output_dir": str(finished), **changed})
    with pytest.raises(UserError, match=message):
        fit(config, resume=True)
    assert contents(finished) == before


def test_changed_data_are_refused(bench: ResumedRun, finished: Path, tmp_path: Path):
    train = tmp_path / "train.conll"
    text = Path(bench.files["train_file"]).read_text(encoding="utf-8")
    train.write_text(text.replace("london\tB-LOC", "london\tB-PER", 1), encoding="utf-8")
    settings = {**bench.settings, "output_dir": str(finished), "data.train_file": str(train)}
    with pytest.raises(UserError, match=r"changed: the train data\."):
        fit(load_config(options=settings), resume=True)


def test_damage_in_all_checkpoints_is_an_error(bench: ResumedRun, finished: Path):
    # With finished.json, the run needs no checkpoints.
    (finished / "finished.json").unlink()
    for folder in (finished / "checkpoints").iterdir():
        flip_a_byte(folder / "state.json")
    with pytest.raises(UserError, match="none of the 2 checkpoints is complete"):
        fit(load_config(options={**bench.settings, "output_dir": str(finished)}), resume=True)


def test_two_runs_in_one_folder_exclude_each_other(bench: ResumedRun, tmp_path: Path):
    with locked(RunDir(tmp_path)), pytest.raises(UserError, match="another run is writing in this folder"):
        fit(load_config(options={**bench.settings, "output_dir": str(tmp_path)}))


WITHOUT_CHECKPOINTS = ("--keep-checkpoints=0",)


@pytest.fixture(scope="module")
def tidied(bench: ResumedRun) -> Ended:
    """An undisturbed run that removes its checkpoints at the end, which is the default."""
    # Not traced: how it ends does not depend on how its steps were computed.
    ended = bench.fit("tidied", resume=False, more=WITHOUT_CHECKPOINTS, before=UNTRACED)
    assert ended.code == 0, ended.stderr
    assert not (bench.root / "tidied" / "checkpoints").exists()
    return ended


def killed_at_changes(bench: ResumedRun, tidied: Ended, changes: Iterable[int]) -> list[tuple[str, str]]:
    """The runs that do not end like the undisturbed one after they were killed before these changes, and how they
    differ.
    """
    failed = []
    for change in changes:
        name = f"tidied-{change}"
        assert bench.fit(name, Ending(change), more=WITHOUT_CHECKPOINTS, before=UNTRACED).code == -signal.SIGKILL
        ended = bench.fit(name, more=WITHOUT_CHECKPOINTS, before=UNTRACED)
        parts = [] if ended.code else differences(bench, name, "tidied")
        failed += [(name, ended.stderr)] if ended.code else [(name, part) for part in parts]
        shutil.rmtree(bench.root / name)
    return failed


def test_killed_between_the_results_and_the_removal_of_checkpoints(bench: ResumedRun, tidied: Ended):
    # The last changes are the removal of ten files and three folders, after the record and the report.
    assert killed_at_changes(bench, tidied, [tidied.n_changes - back for back in (0, 6, 13, 17)]) == []


@pytest.mark.slow
def test_killed_at_every_change_after_the_last_epoch(bench: ResumedRun, tidied: Ended):
    assert killed_at_changes(bench, tidied, range(tidied.n_changes - 40, tidied.n_changes + 1)) == []


@pytest.mark.slow
def test_killed_at_every_change_of_its_files(bench: ResumedRun, undisturbed: Ended):
    failed = []
    for change in range(1, undisturbed.n_changes + 1):
        name = f"change-{change}"
        assert bench.fit(name, Ending(change)).code == -signal.SIGKILL
        ended = bench.fit(name)
        failed += [(name, ended.stderr)] if ended.code else [(name, part) for part in differences(bench, name)]
        shutil.rmtree(bench.root / name)
    print(f"killed at each of {undisturbed.n_changes} changes of files")
    assert failed == []


@pytest.mark.slow
def test_killed_at_random_moments(bench: ResumedRun, undisturbed: Ended):
    chance = np.random.default_rng(20)
    failed = []
    n_kills = 0
    for number in range(24):
        name = f"moment-{number}"
        # Up to three times, in the middle of writing or of computing.
        for _ in range(chance.integers(1, 4)):
            change, longest = int(chance.integers(1, undisturbed.n_changes)), chance.choice([0.01, 1.0])
            ending = Ending(change, chance.uniform(0, longest))
            n_kills += bench.fit(name, ending).code == -signal.SIGKILL
        ended = bench.fit(name)
        failed += [(name, ended.stderr)] if ended.code else [(name, part) for part in differences(bench, name)]
        shutil.rmtree(bench.root / name)
    print(f"killed {n_kills} times in 24 runs")
    assert n_kills
    assert failed == []
