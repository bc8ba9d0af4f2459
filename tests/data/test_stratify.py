"""Parts that are drawn from units, compared with a slow reference and with all possible divisions."""

from __future__ import annotations

from collections import Counter
from itertools import product
from unittest import mock

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tf_tokclf.data import stratify
from tf_tokclf.data.stratify import Unit, draw_nested, draw_parts

TYPES = "abcd"
counts = st.dictionaries(st.sampled_from(TYPES), st.integers(1, 3), max_size=3)
units = st.lists(st.builds(Unit, st.integers(1, 6), counts), min_size=3, max_size=12)
single = st.lists(st.builds(Unit, st.just(1), counts), min_size=3, max_size=40)
shares = st.sampled_from([0.05, 0.1, 0.2, 0.35])
seeds = st.integers(0, 2**32 - 1)


def sizes_for(drawn: list[Unit], *fractions: float) -> dict[str, int]:
    n_all = sum(unit.size for unit in drawn)
    return {name: max(1, round(n_all * share)) for name, share in zip(("test", "validation"), fractions)}


def size_of(all_units: list[Unit], part: list[int]) -> int:
    return sum(all_units[i].size for i in part)


def types_of(all_units: list[Unit], part: list[int]) -> set[str]:
    return {type for i in part for type in all_units[i].counts}


def rest_of(all_units: list[Unit], parts: dict[str, list[int]]) -> list[int]:
    return sorted(set(range(len(all_units))) - {i for part in parts.values() for i in part})


@given(units, shares, shares, seeds)
def test_parts_are_disjoint_and_not_empty_and_a_seed_gives_the_same_ones(all_units, share, other, seed):
    sizes = sizes_for(all_units, share, other)
    parts = draw_parts(all_units, sizes, seed)
    drawn = [i for part in parts.values() for i in part]
    assert len(set(drawn)) == len(drawn)
    assert all([*parts.values(), rest_of(all_units, parts)])
    assert draw_parts(all_units, sizes, seed) == parts
    assert draw_parts(all_units, {"test": sizes["test"], "validation": 1}, seed)["test"] == parts["test"]


def reference(all_units: list[Unit], size: int, seed: int) -> list[int]:
    """One part by the rules of the module's docstring. Everything is counted again for each unit."""
    order = np.random.default_rng(seed).permutation(len(all_units)).tolist()
    part: list[int] = []
    rest: list[int] = []
    n_all = sum(unit.size for unit in all_units)
    total = Counter(type for unit in all_units for type in unit.counts)

    def waiting() -> list[int]:
        return [i for i in order if i not in part and i not in rest]

    def is_last(i: int) -> bool:
        others = [j for j in rest + waiting() if j != i]
        return any(total[type] > 1 and type not in types_of(all_units, others) for type in all_units[i].counts)

    def place(i: int, type: str | None) -> None:
        lack, lack_rest = size - size_of(all_units, part), n_all - size - size_of(all_units, rest)
        own = all_units[i].size
        if is_last(i) or len(part) + 1 == len(all_units):
            return rest.append(i)
        # Whether the number of sentences comes closer to the wanted one.
        fits, fits_rest = abs(lack - own) <= abs(lack), abs(lack_rest - own) <= abs(lack_rest)
        if not fits or not fits_rest:
            return (part if fits else rest).append(i)
        if type is not None:
            spans = sum(unit.counts.get(type, 0) for unit in all_units)
            wanted = spans * size / n_all - sum(all_units[j].counts.get(type, 0) for j in part)
            wanted_rest = spans * (1 - size / n_all) - sum(all_units[j].counts.get(type, 0) for j in rest)
            if abs(wanted - wanted_rest) > 1e-9:
                return (part if wanted > wanted_rest else rest).append(i)
        return (part if lack > lack_rest else rest).append(i)

    left = set(types_of(all_units, order))
    while left:
        rarest = min(left, key=lambda type: (sum(type in all_units[i].counts for i in waiting()), type))
        left.remove(rarest)
        for i in waiting():
            if rarest in all_units[i].counts:
                place(i, rarest)
    for i in waiting():
        place(i, None)
    for i in order:
        lack = size - size_of(all_units, part)
        if i in rest and not is_last(i) and len(rest) > 1 and abs(lack - all_units[i].size) < abs(lack):
            rest.remove(i)
            part.append(i)
    if not part:
        part = [min(order, key=lambda i: (is_last(i), all_units[i].size))]
    return sorted(part)


@given(units, shares, seeds)
def test_a_part_is_that_of_the_reference(all_units, share, seed):
    sizes = sizes_for(all_units, share)
    # Rounding of floating-point numbers may decide between equal needs.
    spans = Counter(type for unit in all_units for type, n in unit.counts.items() for _ in range(n))
    needs = [n * (1 - 2 * sizes["test"] / sum(unit.size for unit in all_units)) for n in spans.values()]
    assume(not any(abs(need - round(need)) < 1e-9 for need in needs))
    with mock.patch.object(stratify, "MOST_EXCHANGED", 0):
        assert draw_parts(all_units, sizes, seed)["test"] == reference(all_units, sizes["test"], seed)


def chi_square(all_units: list[Unit], part: list[int], size: int) -> float:
    """How much the sentences and spans of a part differ from the wanted numbers."""
    share = size / sum(unit.size for unit in all_units)
    total = Counter(type for unit in all_units for type, n in unit.counts.items() for _ in range(n))
    found = Counter(type for i in part for type, n in all_units[i].counts.items() for _ in range(n))
    return (size_of(all_units, part) - size) ** 2 / size + sum(
        (found[type] - share * n) ** 2 / (share * n) for type, n in total.items()
    )


@given(units, shares, seeds)
def test_no_exchange_brings_a_part_closer_to_the_wanted_numbers(all_units, share, seed):
    (size,) = sizes_for(all_units, share).values()
    part = draw_parts(all_units, {"test": size}, seed)["test"]
    with mock.patch.object(stratify, "MOST_EXCHANGED", 0):
        before = draw_parts(all_units, {"test": size}, seed)["test"]
    own = chi_square(all_units, part, size)
    assert own <= chi_square(all_units, before, size) + 1e-6
    assert len(part) == len(before)
    rest = [i for i in range(len(all_units)) if i not in part]
    n = Counter(type for unit in all_units for type in unit.counts)
    farthest = max(abs(size_of(all_units, part) - size), max(unit.size for unit in all_units) / 2)
    for i, j in product(part, rest):
        other = [*(k for k in part if k != i), j]
        left = types_of(all_units, [*(k for k in rest if k != j), i])
        lost = {type for type in types_of(all_units, rest) - left if n[type] > 1}
        if not lost and abs(size_of(all_units, other) - size) <= farthest:
            assert chi_square(all_units, other, size) >= own - 1e-6


@given(units, shares, seeds)
def test_a_part_keeps_its_size_and_the_rest_its_types_where_that_is_possible(all_units, share, seed):
    """Compared with all possible parts."""
    (size,) = sizes_for(all_units, share).values()
    part = draw_parts(all_units, {"test": size}, seed)["test"]
    n = Counter(type for unit in all_units for type in unit.counts)
    needed = {type for type in n if n[type] > 1}

    def keeps_types(drawn: list[int]) -> bool:
        return needed <= types_of(all_units, [i for i in range(len(all_units)) if i not in drawn])

    if not keeps_types(part):
        masks = product([False, True], repeat=len(all_units))
        possible = ([i for i, is_in in enumerate(mask) if is_in] for mask in masks)
        assert not any(keeps_types(drawn) for drawn in possible if 0 < len(drawn) < len(all_units))
    largest = max(unit.size for unit in all_units)
    if abs(size_of(all_units, part) - size) > largest / 2 and len(part) > 1:
        rest = [i for i in range(len(all_units)) if i not in part]
        assert size_of(all_units, part) < size
        # Each unit that could be added is the last one with a type.
        assert not any(
            keeps_types([*part, i]) for i in rest if abs(size - size_of(all_units, [*part, i])) < largest / 2
        )


@given(single, shares, seeds)
def test_single_sentences_give_exactly_the_wanted_sizes(all_units, share, seed):
    """Unless each of the other sentences is the last one with a type."""
    sizes = sizes_for(all_units, share)
    part = draw_parts(all_units, sizes, seed)["test"]
    rest = rest_of(all_units, {"test": part})
    n_left = Counter(type for i in rest for type in all_units[i].counts)
    n = Counter(type for unit in all_units for type in unit.counts)
    spare = [i for i in rest if not any(n_left[t] == 1 and n[t] > 1 for t in all_units[i].counts)]
    assert len(part) == sizes["test"] or (len(part) < sizes["test"] and not spare)


@pytest.mark.parametrize("seed", range(5))
def test_each_part_has_its_share_of_each_type(seed):
    """Much closer than at random: rare types too."""
    rng = np.random.default_rng(100 + seed)
    frequency = {f"type{k}": 0.5 / (k + 1) for k in range(30)}
    all_units = [Unit(1, {type: 1 for type, share in frequency.items() if rng.random() < share}) for _ in range(2000)]
    parts = draw_parts(all_units, {"test": 200, "validation": 200}, seed)
    totals = Counter(type for unit in all_units for type in unit.counts)
    for part in parts.values():
        assert len(part) == 200
        found = Counter(type for i in part for type in all_units[i].counts)
        assert all(abs(found[type] - 0.1 * n) <= max(2, 0.02 * n) for type, n in totals.items()), (found, totals)


def test_too_few_units_cannot_be_divided():
    with pytest.raises(ValueError, match="2 units cannot be divided into 2 parts and a rest"):
        draw_parts([Unit(1, {}), Unit(1, {})], {"test": 1, "validation": 1}, 0)


@given(units, shares, shares, seeds)
def test_a_smaller_nested_part_is_in_the_larger_one(all_units, share, other, seed):
    n_all = sum(unit.size for unit in all_units)
    small, large = (set(draw_nested(all_units, part * n_all, seed)) for part in sorted((share, other)))
    assert small
    assert small <= large
    assert draw_nested(all_units, n_all, seed) == list(range(len(all_units)))


@given(units, st.floats(0.01, 1), seeds)
def test_a_nested_part_has_the_wanted_size_but_for_half_a_unit(all_units, share, seed):
    wanted = share * sum(unit.size for unit in all_units)
    part = draw_nested(all_units, wanted, seed)
    assert 2 * abs(size_of(all_units, part) - wanted) <= max(unit.size for unit in all_units) or len(part) == 1


@pytest.mark.parametrize("seed", range(5))
def test_nested_parts_have_rare_types_and_about_their_share_of_frequent_ones(seed):
    """Drawn at random, a tenth would lack two of the three rare types on average."""
    rng = np.random.default_rng(seed)
    types = ["once", "twice", "twice", *["rare"] * 5, *["some"] * 92, *["most"] * 400, *[None] * 500]
    all_units = [Unit(1, {types[i]: 1} if types[i] else {}) for i in rng.permutation(len(types))]
    for share in (0.03, 0.1, 0.3, 0.7):
        part = draw_nested(all_units, share * len(types), seed)
        found = Counter(type for i in part for type in all_units[i].counts)
        assert set(found) == {"once", "twice", "rare", "some", "most"}
        assert abs(found["most"] - share * 400) <= 4
        assert abs(found["some"] - share * 92) <= 4


def test_another_seed_gives_other_nested_parts():
    all_units = [Unit(1, {}) for _ in range(100)]
    assert draw_nested(all_units, 10, 1) != draw_nested(all_units, 10, 2)
