"""Check that this machine's GPU trains and predicts as its CPU does.

    scripts/check_gpu          about two minutes
    scripts/check_gpu --cpu    the CPU against itself

A small BERT with random weights learns synthetic sentences, once for each row of the table. Training is interrupted in
the middle and resumed from its checkpoint. Then the model is evaluated and labels the test sentences. A second process
works without the GPU: it trains in float32 without an interruption, and evaluates and predicts with the models that the
GPU trained.

    loss        training loss of the last epoch, and its difference from that on the CPU
    labels      share of the test words to which the same model gives the same label on the CPU
    tokens/s    subword tokens per second in the last epoch. This model is too small to keep a GPU busy
    busy        highest utilisation of the GPU that nvidia-smi reported during training
    peak GB     largest amount of memory that TensorFlow used on the GPU at once; with --cpu, that of the process

Exit code 0: everything agrees. 1: something does not. 2: there is no GPU that TensorFlow can use.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

REFERENCE = "reference"
NO_GPU = 2


@dataclass(frozen=True)
class Row:
    """A way to train. tolerance: largest relative difference of a loss to that of float32 on the CPU.

    Matrix products in float32 have 10 bits of precision on newer GPUs (TF32), and those in bfloat16 have 7.
    """

    options: Mapping[str, object]
    tolerance: float


ROWS = {
    "float32": Row({"training.precision": "float32"}, 0.02),
    "float16": Row({"training.precision": "mixed_float16"}, 0.05),
    "bfloat16": Row({"training.precision": "mixed_bfloat16"}, 0.1),
    "float32, XLA": Row({"training.precision": "float32", "training.jit_compile": True}, 0.02),
}
# Words whose two best labels have nearly the same score may get another one.
FEWEST_SAME_LABELS = 0.995
MAX_LOSS_DIFFERENCE = 0.01

Found = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run both processes, print the table, and return the exit code."""
    options = parse_options(arguments)
    if options.work:
        return work(options)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        told("training on the CPU, as if it were the GPU" if options.cpu else "training on the GPU")
        if code := start_worker(options, Path(folder), "device"):
            return code
        told("training and predicting on the CPU")
        if code := start_worker(options, Path(folder), "reference"):
            return code
        found = {name: read(Path(folder), name) for name in (*options.row, REFERENCE)}
    problems = {name: problems_of(found[name], found[REFERENCE], ROWS[name].tolerance) for name in options.row}
    print(table(found, problems))
    for name, of_row in problems.items():
        for problem in of_row:
            print(f"{name}: {problem}")
    print(f"{found[options.row[0]]['device']}, {time.perf_counter() - began:.0f} s")
    return int(any(problems.values()))


def parse_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        "scripts/check_gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cpu", action="store_true", help="use the CPU in place of the GPU")
    listed = "; ".join(f'"{name}"' for name in ROWS)
    about = f"row of the table; can be repeated: {listed}; default: all"
    parser.add_argument("--row", action="append", choices=list(ROWS), metavar="ROW", help=about)
    parser.add_argument("--sentences", type=int, default=640, help="number of training sentences; default: 640")
    parser.add_argument("--epochs", type=int, default=3, help="number of epochs, at least 2; default: 3")
    parser.add_argument("--layers", type=int, default=4, help="number of layers of the model; default: 4")
    parser.add_argument("--width", type=int, default=256, help="width of the model; default: 256")
    parser.add_argument("--work", choices=["device", "reference"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.epochs < 2:
        parser.error("--epochs: training is interrupted in the last epoch but one, so there must be at least two.")
    options.row = options.row or list(ROWS)
    return options


def told(message: str) -> None:
    """Log the progress to standard error."""
    print(f"{message} ...", file=sys.stderr, flush=True)


def start_worker(options: argparse.Namespace, folder: Path, kind: str) -> int:
    """Run a process that writes what it found into `folder`. Returns its exit code."""
    sizes = [f"--{name}={getattr(options, name)}" for name in ("sentences", "epochs", "layers", "width")]
    rows = [f"--row={name}" for name in options.row]
    command = [sys.executable, __file__, f"--work={kind}", f"--folder={folder}", *sizes, *rows]
    without_gpu = {"CUDA_VISIBLE_DEVICES": ""} if kind == "reference" or options.cpu else {}
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TF_TOKCLF_CACHE": str(folder / "cache"), **without_gpu}
    return subprocess.run([*command, *["--cpu"] * options.cpu], env=environment, check=False).returncode


def work(options: argparse.Namespace) -> int:
    """What a process does: train all rows on the device, or the reference on the CPU."""
    from tf_tokclf.model.backend import tf

    # Hide the messages about the interruptions, which are intended.
    logging.getLogger("tf_tokclf").setLevel(logging.ERROR)
    if options.work == "reference":
        write(options.folder, REFERENCE, reference(options))
        return 0
    if not (options.cpu or tf.config.list_physical_devices("GPU")):
        print(
            "Error: TensorFlow finds no GPU. nvidia-smi shows whether the driver is installed. The CUDA libraries come "
            "with the extra gpu: python -m pip install '.[gpu]'. To try this check on the CPU, pass --cpu.",
            file=sys.stderr,
        )
        return NO_GPU
    write_data(options)
    for name in options.row:
        told(name)
        try:
            found = on_device(options, name)
        except Exception as error:
            found = {"error": f"{type(error).__name__}: {error}"}
        write(options.folder, name, {"device": device_name(), **found})
    return 0


def write_data(options: argparse.Namespace) -> None:
    """Write the encoder and the sentences. Each word is always a person, always a place, or never a name."""
    from tests.encoders import make_bert

    rng = np.random.default_rng(1)
    others = np.array([f"w{number}" for number in range(150)])
    people, places = (np.array([f"{kind}{number}" for number in range(30)]) for kind in ("p", "l"))
    for split, n in (("train", options.sentences), ("validation", 64), ("test", 64)):
        lines = []
        for length in rng.integers(8, 40, n):
            words = rng.choice(others, length).tolist()
            labels = ["O"] * length
            for place in rng.choice(length - 1, length // 6, replace=False):
                kind, names = [("B-PER", people), ("B-LOC", places)][rng.integers(2)]
                words[place], labels[place] = str(rng.choice(names)), kind
            lines += [f"{word}\t{label}\n" for word, label in zip(words, labels)] + ["\n"]
        (options.folder / f"{split}.conll").write_text("".join(lines), encoding="utf-8")
    # Without dropout: a CPU computes a batch in two parts, so its dropout masks would be different.
    sizes = {"hidden_size": options.width, "intermediate_size": 4 * options.width, "num_hidden_layers": options.layers}
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    vocabulary = [*others, *people, *places]
    make_bert(options.folder / "encoder", vocabulary, **sizes, **still, num_attention_heads=max(options.width // 64, 1))


def config_of(options: argparse.Namespace, name: str, **more: object) -> Any:
    """The configuration of the run in the folder `name`."""
    from tf_tokclf import load_config

    files = {f"data.{split}_file": str(options.folder / f"{split}.conll") for split in ("train", "validation", "test")}
    settings = {
        "recipe": "none",
        "model.name_or_path": str(options.folder / "encoder"),
        "output_dir": str(options.folder / "runs" / name),
        "optimizer.learning_rate": 5e-4,
        "training.num_train_epochs": options.epochs,
        "training.report_to": [],
    }
    return load_config(options={**files, **settings, **more})


def on_device(options: argparse.Namespace, name: str) -> Found:
    """Train a row with an interruption, evaluate and predict."""
    from tf_tokclf import fit
    from tf_tokclf.errors import Stopped
    from tf_tokclf.training.plan import plan_run

    config = config_of(options, name, **ROWS[name].options)
    batches = plan_run(config).batches
    forget_peak()
    with utilisation() as busy:
        # Ctrl-C in the middle of the last epoch but one.
        middle = (options.epochs - 2, len(batches) // 2)
        with suppress(Stopped):
            fit(config, callbacks=[interruption(*middle)])
            return {"error": "Ctrl-C did not stop the training"}
        history = fit(config, resume=True).history
    run = options.folder / "runs" / name
    return {
        "losses": [record.train_loss for record in history],
        "tokens_per_second": int(batches.lengths.sum()) / history[-1].train_seconds,
        "busy": max(busy, default=None),
        "peak_gb": peak_gb(),
        **results_of(run),
    }


def interruption(epoch: int, batch: int) -> Any:
    """A callback that presses Ctrl-C after a step. epoch and batch are numbered from 0."""
    from tf_tokclf.model.backend import keras

    class Interrupts(keras.callbacks.Callback):
        def on_epoch_begin(self, number: int, logs: object = None) -> None:
            self.epoch = number

        def on_train_batch_end(self, number: int, logs: object = None) -> None:
            if (self.epoch, number) == (epoch, batch):
                os.kill(os.getpid(), signal.SIGINT)

    return Interrupts()


def reference(options: argparse.Namespace) -> Found:
    """Train in float32 without an interruption. Evaluate and predict with the models of all rows."""
    from tf_tokclf import fit

    history = fit(config_of(options, REFERENCE, **{"training.precision": "float32"})).history
    runs = {name: options.folder / "runs" / name for name in options.row}
    by_row = {name: results_of(run) for name, run in runs.items() if (run / "finished.json").is_file()}
    return {"losses": [record.train_loss for record in history], "by_row": by_row}


def results_of(run: Path) -> Found:
    """The loss on the test sentences, and the labels of their words."""
    from tf_tokclf import evaluate, load
    from tf_tokclf.labels.sentence import Sentence

    lines = (run.parents[1] / "test.conll").read_text(encoding="utf-8").strip().split("\n\n")
    sentences = [Sentence(tuple(line.split("\t")[0] for line in text.split("\n"))) for text in lines]
    labels = [label for tagged in load(run).tag(sentences) for label in tagged.labels]
    return {"test_loss": evaluate(run, split="test").loss, "labels": labels}


def problems_of(found: Found, reference: Found, tolerance: float) -> list[str]:
    """What is wrong with a row. Empty if it agrees with the CPU."""
    if "error" in found:
        return [found["error"]]
    on_cpu = reference["by_row"][found["name"]]
    problems = []
    for epoch, (loss, expected) in enumerate(zip(found["losses"], reference["losses"], strict=True), 1):
        if not difference(loss, expected) <= tolerance:
            problems.append(f"the training loss of epoch {epoch} is {loss:.4f}, but {expected:.4f} on the CPU.")
    if not found["losses"][-1] < found["losses"][0]:
        problems.append("the training loss does not fall.")
    if not difference(found["test_loss"], on_cpu["test_loss"]) <= MAX_LOSS_DIFFERENCE:
        losses = f"{found['test_loss']:.4f}, but {on_cpu['test_loss']:.4f} on the CPU"
        problems.append(f"the loss of the trained model on the test sentences is {losses}.")
    if not (same := share_of_same(found["labels"], on_cpu["labels"])) >= FEWEST_SAME_LABELS:
        problems.append(f"only {same:.1%} of the words get the same label as on the CPU from the same model.")
    return problems


def difference(one: float, other: float) -> float:
    """The difference as a share of `other`. NaN if a value is NaN."""
    return abs(one - other) / max(abs(other), 1e-3)


def share_of_same(one: Sequence[str], other: Sequence[str]) -> float:
    return sum(map(str.__eq__, one, other)) / max(len(one), len(other), 1)


def table(found: Mapping[str, Found], problems: Mapping[str, Sequence[str]]) -> str:
    """A line per row."""
    lines = [("", "loss", "labels", "tokens/s", "busy", "peak GB", "verdict")]
    expected = found[REFERENCE]
    for name, of_row in problems.items():
        row = found[name]
        if "error" in row:
            lines.append((name, "-", "-", "-", "-", "-", "failed"))
            continue
        loss, on_cpu = row["losses"][-1], expected["losses"][-1]
        lines.append(
            (
                name,
                f"{loss:.4f} ({(loss - on_cpu) / on_cpu:+.1%})",
                f"{share_of_same(row['labels'], expected['by_row'][name]['labels']):.1%}",
                f"{row['tokens_per_second']:,.0f}",
                "-" if row["busy"] is None else f"{row['busy']} %",
                f"{row['peak_gb']:.2f}",
                "differs" if of_row else "agrees",
            )
        )
    widths = [max(map(len, column)) for column in zip(*lines)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)


def device_name() -> str:
    """The first GPU by its name, or the CPU."""
    from tf_tokclf.model.backend import tf

    gpus = tf.config.list_physical_devices("GPU")
    return tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU") if gpus else "CPU"


def forget_peak() -> None:
    """Restart the measurement of the GPU's peak memory."""
    from tf_tokclf.model.backend import tf

    if tf.config.list_physical_devices("GPU"):
        tf.config.experimental.reset_memory_stats("GPU:0")


def peak_gb() -> float:
    """The largest amount of memory that was in use at once, in GB: on the GPU, or without one of the process."""
    import resource

    from tf_tokclf.model.backend import tf

    if tf.config.list_physical_devices("GPU"):
        return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


@contextmanager
def utilisation() -> Iterator[list[int]]:
    """The utilisation of the first GPU in percent, twice a second while the block runs. Empty without nvidia-smi."""
    samples: list[int] = []
    ended = threading.Event()
    query = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "--id=0"]

    def sample() -> None:
        while not ended.wait(0.5):
            try:
                done = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)
                samples.append(int(done.stdout.split()[0]))
            except (OSError, subprocess.SubprocessError, ValueError, IndexError):
                return

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        ended.set()
        thread.join()


def write(folder: Path, name: str, found: Found) -> None:
    (folder / f"{name}.json").write_text(json.dumps({"name": name, **found}), encoding="utf-8")


def read(folder: Path, name: str) -> Found:
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(main())
