"""Compare the time of training with and without a push to a slow Hub after every epoch.

    scripts/benchmark push [--config configs/quickstart.yaml] [--epochs 3] [--rounds 3] [--megabytes-per-s 5]

The two take turns, each in a separate process. The Hub is the local Hub of the tests, in another process, with slower
uploads. Only the training is timed, from the beginning of the first epoch to the end of the last. This includes
snapshots of the weights, but excludes the push after the training. Prints the medians and their ratio. The goal is
1.05.
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
    """Run the local Hub of the tests in a separate process. Yields the environment variables for its clients."""
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
            # The other one begins each round, so that neither gains if the machine becomes slower.
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
