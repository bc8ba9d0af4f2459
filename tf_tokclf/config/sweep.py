"""The values that a sweep tries, checked before anything is trained."""

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

# Settings, or prefixes of settings, that must be the same in all trials, mostly because they affect how the validation
# F1 is computed.
_SHARED = {
    "recipe": "Sweep the settings that it stands for.",
    "output_dir": "Each trial gets its own folder.",
    "overwrite": "It applies to the whole sweep.",
    "sweep": "Sweeps cannot be nested.",
    "hub.": "Only the best trial is published.",
    "evaluation.mode": "Scores in different modes cannot be compared.",
    "data.validation_": "Scores on different validation data cannot be compared.",
    "data.max_eval_samples": "Scores on different validation data cannot be compared.",
    "training.seed": "The best of several seeds is the luckiest one. Use --seeds 1,2,3, which keeps the median.",
    "training.strategy": "It applies to the whole sweep.",
}
_OF_THE_WHOLE = ("sweep", "sweep_trials", "overwrite")
# Invalid values in these sections are only found when data and encoder are read.
_PLANNED = ("data.", "model.", "alignment.")

MOST_COMBINATIONS = 10_000


@dataclass(frozen=True)
class Sweep:
    """values: the values of each swept setting. n_trials: the number of combinations to try."""

    base: Config
    values: Mapping[str, tuple[Any, ...]]
    n_trials: int

    @classmethod
    def of(cls, config: Config) -> Sweep:
        """The sweep that `config` describes. Raises UserError that lists every problem."""
        tree = config_tree(config)
        base = check_config({key: value for key, value in tree.items() if key not in _OF_THE_WHOLE})
        values, problems = {}, []
        for name, listed in config.sweep.items():
            try:
                values[name] = _checked(base, name, listed)
            except UserError as error:
                problems.append(str(error))
        if problems:
            raise UserError("invalid sweep:" + "".join(f"\n  - {problem}" for problem in problems))
        n_all = math.prod(map(len, values.values()))
        if not 2 <= n_all <= MOST_COMBINATIONS:
            raise UserError(
                f"a sweep needs 2 to {MOST_COMBINATIONS:,} combinations of values, not {n_all:,}.",
                hint="For example: --sweep optimizer.learning_rate=1e-5,3e-5",
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
        """All combinations of values. The last setting changes fastest."""
        return [dict(zip(self.values, chosen)) for chosen in product(*self.values.values())]

    def to_plan(self) -> list[dict[str, Any]]:
        """Combinations to plan before training. They include each value that may not fit data or encoder."""
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
    """The value of a setting as text.

    >>> value_text(1e-05), value_text(None), value_text("first")
    ('1e-05', 'null', 'first')
    """
    return value if isinstance(value, str) else json.dumps(value)


def _checked(base: Config, name: str, listed: tuple[Any, ...]) -> tuple[Any, ...]:
    """The values as the configuration converts them. Raises UserError if they cannot be swept."""
    if name not in _single_settings():
        raise UserError(f"there is no setting {name} to sweep over.", hint=nearest_hint(name) or None)
    reason = next((why for shared, why in _SHARED.items() if name == shared or name.startswith(shared)), None)
    if reason:
        raise UserError(f"{name} must be the same in all trials.", hint=reason)
    if not listed:
        raise UserError(f"{name} has no values.")
    values = tuple(setting_values(with_settings(base, {name: value}))[name] for value in listed)
    if odd := [value for value in values if isinstance(value, (list, dict))]:
        raise UserError(f"{name}: the value {odd[0]} is a list or a mapping, which a sweep cannot vary.")
    keys = list(map(json.dumps, values))
    if repeated := dict.fromkeys(value_text(value) for value, key in zip(values, keys) if keys.count(key) > 1):
        raise UserError(f"{name} has a value more than once: {', '.join(repeated)}.", hint="List each value once.")
    return values


def _single_settings() -> set[str]:
    """The names of all settings, without sections."""
    return set(setting_values(Config())) & set(setting_names(Config))
