"""Measure time and memory of whole runs on ten thousand to a million sentences, each in a separate process.

    scripts/benchmark scale                              10,000, 100,000 and 1,000,000 sentences
    scripts/benchmark scale --sentences 20000 --epochs 1

The sentences are those of the SNIPS sample, repeated, and a tenth as many are used for validation. The encoder is one
of the tests' encoders with two tiny layers, so that most of the time is spent outside of it. "Own" memory leaves out
pages of the data files on disk, which the system takes back when it needs them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from itertools import chain, cycle, islice
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

SAMPLE = ROOT / "tf_tokclf" / "shipped" / "snips" / "train"
HEADINGS = ("sentences", "reading, s", "epoch, s", "sentences/s", "dev, s", "whole run, s", "peak MB", "own MB")


def main() -> None:
    """Run all sizes in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--sentences",
        type=int,
        action="append",
        help="number of sentences; can be repeated; default 10000, 100000, 1000000",
    )
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--epochs", type=int, default=2, help="number of epochs; the time of the last one is shown")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.folder:
        run(arguments.folder, batch=arguments.batch, epochs=arguments.epochs)
        return
    print(f"| {' | '.join(HEADINGS)} |\n|{'---|' * len(HEADINGS)}")
    for n_sentences in arguments.sentences or (10_000, 100_000, 1_000_000):
        with tempfile.TemporaryDirectory() as folder:
            write_data(Path(folder), n_sentences)
            command = [sys.executable, __file__, "--folder", folder]
            command += ["--batch", str(arguments.batch), "--epochs", str(arguments.epochs)]
            environment = os.environ | {"TF_TOKCLF_CACHE": str(Path(folder) / "cache"), "TF_CPP_MIN_LOG_LEVEL": "2"}
            output = subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, text=True).stdout
        found = json.loads(output.splitlines()[-1])
        rate = n_sentences / found["epoch"]
        cells = [n_sentences, found["reading"], found["epoch"], rate, found["dev"], found["whole"]]
        shown = [f"{cell:,.0f}" if cell >= 100 else f"{cell:.1f}" for cell in (*cells, found["peak"], found["own"])]
        print(f"| {' | '.join(shown)} |", flush=True)


def write_data(folder: Path, n_sentences: int) -> None:
    """Write a training file of `n_sentences` sentences, a validation file of a tenth as many, and an encoder that knows
    their words.
    """
    columns = [(SAMPLE / name).read_text(encoding="utf-8").splitlines() for name in ("seq.in", "seq.out")]
    pairs = [(words.split(), labels.split()) for words, labels in zip(*columns)]
    texts = ["".join(f"{word}\t{label}\n" for word, label in zip(*pair)) + "\n" for pair in pairs]
    for name, n in (("train", n_sentences), ("dev", n_sentences // 10)):
        with (folder / f"{name}.conll").open("w", encoding="utf-8") as file:
            file.writelines(islice(cycle(texts), n))
    (folder / "words.txt").write_text("\n".join(sorted(set(chain.from_iterable(w for w, _ in pairs)))))


def run(folder: Path, *, batch: int, epochs: int) -> None:
    """Run `fit` once, and print its times and its memory as JSON."""
    from tf_tokclf.config.loading import load_config
    from tf_tokclf.training.plan import plan_run
    from tf_tokclf.training.train import train

    make_encoder(folder / "encoder", (folder / "words.txt").read_text().split("\n"))
    config = load_config(
        options={
            "task": "slots",
            "recipe": "none",
            "data.train_file": str(folder / "train.conll"),
            "data.validation_file": str(folder / "dev.conll"),
            "model.name_or_path": str(folder / "encoder"),
            "output_dir": str(folder / "run"),
            "optimizer.learning_rate": 1e-3,
            "training.per_device_train_batch_size": batch,
            "training.num_train_epochs": epochs,
            "training.precision": "float32",
            "training.report_to": [],
        }
    )
    memory = Memory()
    began = time.perf_counter()
    plan = plan_run(config)
    reading = time.perf_counter() - began
    last = train(plan).history[-1]
    whole = time.perf_counter() - began
    peak, own = memory.peaks()
    times = {"reading": reading, "epoch": last.train_seconds, "dev": last.dev_seconds, "whole": whole}
    print(json.dumps(times | {"peak": peak, "own": own}))


def make_encoder(folder: Path, words: Sequence[str]) -> None:
    """Write a BERT encoder with two layers of 32 units and these words as its vocabulary."""
    import transformers

    folder.mkdir()
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted({word.lower() for word in words})]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    transformers.BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=64).save_pretrained(folder)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = transformers.BertConfig(vocab_size=len(vocabulary), max_position_embeddings=64, **sizes)
    model = transformers.TFBertModel(config)
    model.build_in_name_scope()
    model.save_pretrained(folder, safe_serialization=True)


class Memory:
    """The peak memory of this process from now on, measured twenty times per second."""

    def __init__(self) -> None:
        self._peak = self._own = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._done.wait(0.05):
            lines = [line.split() for line in Path("/proc/self/status").read_text().splitlines() if "Rss" in line]
            sizes = {name.rstrip(":"): int(size) for name, size, _ in lines}
            self._peak = max(self._peak, sizes["RssAnon"] + sizes["RssFile"] + sizes["RssShmem"])
            self._own = max(self._own, sizes["RssAnon"])

    def peaks(self) -> tuple[float, float]:
        """The peak in MB, with and without pages of files."""
        self._done.set()
        self._thread.join()
        return self._peak / 1024, self._own / 1024


if __name__ == "__main__":
    main()
