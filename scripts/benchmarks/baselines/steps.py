"""Time steps of a model, for the scripts that measure DeBERTa: their options, their inputs and what they print."""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

N_ROWS, N_LABELS, LEARNING_RATE, CLIP_NORM, WEIGHT_DECAY = 16, 9, 1e-4, 1.0, 0.01
N_WARM_UP = 2

Step = Callable[[np.ndarray, np.ndarray], object]


def parse_options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--precision", choices=["float32", "bfloat16"])
    parser.add_argument("--steps", type=int)
    parser.add_argument("--widths", type=int, nargs="+")
    return parser.parse_args()


def measure(options: argparse.Namespace, *, training: Step, forward: Step) -> None:
    """Print the median milliseconds of steps with input_ids and labels, (rows, width) int64, as JSON."""
    milliseconds = {}
    for name, step in (("training", training), ("forward", forward)):
        for width in options.widths:
            random = np.random.default_rng(width)
            input_ids = random.integers(5, 8000, (N_ROWS, width))
            labels = random.integers(0, N_LABELS, (N_ROWS, width))
            seconds = []
            for _ in range(N_WARM_UP + options.steps):
                began = time.perf_counter()
                step(input_ids, labels)
                seconds.append(time.perf_counter() - began)
            milliseconds[f"{name} {width}"] = round(1000 * statistics.median(seconds[N_WARM_UP:]), 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({**milliseconds, "peak_gb": round(peak, 3)}))
