"""The name that a user may have meant, among those that there are."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

# Lower cutoffs suggest files of another split: test.conll for train.conll.
_CUTOFF = 0.8
# Names of a folder that are compared: a comparison takes a moment.
_N_NAMES = 2000
_WILDCARDS = frozenset("*?")


def similar_name(typed: str, known: Iterable[str], *, cutoff: float = _CUTOFF) -> str | None:
    """The most similar of the known names, upper and lower case alike. None if no name is similar.

    >>> similar_name("mine.yml", ["mine.yaml", "other.yaml"]), similar_name("train.conll", ["test.conll"])
    ('mine.yaml', None)
    >>> similar_name("mien", ["main", "mine"])
    'mine'
    """
    known = list(known)
    # In short names, two letters in the wrong order make a large difference.
    reordered = (name for name in known if sorted(name.lower()) == sorted(typed.lower()))
    return next(iter(similar_names(typed, known, n=1, cutoff=cutoff)), None) or next(reordered, None)


def similar_names(typed: str, known: Iterable[str], *, n: int, cutoff: float = 0.6) -> list[str]:
    """The `n` most similar of the known names at most, the nearest first.

    >>> similar_names("PRE.recall", ["PER.recall", "PER.recall.low", "loss"], n=2)
    ['PER.recall', 'PER.recall.low']
    """
    by_lower = {name.lower(): name for name in known}
    return [by_lower[name] for name in difflib.get_close_matches(typed.lower(), by_lower, n=n, cutoff=cutoff)]


def did_you_mean(path: str | Path, otherwise: str, *, is_data: bool = False) -> str:
    """The hint for a path that does not exist: a similar name in the same folder, or `otherwise`. is_data: a folder of
    files can be named too.

    >>> did_you_mean("data/*.conll", "Check the path.", is_data=True)
    'Patterns are not expanded. To read all files of a folder, name the folder: data'
    """
    path = Path(path)
    if is_data and _WILDCARDS & set(path.name):
        return f"Patterns are not expanded. To read all files of a folder, name the folder: {path.parent}"
    try:
        entries = islice(path.parent.iterdir(), _N_NAMES)
        near = similar_name(path.name, (entry.name for entry in entries if _is_alike(path, entry)))
    # The folder is missing, unreadable, or has an impossible name.
    except (OSError, ValueError):
        near = None
    return f"Did you mean {path.with_name(near)}?" if near else otherwise


def _is_alike(path: Path, entry: Path) -> bool:
    """Whether the names are similar without their suffixes, or one is the other with another suffix, such as .gz.

    In short names, an equal suffix alone makes most of the similarity.
    """
    return similar_name(path.stem, [entry.stem]) is not None or path.stem == entry.name or entry.stem == path.name
