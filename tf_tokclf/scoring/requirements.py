"""Requirements on scores, such as `f1>=0.85`: parse them, and check them against the values of a result.

Names are those of the result's JSON, joined by dots. `overall.` and `by_type.` may be left out: `f1`, `PER.recall`,
`macro.f1`, `token_accuracy`. `.low` and `.high` are the ends of a score's interval.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tf_tokclf.errors import UserError
from tf_tokclf.scoring.bootstrap import SCORE_NAMES
from tf_tokclf.scoring.leaks import MEASURES
from tf_tokclf.similar_names import similar_names

# A score and its limit may differ in the last bit although they are the same number.
_ROUNDING = 1e-12
_COMPARED: Mapping[str, Callable[[float, float], bool]] = {
    ">=": lambda value, limit: value >= limit - _ROUNDING,
    "<=": lambda value, limit: value <= limit + _ROUNDING,
    ">": operator.gt,
    "<": operator.lt,
}
_REQUIREMENT = re.compile(
    r"\s*(?P<name>\S.*?)(?<![=<>!\s])\s*(?P<sign>>=|<=|>|<)\s*(?P<limit>[-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*"
)
# The last parts of the names of values from -1 to 1.
_SHARES = {*SCORE_NAMES, *MEASURES, "token_accuracy", "token_accuracy_without_o", "low", "high", "difference", "p"}
# Parts of names that may be left out.
_OPTIONAL = ("overall.", "by_type.")
# What may stand before these parts.
_OUTER = ("", "leaks.")

Values = Mapping[str, float | None]


@dataclass(frozen=True)
class Requirement:
    """A limit for a value. sign: a key of the comparisons."""

    name: str
    sign: str
    limit: float

    def __str__(self) -> str:
        return f"{self.name}{self.sign}{self.limit:g}"

    def holds(self, value: float | None) -> bool:
        """Whether a value is within the limit. An unknown value is not."""
        return value is not None and _COMPARED[self.sign](value, self.limit)


@dataclass(frozen=True)
class Checked:
    """A requirement and the value that was found. subject: what the value is about, if there are several."""

    requirement: Requirement
    value: float | None
    subject: str = ""

    @property
    def is_met(self) -> bool:
        """Whether the requirement is met."""
        return self.requirement.holds(self.value)

    def to_json(self) -> dict[str, Any]:
        """The entry in the JSON of a result."""
        subject = {"system": self.subject} if self.subject else {}
        return {"requirement": str(self.requirement), **subject, "value": self.value, "met": self.is_met}


def parse_requirements(
    texts: Sequence[str], *, option: str = "--require", example: str = "f1>=0.85"
) -> tuple[Requirement, ...]:
    """The requirements in the texts. Raises UserError, which lists all that are wrong.

    option, example: for the message.

    >>> [str(one) for one in parse_requirements(["f1 >= 0.85", "PER.recall.low>.9"])]
    ['f1>=0.85', 'PER.recall.low>0.9']
    """
    found, wrong = [], []
    for text in texts:
        match = _REQUIREMENT.fullmatch(text)
        limit = _number(match["limit"]) if match else None
        if match is None or limit is None:
            wrong.append(f"{text!r} is not NAME>=NUMBER (or <=, >, <)")
        elif match["name"].rpartition(".")[2] in _SHARES and abs(limit) > 1:
            as_fraction = Requirement(match["name"], match["sign"], limit / 100)
            wrong.append(f"{text!r} is in percent, but scores are fractions: {as_fraction}")
        else:
            found.append(Requirement(match["name"], match["sign"], limit))
    if wrong:
        raise UserError(f"{option}: {'; '.join(wrong)}.", hint=f"Write {option} '{example}'.")
    return tuple(found)


def check_requirements(requirements: Sequence[Requirement], values: Mapping[str, Values]) -> list[Checked]:
    """Each requirement with its value for each subject. values: by subject, "" for a single one.

    Raises UserError, which lists all names that do not exist.
    """
    known = {name for one in values.values() for name in one}
    unknown = dict.fromkeys(one.name for one in requirements if one.name not in known)
    if unknown:
        raise UserError("; ".join(f"--require: there is no value {_unknown(name, known)}" for name in unknown) + ".")
    return [
        Checked(requirement, of_subject.get(requirement.name), subject)
        for requirement in requirements
        for subject, of_subject in values.items()
    ]


def _unknown(name: str, known: set[str]) -> str:
    near = similar_names(name, sorted(known), n=3) or [one for one in sorted(known) if "." not in one]
    return f"{name!r} (there are {', '.join(near)})"


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def evaluation_values(result: Mapping[str, Any]) -> dict[str, float | None]:
    """The values in the JSON of an evaluation by their names.

    >>> values = evaluation_values({"overall": {"f1": 0.5}, "f1_interval": {"overall": [0.25, 0.75], "by_type": {}}})
    >>> values["f1"], values["f1.low"], values["overall.f1.high"]
    (0.5, 0.25, 0.75)
    """
    values = dict(_numbers(result, ""))
    for measure in SCORE_NAMES:
        values |= _ends(result.get(f"{measure}_interval", {}), measure)
    leaks = result.get("leaks", {})
    for share in MEASURES:
        values |= {f"leaks.{name}": end for name, end in _ends(leaks.get(f"{share}_interval", {}), share).items()}
    for division, parts in result.get("slices", {}).items():
        for part, one in parts.items():
            of_part = {measure: one.get(f"{measure}_interval") for measure in SCORE_NAMES}
            for measure, interval in of_part.items():
                ends = _ends({"overall": interval}, measure)
                values |= {f"slices.{division}.{part}.{name.removeprefix('overall.')}": x for name, x in ends.items()}
    return _with_short_names(values)


def difference_values(difference: Mapping[str, Any]) -> dict[str, float | None]:
    """The values in the JSON of a difference between two systems by their names.

    `f1` is that of the later system, `f1.difference` the difference from the first one, with `.low` and `.high`, and
    `f1.p` its p-value.
    """
    values: dict[str, float | None] = {}
    scopes = {"overall": difference["overall"]}
    scopes |= {f"by_type.{name}": one for name, one in difference["by_type"].items()}
    for scope, one in scopes.items():
        low, high = one["interval"]
        gap = f"{scope}.f1.difference"
        values |= {f"{scope}.f1": one["f1"][1], f"{scope}.f1.p": one["p"], gap: one["difference"]}
        values |= {f"{gap}.low": low, f"{gap}.high": high}
    return _with_short_names(values)


def _numbers(value: Any, name: str) -> Iterator[tuple[str, float | None]]:
    """All numbers in nested mappings. Lists are left out, because they have no names."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if not key.endswith("_interval"):
                yield from _numbers(inner, f"{name}.{key}" if name else key)
    elif value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        yield name, None if value is None or math.isnan(value) else value


def _ends(intervals: Mapping[str, Any], measure: str) -> dict[str, float | None]:
    """The ends of the intervals of a measure."""
    scopes = {"overall": intervals.get("overall")}
    scopes |= {f"by_type.{name}": interval for name, interval in intervals.get("by_type", {}).items()}
    return {
        f"{scope}.{measure}.{end}": value
        for scope, interval in scopes.items()
        if interval is not None
        for end, value in zip(("low", "high"), interval)
    }


def _with_short_names(values: Mapping[str, float | None]) -> dict[str, float | None]:
    """The values also under their names without `overall.` and `by_type.`, unless others have these names."""
    short = {}
    for prefix in reversed(_OPTIONAL):
        for name, value in values.items():
            before, found, after = name.partition(prefix)
            if found and before in _OUTER:
                short[before + after] = value
    return {**short, **values}
