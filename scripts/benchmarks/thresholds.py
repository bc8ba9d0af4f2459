"""Check the promise of `tf-tokclf thresholds` on random partitions of labelled data.

    scripts/benchmark thresholds RUN... [--partitions 200] [--confidence 0.95] [--share 0.2] [--output thresholds.json]

Validation and test of each run are labelled once. Their sentences are then divided at random into a calibration part
and the rest, again and again. Thresholds are chosen on the calibration part, and a target is missed if the measure on
the rest is lower. The share of misses should be at most 1 - confidence, plus the error of a binomial share over the
partitions: two standard deviations. The rest is itself a sample, so a small rest would be missed by chance more often;
with the share of 0.2, its variance is a quarter of that of the calibration part.

The original splits are scored too: thresholds from validation, measures on test. Nothing is promised for a test set of
another kind. The target of each type is about the highest that the calibration part can prove. Only types with 150
or more spans count. There are also rows for all types with a common threshold.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from measuring import ROOT, machine, markdown_table, told

HEADINGS = ("data", "target", "types", "reached", "missed", "limit", "measure on the rest", "other measure", "before")
# How many standard deviations of the calibration part the targets are below the highest value that can be reached.
DEVIATIONS = {"recall": 2.5, "precision": 3.0}
FEWEST_SPANS = 150


def main() -> None:
    """Label, partition, and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", help="NAME=RUN of a finished run with validation and test data")
    parser.add_argument("--validation", action="append", default=[], help="NAME=FILE, instead of the run's own")
    parser.add_argument("--test", action="append", default=[], help="NAME=FILE, instead of the run's own")
    parser.add_argument("--partitions", type=int, default=200)
    parser.add_argument("--confidence", type=float, default=0.95)
    parser.add_argument("--share", type=float, default=0.2, help="share of the sentences for calibration")
    parser.add_argument("--output", type=Path, help="also write all numbers to this file as JSON")
    arguments = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    rows, originals, every = [], [], []
    files = {split: dict(one.split("=", 1) for one in getattr(arguments, split)) for split in ("validation", "test")}
    for named in arguments.runs:
        name, run = named.split("=", 1)
        counters, is_validation = labelled(run, {split: files[split].get(name) for split in files})
        told(f"{name}: {len(is_validation):,} sentences are labelled")
        kinds = [counters] if len(counters.types) == 1 else [counters.pooled("all"), counters]
        for measure, spans in product(("recall", "precision"), kinds):
            found = partitioned(spans, measure, arguments)
            rows.append([name, *cells(found, arguments)])
            told(" | ".join(rows[-1]))
            original = list(on_original_splits(spans, is_validation, found["targets"], measure, arguments.confidence))
            originals += [[name, *row] for row in original if spans is kinds[0]]
            every.append({"data": name, **found, "original": original})
    print(f"{arguments.partitions} partitions, confidence {arguments.confidence:g}, {machine()}\n")
    print(markdown_table(HEADINGS, rows))
    print()
    print(markdown_table(("data", "type", "target", "threshold", "validation", "lower bound", "test"), originals))
    if arguments.output:
        arguments.output.write_text(json.dumps(every, indent=1), encoding="utf-8")


def labelled(run: str, files: dict[str, str | None]) -> tuple[Any, np.ndarray]:
    """The spans of validation and test with their scores, and whether each sentence is from validation."""
    from tf_tokclf.config.schema import DataConfig
    from tf_tokclf.inference.evaluate import labelled_splits
    from tf_tokclf.inference.tagger import Tagger
    from tf_tokclf.inference.thresholds import count_spans
    from tf_tokclf.scoring.operating_points import SpanCounter

    tagger = Tagger.load(run, thresholds=False)
    together: SpanCounter | None = None
    sizes = []
    for split, file in files.items():
        data = DataConfig(test_file=file) if file else None
        where = "test" if file else split
        splits = labelled_splits(run, where, data, tagger.info)
        counter = count_spans(tagger, splits[where], splits.scheme)
        sizes.append(counter.n_sentences)
        together = counter if together is None else together.joined(counter)
    assert together is not None
    return together, np.arange(sum(sizes)) < sizes[0]


def partitioned(counter: Any, measure: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Choose thresholds on many calibration parts, and measure them on the rest.

    Every type with enough gold spans counts: in each partition, each of them whose target is reached.
    """
    from tf_tokclf.scoring.operating_points import GRID, Target, certified_threshold

    every = {name: counter.calibration(name) for name in counter.types}
    types = [name for name, found in every.items() if found.gold.sum() >= FEWEST_SPANS]
    targets = {name: hard_target(every[name], measure, arguments.share) for name in types}
    rng = np.random.default_rng(0)
    outcomes: dict[str, list[tuple[float, float, float] | None]] = {name: [] for name in types}
    for _ in range(arguments.partitions):
        chosen = rng.permutation(counter.n_sentences) < arguments.share * counter.n_sentences
        for name in types:
            target = Target(name, measure, targets[name])
            index, _ = certified_threshold(counter.calibration(name, chosen), target, arguments.confidence)
            if index is None:
                outcomes[name].append(None)
                continue
            rest = counter.calibration(name, ~chosen).at(GRID[index])
            other = "precision" if measure == "recall" else "recall"
            outcomes[name].append((getattr(rest, measure), getattr(rest, other), float(GRID[index])))
    before = {name: counter.calibration(name).plain for name in types}
    scores = {name: {m: getattr(one, m) for m in ("precision", "recall")} for name, one in before.items()}
    return {"measure": measure, "targets": targets, "outcomes": outcomes, "before": scores}


def hard_target(found: Any, measure: str, share: float) -> float:
    """A target that the calibration part can just prove in most partitions: the highest value of the measure, minus
    some standard deviations of a sample of this size. Only thresholds with at least half of the plain spans count.
    """
    correct, predicted = found.correct.sum(axis=0), found.predicted.sum(axis=0)
    items = predicted if measure == "precision" else np.full(predicted.shape, found.gold.sum())
    enough = predicted >= 0.5 * found.plain.predicted
    best = int(np.where(enough, correct / np.maximum(items, 1), 0).argmax())
    value = correct[best] / items[best]
    deviation = math.sqrt(value * (1 - value) / (share * items[best]))
    return min(max(math.floor(1000 * (value - DEVIATIONS[measure] * deviation)) / 1000, 0.1), 0.98)


def cells(found: dict[str, Any], arguments: argparse.Namespace) -> list[str]:
    """A row of the table: over all types and partitions, and the type that is missed most."""
    measure = found["measure"]
    other = "precision" if measure == "recall" else "recall"
    reached = {name: [one for one in results if one] for name, results in found["outcomes"].items()}
    missed = {name: sum(one[0] < found["targets"][name] for one in results) for name, results in reached.items()}
    n = arguments.partitions
    allowed = 1 - arguments.confidence
    limit = allowed + 2 * math.sqrt(allowed * (1 - allowed) / n)
    worst = max(missed.values(), default=0) / n
    n_all = n * len(reached)
    values = np.array([one for results in reached.values() for one in results] or [(math.nan,) * 3])
    low, high = min(found["targets"].values()), max(found["targets"].values())
    before = np.mean([one[measure] for one in found["before"].values()])
    other_before = np.mean([one[other] for one in found["before"].values()])
    return [
        f"{measure} {low:.3f} to {high:.3f}" if low != high else f"{measure} {low:.3f}",
        str(len(reached)),
        f"{100 * sum(map(len, reached.values())) / n_all:.0f} %",
        f"{100 * sum(missed.values()) / n_all:.1f} %, at most {100 * worst:.1f} % for a type",
        f"{100 * limit:.1f} %",
        f"{100 * values[:, 0].mean():.1f}",
        f"{100 * values[:, 1].mean():.1f}",
        f"{100 * before:.1f}, other {100 * other_before:.1f}",
    ]


def on_original_splits(
    counter: Any, is_validation: np.ndarray, targets: dict[str, float], measure: str, confidence: float
) -> Iterator[list[str]]:
    """A row for each type: thresholds from validation, measured on test."""
    from tf_tokclf.scoring.operating_points import Target, operating_point

    for name, least in targets.items():
        target = Target(name, measure, least)
        point = operating_point(name, counter.calibration(name, is_validation), target, confidence)
        on_test = getattr(counter.calibration(name, ~is_validation).at(point.threshold), measure)
        shown = f"{point.threshold:g}" if point.is_met else "not reachable"
        wanted = f"{measure}>={least:g}"
        yield [name, wanted, shown, f"{100 * point.value:.1f}", f"{100 * point.low:.1f}", f"{100 * on_test:.1f}"]


if __name__ == "__main__":
    main()
