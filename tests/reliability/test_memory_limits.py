"""A memory limit set by the system: a batch that does not fit ends in a message that suggests smaller settings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import WORDS
from tests.encoders import make_bert
from tests.killing import KillServer
from tests.waiting import LIMIT_S

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere RLIMIT_DATA leaves out what is mapped"),
]

# The limit is set after TensorFlow is loaded and its threads have started, so that only the batch does not fit.
LIMITED = """
import resource, sys
from tf_tokclf.model.backend import tf

tf.linalg.matmul(tf.ones((500, 500)), tf.ones((500, 500)))
fields = dict(line.split(":", 1) for line in open("/proc/self/status"))
limit = int(fields["VmData"].split()[0]) * 1024 + 700 * 2**20
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
"""


@pytest.fixture(scope="module")
def long_sentences(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with 256 sentences of 480 words."""
    path = tmp_path_factory.mktemp("long") / "long.conll"
    path.write_text("\n".join(["ada\tB-PER\nvisited\tO\noslo\tB-LOC\n" * 160] * 256), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def wide_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder with windows of 512 subword tokens."""
    return make_bert(tmp_path_factory.mktemp("wide") / "bert", WORDS, max_position_embeddings=512)


def limited(kill_server: KillServer, folder: Path, *args: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command with a limit of 700 MB above its memory at the start."""
    return kill_server.command(*args, before=LIMITED, folder=folder, limit_s=2 * LIMIT_S)


def test_training_with_batches_that_do_not_fit_says_which_would(
    kill_server: KillServer, tmp_path: Path, long_sentences: Path, wide_encoder: Path
):
    files = ("--train-file", long_sentences, "--validation-file", long_sentences, "--max-eval-samples", "1")
    args = (
        "fit",
        *files,
        "--recipe=none",
        "--model-name-or-path",
        wide_encoder,
        "--output-dir",
        "run",
        "--num-train-epochs",
        "1",
    )
    done = limited(kill_server, tmp_path, *args, "--per-device-train-batch-size", "256", "--max-length", "512")
    assert done.returncode == 1, done.stderr[-3000:]
    said = " ".join(done.stderr.split())
    assert "Error: out of memory with batches of 256 windows and windows of up to 512 subword tokens." in said
    # The processor decides whether training is in bfloat16.
    said = said.replace(" (except for rounding in bfloat16)", "")
    assert "Try --gradient-checkpointing or --per-device-train-batch-size 128 --gradient-accumulation-steps 2" in said
    assert "or --max-length 256" in said
    assert "Traceback" not in done.stderr
    fitting = ("--per-device-train-batch-size", "2", "--max-length", "64", "--max-train-samples", "4")
    again = limited(kill_server, tmp_path, *args, *fitting)
    assert again.returncode == 2
    assert "Continue it with --resume, choose another --output-dir, or replace that run with --force." in again.stderr
    again = limited(kill_server, tmp_path, *args, *fitting, "--force")
    assert again.returncode == 0, again.stderr[-3000:]


def test_predicting_with_batches_that_do_not_fit_says_which_would(
    kill_server: KillServer, tmp_path: Path, long_sentences: Path, wide_encoder: Path
):
    from tf_tokclf import fit
    from tf_tokclf.config.loading import check_config

    data = {"train_file": str(long_sentences), "validation_file": str(long_sentences)}
    fit(
        check_config(
            {
                "data": {**data, "max_train_samples": 2, "max_eval_samples": 1},
                "recipe": "none",
                "model": {"name_or_path": str(wide_encoder)},
                "training": {"num_train_epochs": 1, "per_device_train_batch_size": 1},
                "output_dir": str(tmp_path / "run"),
            }
        )
    )
    # A single attention matrix of these sentences exceeds the limit.
    many = tmp_path / "many.txt"
    many.write_text(("ada visited oslo " * 160 + "\n") * 1024, encoding="utf-8")
    batches = ("--per-device-eval-batch-size", "512", "--look-ahead", "1000000")
    done = limited(kill_server, tmp_path, "predict", "run", many, "-o", "out.jsonl", *batches)
    assert done.returncode == 1, done.stderr[-3000:]
    said = " ".join(done.stderr.split())
    assert "Error: out of memory with 512 windows of " in said
    assert "Try --per-device-eval-batch-size 256, which does not change the labels" in said
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.jsonl").exists()
