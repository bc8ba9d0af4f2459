"""Thresholds: how targets are written, which threshold is chosen, and whether the promise holds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta

from tests.values import check_values
from tf_tokclf.errors import UserError
from tf_tokclf.labels.sentence import Span
from tf_tokclf.scoring.counts import Counts
from tf_tokclf.scoring.operating_points import (
    CURVE,
    GRID,
    STARTS,
    OperatingPoint,
    SpanCounter,
    Target,
    certified_threshold,
    check_types,
    curve,
    fallback_levels,
    operating_point,
    parse_targets,
    target_of,
)

SPAN = Span(0, 1, "X")


def counter_of(scores: np.ndarray, right: np.ndarray) -> SpanCounter:
    """A sentence per candidate. Where it is wrong, the gold span is another one, which is never found."""
    counter = SpanCounter(("X",))
    for score, is_right in zip(scores.tolist(), right.tolist(), strict=True):
        counter.add([SPAN] if is_right else [Span(4, 5, "X")], [(SPAN, score)], [])
    return counter


def test_points_are_values():
    check_values(OperatingPoint)
    check_values(Target)


def test_targets_have_the_grammar_of_requirements():
    targets = parse_targets(["PER.recall >= .98", "default.precision>=0.9", "a.b.recall>=0.5"])
    assert targets == (Target("PER", "recall", 0.98), Target("default", "precision", 0.9), Target("a.b", "recall", 0.5))
    assert target_of("PER", targets) is targets[0]
    assert target_of("LOC", targets) is targets[1]
    assert target_of("LOC", targets[:1]) is None


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["PER.f1>=0.9"], "TYPE.recall or TYPE.precision"),
        (["recall>=0.9"], "TYPE.recall or TYPE.precision"),
        (["PER.recall<=0.9"], "between 0 and 1"),
        (["PER.recall>=1"], "between 0 and 1"),
        (["PER.recall>=98"], "percent"),
        (["PER.recall=0.9"], "--target"),
        (["PER.recall>=nan"], "--target"),
        (["PER.recall>=0.9", "PER.precision>=0.9"], "already has"),
    ],
)
def test_other_targets_are_refused(texts: list[str], message: str):
    with pytest.raises(UserError, match=message):
        parse_targets(texts)


def test_a_type_called_default_has_another_name():
    types = ("LOC", "default")
    with pytest.raises(UserError, match=r"is also a type of the model\. Name that type as 'by_type\.default'"):
        check_types(parse_targets(["default.recall>=0.9"]), types)
    own, others = parse_targets(["by_type.default.recall>=0.9", "default.precision>=0.5"])
    check_types((own,), types)
    check_types((others, own), types)
    assert [target_of(name, (others, own)) for name in types] == [others, own]
    assert target_of("LOC", (own,)) is None
    with pytest.raises(UserError, match=r"the model has no type 'by_type\.default'"):
        check_types((own,), ("LOC",))


def test_targets_of_unknown_types_are_refused_with_similar_ones():
    with pytest.raises(UserError, match=r"no type 'PRE'") as error:
        check_types(parse_targets(["PRE.recall>=0.9"]), ("LOC", "PER"))
    assert "PER" in str(error.value)
    check_types(parse_targets(["default.recall>=0.9"]), ("LOC", "PER"))


def test_levels_pass_on_until_a_test_fails():
    assert fallback_levels(np.array([0.01, 0.02, 0.2, 0.01]), np.array([0.03, 0, 0, 0.02])).tolist() == [
        0.03,
        0.03,
        0.03,
        0.02,
    ]


def test_counts_at_a_threshold_are_those_of_the_spans_that_reach_it():
    counter = counter_of(np.array([0.95, 0.7, 0.5, 0.1]), np.array([True, True, False, True]))
    found = counter.calibration("X")
    for threshold, counts in curve(found):
        reach = [score >= threshold for score in (0.95, 0.7, 0.5, 0.1)]
        assert counts == Counts(sum(r and ok for r, ok in zip(reach, (True, True, False, True))), sum(reach), 4)
    assert [threshold for threshold, _ in curve(found)] == list(CURVE)
    assert {*CURVE, *STARTS} <= {*GRID.tolist()}


def test_recall_gets_the_highest_threshold_whose_bound_keeps_the_target():
    rng = np.random.default_rng(2)
    scores = rng.uniform(0.05, 1, 600)
    found = counter_of(scores, np.ones(600, bool)).calibration("X")
    point = operating_point("X", found, Target("X", "recall", 0.8), 0.9)
    bounds = {t: beta.ppf(0.1, k := (scores >= t).sum(), 600 - k + 1) for t in GRID.tolist()}
    assert point.is_met
    assert point.threshold == max(t for t, bound in bounds.items() if bound >= 0.8)
    # The design effect of sentences with one span is 600/599.
    assert point.low == pytest.approx(bounds[point.threshold], rel=1e-4)
    assert point.value == point.counts.recall == (scores >= point.threshold).mean()


def test_precision_gets_the_lowest_threshold_that_the_tests_reach():
    rng = np.random.default_rng(3)
    scores = rng.uniform(0.05, 1, 3000)
    right = rng.uniform(size=3000) < scores
    point = operating_point("X", counter_of(scores, right).calibration("X"), Target("X", "precision", 0.8), 0.95)
    assert point.is_met
    # A span above t is right with probability (1 + t) / 2.
    assert 0.6 < point.threshold < 0.7
    assert point.low >= 0.8
    assert point.value == right[scores >= point.threshold].mean()


def test_a_target_out_of_reach_says_what_can_be_promised_and_keeps_the_best_f1():
    scores, right = np.array([0.9] * 30 + [0.3] * 30), np.array([True] * 30 + [False] * 30)
    found = counter_of(scores, right).calibration("X")
    point = operating_point("X", found, Target("X", "recall", 0.9), 0.95)
    assert not point.is_met
    assert (point.value, point.low) == (0.5, pytest.approx(beta.ppf(0.05, 30, 31), rel=0.005))
    assert point.counts == Counts(30, 30, 60)
    assert 0.3 < point.threshold <= 0.9
    assert operating_point("X", found, None, 0.95).threshold == point.threshold


@pytest.mark.parametrize(("n", "is_met"), [(28, False), (29, True)])
def test_starts_with_too_few_spans_leave_their_level_to_others(n: int, is_met: bool):
    """0.9 to the power of 29 is below 0.05, so 29 right spans suffice if no start has wasted a part of the level."""
    for score in (0.3, 0.7, 0.999):
        found = counter_of(np.full(n, score), np.ones(n, bool)).calibration("X")
        point = operating_point("X", found, Target("X", "precision", 0.9), 0.95)
        assert (point.is_met, point.value) == (is_met, 1 if is_met or score > 0.5 else point.value)
        assert point.low == pytest.approx(0.05 ** (1 / n), rel=1e-6)


def test_precision_is_proven_where_no_span_reaches_a_half():
    rng = np.random.default_rng(4)
    scores = rng.uniform(0.05, 0.45, 400)
    right = rng.uniform(size=400) < 0.45
    found = counter_of(scores, right).calibration("X")
    point = operating_point("X", found, Target("X", "precision", 0.2), 0.95)
    assert (point.is_met, point.low >= 0.2) == (True, True)
    assert point.threshold < 0.45


def test_what_can_be_promised_is_less_than_a_target_out_of_reach():
    rng = np.random.default_rng(5)
    n_missed = 0
    for _ in range(150):
        n, highest = int(rng.integers(1, 200)), rng.uniform(0.1, 1)
        scores = rng.uniform(0, highest, n)
        found = counter_of(scores, rng.uniform(size=n) < scores).calibration("X")
        for measure in ("recall", "precision"):
            least = float(rng.uniform(0.05, 0.9))
            point = operating_point("X", found, Target("X", measure, least), 0.95)
            assert (point.low >= least) == point.is_met
            n_missed += not point.is_met
    assert 20 < n_missed < 280


def test_without_any_span_nothing_is_promised():
    found = SpanCounter(("X",)).calibration("X")
    for measure in ("recall", "precision"):
        point = operating_point("X", found, Target("X", measure, 0.5), 0.95)
        assert (point.is_met, point.low, point.threshold) == (False, 0, 0.5)


def test_parts_of_the_sentences_are_counted_alone():
    counter = counter_of(np.array([0.9, 0.8, 0.4]), np.array([True, False, True]))
    part = counter.calibration("X", np.array([True, False, True]))
    assert part.at(0.5) == Counts(1, 1, 2)
    assert part.at(0.1) == Counts(2, 2, 2)


def test_counters_are_joined_and_pooled():
    one, other = SpanCounter(("X", "Y")), SpanCounter(("X", "Y"))
    one.add([SPAN], [(SPAN, 0.9)], [SPAN])
    other.add([Span(0, 1, "Y")], [(SPAN, 0.7), (Span(2, 3, "Y"), 0.2)], [])
    both = one.joined(other)
    assert both.calibration("X").at(0.5) == Counts(1, 2, 1)
    assert both.calibration("X").plain == Counts(1, 1, 1)
    assert both.calibration("Y").at(0.1) == Counts(0, 1, 1)
    assert both.calibration("X", np.array([False, True])).at(0.5) == Counts(0, 1, 0)
    assert both.pooled("all").calibration("all").at(0.1) == Counts(1, 3, 2)


@pytest.mark.parametrize("n", [40, 300])
def test_the_promise_of_precision_holds_if_starts_move(n: int):
    """Scores are uniform up to 0.6, and a span is right with its score as probability: precision is (0.6 + t) / 2."""
    rng = np.random.default_rng(8)
    n_missed = n_met = 0
    for _ in range(300):
        scores = rng.uniform(0, 0.6, n)
        found = counter_of(scores, rng.uniform(size=n) < scores).calibration("X")
        index, _ = certified_threshold(found, Target("X", "precision", 0.35), 0.9)
        if index is not None:
            n_met += 1
            n_missed += (0.6 + GRID[index]) / 2 < 0.35
    assert n_met > 50
    assert n_missed <= 300 * 0.1 + 2 * np.sqrt(300 * 0.1 * 0.9)


@pytest.mark.parametrize("measure", ["recall", "precision"])
def test_the_promise_holds_for_samples_of_a_known_source(measure: str):
    """Recall at t is 1 - t². For precision, scores are uniform, and a span is right with its score as probability."""
    rng = np.random.default_rng(7)
    n_missed = n_met = 0
    for _ in range(200):
        scores = np.sqrt(rng.uniform(size=300)) if measure == "recall" else rng.uniform(size=300)
        right = np.ones(300, bool) if measure == "recall" else rng.uniform(size=300) < scores
        found = counter_of(scores, right).calibration("X")
        index, _ = certified_threshold(found, Target("X", measure, 0.7), 0.9)
        if index is not None:
            n_met += 1
            n_missed += (1 - GRID[index] ** 2 if measure == "recall" else (1 + GRID[index]) / 2) < 0.7
    assert n_met > 150
    assert n_missed <= 200 * 0.1 + 2 * np.sqrt(200 * 0.1 * 0.9)
