"""Training time with a push after every epoch to a slow Hub, against training without.

    scripts/benchmark push [--config configs/quickstart.yaml] [--epochs 3] [--rounds 3] [--megabytes-per-s 5]

Both take turns, each in a process of its own; the Hub is the tests' local one, also a process, with uploads slowed
down. Timed is the training alone: from before the first epoch to after the last, the snapshots of the weights
included, the last push after it not. Prints medians and their ratio; the goal is 1.05.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from measuring import ROOT, run, told

RUN = """
import json, sys, time
from tf_tokclf.config.loading import load_config
from tf_tokclf.model.backend import keras
from tf_tokclf.runs.fit import fit

class Clock(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.began = time.perf_counter()
    def on_train_end(self, logs=None):
        self.seconds = time.perf_counter() - self.began

clock, options = Clock(), json.loads(sys.argv[2])
fit(load_config(sys.argv[1], options=options), callbacks=[clock])
print(json.dumps({"seconds": clock.seconds}))
"""


@contextmanager
def local_hub(folder: str, megabytes_per_s: float) -> Iterator[dict[str, str]]:
    """The tests' Hub in a process of its own. Gives the environment variables of those who use it."""
    command = [sys.executable, "-m", "tests.local_hub", folder, str(megabytes_per_s)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, **pipes) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
        process.stdin.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default=str(ROOT / "configs" / "quickstart.yaml"))
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megabytes-per-s", type=float, default=5.0)
    arguments = parser.parse_args()
    seconds: dict[bool, list[float]] = {False: [], True: []}
    with tempfile.TemporaryDirectory() as work, local_hub(work, arguments.megabytes_per_s) as hub:
        for number in range(arguments.rounds):
            # The one that begins changes, so that a machine that slows down favours neither.
            for push in (False, True) if number % 2 == 0 else (True, False):
                options = {
                    "output_dir": f"{work}/run-{number}-{push}",
                    "training.num_train_epochs": arguments.epochs,
                    "hub.push": push,
                    "hub.model_id": f"model-{number}",
                }
                command = [sys.executable, "-c", RUN, arguments.config, json.dumps(options)]
                environment = {**hub, "PYTHONPATH": str(ROOT)}
                seconds[push].append(run(command, {**environment, "HF_HUB_OFFLINE": "0"})["seconds"])
                told(f"round {number + 1}, {'with' if push else 'without'} pushes: {seconds[push][-1]:.1f} s")
        bare = Path(work) / "hub" / "models" / "tester" / f"model-{arguments.rounds - 1}.git"
        log = subprocess.run(["git", "-C", bare, "log", "--format=%s", "main"], stdout=subprocess.PIPE, check=True)
    without, with_pushes = (statistics.median(seconds[push]) for push in (False, True))
    print(f"without: {without:.1f} s; with: {with_pushes:.1f} s; ratio {with_pushes / without:.3f}")
    print(f"commits of the last round: {len(log.stdout.splitlines()) - 1}")


if __name__ == "__main__":
    main()
