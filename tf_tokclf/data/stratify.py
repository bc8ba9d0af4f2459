"""Draw parts of a data set at random, so that each has its share of the sentences and of the spans of each type.

The units that are drawn (documents, or groups of equal sentences) stay whole. The method is iterative stratification
for data with several labels (Sechidis, Tsoumakas and Vlahavas 2011: On the stratification of multi-label data), applied
to one part after the other:

- The units are shuffled. The type that occurs in the fewest units without a place comes first, and each of its units
  goes to the side, the part or the rest, that lacks more spans of this type. Units without spans come last, and go to
  the side that lacks more sentences.
- A side gets a unit only if this brings its number of sentences closer to the wanted one. Therefore a part differs
  from its wanted size by at most half of the largest unit, if the next two rules do not interfere.
- Of the units with a type, at least one stays in the rest, unless there is only one: a model can only find types that
  occur in training.
- A part has at least one unit, and the rest too.

`draw_nested` draws parts of which the smaller ones are in the larger ones, by drawing halves of halves.

Afterwards, with few units, a unit of the part is exchanged for one of the rest as long as this brings the numbers of
sentences and spans closer to the wanted ones, in the sense of Pearson's chi-square. Large documents need this: which
side lacks more spans of one type says little about the other spans in a document.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tf_tokclf.counted import counted

# With more units, each is small, and exchanging them would take minutes.
MOST_EXCHANGED = 1000


@dataclass(frozen=True)
class Unit:
    """Sentences that stay together. size: their number. counts: the number of spans of each type in them."""

    size: int
    counts: Mapping[str, int]


def draw_parts(units: Sequence[Unit], sizes: Mapping[str, int], seed: int) -> dict[str, list[int]]:
    """Draw parts without overlap.

    sizes: part -> wanted number of sentences. The parts are drawn in this order, so the first does not depend on the
    sizes of the others.

    Returns the indices of the units of each part, in ascending order. Raises ValueError if there are not more units
    than parts.
    """
    if len(units) <= len(sizes):
        raise ValueError(f"{len(units)} units cannot be divided into {counted(len(sizes), 'part')} and a rest")
    rng = np.random.default_rng(seed)
    n_units = Counter(type for unit in units for type in unit.counts)
    needed = {type for type, n in n_units.items() if n > 1}
    rest, parts = list(range(len(units))), {}
    for n_before, (name, size) in enumerate(sizes.items()):
        n_kept = len(sizes) - n_before
        order = [rest[i] for i in rng.permutation(len(rest))]
        parts[name] = sorted(_Draw(units, order, size, needed, n_kept).drawn())
        gone = set(parts[name])
        rest = [unit for unit in rest if unit not in gone]
    return parts


def draw_nested(units: Sequence[Unit], size: float, seed: int) -> list[int]:
    """Draw a part that contains every smaller part that is drawn with the same seed.

    size: wanted number of sentences. The part differs from it by at most half of a unit, but has at least one unit.

    The seed puts the units into an order, of which the part is the beginning. The units are divided into halves, each
    of which is divided again. Both halves have their share of the spans of each type, and each type has a unit in the
    first half. So every beginning has about its share of all types, and rare types come early.

    Returns the indices of the units in ascending order.
    """
    drawn: list[int] = []
    lacking = size
    pool, path = list(range(len(units))), [seed]
    while len(pool) > 1:
        first, second = _halves(units, pool, path)
        n_first = sum(units[i].size for i in first)
        is_in = n_first <= lacking
        if is_in:
            drawn += first
            lacking -= n_first
        pool = second if is_in else first
        # Each half of a half is drawn with numbers of its own, which do not depend on the wanted size.
        path.append(int(is_in))
    if pool and (not drawn or 2 * lacking >= units[pool[0]].size):
        drawn += pool
    return sorted(drawn)


def _halves(units: Sequence[Unit], pool: Sequence[int], seed: Sequence[int]) -> tuple[list[int], list[int]]:
    """Divide the units `pool` into two parts of about the same size, of which the first has all types."""
    own = [units[i] for i in pool]
    order = np.random.default_rng(seed).permutation(len(own)).tolist()
    types = {type for unit in own for type in unit.counts}
    n_half = max(sum(unit.size for unit in own) // 2, 1)
    second = set(_Draw(own, order, n_half, types, 1).drawn())
    return [one for i, one in enumerate(pool) if i not in second], [pool[i] for i in sorted(second)]


class _Draw:
    """Draw one part. True stands for the part, False for the rest.

    order: the units in random order. needed: types that the rest must keep. n_kept: smallest number of units of the
    rest.
    """

    def __init__(self, units: Sequence[Unit], order: Sequence[int], size: int, needed: set[str], n_kept: int) -> None:
        self._units, self._order, self._needed, self._n_kept = units, order, needed, n_kept
        n_all = sum(units[i].size for i in order)
        share = size / n_all
        self._lacking = {True: size, False: n_all - size}  # sentences
        self._lacking_spans: dict[bool, dict[str, float]] = {True: defaultdict(float), False: defaultdict(float)}
        self._with_type: dict[str, list[int]] = defaultdict(list)
        for i in order:
            for type, n in units[i].counts.items():
                self._with_type[type].append(i)
                self._lacking_spans[True][type] += share * n
                self._lacking_spans[False][type] += (1 - share) * n
        self._n_waiting = {type: len(members) for type, members in self._with_type.items()}
        self._n_not_drawn = dict(self._n_waiting)
        # Types of which only one unit is not drawn.
        self._scarce = {type for type, n in self._n_not_drawn.items() if n == 1 and type in needed}
        self._side: dict[int, bool] = {}
        self._n_drawn = 0

    def drawn(self) -> list[int]:
        """The units of the part."""
        waiting = set(self._with_type)
        while waiting:
            type = min(waiting, key=lambda type: (self._n_waiting[type], type))
            waiting.remove(type)
            lacking, other = self._lacking_spans[True], self._lacking_spans[False]
            for i in self._with_type[type]:
                if i not in self._side:
                    self._place(i, self._belongs_to_part(i, lacking[type] - other[type]))
        for i in self._order:
            if i not in self._side:
                self._place(i, self._belongs_to_part(i, 0))
        self._fill()
        if len(self._order) <= MOST_EXCHANGED:
            self._exchange()
        return [i for i in self._order if self._side[i]]

    def _belongs_to_part(self, i: int, preference: float) -> bool:
        """Whether a unit goes to the part. preference: how much more the part lacks than the rest, if that decides."""
        if self._is_needed(i) or not self._may_draw_more():
            return False
        size = self._units[i].size
        # Not both sides can be too full, because together they lack at least this unit.
        if 2 * self._lacking[True] < size:
            return False
        if 2 * self._lacking[False] < size:
            return True
        return (preference or self._lacking[True] - self._lacking[False]) > 0

    def _place(self, i: int, is_drawn: bool) -> None:
        unit = self._units[i]
        self._side[i] = False
        self._lacking[False] -= unit.size
        for type, n in unit.counts.items():
            self._n_waiting[type] -= 1
            self._lacking_spans[False][type] -= n
        if is_drawn:
            self._draw(i)

    def _draw(self, i: int) -> None:
        """Move a unit from the rest to the part."""
        unit = self._units[i]
        self._side[i] = True
        self._n_drawn += 1
        self._lacking[True] -= unit.size
        self._lacking[False] += unit.size
        for type, n in unit.counts.items():
            self._lacking_spans[True][type] -= n
            self._lacking_spans[False][type] += n
            self._n_not_drawn[type] -= 1
            if self._n_not_drawn[type] == 1 and type in self._needed:
                self._scarce.add(type)

    def _fill(self) -> None:
        """Draw more units if the part is empty, or too small because the rest needed some."""
        for i in self._order:
            brings_closer = self._units[i].size < 2 * self._lacking[True]
            if brings_closer and not self._side[i] and not self._is_needed(i) and self._may_draw_more():
                self._draw(i)
        if not self._n_drawn:
            self._draw(min(self._order, key=lambda i: (self._is_needed(i), self._units[i].size)))

    def _exchange(self) -> None:
        types = sorted(self._with_type)
        counts = np.array([[unit.size, *(unit.counts.get(type, 0) for type in types)] for unit in self._units], float)
        lacking = np.array([self._lacking[True], *(self._lacking_spans[True][type] for type in types)], float)
        wanted = lacking + sum(counts[i] for i in self._order if self._side[i])
        must_keep = np.array([type in self._needed for type in types], bool)
        # Each exchange lowers the chi-square, so this ends.
        while found := self._best_exchange(counts, lacking, wanted, must_keep):
            out, into = found
            self._side[out], self._side[into] = False, True
            lacking += counts[out] - counts[into]

    def _best_exchange(
        self, counts: np.ndarray, lacking: np.ndarray, wanted: np.ndarray, must_keep: np.ndarray
    ) -> tuple[int, int] | None:
        """The units of the part and of the rest whose exchange lowers the chi-square most; None if none does.

        counts: (units, 1 + types) sentences, and spans of each type. lacking, wanted: (1 + types,) of the part.
        must_keep: (types,) whether the rest must keep a type.
        """
        part = [i for i in self._order if self._side[i]]
        rest = np.array([i for i in self._order if not self._side[i]])
        has_type = counts[:, 1:] > 0
        scarce = must_keep & (has_type[rest].sum(axis=0) == 1)
        tolerance = max(abs(lacking[0]), counts[self._order, 0].max() / 2)
        best, found = float((lacking**2 / wanted).sum()) - 1e-9, None
        for i in part:
            after = lacking + counts[i] - counts[rest]
            chi_square = (after**2 / wanted).sum(axis=1)
            loses_type = (has_type[rest] & scarce & ~has_type[i]).any(axis=1)
            chi_square[loses_type | (np.abs(after[:, 0]) > tolerance)] = np.inf
            j = int(chi_square.argmin())
            if chi_square[j] < best:
                best, found = float(chi_square[j]), (i, int(rest[j]))
        return found

    def _is_needed(self, i: int) -> bool:
        """Whether the rest would lose a type that it must keep, if the unit were drawn."""
        return not self._scarce.isdisjoint(self._units[i].counts)

    def _may_draw_more(self) -> bool:
        return len(self._order) - self._n_drawn > self._n_kept
