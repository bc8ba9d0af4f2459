"""Measure time and memory of scoring 100,000 sentences of 25 words, and of 10,000 bootstrap samples of their F1.

scripts/benchmark scoring [SENTENCES]
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from baselines.peak_memory import peak_mb

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.scoring.bootstrap import f1_intervals
from tf_tokclf.scoring.scores import score_sentences

WORDS = 25
TYPES = ("PER", "LOC", "ORG", "MISC")


def sentences(n: int, seed: int = 0) -> Iterator[tuple[list[str], list[str]]]:
    """Gold labels with about two spans per sentence, and predictions in which a fifth of the span labels is wrong."""
    rng = random.Random(seed)
    for _ in range(n):
        gold = ["O"] * WORDS
        for start in rng.sample(range(0, WORDS, 4), rng.randint(0, 4)):
            type_ = rng.choice(TYPES)
            gold[start : start + 2] = [f"B-{type_}", f"I-{type_}"][: WORDS - start]
        predicted = [label if label == "O" or rng.random() > 0.2 else f"B-{rng.choice(TYPES)}" for label in gold]
        yield gold, predicted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("n_sentences", nargs="?", type=int, default=100_000)
    n = parser.parse_args().n_sentences
    began = time.process_time()
    for _ in sentences(n):
        pass
    making = time.process_time() - began
    before = peak_mb()
    began = time.process_time()
    scores = score_sentences(sentences(n), Scheme.IOB2)
    scoring = time.process_time() - began - making
    after = peak_mb()
    began = time.process_time()
    interval = f1_intervals(scores.table)[""]
    resampling = time.process_time() - began
    print(f"{n:,} sentences, {scores.n_words:,} words: scored in {scoring:.1f} s, {after - before:.0f} MB more memory")
    print(f"F1 {scores.overall.f1:.4f}, {interval[0]:.4f} to {interval[1]:.4f}: 10,000 samples in {resampling:.1f} s")


if __name__ == "__main__":
    main()
