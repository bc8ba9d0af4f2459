"""Training time with a push after every epoch to a slow Hub, against training without.

    scripts/benchmark push [--config configs/quickstart.yaml] [--epochs 3] [--rounds 3] [--megabytes-per-s 5]

Both take turns, each in a process of its own; the Hub is the tests' local one, in this process, with uploads slowed
down. Timed is the training alone: from before the first epoch to after the last, the snapshots of the weights
included, the last push after it not. Prints medians and their ratio; the goal is 1.05.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

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
print(json.dumps(clock.seconds))
"""


def main() -> None:
    from tests.local_hub import LocalHub

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default=str(ROOT / "configs" / "quickstart.yaml"))
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megabytes-per-s", type=float, default=5.0)
    arguments = parser.parse_args()
    seconds: dict[bool, list[float]] = {False: [], True: []}
    with tempfile.TemporaryDirectory() as work, LocalHub(Path(work) / "hub") as hub:
        hub.bytes_per_s = arguments.megabytes_per_s * 1e6
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
                env = {**os.environ, **hub.env(Path(work) / "home"), "PYTHONPATH": str(ROOT)}
                done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True)
                seconds[push].append(float(done.stdout.splitlines()[-1]))
                print(f"round {number + 1}, {'with' if push else 'without'} pushes: {seconds[push][-1]:.1f} s")
        commits = hub.repository(f"tester/model-{arguments.rounds - 1}").commits()
    without, with_pushes = (statistics.median(seconds[push]) for push in (False, True))
    print(f"without: {without:.1f} s; with: {with_pushes:.1f} s; ratio {with_pushes / without:.3f}")
    print(f"commits of the last round: {len(commits) - 1}")


if __name__ == "__main__":
    main()
