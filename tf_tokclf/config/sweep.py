"""What a sweep tries: listed values of settings, checked before anything is trained."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from tf_tokclf.config.flat_settings import setting_values
from tf_tokclf.config.loading import check_config, config_tree, nearest_hint, setting_names, with_settings
from tf_tokclf.config.schema import Config
from tf_tokclf.counted import counted
from tf_tokclf.errors import UserError

# Names, or beginnings of names, of settings that all trials share; most of them say what dev F1 is.
_SHARED = {
    "recipe": "sweep the settings that it stands for.",
    "output_dir": "each trial has a folder of its own.",
    "overwrite": "it is of the whole sweep.",
    "sweep": "a sweep has none inside it.",
    "hub.": "only the best trial is published.",
    "evaluation.mode": "scores in different modes cannot be compared.",
    "data.validation_": "scores on different dev sets cannot be compared.",
    "data.max_eval_samples": "scores on different dev sets cannot be compared.",
    "training.seed": "the best of several seeds is the luckiest; --seeds 1,2,3 keeps the median.",
    "training.strategy": "it is of the whole sweep.",
}
_OF_THE_WHOLE = ("sweep", "sweep_trials", "overwrite")
# Settings of these sections may be refused by the data or the encoder only.
_PLANNED = ("data.", "model.", "alignment.")

MOST_COMBINATIONS = 10_000


@dataclass(frozen=True)
class Sweep:
    """values: of each swept setting, as the configuration takes them. n_trials: how many of the combinations to try."""

    base: Config
    values: Mapping[str, tuple[Any, ...]]
    n_trials: int

    @classmethod
    def of(cls, config: Config) -> Sweep:
        """The sweep that `config` asks for. Raises UserError that lists every problem."""
        tree = config_tree(config)
        base = check_config({key: value for key, value in tree.items() if key not in _OF_THE_WHOLE})
        values, problems = {}, []
        for name, listed in config.sweep.items():
            try:
                values[name] = _checked(base, name, listed)
            except UserError as error:
                problems.append(str(error))
        if problems:
            raise UserError("the sweep cannot be tried:" + "".join(f"\n  - {problem}" for problem in problems))
        n_all = math.prod(map(len, values.values()))
        if not 2 <= n_all <= MOST_COMBINATIONS:
            raise UserError(
                f"a sweep needs 2 to {MOST_COMBINATIONS:,} combinations of values, not {n_all:,}.",
                hint="Such as --sweep optimizer.learning_rate=1e-5,3e-5",
            )
        sweep = cls(base, values, min(config.sweep_trials or n_all, n_all))
        for combination in sweep.combinations():
            with_settings(base, combination)
        return sweep

    @property
    def is_whole(self) -> bool:
        """Whether every combination is tried."""
        return self.n_trials == len(self.combinations())

    def combinations(self) -> list[dict[str, Any]]:
        """Each way to choose one of the values of every setting, the last setting changing fastest."""
        return [dict(zip(self.values, chosen)) for chosen in product(*self.values.values())]

    def to_plan(self) -> list[dict[str, Any]]:
        """Combinations to plan before training, in which each value is met that data or encoder might refuse."""
        first = self.combinations()[0]
        others = [
            {**first, name: value}
            for name, values in self.values.items()
            if name.startswith(_PLANNED)
            for value in values[1:]
        ]
        return [first, *others]

    def __str__(self) -> str:
        listed = (f"{name} {', '.join(map(value_text, values))}" for name, values in self.values.items())
        return f"{' x '.join(listed)}: {counted(self.n_trials, 'trial')}"


def value_text(value: Any) -> str:
    """A value of a setting as people write it.

    >>> value_text(1e-05), value_text(None), value_text("first")
    ('1e-05', 'null', 'first')
    """
    return value if isinstance(value, str) else json.dumps(value)


def _checked(base: Config, name: str, listed: tuple[Any, ...]) -> tuple[Any, ...]:
    """The values as the configuration takes them."""
    if name not in _single_settings():
        raise UserError(f"there is no setting {name} to sweep over.", hint=nearest_hint(name) or None)
    reason = next((why for shared, why in _SHARED.items() if name == shared or name.startswith(shared)), None)
    if reason:
        raise UserError(f"{name} is the same in all trials:", hint=reason)
    if not listed:
        raise UserError(f"{name} has no values.")
    values = tuple(setting_values(with_settings(base, {name: value}))[name] for value in listed)
    if odd := [value for value in values if isinstance(value, (list, dict))]:
        raise UserError(f"{name} holds several values at once ({odd[0]}), which a sweep cannot vary.")
    if len(set(map(json.dumps, values))) < len(values):
        raise UserError(f"{name} has a value twice: {', '.join(map(value_text, values))}.")
    return values


def _single_settings() -> set[str]:
    """The names of settings that are no sections."""
    return set(setting_values(Config())) & set(setting_names(Config))
