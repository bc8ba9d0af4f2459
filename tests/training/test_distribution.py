"""Several devices and hosts: same weights as on one device, each sentence once, one writer, clear errors."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.conftest import WORDS
from tests.encoders import make_bert
from tests.killing import Call, Ended, Ending, KillServer
from tests.ports import reserved_ports
from tests.training.bench import Bench
from tests.training.test_optimizer import small_model
from tests.training.test_train import config_for
from tf_tokclf import fit
from tf_tokclf.config.cluster import Cluster, read_cluster
from tf_tokclf.config.schema import OptimizerConfig
from tf_tokclf.errors import UserError
from tf_tokclf.model.backend import tf
from tf_tokclf.training.distribution import Devices, wait_for_workers
from tf_tokclf.training.dropout import SeededDropout
from tf_tokclf.training.history import read_history
from tf_tokclf.training.optimizer import create_slots, make_optimizer, piece_embedding
from tf_tokclf.training.schedule import Schedule
from tf_tokclf.training.step import TrainingStep

pytestmark = pytest.mark.long


@dataclass(frozen=True)
class DistributedRun(Bench):
    """One run on different devices."""

    @property
    def settings(self) -> dict[str, Any]:
        """The run's settings without its folder."""
        # 29 windows in batches of 5: the last batch of an epoch has 4, and 2 devices cannot share 5 evenly.
        return {
            **super().settings,
            "training.num_train_epochs": 2,
            "training.per_device_train_batch_size": 5,
            "data.max_train_samples": 29,
        }

    def call(self, name: str, *options: str, **arguments: Any) -> Call:
        """A function that trains the run in the folder `name`."""
        return Call(self.fit_arguments(name, *options), str(self.root / name), **arguments)

    def workers(self, name: str, *options: str, endings: tuple[Ending | None, ...] = (None, None)) -> list[Ended]:
        """Train the run in the folder `name` with two processes on this machine."""
        with reserved_ports(len(endings)) as ports:
            calls = []
            for rank, ending in enumerate(endings):
                environment = {"TF_CONFIG": tf_config([f"localhost:{port}" for port in ports], rank)}
                calls.append(self.call(name, *options, ending=ending, environment=environment))
            return self.server.run_together(calls)


def tf_config(addresses: list[str], rank: int) -> str:
    return json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": rank}})


@pytest.fixture(scope="module")
def bench(
    kill_server: KillServer, conll_files: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> DistributedRun:
    root = tmp_path_factory.mktemp("distribution")
    # Each device draws its own dropout masks. Without dropout, only rounding may make a difference.
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    encoder = make_bert(root / "encoder", WORDS, num_hidden_layers=1, **still)
    return DistributedRun(kill_server, root, conll_files, encoder)


@pytest.fixture(scope="module")
def one(bench: DistributedRun) -> Path:
    (ended,) = bench.server.run_together([bench.call("one")])
    assert ended.code == 0, ended.stderr
    return bench.root / "one"


def assert_same_run(found: Path, expected: Path) -> None:
    """The weights agree up to rounding of float32 sums, and the scores are equal."""
    weights = [load_file(folder / "model" / "model.safetensors") for folder in (found, expected)]
    for name, array in weights[1].items():
        np.testing.assert_allclose(weights[0][name], array, rtol=0, atol=1e-6, err_msg=name)
    for mine, its in zip(read_history(found / "history.jsonl"), read_history(expected / "history.jsonl")):
        assert mine.train_loss == pytest.approx(its.train_loss, rel=1e-5)
        assert mine.dev_loss == pytest.approx(its.dev_loss, rel=1e-5)
        assert mine.dev_f1 == its.dev_f1


def test_two_devices_train_what_one_does(bench: DistributedRun, one: Path):
    (ended,) = bench.server.run_together([bench.call("mirrored", "--strategy=mirrored", n_cpus=2)])
    assert ended.code == 0, ended.stderr
    assert_same_run(bench.root / "mirrored", one)


@pytest.mark.parametrize("options", [["--ema-decay=0.8", "--layer-decay=0.5"], ["--gradient-accumulation-steps=2"]])
def test_two_devices_do_with_options_what_one_does(bench: DistributedRun, options: list[str]):
    names = ["".join([devices, *options]) for devices in ("one", "mirrored")]
    options = [*options, f"--extra-file={bench.files['train_file']}", "--extra-weight=0.3"]
    calls = [bench.call(names[0], *options), bench.call(names[1], *options, "--strategy=mirrored", n_cpus=2)]
    for call in calls:
        (ended,) = bench.server.run_together([call])
        assert ended.code == 0, ended.stderr
    assert_same_run(*(bench.root / name for name in reversed(names)))


class Sending(Devices):
    """A device that records what it would send to others."""

    def summed(self, gradients: Sequence[tf.Tensor | tf.IndexedSlices]) -> list[tf.Tensor | tf.IndexedSlices]:
        self.sent = list(gradients)
        return super().summed(gradients)


def test_of_the_piece_embedding_only_the_rows_of_the_batch_travel():
    model, devices = small_model(), Sending()
    optimizer = make_optimizer(OptimizerConfig(), Schedule(1, 0), loss_scaling=False)
    create_slots(optimizer, model.trainable_variables)
    dropout = SeededDropout(model, seed=1)
    ids = tf.constant([[1, 2, 1]], tf.int64)
    batch = {"input_ids": ids, "attention_mask": tf.ones_like(ids), "labels": ids % 2}
    TrainingStep(model, optimizer, clip_norm=1.0, dropout=dropout, devices=devices)([batch])
    embedding = piece_embedding(model)
    rows = [w is embedding for w in model.trainable_variables]
    assert [isinstance(gradient, tf.IndexedSlices) for gradient in devices.sent] == rows
    assert sum(rows) == 1


@pytest.fixture(scope="module")
def workers(bench: DistributedRun, one: Path) -> list[Ended]:
    return bench.workers("workers")


def test_two_hosts_train_what_one_does(bench: DistributedRun, one: Path, workers: list[Ended]):
    assert [ended.code for ended in workers] == [0, 0], workers
    assert_same_run(bench.root / "workers", one)


def test_only_the_chief_writes(workers: list[Ended]):
    chief, other = workers
    assert chief.n_changes > 0
    assert other.n_changes == 0
    assert "epoch 1:" not in other.stderr


def test_a_worker_that_leaves_before_the_chief_is_no_failure(
    conll_files: dict[str, str], tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def gone(devices: Devices) -> None:
        raise tf.errors.UnavailableError(None, None, "Connection reset by peer")

    monkeypatch.setattr(Devices, "wait", gone)
    run = fit(config_for(conll_files, tiny_bert, tmp_path / "run", **{"training.num_train_epochs": 1})).run
    assert (run.model / "README.md").is_file()


def test_two_hosts_find_a_finished_run_whole_and_restore_what_is_not(bench: DistributedRun, workers: list[Ended]):
    folder = shutil.copytree(bench.root / "workers", bench.root / "again")
    before = (folder / "model" / "config.json").read_bytes()
    (folder / "model" / "config.json").unlink()
    for said in ("model/config.json is missing. It is restored.", "its files are intact."):
        chief, other = bench.workers("again", "--resume")
        assert (chief.code, other.code) == (0, 0), (chief, other)
        assert said in " ".join(chief.stderr.split())
        assert (folder / "model" / "config.json").read_bytes() == before


def test_a_dead_worker_ends_the_others_and_all_go_on_exactly(bench: DistributedRun, workers: list[Ended]):
    # Only the chief is changed: it dies while it saves the first epoch, and the other worker must notice.
    killed, other = bench.workers("killed", endings=(Ending(change=1, place="model.partial/"), None))
    assert killed.code == -signal.SIGKILL
    assert other.code == 1
    assert "the connection to another worker was lost" in other.stderr
    again = bench.workers("killed", "--resume")
    assert [ended.code for ended in again] == [0, 0], again
    found, expected = (
        (bench.root / name / "model" / "model.safetensors").read_bytes() for name in ("killed", "workers")
    )
    assert found == expected


@pytest.mark.slow
def test_accumulated_batches_on_two_devices_and_hosts(bench: DistributedRun):
    group = "--gradient-accumulation-steps=3"
    calls = [bench.call("one-3", group), bench.call("mirrored-3", group, "--strategy=mirrored", n_cpus=2)]
    for call in calls:
        (ended,) = bench.server.run_together([call])
        assert ended.code == 0, ended.stderr
    assert [ended.code for ended in bench.workers("workers-3", group)] == [0, 0]
    assert_same_run(bench.root / "mirrored-3", bench.root / "one-3")
    assert_same_run(bench.root / "workers-3", bench.root / "one-3")


def test_a_worker_that_never_starts_is_named(bench: DistributedRun):
    with reserved_ports(2) as (here, nowhere):
        addresses = (f"localhost:{here}", f"localhost:{nowhere}", "no-such-host.invalid:2222")
        said = rf"no answer within 0.5 s from localhost:{nowhere} .*, no-such-host.invalid"
        with pytest.raises(UserError, match=said):
            wait_for_workers(Cluster(addresses, 0), timeout_s=0.5)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "TF_CONFIG is not valid JSON"),
        ("[]", "is invalid"),
        ('{"cluster": {"worker": ["a:1"]}}', "lacks 'task'"),
        ('{"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 0}}', "'a' is not of the form host:port"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}', "worker 1, which is not in"),
        ('{"cluster": {"ps": ["a:1"]}, "task": {"type": "ps", "index": 0}}', "tasks of type ps"),
    ],
)
def test_a_bad_tf_config_is_explained(text: str, problem: str):
    with pytest.raises(UserError, match=problem):
        read_cluster({"TF_CONFIG": text})


def test_a_chief_comes_before_the_workers():
    text = '{"cluster": {"worker": ["b:1", "c:1"], "chief": ["a:1"]}, "task": {"type": "worker", "index": 1}}'
    assert read_cluster({"TF_CONFIG": text}) == Cluster(("a:1", "b:1", "c:1"), 2)


def test_a_bad_tf_config_ends_fit_with_one_message(bench: DistributedRun):
    (ended,) = bench.server.run_together([bench.call("bad", environment={"TF_CONFIG": "{"})])
    assert ended.code == 2
    assert ended.stderr.startswith("Error: the environment variable TF_CONFIG is not valid JSON")
    assert ended.stderr.count("\n") == 1
    assert not (bench.root / "bad").exists()
