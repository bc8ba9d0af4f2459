"""The measures by which a run chooses the best of the models that it scores."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Measure:
    """A measure of a model on the validation sentences.

    name: in messages. field: its key in history.jsonl. place: its keys in the scores of a split in results.json.
    is_loss: lower values are better, and it is not a share.
    """

    name: str
    field: str
    place: tuple[str, ...]
    is_loss: bool = False

    def rank(self, value: float | None) -> float:
        """A number that is higher for better values. An unknown value (None or NaN) is worse than all others.

        >>> [MEASURES[name].rank(0.25) for name in ("f1", "loss")], MEASURES["loss"].rank(None)
        ([0.25, -0.25], -inf)
        """
        if value is None or math.isnan(value):
            return -math.inf
        return -value if self.is_loss else value

    def in_results(self, scores: Mapping[str, Any]) -> Any:
        """The value in the scores of a split in results.json. None if it is missing there.

        >>> MEASURES["recall"].in_results({"overall": {"recall": 0.5}}), MEASURES["loss"].in_results({})
        (0.5, None)
        """
        found: Any = scores
        for key in self.place:
            found = found.get(key) if isinstance(found, Mapping) else None
        return found

    def text(self, value: float) -> str:
        """The value with its name.

        >>> MEASURES["f1"].text(0.5), MEASURES["loss"].text(0.5)
        ('validation F1 50.00', 'validation loss 0.5000')
        """
        return f"validation {self.name} {self.shown(value)}"

    def to_json(self, value: float) -> dict[str, float]:
        """The value under its name. Empty for F1, which JSON files always contain.

        >>> MEASURES["loss"].to_json(0.5), MEASURES["f1"].to_json(0.5)
        ({'validation_loss': 0.5}, {})
        """
        return {} if self.name == "F1" else {f"validation_{self.name}": value}

    def shown(self, value: float) -> str:
        """The value alone, as in `text`."""
        return f"{value:.4f}" if self.is_loss else f"{value * 100:.2f}"


# By the value of training.metric_for_best_model.
MEASURES: Mapping[str, Measure] = {
    "f1": Measure("F1", "dev_f1", ("overall", "f1")),
    "precision": Measure("precision", "dev_precision", ("overall", "precision")),
    "recall": Measure("recall", "dev_recall", ("overall", "recall")),
    "accuracy": Measure("accuracy", "dev_token_accuracy", ("token_accuracy",)),
    "loss": Measure("loss", "dev_loss", ("loss",), is_loss=True),
}
