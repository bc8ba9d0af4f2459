"""What the scripts that train have in common: options, and printing the measurements."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path


def training_parser() -> argparse.ArgumentParser:
    """A parser with the options that all systems have."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path, help="folder with the splits and the label names")
    parser.add_argument("--encoder", help="model folder")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--task", default="ner")
    parser.add_argument("--predictions", type=Path, help="file for the predicted labels of the test split")
    return parser


def print_measurements(
    *,
    train_seconds: float,
    epoch_seconds: Sequence[float],
    score_seconds: float,
    f1: float,
    precision: str,
    peak: float,
    packages: Sequence[str],
    **more: float,
) -> None:
    """Print what was measured, as JSON.

    precision: that of the matrix products. peak: in GB, before the test set is scored. packages: those whose versions
    are printed.
    """
    measured = {
        "train_seconds": round(train_seconds, 2),
        "epoch_seconds": [round(seconds, 3) for seconds in epoch_seconds],
        "score_seconds": round(score_seconds, 2),
        "f1": float(f1),
        "precision": precision,
        "peak_gb": round(peak, 3),
        "versions": ", ".join(f"{name} {version(name)}" for name in packages),
        **more,
    }
    print(json.dumps(measured))
