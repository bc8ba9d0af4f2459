"""Write files of predictions like `evaluate --output-predictions`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tf_tokclf.json_text import json_line
from tf_tokclf.scoring.predictions import Prediction


def write_predictions(path: Path, predictions: Iterable[Prediction]) -> None:
    """Write predictions as JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json_line(one.to_json()) for one in predictions), encoding="utf-8")
